"""Keeps IPython's autoreload away from loaded definitions, which change only as a whole, in a reload of the session.

autoreload runs every module in ``sys.modules`` again whose file has changed. Those of a definition have files, too.
"""

from __future__ import annotations

from typing import Any

from detjupyter.definition.isolation.names import PREFIX


class _Skipped(dict[str, Any]):
    """The names of the modules that autoreload skips, and all names of modules of definitions."""

    def __contains__(self, name: object) -> bool:
        return (isinstance(name, str) and name.startswith(f"{PREFIX}.")) or super().__contains__(name)


def protect(magics: Any) -> None:
    """Have autoreload skip the modules of definitions; ``magics`` are IPython's ``AutoreloadMagics``."""
    reloader = getattr(magics, "_reloader", None)
    skipped = getattr(reloader, "skip_modules", None)
    if reloader is not None and isinstance(skipped, dict) and not isinstance(skipped, _Skipped):
        reloader.skip_modules = _Skipped(skipped)
