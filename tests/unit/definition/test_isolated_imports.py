from __future__ import annotations

import importlib
import inspect
import json
import os
import pickle
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType

import pytest

from detjupyter.definition.isolation import finding
from detjupyter.definition.isolation.imports import DefinitionScope
from detjupyter.definition.isolation.names import PREFIX, public_text
from detjupyter.definition.user_errors import user_frames


def write(root: Path, files: Mapping[str, str]) -> Path:
    """Write files below ``root`` and return it."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.fixture(autouse=True)
def kernel_is_untouched() -> Iterator[None]:
    """A definition does not change the path, the working directory and the public part of sys.modules."""
    path, here, modules = list(sys.path), Path.cwd(), {name for name in sys.modules if not name.startswith(PREFIX)}
    yield
    assert (sys.path, Path.cwd()) == (path, here)
    new = {name for name in sys.modules if not name.startswith(PREFIX)} - modules
    assert not new & {"data", "model_def", "layers", "pkg", "pkg.sub", "utils", "random_own"}


def load(root: Path, name: str = "model_def") -> ModuleType:
    """Import one module of a definition in its own scope."""
    return DefinitionScope(root).import_module(name)


def test_sibling_and_package_style_give_one_module(tmp_path: Path) -> None:
    """`import data` and `from . import data` mean the same module object, with or without `__init__.py`."""
    text = "import data\nfrom . import data as relative\nfrom data import VALUE\nfrom .data import VALUE as again\n"
    for name in ("plain", "with_init"):
        write(tmp_path / name, {"model_def.py": text, "data.py": "VALUE = object()\n"})
    write(tmp_path / "with_init", {"__init__.py": "from .model_def import VALUE\n"})
    for name in ("plain", "with_init"):
        module = load(tmp_path / name)
        assert module.data is module.relative
        assert module.VALUE is module.again is module.data.VALUE


def test_import_of_a_submodule_binds_the_top_package(tmp_path: Path) -> None:
    """`import pkg.sub` binds pkg, `import pkg.sub as s` and `from pkg import sub` bind the module, in packages and plain directories."""
    text = "import {0}.sub\nimport {0}.sub as s\nfrom {0} import sub\nfrom {0}.sub import VALUE\ntop = {0}\n"
    for name, extra in (("pkg", {"pkg/__init__.py": ""}), ("bare", {})):
        root = write(tmp_path / f"for_{name}", {"model_def.py": text.format(name), f"{name}/sub.py": "VALUE = 7\n", **extra})
        module = load(root)
        assert module.top.sub is module.s is module.sub
        assert module.VALUE == 7
        assert module.top.__name__.endswith(f".{name}")


def test_star_import_of_a_sibling(tmp_path: Path) -> None:
    """`from layers import *` honours `__all__`."""
    module = load(write(tmp_path, {"model_def.py": "from layers import *\n", "layers.py": "__all__ = ['A']\nA, B = 1, 2\n"}))
    assert module.A == 1
    assert not hasattr(module, "B")


def test_imports_inside_of_functions_called_later_from_any_thread(tmp_path: Path) -> None:
    """A function imports its sibling when it runs, long after the load, in another thread, in a method, in a comprehension."""
    text = (
        "def late():\n    import data\n    return data\n\n"
        "class Box:\n    def late(self):\n        from pkg.sub import VALUE\n        return [__import__('data') for _ in range(1)], VALUE\n"
    )
    module = load(write(tmp_path, {"model_def.py": text, "data.py": "", "pkg/sub.py": "import data\nVALUE = data\n"}))
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(module.late()))
    thread.start()
    thread.join()
    (by_call,), by_package = module.Box().late()
    assert found[0] is by_call is by_package is module.late()


def test_importlib_knows_the_siblings(tmp_path: Path) -> None:
    """`importlib.import_module("data")`, in each way of reaching it, is the definition's own; the rest of importlib is Python's."""
    text = (
        "import importlib\nimport importlib.util\nfrom importlib import import_module, metadata\nimport data\n"
        "found = [importlib.import_module('data'), import_module('data'), importlib.import_module('.data', __package__)]\n"
        "json = import_module('json')\nspec = importlib.util.find_spec('json')\n"
    )
    module = load(write(tmp_path, {"model_def.py": text, "data.py": "", "pkg/sub.py": ""}))
    assert all(found is module.data for found in module.found)
    assert module.json is sys.modules["json"]
    assert module.metadata is importlib.import_module("importlib.metadata")
    assert module.importlib.import_module(".sub", "pkg") is module.importlib.import_module("pkg.sub")
    assert module.importlib.reload(module.data) is module.data


def test_two_definitions_with_equal_names_live_side_by_side(tmp_path: Path) -> None:
    """Both have `model_def`, `data` and `utils`, and none sees the other's, at once or later."""
    text = "import data\n\ndef late():\n    import utils\n    return utils.NAME\n"
    modules = {}
    for name in ("first", "second"):
        files = {"model_def.py": text, "data.py": f"NAME = {name!r}\n", "utils.py": f"NAME = {name!r}\n"}
        modules[name] = load(write(tmp_path / name, files))
    assert {name: (module.data.NAME, module.late()) for name, module in modules.items()} == {
        "first": ("first", "first"),
        "second": ("second", "second"),
    }


