"""Frameworks of this package are found by their files."""

from __future__ import annotations

import importlib
import subprocess
import sys
from importlib.util import find_spec

import pytest

from detjupyter.engine.libraries import Library
from detjupyter.framework.built_in import built_in_frameworks, settings_modules


@pytest.mark.parametrize("library", sorted(settings_modules()))
def test_the_settings_of_a_library_are_where_its_framework_says(library: str) -> None:
    """The module of that name describes them."""
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    assert isinstance(importlib.import_module(settings_modules()[library]).LIBRARY, Library)


def test_neither_a_framework_nor_its_library_is_imported_to_be_found() -> None:
    """Their names come from the files; also Python's own settings are read without them."""
    code = (
        "import sys\n"
        "from detjupyter.engine.libraries import libraries_in_use\n"
        "from detjupyter.framework.built_in import built_in_frameworks, settings_modules\n"
        "assert libraries_in_use() and built_in_frameworks() and settings_modules()\n"
        "names = [*settings_modules(), *(f'detjupyter.{name}' for name in built_in_frameworks())]\n"
        "print([name for name in names if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_the_room_of_all_frameworks_is_none() -> None:
    """It has a module of that name, too."""
    assert "pytorch" in built_in_frameworks()
    assert "framework" not in built_in_frameworks()
