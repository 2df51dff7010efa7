from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from detjupyter.definition import Config, read_config
from detjupyter.definition.config.keys import BindMount, Settings
from detjupyter.errors import ConfigError
from detjupyter.protocol.lengths import Batch, Epoch, Records


def read(tmp_path: Path, text: str) -> Config:
    """Write `const.yaml` and read it."""
    (tmp_path / "const.yaml").write_text(text)
    return read_config(None, tmp_path)


ERA_A = """
description: cifar10
labels: [old, slow]
data: {url: x}
data_layer: {type: shared_fs, host_storage_path: /a}
hyperparameters: {global_batch_size: 32}
batches_per_step: 50
min_validation_period: 2
min_checkpoint_period: 0
checkpoint_policy: all
searcher: {name: adaptive_simple, metric: error, max_steps: 10, max_trials: 4, mode: standard}
checkpoint_storage: {type: shared_fs, host_path: /tmp, save_experiment_best: 2, save_trial_best: 3, save_trial_latest: 0}
max_restarts: 0
reproducibility: {experiment_seed: 999}
optimizations: {aggregation_frequency: 4, average_aggregated_gradients: false, mixed_precision: O1, gradient_compression: true}
resources: {slots_per_trial: 2, anything: 1}
environment: {environment_variables: {cpu: [A=1, B], gpu: ['C=x=y', D=]}}
bind_mounts: [{host_path: /srv, container_path: /data, read_only: true}, {host_path: /a, container_path: /b}]
internal: {native: x}
debug: true
entrypoint: model_def:T
"""

ERA_B = """
name: cifar10
project: p
workspace: w
hyperparameters: {lr: 1}
scheduling_unit: 20
records_per_epoch: 50000
min_validation_period: {epochs: 2}
min_checkpoint_period: 300
perform_initial_validation: true
searcher: {name: adaptive_asha, metric: loss, max_length: {epochs: 12}, max_trials: 16, max_concurrent_trials: 4}
optimizations: {average_training_metrics: true}
environment: {environment_variables: [A=1], image: x}
profiling: {enabled: true}
log_policies: []
entrypoint: [python3, -m, determined.launch.torch_distributed, --trial, 'model_def:T']
"""


class TestSettings:
    """What the keys mean, in the words of either era."""

    def test_the_defaults_are_determineds(self, tmp_path: Path) -> None:
        """Determined's own, also where a key or a section is empty."""
        assert read(tmp_path, "").settings == Settings()
        assert (
            read(tmp_path, "searcher:\noptimizations: {aggregation_frequency: }\nmax_restarts:\nbind_mounts:\nenvironment: {}\n").settings
            == Settings()
        )
        defaults = Settings()
        assert (defaults.scheduling_unit, defaults.max_restarts, defaults.checkpoint_policy) == (100, 5, "best")

    def test_a_configuration_of_2020(self, tmp_path: Path) -> None:
        """Periods and lengths count in steps; nothing in it is strange."""
        config = read(tmp_path, ERA_A)
        assert config.warnings == ()
        assert config.settings == Settings(
            scheduling_unit=50,
            min_validation_period=Batch(100),
            min_checkpoint_period=None,
            checkpoint_policy="all",
            max_restarts=0,
            experiment_seed=999,
            aggregation_frequency=4,
            average_aggregated_gradients=False,
            gradient_compression=True,
            mixed_precision="O1",
            environment_variables={"cpu": {"A": "1", "B": ""}, "gpu": {"C": "x=y", "D": ""}},
            bind_mounts=(BindMount("/srv", "/data", read_only=True), BindMount("/a", "/b")),
            searcher="adaptive_simple",
            searcher_length=Batch(500),
            max_trials=4,
            save_experiment_best=2,
            save_trial_best=3,
            save_trial_latest=0,
            debug=True,
        )

    def test_a_configuration_of_today(self, tmp_path: Path) -> None:
        """Periods and lengths have units, and a bare number counts batches."""
        config = read(tmp_path, ERA_B)
        assert config.warnings == ()
        assert config.entrypoint == "model_def:T"
        assert config.settings == Settings(
            scheduling_unit=20,
            records_per_epoch=50000,
            min_validation_period=Epoch(2),
            min_checkpoint_period=Batch(300),
            perform_initial_validation=True,
            average_training_metrics=True,
            environment_variables={"cpu": {"A": "1"}, "gpu": {"A": "1"}},
            searcher="adaptive_asha",
            searcher_length=Epoch(12),
            max_trials=16,
        )

    @pytest.mark.parametrize(
        ("text", "length"),
        [
            ("min_validation_period: 3", Batch(3)),
            ("min_validation_period: 3\nsearcher: {max_steps: 10}", Batch(300)),
            ("min_validation_period: 3\nsearcher: {target_trial_steps: 10}\nbatches_per_step: 7", Batch(21)),
            ("min_validation_period: 3\nscheduling_unit: 7", Batch(3)),
            ("min_validation_period: {records: 1000}", Records(1000)),
            ("min_validation_period: {batches: 0}", None),
            ("min_validation_period: 0", None),
        ],
    )
    def test_a_period_has_the_units_of_its_era(self, tmp_path: Path, text: str, length: Batch | Epoch | Records | None) -> None:
        """A bare number counts steps if the config uses steps; a missing value, and 0, mean never."""
        assert read(tmp_path, text).settings.min_validation_period == length

    @pytest.mark.parametrize(
        ("searcher", "length"),
        [
            ("max_steps: 3", Batch(300)),
            ("target_trial_steps: 3", Batch(300)),
            ("max_length: 937", Batch(937)),
            ("max_length: {records: 60000}", Records(60000)),
            ("max_time: 40, time_metric: batches", Batch(40)),
            ("max_time: 4, time_metric: epochs", Epoch(4)),
            ("max_time: 4, time_metric: seconds", None),
            ("name: single", None),
        ],
    )
    def test_how_long_a_trial_trains(self, tmp_path: Path, searcher: str, length: Batch | Epoch | Records | None) -> None:
        """In the words of each era."""
        assert read(tmp_path, f"searcher: {{{searcher}}}").settings.searcher_length == length

    def test_the_environment_of_a_device(self, tmp_path: Path) -> None:
        """Every device except a CPU is a GPU; today's names of GPUs are read together with the old one."""
        settings = read(tmp_path, "environment: {environment_variables: {cpu: [A=1], cuda: [B=2], rocm: [C=3], gpu: }}").settings
        assert settings.environment_for("cpu") == {"A": "1"}
        assert settings.environment_for("cuda:1") == settings.environment_for("mps") == {"B": "2", "C": "3"}


