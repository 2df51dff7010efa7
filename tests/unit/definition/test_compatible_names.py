"""What a definition finds under the names that Determined gave to things."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType

import pytest

from detjupyter.definition.isolation.imports import DefinitionScope
from detjupyter.definition.model_definition import ModelDefinition
from detjupyter.errors import TrialError, UnsupportedError


@pytest.fixture(autouse=True)
def kernel_has_no_determined() -> Iterator[None]:
    """No import of these names by a definition changes the kernel's modules."""
    yield
    assert not {name for name in sys.modules if name.partition(".")[0] in ("determined", "determined_common")}


def load(root: Path, files: Mapping[str, str], name: str = "model_def") -> ModuleType:
    """Write files and import one of them in its own scope."""
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return DefinitionScope(root).import_module(name)


def test_determined_is_answered_by_this_house(tmp_path: Path) -> None:
    """`import determined as det`, `from determined import errors`, by importlib and inside functions: all one package, not installed."""
    text = (
        "import determined as det\nimport determined.errors\nfrom determined import errors\nfrom determined.common import check\n"
        "import importlib\nfound = importlib.import_module('determined.errors')\n"
        "def late():\n    import determined\n    return determined\n"
    )
    module = load(tmp_path, {"model_def.py": text})
    assert module.det is module.determined is module.late()
    assert module.errors is module.det.errors is module.found
    assert not issubclass(module.errors.InvalidExperimentException, Exception)
    with pytest.raises(module.check.CheckFailedError, match="too small: 1 is not > 2"):
        module.check.gt(1, 2, "too small")


def test_determined_common_is_the_older_name_of_the_same(tmp_path: Path) -> None:
    """Checks exist by both names of the package, and by both names of each check."""
    module = load(tmp_path, {"model_def.py": "from determined_common import check\nfrom determined.common import check as newer\n"})
    assert module.check.CheckFailedError is module.newer.CheckFailedError
    assert module.check.check_eq_len is module.check.equal_lengths
    with pytest.raises(module.check.CheckFailedError):
        module.check.check_isinstance(1, str)
    module.check.is_in(1, [1, 2])


def test_the_kernels_own_determined_is_not_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed distribution of that name stays the cells' own; a definition never gets half of each."""
    installed = tmp_path / "site"
    (installed / "determined").mkdir(parents=True)
    (installed / "determined/__init__.py").write_text("INSTALLED = True\n")
    (installed / "determined/errors.py").write_text("INSTALLED = True\n")
    monkeypatch.syspath_prepend(str(installed))
    import determined  # type: ignore[import-not-found]

    assert determined.INSTALLED
    module = load(tmp_path / "definition", {"model_def.py": "import determined.errors\nfrom determined import pytorch\n"})
    assert not hasattr(module.determined, "INSTALLED")
    assert not hasattr(module.determined.errors, "INSTALLED")
    assert sys.modules["determined"] is determined
    for name in ("determined", "determined.errors"):
        sys.modules.pop(name, None)


