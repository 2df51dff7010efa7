from __future__ import annotations

import sys
from pathlib import Path

import pytest

from detjupyter.definition.discovery import find_trials, module_name


def found(tmp_path: Path, files: dict[str, str]) -> list[str]:
    """Write the files and return the entrypoints found in them."""
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    named = {module_name(name): tmp_path / name for name in files}
    return [str(one) for one in find_trials({name: path for name, path in named.items() if name is not None})]


BASE = "from determined.pytorch import PyTorchTrial\n"
TRIAL = BASE + "class MNistTrial(PyTorchTrial): pass\n"


class TestBases:
    """What makes a class a Trial."""

    @pytest.mark.parametrize(
        "text",
        [
            "import determined\nclass T(determined.pytorch.PyTorchTrial): pass\n",
            "import determined as det\nimport determined.pytorch\nclass T(det.pytorch.PyTorchTrial): pass\n",
            "from determined import pytorch\nclass T(pytorch.PyTorchTrial): pass\n",
            "from determined.pytorch import PyTorchTrial as Base\nclass T(Base): pass\n",
            "from determined.pytorch import *\nclass T(PyTorchTrial): pass\n",
            BASE + "Base = PyTorchTrial\nclass T(Base): pass\n",
            BASE + "Base: type = PyTorchTrial\nOther = Base\nclass T(Mixin, Other): pass\n",
            BASE + "Base = PyTorchTrial if new else object\nclass T(Base): pass\n",
            BASE + "class T(PyTorchTrial[int], metaclass=M): pass\n",
            "try:\n    from determined.pytorch import PyTorchTrial as Base\nexcept ImportError:\n    Base = object\nclass T(Base): pass\n",
            BASE + "if torch:\n    class T(PyTorchTrial): pass\nelse:\n    class T: pass\n",
            BASE + "try:\n    pass\nexcept E:\n    pass\nelse:\n    with x:\n        class T(PyTorchTrial): pass\n",
            BASE + "match x:\n    case 1:\n        class T(PyTorchTrial): pass\n",
        ],
    )
    def test_a_base_is_recognised_however_it_is_spelled(self, tmp_path: Path, text: str) -> None:
        """Attribute style, aliases, stars, branches."""
        assert found(tmp_path, {"model_def.py": text}) == ["model_def:T"]

    @pytest.mark.parametrize(
        "text",
        [
            "class T(Module): pass\n",
            "class ClinicalTrial: pass\nclass T(ClinicalTrial): pass\n",
            "class T(B): pass\nclass B(T): pass  # Trial\n",
            "Base = Other\nOther = Base\nclass T(Base): pass  # Trial\n",
            BASE + "def make():\n    class T(PyTorchTrial): pass\n",
            BASE + "class _T(PyTorchTrial): pass\n",
            BASE + "class T(make(PyTorchTrial)): pass\n",
            "from model_def import *\nclass T(X): pass  # Trial\n",
        ],
    )
    def test_what_is_no_trial(self, tmp_path: Path, text: str) -> None:
        """Other bases, a circle, one inside a function, one that is a base for others, and one that only a call could tell."""
        assert found(tmp_path, {"model_def.py": text}) == []

    @pytest.mark.parametrize(
        ("base", "derived"),
        [
            ("class Base(PyTorchTrial): pass", "from base import Base\nclass Net(Base): pass"),
            ("class Base(PyTorchTrial): pass", "from . import base\nclass Net(base.Base): pass"),
            ("class Base(PyTorchTrial): pass", "from base import *\nclass Net(Base): pass"),
            ("Base = PyTorchTrial", "import base\nclass Net(base.Base): pass"),
            ("class Outer:\n    class Base(PyTorchTrial): pass", "from base import Outer\nclass Net(Outer.Base): pass"),
        ],
    )
    def test_a_base_in_a_sibling_is_followed_though_the_file_never_says_trial(self, tmp_path: Path, base: str, derived: str) -> None:
        """`class Net(Base)` with `from base import Base`."""
        assert "net:Net" in found(tmp_path, {"base.py": f"{BASE}{base}\n", "net.py": f"{derived}\n", "other.py": "class Other: pass\n"})

    def test_a_base_is_followed_through_files_and_new_names(self, tmp_path: Path) -> None:
        """Four files, each of which knows only the next."""
        files = {
            "base.py": f"{BASE}class Base(PyTorchTrial): pass\n",
            "pkg/__init__.py": "",
            "pkg/middle.py": "from base import Base as Root\n",
            "pkg/leaf.py": "from .middle import Root\nclass Leaf(Root): pass\n",
            "top.py": "import pkg.leaf\nclass Top(pkg.leaf.Leaf): pass\n",
        }
        assert found(tmp_path, files) == ["base:Base", "pkg.leaf:Leaf", "top:Top"]

    def test_a_class_may_have_the_name_of_its_base(self, tmp_path: Path) -> None:
        """As wrappers do."""
        assert found(tmp_path, {"model_def.py": f"{BASE}class PyTorchTrial(PyTorchTrial): pass\n"}) == ["model_def:PyTorchTrial"]