class TestWrongKinds:
    """Each is one error, with the key, the value, the line and the column."""

    @pytest.mark.parametrize(
        ("text", "key", "line", "column"),
        [
            ("a: 1\nscheduling_unit: fast\n", "scheduling_unit", 2, 1),
            ("scheduling_unit: 0\n", "scheduling_unit", 1, 1),
            ("batches_per_step: 1.5\n", "batches_per_step", 1, 1),
            ("records_per_epoch: true\n", "records_per_epoch", 1, 1),
            ("records_per_epoch: '100'\n", "records_per_epoch", 1, 1),
            ("min_validation_period: [1]\n", "min_validation_period", 1, 1),
            ("min_validation_period: {}\n", "min_validation_period", 1, 1),
            ("min_validation_period: {batches: 1, epochs: 1}\n", "min_validation_period", 1, 1),
            ("min_validation_period:\n  batchs: 1\n", "min_validation_period.batchs", 2, 3),
            ("min_checkpoint_period:\n  epochs: 0.5\n", "min_checkpoint_period.epochs", 2, 3),
            ("checkpoint_policy: sometimes\n", "checkpoint_policy", 1, 1),
            ("perform_initial_validation: yes\n", "perform_initial_validation", 1, 1),
            ("reproducibility: 3\n", "reproducibility", 1, 1),
            ("reproducibility:\n  experiment_seed: x\n", "reproducibility.experiment_seed", 2, 3),
            ("optimizations:\n  aggregation_frequency: 0\n", "optimizations.aggregation_frequency", 2, 3),
            ("optimizations:\n  average_aggregated_gradients: 1\n", "optimizations.average_aggregated_gradients", 2, 3),
            ("optimizations:\n  mixed_precision: O4\n", "optimizations.mixed_precision", 2, 3),
            ("optimizations: []\n", "optimizations", 1, 1),
            ("searcher:\n  max_steps: 0\n", "searcher.max_steps", 2, 3),
            ("searcher:\n  max_length: {minutes: 1}\n", "searcher.max_length.minutes", 2, 16),
            ("checkpoint_storage:\n  save_trial_best: -1\n", "checkpoint_storage.save_trial_best", 2, 3),
        ],
    )
    def test_a_value_of_the_wrong_kind(self, tmp_path: Path, text: str, key: str, line: int, column: int) -> None:
        """The place is the key's own, or that of what it is missing in."""
        with pytest.raises(ConfigError) as caught:
            read(tmp_path, text)
        assert caught.value.message.startswith(f"`{key}` in const.yaml is ")
        assert "it should be" in caught.value.message
        assert (caught.value.line, caught.value.column) == (line, column)

    def test_in_a_dict_there_are_no_lines(self, tmp_path: Path) -> None:
        """The key and the value say enough; a long value is cut."""
        config: dict[str, Any] = {"scheduling_unit": "x" * 1000}
        with pytest.raises(ConfigError) as caught:
            read_config(config, tmp_path)
        assert caught.value.message.startswith("`scheduling_unit` in config is 'xxx")
        assert (caught.value.line, caught.value.path) == (None, None)
        assert len(caught.value.message) < 400


