from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from collections.abc import Mapping
from pathlib import Path

import pytest

from detjupyter.definition import ModelDefinition, Trial
from detjupyter.definition.isolation.names import PREFIX
from detjupyter.errors import (
    DefinitionError,
    DefinitionNotFoundError,
    DefinitionSyntaxError,
    EntrypointError,
    NotATrialError,
    TrialError,
)

TOY = "from detjupyter.definition.trial import Trial\n\nclass ToyTrial(Trial):\n    framework = 'toy'\n"


def definition(root: Path, files: Mapping[str, str]) -> ModelDefinition:
    """Write files and return the definition they make."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return ModelDefinition(root)


def loaded_modules() -> set[str]:
    """Return the private names in ``sys.modules``."""
    return {name for name in sys.modules if name.startswith(PREFIX + ".")}


def failure(md: ModelDefinition, entrypoint: str | None, kind: type[DefinitionError] = EntrypointError) -> DefinitionError:
    """Load, expect it to fail, and check that nothing stays behind."""
    before = loaded_modules()
    with pytest.raises(kind) as caught:
        md.load(entrypoint)
    assert loaded_modules() == before
    return caught.value


def trial_failure(md: ModelDefinition, entrypoint: str = "model_def:ToyTrial") -> TrialError:
    """Load code that raises, and check that nothing stays behind."""
    before = loaded_modules()
    with pytest.raises(TrialError) as caught:
        md.load(entrypoint)
    assert loaded_modules() == before
    return caught.value


class TestWhatItIs:
    """A path becomes a model definition."""

    def test_a_directory_is_a_definition(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Root is the directory, name its name, and "." the working directory."""
        (tmp_path / "nas-search").mkdir()
        monkeypatch.chdir(tmp_path / "nas-search")
        md = ModelDefinition()
        assert (md.path, md.root, md.name, md.is_file) == (tmp_path / "nas-search", tmp_path / "nas-search", "nas-search", False)

    def test_a_single_file_is_a_definition(self, tmp_path: Path) -> None:
        """Root is the file's directory, and only the file ships."""
        (tmp_path / "mnist.py").write_text(TOY)
        md = ModelDefinition(tmp_path / "mnist.py")
        assert (md.path, md.root, md.name, md.is_file) == (tmp_path / "mnist.py", tmp_path, "mnist", True)
        assert [entry.path for entry in md.files()] == ["mnist.py"]
        assert md.import_trial(":ToyTrial").__name__ == "ToyTrial"
        assert [str(one) for one in md.entrypoints()] == [":ToyTrial"]

    @pytest.mark.parametrize("path", ["nowhere", "notes.txt"])
    def test_a_path_that_is_neither_directory_nor_python_file_is_refused(self, tmp_path: Path, path: str) -> None:
        """A missing path, or a file that is not Python, is named."""
        (tmp_path / "notes.txt").write_text("")
        with pytest.raises(DefinitionNotFoundError) as caught:
            ModelDefinition(tmp_path / path)
        assert path in caught.value.message
        assert caught.value.hint

    @pytest.mark.parametrize("path", ["x" * 5_000, "a\0b", "a\ud800b", "~nobody-has-this-name/x"], ids=["long", "NUL", "surrogate", "user"])
    def test_a_path_that_no_file_system_has_is_refused(self, path: str) -> None:
        """In one short message, whatever the operating system says of it."""
        with pytest.raises(DefinitionNotFoundError) as caught:
            ModelDefinition(path)
        assert len(str(caught.value)) < 500
        str(caught.value).encode()
        assert caught.value.hint

    def test_default_rules_can_be_switched_off(self, tmp_path: Path) -> None:
        """`defaults=False` reaches the file report."""
        definition(tmp_path, {".git/config": ""})
        assert [entry.path for entry in ModelDefinition(tmp_path, defaults=False).files()] == [".git/config"]


