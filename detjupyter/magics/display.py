"""Teach IPython to show sessions and file reports; the engine itself knows nothing of front ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detjupyter.bundle.report import FileReport
    from detjupyter.training.session import Session

_TYPES = (("detjupyter.training.session", "Session"), ("detjupyter.bundle.report", "FileReport"))


def register(shell: Any) -> None:
    """Add our formatters by name, so that nothing is imported for it."""
    formatter = shell.display_formatter.mimebundle_formatter
    for (module, name), show in zip(_TYPES, (_show_session, _show_files), strict=True):
        formatter.for_type_by_name(module, name, show)


def unregister(shell: Any) -> None:
    """Take our formatters away again."""
    formatter = shell.display_formatter.mimebundle_formatter
    for key in _TYPES:
        formatter.deferred_printers.pop(key, None)
    for known in [known for known in formatter.type_printers if (known.__module__, known.__name__) in _TYPES]:
        del formatter.type_printers[known]


def _show_session(session: Session, include: object = None, exclude: object = None) -> dict[str, Any]:
    del include, exclude  # IPython filters the bundle itself
    from detjupyter.widgets.card import card_bundle

    return card_bundle(session.card(), session.record())


def _show_files(report: FileReport, include: object = None, exclude: object = None) -> dict[str, Any]:
    del include, exclude
    from detjupyter.widgets.file_tree import file_tree_bundle

    return file_tree_bundle(report, report.root.name)