class TestKeysThatAreNotApplied:
    """An invalid value of a key without effect here is a warning."""

    @pytest.mark.parametrize(
        ("text", "key", "line"),
        [
            ("max_restarts: -1\n", "max_restarts", 1),
            ("searcher:\n  name: [single]\n", "searcher.name", 2),
            ("searcher:\n  max_trials: many\n", "searcher.max_trials", 2),
            ("environment:\n  environment_variables: A=1\n", "environment.environment_variables", 2),
            ("environment:\n  environment_variables:\n    - A: 1\n", "environment.environment_variables[0]", 3),
            ("environment:\n  environment_variables:\n    cpu:\n      - A=1\n      - 3\n", "environment.environment_variables.cpu[1]", 5),
            ("environment:\n  environment_variables:\n    tpu: []\n", "environment.environment_variables.tpu", 3),
            ("environment:\n  environment_variables: [=1]\n", "environment.environment_variables[0]", 2),
            ("bind_mounts: {host_path: /a}\n", "bind_mounts", 1),
            ("bind_mounts:\n  - /data\n", "bind_mounts[0]", 2),
            ("bind_mounts:\n  - host_path: /a\n", "bind_mounts[0].container_path", 2),
            ("bind_mounts:\n  - {host_path: /a, container_path: /b, read_only: 1}\n", "bind_mounts[0].read_only", 2),
            ("debug: 1\n", "debug", 1),
            ("environment: 3\n", "environment", 1),
            ('bind_mounts:\n  - {host_path: "", container_path: /b}\n', "bind_mounts[0].host_path", 2),
            ("optimizations:\n  gradient_compression: 1\n", "optimizations.gradient_compression", 2),
            ("optimizations:\n  average_training_metrics: x\n", "optimizations.average_training_metrics", 2),
        ],
    )
    def test_it_is_named_and_the_config_is_read(self, tmp_path: Path, text: str, key: str, line: int) -> None:
        """With its line; the default is used, and the value stays in `raw`."""
        config = read(tmp_path, text)
        assert config.settings == Settings()
        (warning,) = config.warnings
        assert warning.startswith(f"`{key}` in const.yaml is ")
        assert warning.endswith(f"(line {line}). The key is not applied here.")
        assert config.raw

    def test_keys_that_are_applied_are_checked_as_before(self, tmp_path: Path) -> None:
        """Next to an invalid one that is not."""
        with pytest.raises(ConfigError, match="scheduling_unit"):
            read(tmp_path, "debug: 1\nscheduling_unit: 0\n")


class TestUnknownKeys:
    """They are kept, and reported once."""

    def test_a_misspelling_is_reported_with_what_was_meant(self, tmp_path: Path) -> None:
        """At the top and in the sections that are known, each with its line; the value stays in `raw`."""
        config = read(
            tmp_path, "name: x\nserachr:\n  metric: loss\nsearcher:\n  metrc: loss\nx-anchors: {}\noptimizations: {mixed_precison: O1}\n"
        )
        assert config.warnings == (
            "`serachr` in const.yaml line 2 is not a known key; its value is kept. Did you mean `searcher`?",
            "`searcher.metrc` in const.yaml line 5 is not a known key; its value is kept. Did you mean `searcher.metric`?",
            "`x-anchors` in const.yaml line 6 is not a known key; its value is kept.",
            "`optimizations.mixed_precison` in const.yaml line 7 is not a known key; its value is kept. "
            "Did you mean `optimizations.mixed_precision`?",
        )
        assert config.raw["serachr"] == {"metric": "loss"}

    def test_an_unknown_searcher_is_kept_and_reported(self, tmp_path: Path) -> None:
        """It may be one that comes later; its name is doubted."""
        assert read(tmp_path, "searcher: {name: adaptive_ahsa}\n").warnings == (
            "`adaptive_ahsa` in const.yaml line 1 is not a known searcher. Did you mean `adaptive_asha`?",
        )

    def test_what_is_the_users_own_is_never_doubted(self, tmp_path: Path) -> None:
        """Hyperparameters, data, and keys that only a cluster reads hold what they like."""
        text = "hyperparameters: {x: 1}\ndata: {y: 1}\nresources: {zzz: 1}\ndata_layer: {a: 1}\ninternal: {b: 1}\nslurm: {c: 1}\n"
        assert read(tmp_path, text).warnings == ()

    def test_an_unknown_key_of_a_dict_is_reported_without_a_line(self, tmp_path: Path) -> None:
        """Without a line."""
        assert read_config({"hyperparameter": {}}, tmp_path).warnings == (
            "`hyperparameter` in config is not a known key; its value is kept. Did you mean `hyperparameters`?",
        )