class TestLoading:
    """An entrypoint becomes a class."""

    def test_each_documented_form_of_entrypoint_is_resolved(self, tmp_path: Path) -> None:
        """Top-level `__init__.py`, a module, and an attribute of an attribute in a sub-package."""
        nested = TOY.replace("\n", "\n    ").replace("ToyTrial", "NestedTrial")
        nested = "class trial_classes:\n    " + nested
        md = definition(
            tmp_path,
            {"__init__.py": "from .model_def import ToyTrial as MNistTrial\n", "model_def.py": TOY, "determined_lib/trial.py": nested},
        )
        for entrypoint in (":MNistTrial", "model_def:ToyTrial", "determined_lib.trial:trial_classes.NestedTrial"):
            assert issubclass(md.import_trial(entrypoint), Trial)

    def test_the_place_of_the_class_is_known(self, tmp_path: Path) -> None:
        """File and line are those of the class statement, in any module."""
        md = definition(tmp_path, {"model_def.py": "from nets import ToyTrial\n", "nets.py": TOY})
        loaded = md.load("model_def:ToyTrial")
        assert (loaded.file, loaded.line, str(loaded.entrypoint)) == (tmp_path / "nets.py", 3, "model_def:ToyTrial")
        assert loaded.trial_class.framework == "toy"
        assert "model_def" in loaded.scope.modules()

    def test_a_class_made_by_a_call_has_the_modules_place(self, tmp_path: Path) -> None:
        """Where Python cannot tell the line, the module's file is named."""
        made = "from detjupyter.definition.trial import Trial\nToyTrial = type('ToyTrial', (Trial,), {'framework': 'toy'})\n"
        loaded = definition(tmp_path, {"model_def.py": made}).load("model_def:ToyTrial")
        assert (loaded.file, loaded.line) == (tmp_path / "model_def.py", 1)

    def test_each_load_is_anew(self, tmp_path: Path) -> None:
        """The next load has the edits, and the earlier class still works."""
        md = definition(tmp_path, {"model_def.py": TOY})
        first = md.import_trial("model_def:ToyTrial")
        definition(tmp_path, {"model_def.py": TOY + "    speed = 2\n"})
        second = md.import_trial("model_def:ToyTrial")
        assert not hasattr(first, "speed")
        assert second.speed == 2  # type: ignore[attr-defined]


