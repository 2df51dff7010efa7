"""Every name that PyTorch model definitions import from Determined is there, and what is not offered says so when it is used."""

from __future__ import annotations

import copy
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support.definition import Definition

import detjupyter as dj
from detjupyter.compat import kernel
from detjupyter.compat.determined import experimental
from detjupyter.definition import unsupported
from detjupyter.definition.isolation.imports import DefinitionScope
from detjupyter.errors import UnsupportedError

NAMES = {
    "determined": (
        "TrialContext NativeContext Trial LegacyTrial ExperimentConfig Constant Integer Double Categorical Log InvalidHP get_cluster_info "
        "LOG_FORMAT import_from_path core errors util pytorch keras estimator experimental horovod tensorboard common"
    ),
    "determined.pytorch": (
        "PyTorchTrial PyTorchTrialContext DataLoader LRScheduler Reducer MetricReducer PyTorchCallback ClipGradsL2Norm ClipGradsL2Value "
        "TorchData reset_parameters data_length to_device samplers RepeatBatchSampler DistributedBatchSampler SkipBatchSampler "
        "adapt_batch_sampler init Trainer Batch Epoch CheckpointLoadContext load_trial_from_checkpoint_path"
    ),
    "determined.pytorch.samplers": (
        "RepeatBatchSampler RepeatSampler DistributedBatchSampler DistributedSampler SkipBatchSampler SkipSampler "
        "ReproducibleShuffleSampler ReproducibleShuffleBatchSampler"
    ),
    "determined.core": (
        "init Context PreemptMode TensorboardMode DownloadMode SearcherMode EarlyExitReason DistributedContext TrainContext "
        "CheckpointContext SearcherContext SearcherOperation PreemptContext ProfilerContext Unit DummyDistributedContext"
    ),
    "determined.experimental": "create Mode create_trial_instance test_one_batch init_native keras estimator Determined client core_v2",
    "determined.experimental.core_v2": (
        "init init_context close Config DefaultConfig UnmanagedConfig DistributedContext PreemptMode TensorboardMode "
        "url_reverse_webui_exp_view"
    ),
    "determined.errors": (
        "InvalidExperimentException InvalidDataTypeException InternalException SkipWorkloadException StopLoadingImplementation WorkerError"
    ),
    "determined.common": "check util api",
    "determined_common": "check util api",
    "determined.util": "download_gcs_blob_with_backoff",
    "determined.horovod": "hvd",
    "determined.tensorboard.metric_writers.pytorch": "TorchWriter",
    "determined.transformers": "DetCallback",
    "determined.experimental.hf_trainer": "DetCallback",
    "determined.transformers._hf_callback": "DetCallback",
    "determined.keras": "TFKerasTrial TFKerasTrialContext InputData callbacks",
    "determined.estimator": "EstimatorTrial EstimatorTrialContext RunHook",
    "determined.pytorch.deepspeed": "DeepSpeedTrial DeepSpeedTrialContext",
    "determined.pytorch.lightning": "LightningAdapter",
}


def load(root: Path, text: str) -> ModuleType:
    """Import a definition of one module in its own scope."""
    root.mkdir(exist_ok=True)
    (root / "model_def.py").write_text(text)
    return DefinitionScope(root).import_module("model_def")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A distribution `determined` on the kernel's path, with modules that we have and one that we have not."""
    site = tmp_path / "site"
    for name in ("determined", "determined/pytorch", "determined/only_theirs", "determined/experimental", "determined_common"):
        (site / name).mkdir(parents=True)
        (site / name / "__init__.py").write_text("THEIRS = True\nclass PyTorchTrial: pass\n")
    monkeypatch.syspath_prepend(str(site))
    yield site
    for name in [name for name in sys.modules if name.partition(".")[0] in ("determined", "determined_common")]:
        del sys.modules[name]


@pytest.fixture
def offered() -> Iterator[None]:
    """The names are answered in the kernel, as `%load_ext detjupyter` has it."""
    kernel.offer()
    yield
    kernel.withdraw()
    assert not [name for name in sys.modules if name.partition(".")[0] in ("determined", "determined_common")]