def test_two_versions_of_one_definition_live_side_by_side(tmp_path: Path) -> None:
    """An edit of the same length in the same second is detected, also in modules of packages, and the old version still works."""
    write(
        tmp_path, {"model_def.py": "import pkg.sub\nclass A: pass\ndef value():\n    return pkg.sub.VALUE\n", "pkg/sub.py": "VALUE = 1\n"}
    )
    stamp = (tmp_path / "pkg/sub.py").stat().st_mtime_ns
    old = load(tmp_path)
    write(tmp_path, {"pkg/sub.py": "VALUE = 2\n"})
    os.utime(tmp_path / "pkg/sub.py", ns=(stamp, stamp))
    new = load(tmp_path)
    assert (old.value(), new.value()) == (1, 2)
    assert old.A is not new.A


def test_nothing_is_written_beside_the_code(tmp_path: Path) -> None:
    """No `__pycache__` appears in the user's directory."""
    before = sorted(write(tmp_path, {"model_def.py": "import pkg.sub\n", "pkg/__init__.py": "", "pkg/sub.py": ""}).rglob("*"))
    load(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_own_modules_win_over_installed_ones_inside_only(tmp_path: Path) -> None:
    """A `random.py` of the definition is its own; Python's modules, and the rest of the process, keep theirs."""
    text = "import random\nimport json\nfrom tempfile import mkdtemp\n"
    module = load(write(tmp_path, {"model_def.py": text, "random.py": "OWN = True\n"}))
    assert module.random.OWN
    assert module.json is sys.modules["json"]
    import random

    assert not hasattr(random, "OWN")


def test_a_directory_of_data_does_not_hide_a_package(tmp_path: Path) -> None:
    """`json/` with no Python in it is data; with Python in it, a little below too, it is a package."""
    module = load(write(tmp_path / "data_only", {"model_def.py": "import json\n", "json/x.csv": "", "json/deep/y.csv": ""}))
    assert module.json is sys.modules["json"]
    module = load(write(tmp_path / "code", {"model_def.py": "import json.deep.mod\n", "json/deep/mod.py": "OWN = 1\n"}))
    assert module.json.deep.mod.OWN == 1


@pytest.mark.parametrize("name", ["nas-search", "v1.2 final", "数据", "class", "1st", "___", "json"])
def test_directory_names_need_not_be_identifiers(tmp_path: Path, name: str) -> None:
    """Any directory name makes a package that relative imports work in."""
    module = load(
        write(
            tmp_path / name,
            {"model_def.py": "from . import data\nfrom .pkg import sub\n", "data.py": "", "pkg/sub.py": "from .. import data\n"},
        )
    )
    assert module.pkg.sub.data is module.data if hasattr(module, "pkg") else module.sub.data is module.data


def test_a_single_file_is_a_module_without_siblings(tmp_path: Path) -> None:
    """Only the file itself can be imported: other files would not ship."""
    write(tmp_path, {"model.py": "def late():\n    import data_beside\n", "data_beside.py": "", "other.py": "from . import data_beside\n"})
    module = DefinitionScope(tmp_path / "model.py").import_module("")
    with pytest.raises(ModuleNotFoundError):
        module.late()
    with pytest.raises(ImportError):
        DefinitionScope(tmp_path / "other.py").import_module("")


def test_circular_imports_work_as_in_python(tmp_path: Path) -> None:
    """Modules may import each other, as long as they do not need what is not yet defined."""
    module = load(
        write(tmp_path, {"model_def.py": "import a\n", "a.py": "import b\nA = 1\n", "b.py": "import a\ndef f():\n    return a.A\n"})
    )
    assert module.a.b.f() == 1


def test_classes_can_be_pickled_and_inspected(tmp_path: Path) -> None:
    """In this process a class is found again by its private name, and tools find its source."""
    module = load(write(tmp_path, {"model_def.py": "import dataclasses\n\n@dataclasses.dataclass\nclass Point:\n    x: 'int' = 1\n"}))
    assert pickle.loads(pickle.dumps(module.Point(3))) == module.Point(3)
    assert inspect.getsource(module.Point).startswith("@dataclasses.dataclass\nclass Point")
    assert inspect.getsourcefile(module.Point) == str(tmp_path / "model_def.py")


def test_tracebacks_show_the_users_file_and_line(tmp_path: Path) -> None:
    """The frames of a definition's code look like those of any module."""
    module = load(write(tmp_path, {"model_def.py": "def fail():\n    return 1 / 0\n"}))
    with pytest.raises(ZeroDivisionError) as caught:
        module.fail()
    frame = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert (frame.filename, frame.lineno, frame.line) == (str(tmp_path / "model_def.py"), 2, "return 1 / 0")


def test_modules_lists_and_release_forgets(tmp_path: Path) -> None:
    """A scope knows its modules by the names that the user wrote, and gives them all up."""
    scope = DefinitionScope(write(tmp_path, {"model_def.py": "import pkg.sub\n", "pkg/sub.py": ""}))
    scope.import_module("model_def")
    assert sorted(scope.modules()) == ["", "model_def", "pkg", "pkg.sub"]
    scope.release()
    assert scope.modules() == {}
    assert not [name for name in sys.modules if name.startswith(scope.package)]
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(f"{scope.package}.model_def")
    scope.release()


def test_many_threads_load_at_once(tmp_path: Path) -> None:
    """Each gets its own version, whole."""
    write(tmp_path, {"model_def.py": "import data\nVALUE = data.VALUE\n", "data.py": "import time\ntime.sleep(0.02)\nVALUE = object()\n"})
    values: list[object] = []
    threads = [threading.Thread(target=lambda: values.append(load(tmp_path).VALUE)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, values))) == 8


