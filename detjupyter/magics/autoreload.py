"""Keeps IPython's autoreload away from loaded definitions, which change only as a whole, in a reload of the session.

autoreload runs every module in ``sys.modules`` again whose file has changed. Those of a definition have files, too.
"""

from __future__ import annotations

from typing import Any


class _Skipped(dict[str, Any]):
    """The names of the modules that autoreload skips, and all names of modules of definitions."""

    def __contains__(self, name: object) -> bool:
        from detjupyter.definition.isolation.names import PREFIX

        return (isinstance(name, str) and name.startswith(f"{PREFIX}.")) or super().__contains__(name)


def register(shell: Any) -> None:
    """Protect the modules from an autoreload that is loaded, and from one that a later cell loads."""
    shell.events.register("post_run_cell", protect)
    _protect_in(shell)


def unregister(shell: Any) -> None:
    """Undo :func:`register`."""
    shell.events.unregister("post_run_cell", protect)
    reloader = _reloader_of(shell)
    if reloader is not None:
        reloader.skip_modules = dict(reloader.skip_modules)


def protect(result: object = None) -> None:  # noqa: ARG001
    """Protect the modules from an autoreload that the cell has loaded."""
    from IPython.core.getipython import get_ipython

    _protect_in(get_ipython())


def _protect_in(shell: Any) -> None:
    reloader = _reloader_of(shell)
    if reloader is not None and not isinstance(reloader.skip_modules, _Skipped):
        reloader.skip_modules = _Skipped(reloader.skip_modules)


def _reloader_of(shell: Any) -> Any:
    """Return IPython's reloader; None if the extension is not loaded, or keeps no names of modules to skip."""
    reloader = getattr(shell.magics_manager.registry.get("AutoreloadMagics"), "_reloader", None)
    return reloader if hasattr(reloader, "skip_modules") else None