def test_a_module_of_that_name_in_the_definition_is_its_own(tmp_path: Path) -> None:
    """A file `determined.py` in the definition takes precedence inside it, like any sibling module."""
    assert load(tmp_path, {"model_def.py": "import determined\n", "determined.py": "OWN = 1\n"}).determined.OWN == 1


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("import determined.searcher as found", "determined.searcher.SearchMethod"),
        ("from determined.searcher import SearchMethod", "determined.searcher.SearchMethod"),
        ("from determined import searcher as found", "determined.searcher.SearchMethod"),
        ("import determined as det; found = det.searcher", "determined.searcher.SearchMethod"),
        ("import determined.keras.callbacks as found", "determined.keras.callbacks.EarlyStopping"),
        ("from determined.core._heartbeat import _Heartbeat", "determined.core._heartbeat._Heartbeat"),
        ("from determined.core import DummyTrainContext", "determined.core.DummyTrainContext"),
        ("from determined.pytorch import _SimpleReducer", "determined.pytorch._SimpleReducer"),
        ("from determined.util import download_gcs_blob_with_backoff", "determined.util.download_gcs_blob_with_backoff"),
        ("from determined_common.storage import S3StorageManager", "determined_common.storage.S3StorageManager"),
        ("import importlib; found = importlib.import_module('determined.cli.any')", "determined.cli.any.Thing"),
    ],
)
def test_every_name_of_a_release_can_be_imported_and_is_refused_when_it_is_used(line: str, name: str, tmp_path: Path) -> None:
    """Modules, names in modules and names in private modules, in every form of import; the error has the name as in the definition."""
    last = name.rpartition(".")[2]
    module = load(tmp_path, {"model_def.py": f"{line}\nThing = found.{last} if 'found' in globals() else {last}\n"})
    with pytest.raises(UnsupportedError, match=rf"does not offer {re.escape(name)}\."):
        module.Thing()
    assert repr(module.Thing) == f"<{name}, which detjupyter does not offer>"


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("import determined.nothing", "No release of Determined has determined.nothing."),
        ("import determined.pytorch.sampler", "Did you mean `determined.pytorch.samplers`?"),
        ("from determined import anything", "No release of Determined has determined.anything."),
        ("from determined.pytorch import PyTorchTrail", "Did you mean `determined.pytorch.PyTorchTrial`?"),
        ("from determined.keras import TFKerasTrail", "Did you mean `determined.keras.TFKerasTrial`?"),
        ("from determined.core._heartbeat import Thing", "No release of Determined has determined.core._heartbeat.Thing."),
        ("from determined_common.check import Thing", "No release of Determined has determined_common.check.Thing."),
    ],
)
def test_a_name_that_no_release_has_is_missing(line: str, hint: str, tmp_path: Path) -> None:
    """Its import is an ImportError, which fallbacks catch, and the error of a load names a similar name."""
    with pytest.raises(ImportError):
        load(tmp_path / "plain", {"model_def.py": line})
    module = load(tmp_path / "fallback", {"model_def.py": f"try:\n    {line}\nexcept ImportError:\n    found = None\n"})
    assert module.found is None
    (tmp_path / "model_def.py").write_text(f"{line}\n")
    with pytest.raises(TrialError) as failed:
        ModelDefinition(tmp_path).import_trial("model_def:T")
    assert failed.value.hint == hint
    assert "detjupyter.compat" not in str(failed.value)


def test_hasattr_says_what_a_release_of_determined_has(tmp_path: Path) -> None:
    """As in any module with a ``__getattr__``; the error of a missing attribute names a similar one."""
    det = load(tmp_path, {"model_def.py": "import determined as det\nimport determined.keras\n"}).det
    assert [hasattr(det, name) for name in ("anything", "__file_of_nothing__", "core", "keras", "Trial")] == [
        False,
        False,
        True,
        True,
        True,
    ]
    assert [hasattr(det.keras, name) for name in ("anything", "TFKerasTrial", "callbacks")] == [False, True, True]
    assert getattr(det.pytorch, "Anything", None) is None
    with pytest.raises(
        AttributeError, match=r"module 'determined\.pytorch' has no attribute 'PyTorchTrail'\. Did you mean 'PyTorchTrial'\?"
    ):
        _ = det.pytorch.PyTorchTrail


def test_a_fallback_for_what_is_not_supported_catches_its_use(tmp_path: Path) -> None:
    """A definition that also works without a part of Determined expects an ImportError."""
    text = """
        try:
            from determined.keras import TFKerasTrial

            class Mine(TFKerasTrial):
                pass
        except ImportError as error:
            Mine, why = None, str(error)
    """
    module = load(tmp_path, {"model_def.py": textwrap.dedent(text)})
    assert module.Mine is None
    assert "does not offer determined.keras.TFKerasTrial" in module.why


@pytest.mark.parametrize(
    "use",
    [
        *("Thing()", "Thing.make(1)", "isinstance(1, Thing)", "issubclass(int, Thing)"),
        *("class Mine(Thing): pass", "class Mine(dict, Thing): pass"),
        *("with Thing: pass", "Thing[0]", "for _ in Thing: pass", "list(Thing)", "len(Thing)", "1 in Thing", "Thing + 1", "int(Thing)"),
        *("Thing > 1", "@Thing\n    def f(): pass", "raise ThingError('x')", "ThingError()", "[*Thing]", "a, b = Thing"),
    ],
)
def test_each_use_of_such_a_name_is_refused(use: str, tmp_path: Path) -> None:
    """There is one error, whatever is done with the name."""
    text = f"from determined.searcher import SearchMethod as Thing\nfrom determined.common.api import ThingError\ndef use():\n    {use}\n"
    module = load(tmp_path, {"model_def.py": text})
    with pytest.raises(UnsupportedError, match=r"does not offer determined\.(searcher\.SearchMethod|common\.api\.ThingError)"):
        module.use()


