"""``%%det_file``: write a cell to a file of the model definition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments
from IPython.display import display

from detjupyter.errors import DefinitionError, DetJupyterError
from detjupyter.magics.arguments import parse
from detjupyter.magics.asking import ask, say
from detjupyter.magics.chosen import PATH_HELP, chosen_definition, require_writable, session_of
from detjupyter.magics.interruption import interruptible
from detjupyter.magics.slow_notice import notice_if_slow

if TYPE_CHECKING:
    from detjupyter.magics.written_file import Replaced, WrittenFile

# The content that the last `%%det_file` of this kernel replaced.
_last: list[Replaced] = []


@magics_class
class CellFileMagics(Magics):
    """Write the files of a model definition from cells."""

    @magic_arguments()
    @argument("file", nargs="?", metavar="NAME", help="the file, relative to the definition's root: model_def.py or nets/layers.py")
    @argument("--force", action="store_true", help="replace an existing file without asking")
    @argument("--path", help=PATH_HELP)
    @argument("--no-reload", action="store_true", help="do not reload the session that was loaded from this definition")
    @argument(
        "--undo", action="store_true", help="in its own line, %%det_file --undo: restore the content that the last %%%%det_file replaced"
    )
    @line_cell_magic
    def det_file(self, line: str, cell: str | None = None) -> None:
        """Write the cell into a file of the model definition, after showing the difference, and reload the session that uses it.

        The first line of the cell is ``%%det_file NAME``; the other lines are the content of the file.
        """
        arguments = parse(self.det_file, line)
        if arguments.undo:
            if cell is not None or arguments.file is not None:
                raise UsageError("%det_file: --undo takes no other argument: `%det_file --undo`. `%det_file?` explains.")
            with interruptible("check the file: it may be unchanged."):
                _restore(reload=not arguments.no_reload)
            return
        if arguments.file is None or cell is None:
            raise UsageError("%%det_file: a cell begins with `%%det_file NAME`, followed by the content. `%det_file?` explains.")
        definition = chosen_definition(arguments.path)
        require_writable(definition)
        from detjupyter.magics.written_file import WrittenFile  # imports all of bundle/, which `%load_ext` does not need

        file = WrittenFile(definition, arguments.file)
        with interruptible("nothing was written."):
            message = _agree(file, cell, force=arguments.force)
        if message is None:
            return
        _last[:] = [file.write(cell)]
        say(message)
        hint = file.why_not_shipped()
        if hint:
            say(hint)
        if not arguments.no_reload:
            _reload(file)


def _agree(file: WrittenFile, cell: str, *, force: bool) -> str | None:
    """Show the changes that writing the file makes and ask; return the message for a written file, None if it must not be written."""
    change = file.change(cell)
    if change is None:
        lines = file.lines(cell)
        message = f"{file.name}: {lines}, new"
    elif not change.lines:
        say(f"{file.name} already has this content.")
        return None
    else:
        message = f"{file.name}: {file.lines(cell)} ({change.counts})"
    effect = file.effect(cell)
    if change is not None and not force:
        from detjupyter.widgets.diff import diff_bundle

        display(diff_bundle(change), raw=True)
    if effect:
        say(" ".join(effect))
    if change is None or force:
        return message
    answer = ask(f"Replace {file.name}?")
    if answer is None:
        raise DefinitionError(
            f"{file.name} exists and differs, and the notebook cannot ask for confirmation. Nothing was written.",
            path=str(file.target),
            hint=f"`%%det_file {file.name} --force` replaces it.",
        )
    if not answer:
        say("Nothing was written.")
        return None
    return message


def _restore(*, reload: bool) -> None:
    if not _last:
        raise DefinitionError("There is nothing to undo: no `%%det_file` has written a file in this kernel.")
    replaced = _last[0]
    message = replaced.restore()
    _last.clear()
    say(message)
    if reload:
        _reload(replaced.file)


def _reload(file: WrittenFile) -> None:
    """Reload the session that was loaded from the file's definition, if the code or config that it uses has changed."""
    session: Any = session_of(file.definition)
    if session is None or not file.is_used_by(session):
        return
    outcome = f"{file.name} is written; the reload continues in the background. `%det_status` shows whether it succeeds."
    try:
        with interruptible(outcome), notice_if_slow(f"Reloading {session.definition.name}"):
            report = session.reload()
    except DetJupyterError:  # its message is the error of the cell
        say(f"{file.name} is written; the session continues with its current code. `%det_file --undo` restores the file.")
        raise
    say(str(report))
