"""Magics about sessions and runs: ``%det_status``, ``%det_show``, ``%det_runs``, ``%det_note`` and ``%det_compare``."""

from __future__ import annotations

from argparse import BooleanOptionalAction

from IPython.core.magic import Magics, line_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments
from IPython.display import display

from detjupyter.magics.arguments import parse, positive, usage_error


@magics_class
class HistoryMagics(Magics):
    """The sessions of this kernel, and earlier runs."""

    @magic_arguments()
    @line_magic
    def det_status(self, line: str) -> None:
        """Show the state of every session of this kernel, the current one last."""
        parse(self.det_status, line)
        from detjupyter.session.registry import registry
        from detjupyter.text import printable

        current = registry.get(None)
        from detjupyter.picture.summary import session_text

        sessions = registry.all()
        texts = [session_text(session.record()) for session in sessions]
        if len(sessions) > 1:
            names = [f"{session.session_id}{' (current)' if session is current else ''}" for session in sessions]
            texts = [f"{name} · {text}" for name, text in zip(names, texts, strict=True)]
        display({"text/plain": printable("\n".join(texts))}, raw=True)

    @magic_arguments()
    @argument("run", nargs="?", metavar="RUN", help="the id of a run, `latest`, or `best` of the latest one's definition")
    @line_magic
    def det_show(self, line: str) -> None:
        """Show a run: live while it trains, else with its curves, events and log; by default the current session's run."""
        name = parse(self.det_show, line).run
        from detjupyter.session.registry import registry
        from detjupyter.store import open_store
        from detjupyter.store.definition_runs import run_named
        from detjupyter.store.history import run

        sessions = registry.all()
        own = sessions[-1].record().run_id if sessions else None
        display(run(run_named(open_store(), name or own or "latest")))

    @magic_arguments()
    @argument("--limit", type=positive, default=20, metavar="N", help="the number of runs, by default 20")
    @argument("--state", default=None, help="only runs in that state, such as finished")
    @argument("--where", default=None, metavar="CONDITION", help="only runs for which it holds, such as 'lr < 1e-3 and accuracy > 0.9'")
    @argument("--archived", action="store_true", help="also the archived runs")
    @line_magic
    def det_runs(self, line: str) -> None:
        """List the newest runs of the history, of all kernels, with the hyperparameters in which they differ."""
        options = parse(self.det_runs, line)
        from detjupyter.store.history import runs

        display(runs(options.limit, state=options.state, where=options.where, include_archived=options.archived))

    @magic_arguments()
    @argument("runs", nargs="+", metavar="RUN", help="the id of a run, `latest`, or `best` of the latest one's definition")
    @argument("--name", default=None, help="a name of one line; '' for none")
    @argument("--text", default=None, help="the text of the note; '' for none")
    @argument("--tag", nargs="+", default=(), help="tags to add")
    @argument("--untag", nargs="+", default=(), help="tags to remove")
    @argument("--star", action=BooleanOptionalAction, default=None, help="give it a star, or take it away")
    @argument("--archive", action=BooleanOptionalAction, default=None, help="hide it in lists of runs, or show it again")
    @line_magic
    def det_note(self, line: str) -> None:
        """Name runs, note something about them, tag, star and archive them; without an option, show what was noted."""
        options = parse(self.det_note, line)
        if options.name is not None and len(options.runs) > 1:
            raise usage_error("%det_note: one run gets a name, not several.")
        from detjupyter.picture.summary import annotation_text
        from detjupyter.store import open_store
        from detjupyter.store.annotation import Annotation
        from detjupyter.store.definition_runs import run_named

        store = open_store()
        run_ids = [run_named(store, name) for name in options.runs]
        store.annotate_runs(
            run_ids,
            Annotation(
                options.name, options.text, add_tags=options.tag, remove_tags=options.untag, starred=options.star, archived=options.archive
            ),
        )
        display({"text/plain": "\n".join(annotation_text(store.run(run_id)) for run_id in run_ids)}, raw=True)

    @magic_arguments()
    @argument("runs", nargs="+", metavar="RUN", help="the id of a run, `latest`, or `best` of the latest one's definition; 2 to 20")
    @line_magic
    def det_compare(self, line: str) -> None:
        """Show runs next to each other: their curves in the same charts, what differs, and for two runs the difference of the code."""
        names = parse(self.det_compare, line).runs
        from detjupyter.store.comparison import compare

        display(compare(*names))