def test_the_package_is_found_without_an_import(tmp_path: Path) -> None:
    """``find_spec`` is how code asks whether a package is installed."""
    text = """
        import importlib
        import importlib.util
        from importlib.util import find_spec, spec_from_file_location
        names = ("determined", "determined.pytorch", "determined.keras", "data", "json", "determined.nothing", "nothing")
        found = [[find(name) is not None for name in names] for find in (find_spec, importlib.util.find_spec)]
        from determined.experimental import *
        def catches(name):
            from determined import errors
            try:
                raise KeyError(name)
            except getattr(errors, name):
                return "theirs"
            except KeyError:
                return "mine"
    """
    module = load(tmp_path, {"model_def.py": textwrap.dedent(text), "data.py": ""})
    assert module.found == [[True] * 5 + [False] * 2] * 2
    assert callable(module.create_trial_instance)
    assert not hasattr(module, "OfferedNames")
    for name in ("WorkerFinishedGracefully", "CheckpointNotFound", "InvalidConfigurationException"):
        assert module.catches(name) == "mine"


def test_such_a_name_can_be_mentioned(tmp_path: Path) -> None:
    """In annotations, in comparisons with None, as an attribute, a default or an element, in copies, and in an ``except`` clause."""
    text = """
        import copy
        from typing import Optional
        from dataclasses import dataclass
        from determined.pytorch.deepspeed import DeepSpeedTrial
        from determined.common.api.errors import NotFoundException

        def f(trial: DeepSpeedTrial | None = None, other: "None | DeepSpeedTrial" = None, third: Optional[DeepSpeedTrial] = DeepSpeedTrial):
            return trial
        def g(trial: None | DeepSpeedTrial = None) -> dict[str, DeepSpeedTrial]: ...

        @dataclass
        class Settings:
            trial: DeepSpeedTrial | None = None

        known = {DeepSpeedTrial: 1}[copy.copy(DeepSpeedTrial)] if False else {DeepSpeedTrial: 1}
        is_there = DeepSpeedTrial is not None and bool(DeepSpeedTrial) and DeepSpeedTrial == DeepSpeedTrial
        try:
            raise KeyError("mine")
        except NotFoundException:
            caught = "theirs"
        except KeyError:
            caught = "mine"
    """
    module = load(
        tmp_path,
        {
            "model_def.py": textwrap.dedent(text)
            + "\nimport determined as det\nsame = det.keras.TFKerasTrial == det.keras.TFKerasTrial != det.keras.InputData\n"
        },
    )
    assert module.f() is None
    assert module.same
    assert module.is_there
    assert module.caught == "mine"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("determined.keras.TFKerasTrial", "detjupyter trains PyTorch trials so far."),
        ("determined.common.experimental.session.Session", "Instead: `%det_load`"),
        ("determined_common.api.certs", "Instead: `%det_load`"),
        ("determined.errors.WorkerFinishedGracefully", "Leave it out."),
        ("determined.workload.Workload", "Leave it out."),
    ],
)
@pytest.mark.usefixtures("magics_wording")
def test_the_hint_says_what_to_use_instead(name: str, hint: str, tmp_path: Path) -> None:
    """What replaces the part of Determined, if anything does."""
    module, _, last = name.rpartition(".")
    loaded = load(tmp_path, {"model_def.py": f"import {module}\nfrom {module} import {last} as found\n"})
    with pytest.raises(UnsupportedError) as refused:
        loaded.found()
    assert hint in str(refused.value)


@pytest.mark.parametrize(
    "line",
    [
        "from determined.core._tensorboard_mode import TensorboardMode as private; from determined.core import TensorboardMode as public",
        "from determined.pytorch._data import DataLoader as private; from determined.pytorch import DataLoader as public",
        "from determined.pytorch._trainer import Trainer as private; from determined.pytorch import Trainer as public",
    ],
)
def test_a_private_module_gives_the_public_names_of_its_package(line: str, tmp_path: Path) -> None:
    """Definitions import some names from where Determined defines them."""
    module = load(tmp_path, {"model_def.py": line})
    assert module.private is module.public


def test_the_offered_names_are_listed(tmp_path: Path) -> None:
    """``dir``, and with it completion in a cell, shows the names that work, and a version."""
    det = load(tmp_path, {"model_def.py": "import determined as det\nimport determined.pytorch\n"}).det
    assert {"pytorch", "core", "get_cluster_info", "InvalidHP"} <= set(dir(det))
    assert {"PyTorchTrial", "load_trial_from_checkpoint_path", "samplers"} <= set(dir(det.pytorch))
    assert not {"keras", "OfferedNames", "annotations"} & set(dir(det))
    assert det.__version__.count(".") == 2
    assert not hasattr(det, "__wrapped__")