def test_the_kernels_own_module_of_that_name_stays_the_kernels(tmp_path: Path) -> None:
    """A `data` that a cell has imported is neither seen by the definition nor replaced by it."""
    theirs = ModuleType("data")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setitem(sys.modules, "data", theirs)
        module = load(write(tmp_path, {"model_def.py": "import data\n", "data.py": "OWN = 1\n"}))
        assert module.data.OWN == 1
        assert sys.modules["data"] is theirs
        assert load(write(tmp_path / "without", {"model_def.py": "import data\n"})).data is theirs


def test_c_code_that_imports_by_name_gets_the_ordinary_module(tmp_path: Path) -> None:
    """`datetime.strptime` imports Python's `_strptime` even when called from a definition that has a file of that name."""
    text = "import datetime\ndef year():\n    return datetime.datetime.strptime('2026', '%Y').year\n"
    assert load(write(tmp_path, {"model_def.py": text, "_strptime.py": "raise RuntimeError\n"})).year() == 2026


def test_private_names_are_hidden_from_messages() -> None:
    """People read the names that they wrote."""
    assert public_text(f"module '{PREFIX}.nas_search_12.data' has no attribute 'x'") == "module 'data' has no attribute 'x'"
    assert public_text(f"from '{PREFIX}.nas_search_12' (x)") == "from 'nas_search' (x)"


