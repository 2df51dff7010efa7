"""The house keeps its shape: layers, purity of imports, one version, twins in step."""

from __future__ import annotations

import ast
import inspect
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from support.parsed import parsed

import detjupyter

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "numpy", "tensorflow", "ray", "sqlalchemy", "matplotlib", "anywidget", "ipywidgets", "pathspec", "ruamel", "tsdownsample")


def test_imports_point_down_only() -> None:
    """import-linter finds every contract of pyproject.toml kept."""
    # In a process of its own: it switches off the loggers that are there.
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert process.returncode == 0, process.stdout


@pytest.mark.parametrize(
    "statement",
    [
        "import detjupyter",
        "from IPython.core.interactiveshell import InteractiveShell as S; S().extension_manager.load_extension('detjupyter')",
    ],
    ids=["import detjupyter", "%load_ext detjupyter"],
)
def test_neither_the_package_nor_the_extension_imports_anything_heavy(statement: str, tmp_path: Path) -> None:
    """A kernel that only loads the extension pays for the magics, not for what they may do."""
    code = f"import sys; {statement}; print([name for name in {HEAVY!r} if name in sys.modules])"
    environment = {"PATH": "", "HOME": str(tmp_path), "IPYTHONDIR": str(tmp_path)}
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment, cwd=tmp_path)
    assert process.stdout.strip().splitlines()[-1] == "[]"


def test_the_extension_imports_little_of_the_package_and_nothing_that_jupyter_has_not(tmp_path: Path) -> None:
    """``%load_ext detjupyter`` loads the magics and the words they speak; what they call is imported by the first one that needs it."""
    code = (
        "import asyncio, sys; from IPython.core.interactiveshell import InteractiveShell as S; shell = S(); known = set(sys.modules);"
        "shell.extension_manager.load_extension('detjupyter'); print(*sorted(set(sys.modules) - known))"
    )
    environment = {"PATH": "", "HOME": str(tmp_path), "IPYTHONDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment, cwd=tmp_path)
    new = process.stdout.strip().splitlines()[-1].split()
    rooms = {name.split(".")[1] for name in new if name.startswith("detjupyter.")}
    assert rooms == {"compat", "errors", "magics", "next_step", "protocol", "session"}
    assert {name.partition(".")[0] for name in new} <= {"detjupyter", "IPython"} | sys.stdlib_module_names
    outside_of_magics = [name for name in new if name.startswith("detjupyter.") and not name.startswith("detjupyter.magics")]
    assert len(outside_of_magics) <= 11, outside_of_magics
    assert len(new) <= 33, new


def test_an_engine_is_imported_where_only_numpy_is_installed(tmp_path: Path) -> None:
    """An engine may run in another interpreter: every module of protocol, framework and engine, and the history's place by the variable."""
    site = Path(np.__file__).parents[1]
    for package in (*site.glob("numpy"), *site.glob("numpy.libs"), ROOT / "detjupyter"):
        (tmp_path / package.name).symlink_to(package)
    code = f"""
        import importlib, pkgutil, sys
        sys.path.insert(0, {str(tmp_path)!r})
        count = 0
        for room in ("protocol", "framework", "engine"):
            package = importlib.import_module(f"detjupyter.{{room}}")
            for module in pkgutil.walk_packages(package.__path__, f"{{package.__name__}}."):
                importlib.import_module(module.name)
                count += 1
        assert count > 60, count
        from detjupyter.framework.tensorboard import new_directory
        assert str(new_directory()).startswith({str(tmp_path / "history")!r})
        print(*sorted({{name.partition(".")[0] for name in sys.modules}} - set(sys.stdlib_module_names)))
    """
    environment = {"PATH": "", "HOME": str(tmp_path), "DETJUPYTER_HOME": str(tmp_path / "history")}
    # -S: without site-packages; -s and PATH keep out the user's own.
    command = [sys.executable, "-S", "-s", "-c", textwrap.dedent(code)]
    process = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert process.stdout.split() == ["__main__", "detjupyter", "numpy"]


def test_every_public_name_is_there_documented_and_listed_in_order() -> None:
    """``__all__`` of the package is sorted, complete and resolvable, and each name has a docstring."""
    assert detjupyter.__all__ == sorted(detjupyter.__all__)
    for name in detjupyter.__all__:
        assert inspect.getdoc(getattr(detjupyter, name)), name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        detjupyter.nothing  # noqa: B018


def test_nobody_imports_a_private_name_across_folders() -> None:
    """``_name`` and ``_file.py`` stay in their folder."""
    offenders = []
    for path in (ROOT / "detjupyter").rglob("*.py"):
        here = ".".join(path.relative_to(ROOT).parent.parts)
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("detjupyter"):
                folder, _, module = node.module.rpartition(".")
                private = [module, *(alias.name for alias in node.names)]
                if any(name.startswith("_") and not name.startswith("__") for name in private) and here not in (folder, node.module):
                    offenders.append(f"{path.relative_to(ROOT)}: {node.module}")
    assert offenders == []


def test_the_typescript_twin_of_the_protocol_is_in_step() -> None:
    """``labextension/protocol/index.ts`` is what the Python says."""
    from detjupyter.protocol.typescript import typescript

    assert (ROOT / "labextension/protocol/index.ts").read_text(encoding="utf-8") == typescript()


def test_the_installed_version_is_that_of_the_checkout() -> None:
    """The package says the version of package.json."""
    assert detjupyter.__version__ == json.loads((ROOT / "package.json").read_text(encoding="utf-8"))["version"]


def test_the_lock_file_names_no_registry() -> None:
    """package-lock.json works with whichever registry the machine is set up for."""
    assert "resolved" not in (ROOT / "package-lock.json").read_text(encoding="utf-8")
