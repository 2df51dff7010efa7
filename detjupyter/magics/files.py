"""``%det_files``: what ships, why, and how to change it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments
from IPython.display import display

from detjupyter.errors import DefinitionError
from detjupyter.magics.arguments import parse
from detjupyter.magics.asking import ask, say
from detjupyter.magics.chosen import PATH_HELP, chosen_definition, links_to, require_writable, scanned
from detjupyter.magics.counting import counting
from detjupyter.magics.interruption import interruptible

if TYPE_CHECKING:
    from detjupyter.bundle import Proposal, Undo
    from detjupyter.definition.model_definition import ModelDefinition

_QUESTIONS = {"why": "--why", "as_whom": "--as", "exclude": "--exclude", "include": "--include", "undo": "--undo"}

# The way back from the last edit of each definition that this kernel has saved.
_saved: dict[Path, tuple[Proposal, Undo]] = {}


@magics_class
class FileMagics(Magics):
    """What ships with a model definition."""

    @magic_arguments()
    @argument("--path", help=PATH_HELP)
    @argument("--all", action="store_true", help="look inside directories that are left out as well")
    @argument("--biggest", action="store_true", help="folders and files in the order of their sizes")
    @argument("--find", metavar="TEXT", help="only paths that hold this text, with the folders they are in")
    @argument("--why", metavar="PATH", help="explain the verdict on one path, as `git check-ignore -v` does")
    @argument("--as", dest="as_whom", choices=["determined"], help="list exactly what Determined's own uploader would ship")
    @argument("--exclude", metavar="PATH", help="write the line into .detignore that leaves a path out, after showing what it would do")
    @argument("--include", metavar="PATH", help="the same, for a path that is to ship")
    @argument("--save", action="store_true", help="with --exclude or --include: write it without asking")
    @argument("--undo", action="store_true", help="take back the last edit of .detignore that was saved from this kernel")
    @argument("--any-size", action="store_true", help="look although the directory holds more than 200,000 paths")
    @line_magic
    def det_files(self, line: str) -> Any:
        """Show what ships with a model definition and, for what does not, the rule that decided.

        Paths are relative to the definition's root. What is returned has the whole report as ``.report``.
        """
        arguments = parse(self.det_files, line)
        asked = _question(arguments)
        definition = chosen_definition(arguments.path, any_size=arguments.any_size)
        with interruptible("nothing was changed."):
            if asked == "why":
                return _why(definition, arguments.why)
            if asked == "as_whom":
                return _as_determined(definition)
            if asked in ("exclude", "include"):
                return _edit(definition, getattr(arguments, asked), include=asked == "include", save=arguments.save)
            if asked == "undo":
                return _undo(definition)
            return _tree(definition, arguments, self.shell)


def _question(arguments: argparse.Namespace) -> str | None:
    """Return which of the questions that exclude each other was asked, None for the tree.

    Raises:
        UsageError: More than one, or an option that does not go with it.
    """
    asked = [name for name in _QUESTIONS if getattr(arguments, name) not in (None, False)]
    if len(asked) > 1:
        raise UsageError(f"%det_files takes one of {' and '.join(_QUESTIONS[name] for name in asked)} at a time. `%det_files?` explains.")
    question = asked[0] if asked else None
    if arguments.save and question not in ("exclude", "include"):
        raise UsageError("%det_files: --save goes with --exclude or --include. `%det_files?` explains.")
    views = [f"--{name}" for name in ("all", "biggest", "find") if getattr(arguments, name) not in (None, False)]
    if question and views:
        raise UsageError(f"%det_files: {views[0]} does not go with {_QUESTIONS[question]}. `%det_files?` explains.")
    return question


def _tree(definition: ModelDefinition, arguments: argparse.Namespace, shell: Any) -> Any:
    from detjupyter.bundle import compare
    from detjupyter.widgets.file_tree import FileTree, TreeOptions

    report = scanned(definition, expand=arguments.all)
    if report is None:
        return None
    determined = compare(report)
    options = TreeOptions(
        biggest=arguments.biggest,
        find=arguments.find,
        marks=determined.differences,
        notes=determined.notes,
        links=links_to(definition.root, shell),
    )
    return FileTree(report, definition.name or str(definition.path), options)


def _why(definition: ModelDefinition, path: str) -> Any:
    from detjupyter.bundle import explain
    from detjupyter.widgets.verdict import Why

    told = explain(definition.path, path, defaults=definition.defaults)
    place = definition.root / told.path
    return Why(told, exists=place.exists() or place.is_symlink())


def _as_determined(definition: ModelDefinition) -> Any:
    from detjupyter.bundle import determined_files, differences
    from detjupyter.widgets.shipment import DeterminedList

    report = scanned(definition)
    if report is None:
        return None
    with counting(f"Looking at {definition.name} as Determined's uploader does") as count:
        determined = determined_files(definition.path, progress=count)
    return DeterminedList(determined, definition.name, {} if determined.fails and not determined.files else differences(report, determined))


def _edit(definition: ModelDefinition, path: str, *, include: bool, save: bool) -> None:
    from detjupyter.bundle import apply, propose
    from detjupyter.widgets.verdict import proposal_bundle

    require_writable(definition)
    with counting(f"Looking at {definition.name}") as count:
        proposal = propose(definition.path, path, include=include, defaults=definition.defaults, progress=count)
    if not proposal.changes:
        say(f"Nothing to do: {proposal.path} {'ships' if include else 'is left out'} already. `%det_files --why {proposal.path}` says why.")
        return
    display(proposal_bundle(proposal), raw=True)
    answer = save or ask("Write this into .detignore?")
    if answer is None:
        say("Nothing is written: nobody can be asked here. `--save` writes it.")
    elif not answer:
        say("Nothing is written.")
    else:
        _saved[definition.root] = (proposal, apply(definition.root, proposal))
        say("Written to .detignore. `%det_files --undo` takes it back.")


def _undo(definition: ModelDefinition) -> None:
    from detjupyter.bundle import undo

    if definition.root not in _saved:
        raise DefinitionError(
            "There is nothing to take back: no edit of `.detignore` was saved from this kernel.",
            path=str(definition.root),
            hint="`%det_files --exclude PATH` and `--include PATH` make edits.",
        )
    proposal, step = _saved[definition.root]
    undo(definition.root, step)
    del _saved[definition.root]
    gone, back = (", ".join(f"`{one.text}`" for one in lines) for lines in (proposal.added, proposal.removed))
    told = [f"no longer has {gone}" if gone else "", f"has {back} again" if back else ""]
    say(f"Taken back: .detignore {' and '.join(part for part in told if part)}.")
