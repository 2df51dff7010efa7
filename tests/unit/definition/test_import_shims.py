"""Replacements for installed modules, which only definitions see."""

from __future__ import annotations

import textwrap
from pathlib import Path
from types import ModuleType

import pytest

from detjupyter.definition.isolation.imports import DefinitionScope
from detjupyter.definition.isolation.shims import ImportShims, shim_modules

_PACKAGE = """
from types import ModuleType

def with_answer(module):
    same = ModuleType(module.__name__)
    vars(same).update({**vars(module), "answer": 42})
    return same
"""


def install(site: Path, name: str, entry_points: str) -> None:
    """Write the metadata of an installed package."""
    metadata = site / f"{name}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    (metadata / "entry_points.txt").write_text(f"[detjupyter.import_shims]\n{entry_points}\n", encoding="utf-8")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory where installed packages are found, with one that has shims in it."""
    directory = tmp_path / "site"
    directory.mkdir()
    (directory / "shims_of_a_test.py").write_text(_PACKAGE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(directory))
    return directory


def value(tmp_path: Path, source: str) -> object:
    """Return ``VALUE`` of a definition of that source."""
    root = tmp_path / "definition"
    root.mkdir(exist_ok=True)
    (root / "model_def.py").write_text(textwrap.dedent(source), encoding="utf-8")
    scope = DefinitionScope(root)
    try:
        return scope.import_module("model_def").VALUE
    finally:
        scope.release()


@pytest.mark.parametrize(
    "source",
    [
        "import colorsys\nVALUE = colorsys.answer",
        "import colorsys as c\nVALUE = c.answer",
        "from colorsys import answer as VALUE",
        "def inside():\n    import colorsys\n    return colorsys.answer\nVALUE = inside()",
    ],
    ids=["import", "import as", "from", "in a function"],
)
def test_every_way_to_import_gives_the_stand_in(site: Path, tmp_path: Path, source: str) -> None:
    """The real module stays what it is."""
    import colorsys

    install(site, "one", "colorsys = shims_of_a_test:with_answer")
    assert value(tmp_path, source) == 42
    assert not hasattr(colorsys, "answer")


def test_a_shim_of_a_package_adds_to_ours(site: Path, tmp_path: Path) -> None:
    """It is given what ours has made of the module."""
    install(site, "one", "numpy = shims_of_a_test:with_answer")
    assert value(tmp_path, "import numpy as np\nVALUE = (np.int, np.answer)") == (int, 42)


def test_a_package_that_is_installed_later_counts_for_the_next_load(site: Path, tmp_path: Path) -> None:
    """In the same process, as after `%pip install`."""
    source = "import colorsys\nVALUE = getattr(colorsys, 'answer', None)"
    assert value(tmp_path, source) is None
    install(site, "one", "colorsys = shims_of_a_test:with_answer")
    assert value(tmp_path, source) == 42


def test_a_shim_is_imported_only_for_the_module_that_it_is_for(site: Path, tmp_path: Path) -> None:
    """A package whose shim is broken does no harm to definitions that do not import the module."""
    install(site, "one", "colorsys = no_such_module:shim")
    assert value(tmp_path, "import json\nVALUE = 1") == 1
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        value(tmp_path, "import colorsys\nVALUE = 1")


def test_a_framework_of_this_package_declares_its_shims_by_files(tmp_path: Path) -> None:
    """Of the name of the module that each is for."""
    for file in ("keras/shims/__init__.py", "keras/shims/keras.py", "keras/shims/tensorflow__keras.py", "keras/other.py", "shims/json.py"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    assert list(shim_modules(tmp_path)) == [("keras", "keras.shims.keras"), ("tensorflow.keras", "keras.shims.tensorflow__keras")]


def test_without_any_package_only_numpy_has_one() -> None:
    """Names that numpy had before 1.24."""
    shims = ImportShims()
    assert shims.applies_to("numpy")
    assert not shims.applies_to("numpy.linalg")
    module = ModuleType("json")
    assert shims.apply("json", module) is module