def test_pickles_of_the_definitions_classes_are_read_by_the_definition(tmp_path: Path) -> None:
    """A vocabulary that a script pickled as `data.Words` is read as the definition's own `Words`; other pickles are read as usual."""
    text = (
        "import pickle\nfrom pickle import loads, Unpickler\nimport data, io\n"
        "def read(content):\n    return pickle.loads(content)\n"
        "def read_file(path):\n    with open(path, 'rb') as file:\n        return pickle.load(file)\n"
        "def by_name(content):\n    return loads(content), Unpickler(io.BytesIO(content)).load()\n"
    )
    module = load(write(tmp_path, {"model_def.py": text, "data.py": "class Words:\n    pass\n"}))
    content = b"cdata\nWords\n)\x81."  # what a script in this directory writes: the global `data.Words`, called
    (tmp_path / "words.pkl").write_bytes(content)
    objects = [module.read(content), module.read_file(tmp_path / "words.pkl"), *module.by_name(content)]
    assert {type(one) for one in objects} == {module.data.Words}
    assert module.read(pickle.dumps({"a": Path("b")})) == {"a": Path("b")}
    assert module.pickle.HIGHEST_PROTOCOL == pickle.HIGHEST_PROTOCOL
    assert module.read(module.pickle.dumps(module.data.Words())).__class__ is module.data.Words


def test_replaced_code_says_so_when_it_imports(tmp_path: Path) -> None:
    """Code of an earlier load that imports a sibling late does not get the new version: the error says when it was loaded."""
    text = (
        "class Box:\n    pass\n"
        "def late():\n    import data\n"
        "def relative():\n    from . import data\n"
        "def named():\n    import importlib\n    importlib.import_module('data')\n"
    )
    scope = DefinitionScope(write(tmp_path, {"model_def.py": text, "data.py": ""}))
    old = scope.import_module("model_def")
    new = load(tmp_path)
    scope.release(replaced="train_batch")
    scope.release()
    for function in (old.late, old.relative, old.named):
        with pytest.raises(ImportError, match=r"code of \d\d:\d\d:\d\d; a reload replaced train_batch"):
            function()
    new.late()
    assert finding.staleness(new.Box()) is None
    assert finding.staleness(json) is None
    assert str(finding.staleness(old.Box())).startswith("built from code of ")
    assert str(finding.staleness(old.Box)).endswith("a reload replaced train_batch")


def test_lines_of_a_traceback_are_those_that_ran(tmp_path: Path) -> None:
    """After an edit a traceback of the old code shows the old code's lines."""
    module = load(write(tmp_path, {"model_def.py": "def fail():\n    return 1 / 0\n"}))
    write(tmp_path, {"model_def.py": "# a comment\ndef fail():\n    return 2\n"})
    with pytest.raises(ZeroDivisionError) as caught:
        module.fail()
    assert [frame.line for frame in user_frames(caught.value, [tmp_path])] == ["return 1 / 0"]


