"""The house keeps its shape: layers, purity of imports, one version, twins in step."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_every_public_name_is_there_documented_and_listed_in_order() -> None:
    """``__all__`` of the package is sorted, complete and resolvable, and each name has a docstring."""
    assert detjupyter.__all__ == sorted(detjupyter.__all__)
    for name in detjupyter.__all__:
        assert inspect.getdoc(getattr(detjupyter, name)), name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        detjupyter.nothing  # noqa: B018


def test_every_module_lists_only_names_that_are_there() -> None:
    """``__all__`` of every module, where there is one, is resolvable (ruff sees to its order)."""
    for module in pkgutil.walk_packages(detjupyter.__path__, "detjupyter."):
        loaded = importlib.import_module(module.name)
        names = getattr(loaded, "__all__", [])
        assert all(hasattr(loaded, name) for name in names), module.name


def test_nobody_imports_a_private_name_across_folders() -> None:
    """``_name`` and ``_file.py`` stay in their folder."""
    offenders = []
    for path in (ROOT / "detjupyter").rglob("*.py"):
        here = ".".join(path.relative_to(ROOT).parent.parts)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
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


def test_the_version_stands_once() -> None:
    """package.json holds the version; the installed package has the same one and the changelog knows it."""
    version = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))["version"]
    assert detjupyter.__version__ == version
    assert 'dynamic = ["version"]' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f"[{version}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_lock_file_names_no_registry() -> None:
    """package-lock.json works with whichever registry the machine is set up for."""
    assert "resolved" not in (ROOT / "package-lock.json").read_text(encoding="utf-8")


def test_the_examples_in_docstrings_are_true() -> None:
    """Every ``>>>`` in the package gives what it says."""
    attempted = 0
    for path in sorted((ROOT / "detjupyter").rglob("*.py")):
        if ">>> " in path.read_text(encoding="utf-8"):
            module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
            result = doctest.testmod(module)
            assert result.failed == 0, path
            attempted += result.attempted
    assert attempted