class TestChoosing:
    """No entrypoint is given."""

    def test_the_configs_entrypoint_comes_first(self, tmp_path: Path) -> None:
        """Then the only class there is."""
        md = definition(tmp_path, {"model_def.py": TOY})
        assert str(md.choose_entrypoint("other:X")) == "other:X"
        assert str(md.choose_entrypoint()) == "model_def:ToyTrial"
        assert md.load().trial_class.__name__ == "ToyTrial"

    def test_a_single_file_ignores_the_entrypoint_of_another_one(self, tmp_path: Path) -> None:
        """The config next to it may be that of the directory."""
        definition(tmp_path, {"tiny.py": TOY, "model_def.py": TOY})
        md = ModelDefinition(tmp_path / "tiny.py")
        assert str(md.choose_entrypoint("model_def:Other")) == ":ToyTrial"
        assert str(md.choose_entrypoint("nets.tiny:Other")) == ":Other"
        assert str(md.choose_entrypoint(":Other")) == ":Other"

    def test_several_trial_classes_are_listed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The message names them, the hint shows how to choose, with the path if it is not the working directory."""
        md = definition(tmp_path, {"a.py": TOY, "b.py": TOY})
        error = failure(md, None)
        assert "a:ToyTrial, b:ToyTrial" in error.message
        assert f'dj.load(path="{tmp_path}", entrypoint="a:ToyTrial")' in (error.hint or "")
        monkeypatch.chdir(tmp_path)
        assert 'dj.load("a:ToyTrial")' in (failure(md, None).hint or "")

    def test_a_directory_without_a_model_definition(self, tmp_path: Path) -> None:
        """It says so, and what to do."""
        md = definition(tmp_path, {"notes.md": "", "plot.py": "class Plot: pass\n"})
        assert md.entrypoints() == []
        error = failure(md, None)
        assert "no model definition here" in error.message
        assert "model_def.py" in (error.hint or "")
        assert "path=" in (error.hint or "")

    def test_a_trial_that_does_not_compile_is_named(self, tmp_path: Path) -> None:
        """A slip of the pen in the only Trial is not answered with "there is none"."""
        md = definition(tmp_path, {"model_def.py": "from detjupyter.pytorch import PyTorchTrial\nclass T(PyTorchTrial:\n    pass\n"})
        with pytest.raises(DefinitionSyntaxError, match=r"model_def\.py does not compile") as caught:
            md.load()
        assert caught.value.line == 2


class TestFindingClassesByReading:
    """Trial classes are found without importing."""

    def test_bases_are_followed_through_the_definition(self, tmp_path: Path) -> None:
        """Direct, aliased, dotted, subscripted and inherited bases count; a leading underscore is a base for others."""
        md = definition(
            tmp_path,
            {
                "a.py": "import determined.pytorch as p\nclass One(p.PyTorchTrial): pass\nclass _Base(One): pass\n",
                "b.py": "from determined.keras import TFKerasTrial as T\nfrom a import _Base\n"
                "class Two(T): pass\nclass Three(_Base): pass\n",
                "pkg/__init__.py": "from ..a import One\nclass Four(One): pass\n",
                "pkg/deep.py": "import a\nfrom . import Four\nclass Five(Four): pass\n"
                "class Six(a.One): pass\nclass Seven(Generic[int], EstimatorTrial): pass\n",
                "c.py": "class ClinicalTrial: pass\nclass Patient(ClinicalTrial): pass\nclass X(Module): pass\n",
                "d.py": "if True:\n    class Outer:\n        class Inner(PyTorchTrial): pass\n"
                "def f():\n    class Local(PyTorchTrial): pass\n",
                "loop.py": "class A(B): pass\nclass B(A): pass\n",
            },
        )
        assert [str(one) for one in md.entrypoints()] == [
            "a:One", "b:Three", "b:Two", "d:Outer.Inner", "pkg.deep:Five", "pkg.deep:Seven", "pkg.deep:Six", "pkg:Four",
        ]  # fmt: skip

    def test_only_what_ships_is_read_and_a_broken_file_is_skipped(self, tmp_path: Path) -> None:
        """Left out, unparsable, undecodable, unnameable: none of them fails or counts."""
        md = definition(
            tmp_path,
            {
                ".detignore": "old/\n",
                "old/model_def.py": TOY,
                "broken.py": "class (",
                "my-notes.py": TOY,
                "model_def.py": TOY,
                "esc.py": "class A:\n    x = '\\d'\n",
            },
        )
        (tmp_path / "latin.py").write_bytes(b"class \xe9: pass")
        (tmp_path / "null.py").write_bytes(b"class A(PyTorchTrial): pass\0")
        assert [str(one) for one in md.entrypoints()] == ["model_def:ToyTrial"]

    def test_nothing_is_imported_for_it(self, tmp_path: Path) -> None:
        """Modules that would end Python are read like any other."""
        md = definition(tmp_path, {f"m{n}.py": "raise SystemExit\nclass C:\n    def f(self): return 1\n" for n in range(20)})
        assert md.entrypoints() == []


class TestMistakesOfTheUsers:
    """Each gets one clear message."""

    def test_a_malformed_entrypoint_is_refused(self, tmp_path: Path) -> None:
        """The form is shown by what is there."""
        error = failure(definition(tmp_path, {"model_def.py": TOY}), "ToyTrial")
        assert error.hint == "Did you mean model_def:ToyTrial?"

    @pytest.mark.parametrize(
        ("entrypoint", "missing"), [("modeldef:ToyTrial", "modeldef"), ("pkg.nets.deep:T", "pkg.nets"), ("random:Random", "random")]
    )
    def test_a_module_that_does_not_exist_is_named(self, tmp_path: Path, entrypoint: str, missing: str) -> None:
        """The error names the missing part, the root and the most similar entrypoint; installed modules are not searched."""
        error = failure(definition(tmp_path, {"model_def.py": TOY, "pkg/a.py": ""}), entrypoint)
        assert repr(missing) in error.message
        assert str(tmp_path) in str(error)
        assert error.hint == "Did you mean model_def:ToyTrial?"

    def test_empty_module_without_an_init(self, tmp_path: Path) -> None:
        """`:X` needs a top-level `__init__.py`."""
        error = failure(definition(tmp_path, {"model_def.py": TOY}), ":ToyTrial")
        assert "__init__.py" in error.message
        assert "model_def:ToyTrial" in (error.hint or "")

    def test_a_module_named_for_a_single_file(self, tmp_path: Path) -> None:
        """A single file has no modules."""
        (tmp_path / "mnist.py").write_text(TOY)
        assert failure(ModelDefinition(tmp_path / "mnist.py"), "mnist:ToyTrial").hint == "Write `:ToyTrial`."

    def test_an_attribute_that_does_not_exist_is_named(self, tmp_path: Path) -> None:
        """What is there is named, their own classes first, and the nearest is offered."""
        md = definition(tmp_path, {"model_def.py": "import os\nalpha = 1\n" + TOY})
        error = failure(md, "model_def:ToyTrail")
        assert "'ToyTrail'" in error.message
        assert error.hint == "Did you mean ToyTrial? It has ToyTrial, alpha, Trial."
        assert "'Deep'" in failure(md, "model_def:ToyTrial.Deep").message

    @pytest.mark.parametrize(
        ("name", "what"), [("make", "a function"), ("Net", "a class derived from dict"), ("n", "an int"), ("Plain", "a class")]
    )
    def test_an_object_that_is_no_trial_is_refused(self, tmp_path: Path, name: str, what: str) -> None:
        """The object is described, and the class that would do is offered."""
        text = TOY + "def make(): ...\nclass Net(dict): ...\nclass Plain: ...\nn = 1\n"
        error = failure(definition(tmp_path, {"model_def.py": text}), f"model_def:{name}", NotATrialError)
        assert what in error.message
        assert "model_def:ToyTrial" in (error.hint or "")

    def test_a_trial_without_all_its_methods_is_refused(self, tmp_path: Path) -> None:
        """A class that does not define what its base demands is refused with the names."""
        text = TOY + "    import abc\n    @abc.abstractmethod\n    def train_batch(self): ...\n"
        assert "train_batch" in failure(definition(tmp_path, {"model_def.py": text}), "model_def:ToyTrial", NotATrialError).message

    @pytest.mark.parametrize("text", ["x = 1\ndef f(:\n    pass\n", "x = 1\n  y = 2\n", "x = 1\nreturn 5\n"])
    def test_a_syntax_error_shows_their_line(self, tmp_path: Path, text: str) -> None:
        """In any module of the definition: file, line and text."""
        error = failure(
            definition(tmp_path, {"model_def.py": "import pkg.nets\n" + TOY, "pkg/nets.py": text}),
            "model_def:ToyTrial",
            DefinitionSyntaxError,
        )
        assert isinstance(error, DefinitionSyntaxError)
        assert (error.path, error.line) == (str(tmp_path / "pkg/nets.py"), 2)
        assert (error.text or "").strip() == text.splitlines()[1].strip()
        assert "pkg/nets.py" in error.message

    def test_files_that_are_not_text(self, tmp_path: Path) -> None:
        """Null bytes and bytes that are not UTF-8 are syntax errors with the file's name."""
        md = definition(tmp_path, {})
        for content in (b"x = 1\0", b"x = '\xff'"):
            (tmp_path / "model_def.py").write_bytes(content)
            assert "model_def.py" in failure(md, "model_def:T", DefinitionSyntaxError).message

    def test_a_syntax_error_in_an_eval_is_an_error_of_the_code(self, tmp_path: Path) -> None:
        """It is not about a line of theirs."""
        error = trial_failure(definition(tmp_path, {"model_def.py": "eval('1 +')\n"}))
        assert "eval('1 +')" in error.user_traceback


