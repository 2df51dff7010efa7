"""Magics that look back: ``%det_status`` and ``%det_runs``."""

from __future__ import annotations

from typing import Any

from IPython.core.magic import Magics, line_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring
from IPython.display import display


@magics_class
class HistoryMagics(Magics):
    """Where the sessions stand, and what was trained before."""

    @magic_arguments()
    @line_magic
    def det_status(self, line: str) -> None:
        """Show where every session of this kernel stands, the current one last."""
        parse_argstring(self.det_status, line)
        from detjupyter.training.registry import registry
        from detjupyter.widgets.summary import session_text

        registry.get(None)
        for session in registry.all():
            display({"text/plain": session_text(session.record())}, raw=True)

    @magic_arguments()
    @argument("--limit", type=int, default=20, help="how many, by default 20")
    @line_magic
    def det_runs(self, line: str) -> None:
        """List the newest runs of the history, of all kernels."""
        limit = parse_argstring(self.det_runs, line).limit
        from detjupyter.store import open_store
        from detjupyter.widgets.run_table import runs_bundle

        bundle: dict[str, Any] = runs_bundle(open_store().runs(limit=limit))
        display(bundle, raw=True)