@pytest.mark.parametrize("module", NAMES)
def test_a_definition_imports_whatever_official_examples_import(module: str, tmp_path: Path) -> None:
    """Each name can be imported as `from module import name`, as an attribute, and none is None."""
    names = NAMES[module].split()
    text = f"import {module}\nfrom {module} import {', '.join(names)}\nimport {module} as found\nnames = [{', '.join(names)}]\n"
    loaded = load(tmp_path, text)
    assert all(value is not None for value in loaded.names)
    assert [getattr(loaded.found, name) for name in names if isinstance(getattr(loaded.found, name), type)] == [
        value for value in loaded.names if isinstance(value, type)
    ]


def test_the_names_are_those_of_this_house(tmp_path: Path) -> None:
    """`determined.pytorch` gives the classes that `detjupyter.pytorch` gives, by both names of the package of samplers, too."""
    from detjupyter import pytorch
    from detjupyter.definition.trial import InvalidHP, Trial

    text = "import determined as det\nfrom determined.pytorch import samplers\nimport determined.pytorch.samplers as again\n"
    loaded = load(tmp_path, text)
    for here, there, names in (
        (loaded.det.pytorch, pytorch, set(pytorch.__all__) - {"samplers"}),
        (loaded.samplers, pytorch.samplers, pytorch.samplers.__all__),
    ):
        assert {name: getattr(here, name) for name in names} == {name: getattr(there, name) for name in names}
    assert loaded.samplers is loaded.again
    assert loaded.det.Trial is loaded.det.LegacyTrial is Trial
    assert loaded.det.InvalidHP is InvalidHP
    assert loaded.det.TrialContext is pytorch.PyTorchTrialContext
    assert loaded.det.get_cluster_info() is None


@pytest.mark.parametrize(
    "use",
    [
        "determined.horovod.hvd.init()",
        "determined.keras.TFKerasTrial()",
        "determined.estimator.EstimatorTrial",
        "determined.pytorch.deepspeed.DeepSpeedTrial",
        "determined.pytorch.lightning.LightningAdapter()",
        "determined.experimental.client.get_experiment(1)",
        "determined.experimental.Determined()",
        "determined.experimental.create(None)",
        "determined.util.download_gcs_blob_with_backoff('x')",
        "determined.common.api.certs.cli_cert",
    ],
)
def test_what_is_not_offered_is_refused_at_its_use_not_at_its_import(use: str, tmp_path: Path) -> None:
    """Importing and naming it works; calling it, or deriving from it, raises one error that says what, and what instead."""
    what = use.split("(")[0]
    module = what.rpartition(".")[0].removesuffix(".hvd")
    called = use if use.endswith(")") else None
    text = f"import {module}\nnamed = {what}\ndef use():\n    " + (
        f"return {called}\n" if called else f"class Mine({what}):\n        pass\n"
    )
    loaded = load(tmp_path, text)
    assert what in repr(loaded.named)
    with pytest.raises(UnsupportedError) as refused:
        loaded.use()
    assert refused.value.message == f"detjupyter does not offer {what}."
    assert refused.value.hint


def test_the_parts_that_are_not_supported_are_in_the_docs() -> None:
    """The table in docs/determined.md is the table of the code, and no module of it is offered."""
    docs = (Path(__file__).parents[2] / "docs/determined.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(determined\.[\w.]+)` \| (.+) \|$", docs.split("The parts that are not supported:")[1], re.MULTILINE)
    assert rows == [(module, what) for module, (what, _) in unsupported.NOT_SUPPORTED.items()]
    offered_in_part = {"determined.experimental"}
    for module, _ in rows:
        if module not in offered_in_part:
            assert not Path(kernel.__file__).parent.joinpath(*module.split(".")).with_suffix(".py").exists()