def test_the_directorys_own_name_is_the_definition(tmp_path: Path) -> None:
    """`from mnist import data` and `import mnist.nets.deep` in `mnist/` mean the modules that the siblings mean."""
    text = "from mnist import data\nimport mnist.nets.deep\nimport mnist.nets.deep as deep\nimport data as sibling\n"
    module = load(tmp_path / "mnist", {"model_def.py": text, "data.py": "", "nets/deep.py": "from mnist import data\n"})
    assert module.data is module.sibling is module.deep.data
    assert module.mnist.nets.deep is module.deep


def test_a_directory_named_like_a_package_does_not_hide_it(tmp_path: Path) -> None:
    """In a directory called `json` or `numpy`, `import json` and `import numpy` mean what is installed."""
    assert load(tmp_path / "json", {"model_def.py": "import json\n"}).json is sys.modules["json"]
    module = load(tmp_path / "numpy", {"model_def.py": "import numpy\n"})
    assert module.numpy.__file__ == sys.modules["numpy"].__file__
    assert module.numpy.array is sys.modules["numpy"].array


def test_the_name_is_the_definitions_though_the_kernel_stands_above_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The path of the kernel may lead to the very directory: it is not imported a second time, as the kernel's."""
    monkeypatch.syspath_prepend(str(tmp_path))
    module = load(tmp_path / "mnist", {"model_def.py": "from mnist import data\nimport data as sibling\n", "data.py": ""})
    assert module.data is module.sibling
    assert "mnist" not in sys.modules


def test_hyperparameters_may_be_written_as_objects(tmp_path: Path) -> None:
    """Each is the dict that a config would hold."""
    text = (
        "import determined as det\nspace = [det.Constant(1), det.Integer(1, 2), det.Double(0, 1), det.Log(-4, -1), det.Categorical([1])]\n"
    )
    assert load(tmp_path, {"model_def.py": text}).space == [
        {"type": "const", "val": 1},
        {"type": "int", "minval": 1, "maxval": 2},
        {"type": "double", "minval": 0, "maxval": 1},
        {"type": "log", "minval": -4, "maxval": -1, "base": 10},
        {"type": "categorical", "vals": [1]},
    ]


def test_what_is_out_of_scope_imports_and_says_so_when_it_is_used(tmp_path: Path) -> None:
    """A definition that only mentions horovod, Keras or the cluster loads; calling, or deriving from, such a name is refused."""
    text = """
        import determined as det
        from determined import keras
        from determined.keras import TFKerasTrial, InputData
        from determined.estimator import EstimatorTrial
        from determined.horovod import hvd
        from determined.experimental import Determined, client, create
        from determined.experimental.client import create_experiment
        from determined.util import download_gcs_blob_with_backoff
        from determined.common import api, util
        from determined_common.api import certs

        def late():
            class Mine(TFKerasTrial):
                pass
    """
    module = load(tmp_path, {"model_def.py": textwrap.dedent(text)})
    assert module.det.get_cluster_info() is None
    uses = {
        "keras.InputData": module.late,
        "horovod.hvd.rank": module.hvd.rank,
        "experimental.create": module.create,
        "experimental.client.create_experiment": module.create_experiment,
        "util.download_gcs_blob_with_backoff": module.download_gcs_blob_with_backoff,
    }
    for name, use in uses.items():
        with pytest.raises(UnsupportedError, match=r"detjupyter does not offer determined\.") as raised:
            use()
        assert raised.value.hint, name
    with pytest.raises(UnsupportedError, match=r"determined\.keras\.TFKerasTrial"):
        module.late()


def test_an_older_module_can_be_imported_beside_the_newer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """import_from_path is about the kernel's modules, and leaves them as it found them."""
    for folder in ("old", "new"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "version_of_test.py").write_text(f"NAME = {folder!r}\n")
    monkeypatch.chdir(tmp_path / "new")
    monkeypatch.syspath_prepend(str(tmp_path / "new"))
    import version_of_test as newer  # type: ignore[import-not-found]

    det = load(tmp_path / "definition", {"model_def.py": "import determined as det\n"}).det
    before = list(sys.path)
    with det.import_from_path(tmp_path / "old"):
        import version_of_test as older

        with pytest.raises(RuntimeError, match="nested"), det.import_from_path(tmp_path):
            pass
    assert (older.NAME, newer.NAME, sys.modules["version_of_test"], sys.path) == ("old", "new", newer, before)
    del sys.modules["version_of_test"]