def test_what_was_read_and_what_the_files_say_now(tmp_path: Path) -> None:
    """A scope keeps the source of each module it loaded; an edit within the same second and of the same length is seen, a deletion too."""
    scope = DefinitionScope(
        write(tmp_path, {"model_def.py": "import pkg.sub\nimport gone\n", "pkg/sub.py": "VALUE = 1\n", "gone.py": "", "other.py": ""})
    )
    scope.import_module("model_def")
    assert sorted(scope.sources()) == ["gone.py", "model_def.py", "pkg/sub.py"]
    assert scope.sources_now() == scope.sources()
    write(tmp_path, {"pkg/sub.py": "VALUE = 2\n"})
    (tmp_path / "gone.py").unlink()
    assert scope.sources_now() == {"model_def.py": b"import pkg.sub\nimport gone\n", "pkg/sub.py": b"VALUE = 2\n"}
    assert scope.sources()["pkg/sub.py"] == b"VALUE = 1\n"


def test_modules_that_hide_pythons_own_are_named(tmp_path: Path) -> None:
    """Only imported modules are named; `data` hides no other module."""
    scope = DefinitionScope(
        write(tmp_path, {"model_def.py": "import random, data, test\n", "random.py": "", "data.py": "", "test.py": "", "json.py": ""})
    )
    scope.import_module("model_def")
    assert scope.hidden_modules() == ["random", "test"]


def test_what_a_definition_adds_to_the_path_is_its_own(tmp_path: Path) -> None:
    """Directories below the root hold private modules, those outside are searched for the definition alone, at once and later."""
    text = (
        "import os, sys\nsys.path.insert(0, 'lib')\nsys.path.append(os.path.join(os.path.dirname(__file__), '..', 'common'))\n"
        "import inner\nfrom . import inner as again\nimport outer_common\n"
        "def late():\n    import inner_late, outer_late\n    return inner_late, outer_late\n"
    )
    files = {
        "d/model_def.py": text,
        "d/lib/inner.py": "",
        "d/lib/inner_late.py": "",
        "common/outer_common.py": "",
        "common/outer_late.py": "",
    }
    scope = DefinitionScope(write(tmp_path, files) / "d")
    before = list(sys.path)
    with scope.active():
        module = scope.import_module("model_def")
    assert sys.path == before
    assert module.inner is module.again
    inner_late, outer_late = module.late()
    assert inner_late.__name__.startswith(scope.package)
    assert "inner" not in sys.modules
    assert outer_late.__name__ == "outer_late"
    for name in ("outer_common", "outer_late"):
        del sys.modules[name]
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("outer_common")


def test_the_kernels_directory_is_searched_while_a_definition_loads_elsewhere(tmp_path: Path) -> None:
    """An empty entry of the path means where the kernel is, and not the root of the definition, for everybody else's imports."""
    others = "try:\n    import secret_of_d\nexcept ImportError:\n    FOUND = False\n"
    write(tmp_path, {"d/model_def.py": "import by_others\n", "d/secret_of_d.py": "", "site/by_others.py": others})
    scope = DefinitionScope(tmp_path / "d")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(sys, "path", ["", *sys.path, str(tmp_path / "site")])
        with scope.active():
            module = scope.import_module("model_def")
        assert sys.path[0] == ""
    del sys.modules["by_others"]
    assert module.by_others.FOUND is False


def test_a_program_that_a_kernel_starts_reads_what_is_on_disk(tmp_path: Path) -> None:
    """It gets the path of the kernel's loads, for workers; its own load is another one, of the current files."""
    root = write(tmp_path / "definition", {"model_def.py": "VALUE = 'loaded'"})
    program = "import sys\nfrom pathlib import Path\nfrom detjupyter.definition.isolation.imports import DefinitionScope\n"
    program += "root = Path(sys.argv[1])\nprint(DefinitionScope(root).import_module('model_def').VALUE)\n"
    again = "import subprocess\n(root / 'model_def.py').write_text(\"VALUE = 'edited'\")\n"
    again += "print(subprocess.run([sys.executable, '-c', *sys.argv[2:3], str(root)], capture_output=True, text=True, check=True).stdout)"
    printed = subprocess.run([sys.executable, "-c", program + again, root, program], capture_output=True, text=True, check=True).stdout
    assert printed.split() == ["loaded", "edited"]