def test_an_installed_determined_is_never_mixed_into_a_definition(installed: Path, tmp_path: Path) -> None:
    """Every module of a definition's `determined` is ours: what only the distribution has is missing."""
    text = "import determined as det, determined.pytorch, determined_common\nfrom determined.experimental import core_v2\n"
    loaded = load(tmp_path / "definition", text)
    for module in (loaded.det, loaded.det.pytorch, loaded.det.experimental, loaded.determined_common):
        assert not hasattr(module, "THEIRS")
        assert str(installed) not in str(module.__file__)
    for line in (
        "from determined.pytorch import THEIRS",
        "from determined.only_theirs import THEIRS",
        "from determined import only_theirs; THEIRS = only_theirs.THEIRS",
        "import determined.only_theirs; THEIRS = determined.only_theirs.THEIRS",
    ):
        with pytest.raises((ImportError, AttributeError)):
            load(tmp_path / "other", f"{line}\n").THEIRS()
    import determined

    assert determined.THEIRS
    assert determined is not loaded.det


def test_a_cell_gets_these_names_where_nothing_is_installed(offered: None, tmp_path: Path) -> None:
    """`import determined as det` in the kernel gives the very modules that a definition sees, each of them once."""
    import determined as det
    import determined.pytorch
    import determined.tensorboard.metric_writers.pytorch as writers
    from determined.common import check
    from determined_common import check as older

    loaded = load(tmp_path, "import determined as det\nfrom determined.tensorboard.metric_writers import pytorch as writers\n")
    assert det is loaded.det
    assert det.pytorch is sys.modules["determined.pytorch"]
    assert writers.TorchWriter is loaded.writers.TorchWriter
    assert check.CheckFailedError is older.CheckFailedError
    assert det.__spec__.name == "detjupyter.compat.determined"
    with pytest.raises(UnsupportedError, match=r"does not offer determined\.searcher\.SearchMethod"):
        importlib.import_module("determined.searcher").SearchMethod()
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'determined\.nothing'$"):
        importlib.import_module("determined.nothing")
    with pytest.raises(ImportError, match="cannot import name 'nothing'"):
        exec("from determined import nothing", {})


def test_a_cell_keeps_an_installed_determined_whole(installed: Path, offered: None) -> None:
    """The kernel's own import is of the distribution, and a module that only we have is not added to it."""
    import determined as det

    assert det.THEIRS
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("determined.core")
    del sys.modules["determined"]


def test_hyperparameters_as_objects_are_those_of_the_yaml(tmp_path: Path) -> None:
    """A config in Python with `det.Log(…)` and similar objects is sampled like the same config in YAML."""
    from detjupyter.definition.config import read_config

    loaded = load(tmp_path, "import determined as det\n")
    det: Any = loaded.det
    objects = {
        "a": det.Constant(3),
        "b": det.Integer(1, 8),
        "c": det.Double(0.5, 1.5),
        "d": det.Log(minval=-4, maxval=-2, base=10),
        "e": det.Categorical(["x", "y"]),
    }
    plain = {
        "a": {"type": "const", "val": 3},
        "b": {"type": "int", "minval": 1, "maxval": 8},
        "c": {"type": "double", "minval": 0.5, "maxval": 1.5},
        "d": {"type": "log", "minval": -4, "maxval": -2, "base": 10},
        "e": {"type": "categorical", "vals": ["x", "y"]},
    }
    sampled = [read_config({"hyperparameters": given}, tmp_path, None, 7).hyperparameters for given in (objects, plain)]
    assert sampled[0] == sampled[1]
    assert sampled[0]["a"] == 3
    assert 1e-4 <= sampled[0]["d"] <= 1e-2


def test_a_config_object_answers_as_determineds(tmp_path: Path) -> None:
    """`det.ExperimentConfig` is the config's dict with its questions."""
    loaded = load(tmp_path, "import determined as det\n")
    config = loaded.det.ExperimentConfig({"data": {"url": "x"}, "debug": True, "records_per_epoch": 10})
    assert config["data"] == config.get_data() == {"url": "x"}
    assert config.debug_enabled()
    assert config.get_records_per_epoch() == 10
    assert loaded.det.ExperimentConfig({}).get_records_per_epoch() is None


