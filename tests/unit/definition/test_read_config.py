from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detjupyter.definition import Config, read_config
from detjupyter.errors import ConfigError, HyperparameterError


def read(tmp_path: Path, text: str, hparams: dict[str, Any] | None = None, seed: int = 7) -> Config:
    """Write `const.yaml` and read it."""
    (tmp_path / "const.yaml").write_text(text)
    return read_config(None, tmp_path, hparams, seed)


def config_error(tmp_path: Path, text: str) -> ConfigError:
    """Read text that must be refused, and return the error."""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert caught.value.path == str(tmp_path / "const.yaml")
    return caught.value


class TestWhereItIsRead:
    """A dict, a file that was named, or the one that stands there."""

    def test_const_yaml_beside_the_definition(self, tmp_path: Path) -> None:
        """Without a config the `const.yaml` there is read, beside a single file too."""
        assert read(tmp_path, "hyperparameters: {lr: 0.1}\n").path == str(tmp_path / "const.yaml")
        (tmp_path / "mnist.py").write_text("")
        assert read_config(None, tmp_path / "mnist.py", None, 0).hyperparameters == {"lr": 0.1}

    def test_nothing_at_all(self, tmp_path: Path) -> None:
        """No config is an empty one; overrides alone work."""
        config = read_config(None, tmp_path, {"lr": 1}, 0)
        assert (config.raw, config.path, config.hyperparameters, config.origins) == ({}, None, {"lr": 1}, {"lr": "--hparam"})

    @pytest.mark.parametrize("text", ["", "# nothing\n", "hyperparameters:\n", "name: x\n"])
    def test_no_hyperparameters_section(self, tmp_path: Path, text: str) -> None:
        """An empty file, and one that speaks of other things, have no hyperparameters."""
        assert read(tmp_path, text).hyperparameters == {}

    def test_a_dict(self, tmp_path: Path) -> None:
        """It is taken instead of the file, and is not changed."""
        (tmp_path / "const.yaml").write_text("hyperparameters: {lr: 9}")
        given = {"hyperparameters": {"lr": 0.1, "opt": {"momentum": 0.9}}, "data": {"url": "x"}}
        config = read_config(given, tmp_path, {"opt.momentum": 0.5}, 0)
        assert config.hyperparameters == {"lr": 0.1, "opt": {"momentum": 0.5}}
        assert config.origins == {"lr": "config", "opt.momentum": "--hparam"}
        assert (config.path, config.data) == (None, {"url": "x"})
        assert given["hyperparameters"] == {"lr": 0.1, "opt": {"momentum": 0.9}}

    def test_a_path_from_the_working_directory_or_the_definition(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A relative name is looked for in the working directory, then beside the definition; a wrong one lists what is there."""
        (tmp_path / "here").mkdir()
        (tmp_path / "here/a.yaml").write_text("hyperparameters: {from: here}")
        (tmp_path / "a.yaml").write_text("hyperparameters: {from: root}")
        (tmp_path / "b.yaml").write_text("hyperparameters: {from: root}")
        monkeypatch.chdir(tmp_path / "here")
        assert read_config("a.yaml", tmp_path, None, 0).hyperparameters == {"from": "here"}
        assert read_config(Path("b.yaml"), tmp_path, None, 0).origins == {"from": "b.yaml"}
        with pytest.raises(ConfigError, match=r"'c\.yaml'") as caught:
            read_config("c.yaml", tmp_path, None, 0)
        assert "a.yaml, b.yaml" in (caught.value.hint or "")


class TestYaml:
    """YAML 1.2, with errors that point at the place."""

    def test_scalars_are_those_of_yaml_1_2(self, tmp_path: Path) -> None:
        """`1e-4` is a number, `on` is text, `0777` is 777."""
        config = read(tmp_path, "hyperparameters: {a: 1e-4, b: on, c: 0777, d: yes, e: 1E5, f: null}\n")
        assert config.hyperparameters == {"a": 1e-4, "b": "on", "c": 777, "d": "yes", "e": 1e5, "f": None}

    @pytest.mark.parametrize(
        ("text", "line", "column"),
        [
            ("a: 1\nb: [1, 2\nc: 3\n", 3, 2),
            ("a: 1\n\tb: 2\n", 2, 1),
            ("a: 1\na: 2\n", 2, 1),
            ("hyperparameters:\n  lr: 1\n  lr: 2\n", 3, 3),
            ("a: !!python/object:os.system 1\n", 1, 4),
            ("a: 1\n---\nb: 2\n", 2, 1),
            ("- 1\n- 2\n", 1, 1),
            ("just text\n", 1, 1),
        ],
    )
    def test_an_error_names_line_and_column(self, tmp_path: Path, text: str, line: int, column: int) -> None:
        """Syntax, duplicate keys, tags, several documents and a file that is no map: each says where."""
        error = config_error(tmp_path, text)
        assert (error.line, error.column) == (line, column)
        assert f"line {line}" in str(error)
        assert "const.yaml" in error.message

    def test_what_is_not_text_or_too_deep_is_an_error_of_the_config(self, tmp_path: Path) -> None:
        """Not a failure of ours."""
        (tmp_path / "const.yaml").write_bytes(b"a: \xff\n")
        with pytest.raises(ConfigError, match="UTF-8"):
            read_config(None, tmp_path, None, 0)
        config_error(tmp_path, "a: " + "[" * 400)
        config_error(tmp_path, "a: 2026-02-31\n")

    @pytest.mark.parametrize(
        ("text", "line", "key"),
        [
            ("a: 1\nhyperparameters: [1]\n", 2, "hyperparameters"),
            ("searcher: single\n", 1, "searcher"),
            ("searcher:\n  name: x\n  metric: [1]\n", 3, "searcher.metric"),
            ("searcher:\n  metric: loss\n  smaller_is_better: no\n", 3, "searcher.smaller_is_better"),
            ("data: x\n", 1, "data"),
            ("entrypoint: 3\n", 1, "entrypoint"),
        ],
    )
    def test_a_value_of_the_wrong_kind_names_key_and_line(self, tmp_path: Path, text: str, line: int, key: str) -> None:
        """The key is quoted, with the value and what it should be."""
        error = config_error(tmp_path, text)
        assert f"`{key}`" in error.message
        assert error.line == line


class TestKeys:
    """The keys that a single session reads."""

    def test_searcher_and_data(self, tmp_path: Path) -> None:
        """Metric and direction of the searcher; smaller is better unless it says otherwise; None without a metric."""
        config = read(tmp_path, "searcher: {metric: accuracy, smaller_is_better: false}\ndata: {path: /d}\nunknown: kept\n")
        assert (config.searcher_metric, config.smaller_is_better, config.data) == ("accuracy", False, {"path": "/d"})
        assert config.raw["unknown"] == "kept"
        assert read(tmp_path, "searcher: {metric: loss}\n").smaller_is_better is True
        assert read(tmp_path, "searcher: {name: single}\n").smaller_is_better is None

    @pytest.mark.parametrize(
        ("written", "entrypoint"),
        [
            ("model_def:T", "model_def:T"),
            ("python3 -m determined.launch.torch_distributed --trial model_def:T", "model_def:T"),
            ("[python3, -m, determined.exec.harness, 'model_def:T']", "model_def:T"),
            ("python3 train.py", None),
            ("nonsense", "nonsense"),
        ],
    )
    def test_the_entrypoint_may_be_a_command(self, tmp_path: Path, written: str, entrypoint: str | None) -> None:
        """Of Determined's commands the word that names a Trial class counts; a script names none."""
        assert read(tmp_path, f"entrypoint: {written}\n").entrypoint == entrypoint


class TestOverrides:
    """What the user sets wins, and is shown as theirs."""

    def test_dotted_names_reach_nested_ones(self, tmp_path: Path) -> None:
        """Values, origins and new names; what is not named stays."""
        config = read(tmp_path, "hyperparameters: {lr: 1, opt: {name: sgd, m: {a: 1, b: 2}}}\n", {"opt.m.a": 5, "new.x": 1, "lr": 2})
        assert config.hyperparameters == {"lr": 2, "opt": {"name": "sgd", "m": {"a": 5, "b": 2}}, "new": {"x": 1}}
        assert config.origins == {
            "lr": "--hparam", "new.x": "--hparam", "opt.m.a": "--hparam", "opt.m.b": "const.yaml", "opt.name": "const.yaml",
        }  # fmt: skip
        assert config.raw["hyperparameters"]["opt"]["m"] == {"a": 1, "b": 2}

    def test_a_map_replaces_a_map(self, tmp_path: Path) -> None:
        """To change one value of it, name that one."""
        config = read(tmp_path, "hyperparameters: {opt: {name: sgd, m: 1}}\n", {"opt": {"lr": 3}})
        assert (config.hyperparameters, config.origins) == ({"opt": {"lr": 3}}, {"opt.lr": "--hparam"})

    @pytest.mark.parametrize("name", ["lr.x", ".lr", "lr.", ""])
    def test_a_name_that_leads_nowhere(self, tmp_path: Path, name: str) -> None:
        """A value has no parts, and a name no empty ones."""
        with pytest.raises(HyperparameterError) as caught:
            read(tmp_path, "hyperparameters: {lr: 1}\n", {name: 1})
        assert caught.value.name == name


RANGES = """
hyperparameters:
  width: {type: int, minval: 8, maxval: 64}
  activation: {type: categorical, vals: [relu, gelu, tanh]}
  lr: {type: log, base: 10, minval: -4, maxval: -1}
  dropout: {type: double, minval: 0.1, maxval: 0.5, count: 4}
  fixed: {type: const, val: 3}
  optimizer: {type: adam, beta: 0.9}
  nested: {b: {type: int, minval: 0, maxval: 1000}, a: {type: double, minval: 0, maxval: 1}}
"""


class TestSampling:
    """Ranges become values as in Determined."""

    @pytest.mark.parametrize("seed", [0, 7, 2**32 - 1])
    def test_draws_are_numpys_in_sorted_order(self, tmp_path: Path, seed: int) -> None:
        """RandomState(seed), names sorted level by level, const draws nothing, int includes its maximum."""
        random = np.random.RandomState(seed)
        expected = {
            "activation": ["relu", "gelu", "tanh"][random.randint(3)],
            "dropout": random.uniform(0.1, 0.5),
            "fixed": 3,
            "lr": 10 ** random.uniform(-4, -1),
            "nested": {"a": random.uniform(0, 1), "b": random.randint(0, 1001)},
            "optimizer": {"type": "adam", "beta": 0.9},
            "width": random.randint(8, 65),
        }
        config = read(tmp_path, RANGES, seed=seed)
        assert config.hyperparameters == expected
        assert {type(config.hyperparameters[name]) for name in ("width", "lr", "dropout")} == {int, float}
        assert list(config.hyperparameters) == ["width", "activation", "lr", "dropout", "fixed", "optimizer", "nested"]

    def test_origins_say_what_was_drawn(self, tmp_path: Path) -> None:
        """A drawn value names the file and the seed; a constant, and one overridden, do not."""
        origins = read(tmp_path, RANGES, {"width": 16, "lr": {"type": "log", "minval": -2, "maxval": -1}}).origins
        assert origins["dropout"] == "sampled from const.yaml, seed 7"
        assert origins["nested.a"] == "sampled from const.yaml, seed 7"
        assert (origins["fixed"], origins["optimizer.beta"]) == ("const.yaml", "const.yaml")
        assert (origins["width"], origins["lr"]) == ("--hparam", "sampled from --hparam, seed 7")

    def test_the_maximum_of_an_int_can_be_drawn(self, tmp_path: Path) -> None:
        """As in Determined since 0.17."""
        drawn = {
            read(tmp_path, "hyperparameters: {n: {type: int, minval: 1, maxval: 2}}\n", seed=seed).hyperparameters["n"]
            for seed in range(20)
        }
        assert drawn == {1, 2}

    @pytest.mark.parametrize(
        "text",
        [
            "{type: int, minval: 1}",
            "{type: int, minval: 1.5, maxval: 2}",
            "{type: int, minval: 3, maxval: 2}",
            "{type: double, minval: a, maxval: 2}",
            "{type: categorical, vals: []}",
            "{type: categorical, vals: relu}",
            "{type: log, base: 0, minval: 1, maxval: 2}",
            "{type: catgorical, vals: [1]}",
            "{type: const}",
        ],
    )
    def test_a_range_that_makes_no_sense_names_the_hyperparameter(self, tmp_path: Path, text: str) -> None:
        """The dotted name and the value at fault."""
        with pytest.raises(HyperparameterError, match=r"outer\.n") as caught:
            read(tmp_path, f"hyperparameters: {{outer: {{n: {text}}}}}\n")
        assert caught.value.name == "outer.n"

    def test_a_seed_out_of_bounds(self, tmp_path: Path) -> None:
        """A seed has 32 bits."""
        with pytest.raises(HyperparameterError, match="-1"):
            read(tmp_path, RANGES, seed=-1)
