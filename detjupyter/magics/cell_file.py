"""``%%det_file``: a cell that becomes a file of the model definition."""

from __future__ import annotations

from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments
from IPython.display import display

from detjupyter.errors import DefinitionError, DetJupyterError
from detjupyter.magics.arguments import parse
from detjupyter.magics.asking import ask, say
from detjupyter.magics.chosen import PATH_HELP, chosen_definition, require_writable, session_of
from detjupyter.magics.interruption import interruptible
from detjupyter.magics.patience import patience
from detjupyter.magics.written_file import Replaced, WrittenFile

# What the last `%%det_file` of this kernel has replaced.
_last: list[Replaced] = []


@magics_class
class CellFileMagics(Magics):
    """Write the files of a model definition from cells."""

    @magic_arguments()
    @argument("file", nargs="?", metavar="NAME", help="the file, relative to the definition's root: model_def.py or nets/layers.py")
    @argument("--force", action="store_true", help="replace a file that is there without asking")
    @argument("--path", help=PATH_HELP)
    @argument("--no-reload", action="store_true", help="do not reload the session that was loaded from this definition")
    @argument("--undo", action="store_true", help="on a line of its own, %%det_file --undo: put back what the last %%%%det_file replaced")
    @line_cell_magic
    def det_file(self, line: str, cell: str | None = None) -> None:
        """Write the cell into a file of the model definition, after showing the difference, and reload the session that uses it.

        The first line of the cell is ``%%det_file NAME``; what is below it is the file.
        """
        arguments = parse(self.det_file, line)
        if arguments.undo:
            if cell is not None or arguments.file is not None:
                raise UsageError("%det_file: --undo stands alone: `%det_file --undo`. `%det_file?` explains.")
            with interruptible("the file may be as it was: look at it."):
                _put_back(reload=not arguments.no_reload)
            return
        if arguments.file is None or cell is None:
            raise UsageError("%%det_file: a cell begins with `%%det_file NAME`, and the file is below that line. `%det_file?` explains.")
        definition = chosen_definition(arguments.path)
        require_writable(definition)
        file = WrittenFile(definition, arguments.file)
        with interruptible("nothing was written."):
            told = _agree(file, cell, force=arguments.force)
        if told is None:
            return
        _last[:] = [file.write(cell)]
        say(told)
        hint = file.why_not_shipped()
        if hint:
            say(hint)
        if not arguments.no_reload:
            _reload(file)


def _agree(file: WrittenFile, cell: str, *, force: bool) -> str | None:
    """Show what writing the file changes and ask; return what to say when it is written, None if it is not to be."""
    change = file.change(cell)
    if change is None:
        lines = file.lines(cell)
        told = f"{file.name}: {lines}, new"
    elif not change.lines:
        say(f"{file.name}: nothing to do, that is what it holds.")
        return None
    else:
        told = f"{file.name}: {file.lines(cell)} ({change.counts})"
    effect = file.effect(cell)
    if change is not None and not force:
        from detjupyter.widgets.diff import diff_bundle

        display(diff_bundle(change), raw=True)
    if effect:
        say(" ".join(effect))
    if change is None or force:
        return told
    answer = ask(f"Replace {file.name}?")
    if answer is None:
        raise DefinitionError(
            f"{file.name} is there already and differs, and nobody can be asked here: nothing was written.",
            path=str(file.target),
            hint=f"`%%det_file {file.name} --force` replaces it.",
        )
    if not answer:
        say("Nothing was written.")
        return None
    return told


def _put_back(*, reload: bool) -> None:
    if not _last:
        raise DefinitionError("There is nothing to take back: no `%%det_file` has written a file in this kernel.")
    replaced = _last[0]
    told = replaced.put_back()
    _last.clear()
    say(told)
    if reload:
        _reload(replaced.file)


def _reload(file: WrittenFile) -> None:
    """Reload the session that was loaded from the file's definition, if the code or config that it uses is another now."""
    session: Any = session_of(file.definition)
    if session is None or not file.is_used_by(session):
        return
    outcome = f"{file.name} is written; the edited code may take over all the same: `%det_status` shows."
    try:
        with interruptible(outcome), patience(f"Reloading {session.definition.name}"):
            report = session.reload()
    except DetJupyterError:  # its message is the cell's own
        say(f"{file.name} stays as it is written, the session goes on with the code it has. `%det_file --undo` puts the file back.")
        raise
    say(str(report))