def test_import_from_path_loads_an_older_module_and_forgets_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the kernel: the older module first, the newer one afterwards, nothing left behind, and not nested."""
    from detjupyter.compat.determined import import_from_path

    for name, version in (("old", 1), ("new", 2)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "module_of_two_versions.py").write_text(f"VERSION = {version}\n")
    monkeypatch.chdir(tmp_path / "new")
    monkeypatch.syspath_prepend(str(tmp_path / "new"))
    newer = importlib.import_module("module_of_two_versions")
    path = list(sys.path)
    with import_from_path(tmp_path / "old"):
        older = importlib.import_module("module_of_two_versions")
        with pytest.raises(RuntimeError, match="nested"), import_from_path(tmp_path / "new"):
            pass
    assert (newer.VERSION, older.VERSION) == (2, 1)
    assert sys.modules.pop("module_of_two_versions") is newer
    assert sys.path == path
    assert not list(tmp_path.rglob("old/__pycache__"))


def test_import_from_path_does_not_pass_a_definitions_own_module_off_as_the_older_one(tmp_path: Path) -> None:
    """A definition that imports an older version of its own module gets an error; another module can be imported."""
    (tmp_path / "old").mkdir()
    (tmp_path / "old/model_def.py").write_text("VERSION = 1\n")
    (tmp_path / "others").mkdir()
    (tmp_path / "others/module_of_others.py").write_text("VERSION = 3\n")
    text = (
        "import determined as det\ndef older(path):\n    with det.import_from_path(path):\n        import model_def\n"
        "def other(path):\n    with det.import_from_path(path):\n        import module_of_others\n    return module_of_others.VERSION\n"
    )
    loaded = load(tmp_path / "new", text)
    with pytest.raises(UnsupportedError, match="`import model_def` is its own module"):
        loaded.older(tmp_path / "old")
    assert loaded.other(tmp_path / "others") == 3


def test_one_batch_of_a_trial_is_tried_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: Any) -> None:
    """`experimental.test_one_batch` trains one batch, validates and saves, with sampled hyperparameters, as one run of the history."""
    import detjupyter as dj
    from detjupyter.compat.determined import experimental

    trial_class = dj.ModelDefinition(line.root).import_trial("model_def:LineTrial")
    config = {"hyperparameters": {"lr": {"type": "log", "minval": -3, "maxval": -2, "base": 10}, "global_batch_size": 4}}
    experimental.test_one_batch(trial_class=trial_class, config=config)
    session = dj.current_session()
    assert session.batches_trained == 1
    assert session.run is not None
    assert len(session.run.checkpoints()) == 1
    assert session.run.metric_names("validation") == ["error"]
    assert 1e-3 <= session.context.get_hparam("lr") <= 1e-2
    session.close()
    with pytest.raises(TypeError, match="needs trial_class"):
        experimental.test_one_batch()


def test_a_trial_can_be_built_to_call_its_methods_by_hand(line: Any) -> None:
    """`experimental.create_trial_instance` gives a trial with its hyperparameters, outside of any session."""
    import detjupyter as dj
    from detjupyter.compat.determined import experimental

    trial_class = dj.ModelDefinition(line.root).import_trial("model_def:LineTrial")
    trial = experimental.create_trial_instance(trial_class, "", config={"hyperparameters": {"lr": 0.5}}, hparams={"lr": 0.25})
    assert trial.context.get_hparam("lr") == 0.25
    assert dj.sessions() == []
    inputs, targets = next(iter(trial.build_training_data_loader().get_data_loader()))
    assert trial.train_batch.__self__ is trial
    assert trial.evaluate_batch((inputs, targets))["error"].shape == ()


class TestTryingOut:
    """``create_trial_instance``."""

    def test_the_callers_config_stays_as_it_is(self, line: Definition) -> None:
        """Keys that do not matter here are neither used nor removed."""
        config: dict[str, Any] = {
            "hyperparameters": {"lr": {"type": "double", "minval": 0.1, "maxval": 0.2}},
            "checkpoint_storage": {"type": "shared_fs"},
            "searcher": {"name": "single", "metric": "error", "max_length": {"batches": 4}},
        }
        before = copy.deepcopy(config)
        trial: Any = experimental.create_trial_instance(dj.ModelDefinition(line.root).import_trial("model_def:LineTrial"), "", config)
        assert config == before
        assert 0.1 <= trial.context.get_hparam("lr") <= 0.2
        assert trial.context.get_trial_id() == 1
