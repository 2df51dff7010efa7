"""Actions after each cell."""

from __future__ import annotations

import sys
from typing import Any


def register(shell: Any) -> None:
    """Call the functions below after each cell of ``shell``."""
    shell.events.register("post_run_cell", release_worker_threads)
    shell.events.register("post_run_cell", protect_definitions)


def unregister(shell: Any) -> None:
    """Undo :func:`register`."""
    shell.events.unregister("post_run_cell", release_worker_threads)
    shell.events.unregister("post_run_cell", protect_definitions)


def release_worker_threads(result: object = None) -> None:  # noqa: ARG001
    """End the worker threads that the cell's computations left waiting, if a session trains."""
    from detjupyter.session.registry import registry

    framework = sys.modules.get("detjupyter.framework.framework")  # not before a definition is loaded
    if framework is not None and any(session.is_busy for session in registry.all()):
        framework.release_worker_threads()


def protect_definitions(result: object = None) -> None:  # noqa: ARG001
    """Keep IPython's autoreload, which the cell may have loaded, away from the modules of definitions."""
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    magics = None if shell is None else shell.magics_manager.registry.get("AutoreloadMagics")
    if magics is not None:
        from detjupyter.magics.autoreload import protect

        protect(magics)