class TestNames:
    """Each class once, by the name that people would use."""

    @pytest.mark.parametrize(
        "line", ["from .trial import MNistTrial", "from trial import MNistTrial", "from .trial import *", "from .inner import MNistTrial"]
    )
    def test_what_the_top_level_exposes_has_no_module(self, tmp_path: Path, line: str) -> None:
        """Documented as `:MNistTrial`."""
        files = {"__init__.py": f"{line}\n", "trial.py": TRIAL, "inner/__init__.py": "from ..trial import MNistTrial\n"}
        assert found(tmp_path, files) == [":MNistTrial"]

    def test_a_package_lends_its_name(self, tmp_path: Path) -> None:
        """The shortest of several; a private name is none; a class without another keeps its own."""
        files = {
            "lib/__init__.py": "from .deep.trial import MNistTrial, Other as _Other\n",
            "lib/deep/trial.py": TRIAL + "class Other(PyTorchTrial): pass\n",
        }
        assert found(tmp_path, files) == ["lib.deep.trial:Other", "lib:MNistTrial"]

    def test_a_private_class_counts_by_its_public_name(self, tmp_path: Path) -> None:
        """The author has said which name is for others."""
        files = {"lib/__init__.py": "from .a import _Impl as DigitsTrial\n", "lib/a.py": f"{BASE}class _Impl(PyTorchTrial): pass\n"}
        assert found(tmp_path, files) == ["lib:DigitsTrial"]

    def test_an_import_elsewhere_lends_no_name(self, tmp_path: Path) -> None:
        """`from trial import MNistTrial` in a script is a use, not a place where it is exposed."""
        assert found(tmp_path, {"trial.py": TRIAL, "run.py": "from trial import MNistTrial\n"}) == ["trial:MNistTrial"]


class TestReading:
    """Files are read, never run, and few of them closely."""

    def test_nothing_is_imported(self, tmp_path: Path) -> None:
        """A module that would end Python is read like any other."""
        assert found(tmp_path, {"ends.py": f"raise SystemExit\n{TRIAL}"}) == ["ends:MNistTrial"]
        assert "ends" not in sys.modules

    def test_what_cannot_be_read_is_skipped(self, tmp_path: Path) -> None:
        """Broken, binary, huge, vanished."""
        (tmp_path / "null.py").write_bytes(b"class T(PyTorchTrial): pass\0")
        (tmp_path / "huge.py").write_text(TRIAL + "#" * 2_000_000)
        names = {name: tmp_path / f"{name}.py" for name in ("null", "huge", "vanished")}
        assert find_trials(names) == []
        assert found(tmp_path, {"broken.py": "class (Trial", "good.py": TRIAL}) == ["good:MNistTrial"]

    def test_trials_are_found_among_many_files(self, tmp_path: Path) -> None:
        """The two that matter are found, one of them by its sibling."""
        files = {f"lib/m{number}.py": "class Layer:\n    pass\n" for number in range(300)}
        files |= {
            "base.py": f"{BASE}class Common(PyTorchTrial): pass\n",
            "lib/net.py": "from base import Common\nclass Net(Common): pass\n",
        }
        assert found(tmp_path, files) == ["base:Common", "lib.net:Net"]