class TestCodeThatFailsWhileItIsImported:
    """The user sees their own frames, and nothing is kept alive."""

    def test_only_the_users_frames_are_shown(self, tmp_path: Path) -> None:
        """In Python's form, with their lines; none of ours, none of importlib's."""
        md = definition(tmp_path, {"model_def.py": "import data\n" + TOY, "data.py": "def read():\n    return {}['train']\n\nread()\n"})
        error = trial_failure(md)
        assert error.exception == "KeyError: 'train'"
        assert [line for line in error.user_traceback.splitlines() if line.startswith("  File")] == [
            f'  File "{tmp_path}/model_def.py", line 1, in <module>',
            f'  File "{tmp_path}/data.py", line 4, in <module>',
            f'  File "{tmp_path}/data.py", line 2, in read',
        ]
        assert "return {}['train']" in error.user_traceback
        assert "importing model_def" in error.message
        assert "importlib" not in str(error)
        assert PREFIX not in str(error)

    def test_the_frame_of_a_library_that_raised_is_shown_below_them(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An assert without text says nothing else. The frames of libraries in between are not shown."""
        (tmp_path / "libraries").mkdir()
        text = "def check(size):\n    _check(size)\n\ndef _check(size):\n    assert size == 4\n"
        (tmp_path / "libraries" / "library_that_asserts.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path / "libraries")
        error = trial_failure(definition(tmp_path / "toy", {"model_def.py": "import library_that_asserts as lib\nlib.check(3)\n" + TOY}))
        assert error.exception == "AssertionError"
        assert [line.strip() for line in error.user_traceback.splitlines()[1:] if "^^" not in line] == [
            f'File "{tmp_path}/toy/model_def.py", line 2, in <module>',
            "lib.check(3)",
            f'File "{tmp_path}/libraries/library_that_asserts.py", line 5, in _check',
            "assert size == 4",
        ]

    def test_the_frame_of_a_library_is_shown_for_each_cause(self, tmp_path: Path) -> None:
        """The first exception is the one to understand."""
        text = "import json\ntry:\n    json.loads('{')\nexcept ValueError as error:\n    raise KeyError('b') from error\n"
        error = trial_failure(definition(tmp_path, {"model_def.py": text}))
        before, _, after = error.user_traceback.partition("direct cause")
        assert "json/decoder.py" in before
        assert "raise KeyError('b')" in after
        assert "json" not in after

    def test_nothing_of_the_failed_frames_stays_alive(self, tmp_path: Path) -> None:
        """A large object in a frame that failed is gone when the error is shown."""
        text = (
            "class Big: pass\ndef fail():\n    big = Big()\n"
            "    import weakref, sys\n    sys.big_reference = weakref.ref(big)\n    raise ValueError\nfail()\n"
        )
        error = trial_failure(definition(tmp_path, {"model_def.py": text}))
        reference: weakref.ref[object] = vars(sys).pop("big_reference")
        gc.collect()
        assert reference() is None
        assert error.__context__ is None
        assert error.__cause__ is None

    def test_causes_are_shown_too(self, tmp_path: Path) -> None:
        """The frames of the first exception come before those of the exception that it caused."""
        text = "def first():\n    raise KeyError('a')\ntry:\n    first()\nexcept KeyError as error:\n    raise ValueError('b') from error\n"
        error = trial_failure(definition(tmp_path, {"model_def.py": text}))
        assert error.exception == "ValueError: b"
        before, _, after = error.user_traceback.partition("direct cause")
        assert "in first" in before
        assert "KeyError: 'a'" in before
        assert "raise ValueError('b')" in after

    def test_a_module_of_their_own_that_is_missing(self, tmp_path: Path) -> None:
        """Private names do not show, and nothing is suggested for installation."""
        error = trial_failure(definition(tmp_path, {"model_def.py": "from .layers import x\n"}))
        assert error.exception == "ModuleNotFoundError: No module named 'layers'"
        assert error.hint == f"There is no layers.py in {tmp_path}."

    def test_a_file_that_is_not_there(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The hint says where relative paths start, and whether the file is in the notebook's directory."""
        md = definition(tmp_path / "toy", {"model_def.py": "open('vocabulary.txt')\n"})
        monkeypatch.chdir(tmp_path)
        assert f"start at its root, {tmp_path / 'toy'}." in (trial_failure(md).hint or "")
        (tmp_path / "vocabulary.txt").write_text("")
        assert f"There is such a file in {tmp_path}" in (trial_failure(md).hint or "")

    def test_leaving_python_is_an_error_and_an_interrupt_is_not(self, tmp_path: Path) -> None:
        """SystemExit must not end the kernel; KeyboardInterrupt is passed on, and the modules are still removed."""
        assert trial_failure(definition(tmp_path, {"model_def.py": "raise SystemExit(3)\n"})).exception == "SystemExit: 3"
        before = loaded_modules()
        with pytest.raises(KeyboardInterrupt):
            definition(tmp_path, {"model_def.py": "import data\n", "data.py": "raise KeyboardInterrupt\n"}).load("model_def:T")
        assert loaded_modules() == before

    def test_a_circular_import_of_a_name_that_is_not_there_yet(self, tmp_path: Path) -> None:
        """Python's message, with the user's module names."""
        error = trial_failure(definition(tmp_path, {"model_def.py": "from a import X\n", "a.py": "from model_def import Y\nX = 1\n"}))
        assert "cannot import name 'Y' from partially initialized module 'model_def'" in error.exception

    def test_after_a_failure_the_next_load_works(self, tmp_path: Path) -> None:
        """A fixed file loads, and the class loaded before the failure was never touched."""
        md = definition(tmp_path, {"model_def.py": TOY})
        before = md.import_trial("model_def:ToyTrial")
        definition(tmp_path, {"model_def.py": "1 / 0\n"})
        trial_failure(md)
        definition(tmp_path, {"model_def.py": TOY})
        assert md.import_trial("model_def:ToyTrial") is not before
        assert sys.modules[before.__module__].ToyTrial is before


def test_importing_the_package_is_light() -> None:
    """Importing detjupyter.definition costs neither numpy, ruamel nor pathspec."""
    code = "import sys, detjupyter.definition; print([m for m in ('numpy', 'ruamel.yaml', 'pathspec') if m in sys.modules])"
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment).stdout == "[]\n"
