"""Register the display of sessions, file reports and checkpoints with IPython; the engine is independent of front ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detjupyter.bundle.report import FileReport
    from detjupyter.protocol.records import CheckpointRecord
    from detjupyter.session.session import Session


class Metrics(dict[str, Any]):  # Any: a trial may return more than numbers
    """The metrics of a validation: a dict, displayed with a readable number of digits."""

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        del cycle  # a dict of numbers contains no other dict
        shown = (f"{name!r}: {value:.4g}" if isinstance(value, float) else f"{name!r}: {value!r}" for name, value in self.items())
        printer.text(f"{{{', '.join(shown)}}}")


def register(shell: Any) -> None:
    """Add the formatters by class name, so that no class is imported."""
    for formatter, shown in _formatters(shell):
        for (module, name), show in shown.items():
            formatter.for_type_by_name(module, name, show)


def unregister(shell: Any) -> None:
    """Remove the formatters."""
    for formatter, shown in _formatters(shell):
        for key in shown:
            formatter.deferred_printers.pop(key, None)
        for known in [known for known in formatter.type_printers if (known.__module__, known.__name__) in shown]:
            del formatter.type_printers[known]


def _formatters(shell: Any) -> tuple[tuple[Any, dict[tuple[str, str], Any]], ...]:
    return (shell.display_formatter.mimebundle_formatter, _SHOWN), (shell.display_formatter.ipython_display_formatter, _SHOWN_LIVE)


def _show_session(session: Session) -> None:
    from detjupyter.magics.live_card import show_card

    show_card(session)


def _show_files(report: FileReport, include: object = None, exclude: object = None) -> dict[str, Any]:
    del include, exclude  # IPython filters the bundle itself
    from detjupyter.widgets.file_tree import file_tree_bundle

    return file_tree_bundle(report, report.root.name)


def _show_checkpoint(checkpoint: CheckpointRecord, include: object = None, exclude: object = None) -> dict[str, Any]:
    del include, exclude
    from detjupyter.widgets.summary import checkpoint_text

    return {"text/plain": checkpoint_text(checkpoint)}


_SHOWN_LIVE = {("detjupyter.session.session", "Session"): _show_session}
_SHOWN = {
    ("detjupyter.bundle.report", "FileReport"): _show_files,
    ("detjupyter.protocol.records", "CheckpointRecord"): _show_checkpoint,
}
