"""Finds the frameworks in this package by their files, without importing them.

A folder ``detjupyter/<framework>/`` with a ``framework.py`` is a framework. If its library has settings of the process or of a thread, such
as ``torch.set_default_dtype``, the folder also has a module ``<library>_settings.py``. Its attribute ``LIBRARY``, a
:class:`detjupyter.engine.libraries.Library`, describes these settings. The module is imported only after the library itself.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
_SETTINGS = "_settings"


def built_in_frameworks() -> list[str]:
    """Return the names of the frameworks in this package, sorted."""
    return sorted({file.parent.name for file in _PACKAGE.glob("*/framework.py")} - {"framework"})


def settings_modules() -> dict[str, str]:
    """Return the modules of the frameworks that describe the settings of libraries, by the name of the library.

    Examples:
        >>> settings_modules()["torch"]
        'detjupyter.pytorch.torch_settings'
    """
    files = [file for name in built_in_frameworks() for file in sorted((_PACKAGE / name).glob(f"*{_SETTINGS}.py"))]
    return {file.stem.removesuffix(_SETTINGS): f"{_PACKAGE.name}.{file.parent.name}.{file.stem}" for file in files}
