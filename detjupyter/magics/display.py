"""Register the display of sessions, cards, file reports, checkpoints and runs with IPython; the engine is independent of front ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detjupyter.bundle.report import FileReport
    from detjupyter.protocol.records import CardRecord, CheckpointRecord
    from detjupyter.session.session import Session
    from detjupyter.store.comparison import Comparison
    from detjupyter.store.history import Run, RunList


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
    display = shell.display_formatter
    return (
        (display.mimebundle_formatter, _SHOWN),
        (display.ipython_display_formatter, _SHOWN_LIVE),
        (display.formatters["text/plain"], _PRINTED),
    )


def _show_session(session: Session) -> None:
    """Show the run of the session, or before its first training its card."""
    from detjupyter.magics.live_card import show_card
    from detjupyter.widgets.shown import show_live

    if session.record().run_id is None:
        show_card(session)
    else:
        show_live(session.channel)


def _show_run(run: Run) -> None:
    from detjupyter.widgets.shown import show_run

    show_run(run)


def _show_files(report: FileReport, include: object = None, exclude: object = None) -> dict[str, Any]:
    del include, exclude  # IPython filters the bundle itself
    from detjupyter.widgets.file_tree import file_tree_bundle

    return file_tree_bundle(report, report.root.name)


def _show_card(card: CardRecord, include: object = None, exclude: object = None) -> dict[str, Any]:
    del include, exclude
    from detjupyter.widgets.card import card_bundle

    return card_bundle(card)


def _show_checkpoint(checkpoint: CheckpointRecord, include: object = None, exclude: object = None) -> dict[str, Any]:
    del include, exclude
    from detjupyter.picture.summary import checkpoint_text

    return {"text/plain": checkpoint_text(checkpoint)}


def _show_runs(runs: RunList, include: object = None, exclude: object = None) -> dict[str, Any]:
    del include, exclude
    from detjupyter.widgets.run_table import runs_bundle

    return runs_bundle(runs.summaries(), are_chosen=runs.are_chosen)


def _show_comparison(comparison: Comparison, include: object = None, exclude: object = None) -> dict[str, Any]:
    del include, exclude
    from detjupyter.widgets.comparison import comparison_bundle

    return comparison_bundle(comparison)


def _print_runs(runs: RunList, printer: Any, cycle: bool) -> None:
    """Print the table: for text, IPython asks the printer of lists before the bundle."""
    del cycle  # no run contains a list of runs
    printer.text(_show_runs(runs)["text/plain"])


_PRINTED = {("detjupyter.store.history", "RunList"): _print_runs}
_SHOWN_LIVE: dict[tuple[str, str], Any] = {
    ("detjupyter.session.session", "Session"): _show_session,
    ("detjupyter.store.history", "Run"): _show_run,
}
_SHOWN = {
    ("detjupyter.bundle.report", "FileReport"): _show_files,
    ("detjupyter.protocol.records", "CardRecord"): _show_card,
    ("detjupyter.protocol.records", "CheckpointRecord"): _show_checkpoint,
    ("detjupyter.store.history", "RunList"): _show_runs,
    ("detjupyter.store.comparison", "Comparison"): _show_comparison,
}
