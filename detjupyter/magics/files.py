"""``%det_files``: the files that ship, the rules that decide, and edits of `.detignore`."""

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
from detjupyter.next_step import worded

if TYPE_CHECKING:
    from detjupyter.bundle import Proposal, Undo
    from detjupyter.definition.model_definition import ModelDefinition

_QUESTIONS = {"why": "--why", "as_whom": "--as", "exclude": "--exclude", "include": "--include", "undo": "--undo"}

# How to undo the last edit of each definition that this kernel has saved.
_saved: dict[Path, tuple[Proposal, Undo]] = {}


@magics_class
class FileMagics(Magics):
    """The files that ship with a model definition."""

    @magic_arguments()
    @argument("--path", help=PATH_HELP)
    @argument("--all", action="store_true", help="scan directories that are left out as well")
    @argument("--biggest", action="store_true", help="sort folders and files by size")
    @argument("--find", metavar="TEXT", help="show only paths that contain this text, with their folders")
    @argument("--why", metavar="PATH", help="explain the verdict on one path, as `git check-ignore -v` does")
    @argument("--as", dest="as_whom", choices=["determined"], help="list exactly what Determined's own uploader would ship")
    @argument("--exclude", metavar="PATH", help="write the line into .detignore that leaves a path out, after showing its effect")
    @argument("--include", metavar="PATH", help="write the line into .detignore that lets a path ship, after showing its effect")
    @argument("--save", action="store_true", help="with --exclude or --include: write the line without asking")
    @argument("--undo", action="store_true", help="undo the last edit of .detignore that was saved from this kernel")
    @argument("--any-size", action="store_true", help="scan even if the directory contains more than 200,000 paths")
    @line_magic
    def det_files(self, line: str) -> Any:
        """Show the files of a model definition that ship and, for the others, the rule that decided.

        Paths are relative to the definition's root. The attribute ``.report`` of the result is the complete report.
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
    """Return the option that selects what the magic does, None for the tree.

    Raises:
        UsageError: There is more than one such option, or it cannot be combined with another option.
    """
    asked = [name for name in _QUESTIONS if getattr(arguments, name) not in (None, False)]
    if len(asked) > 1:
        raise UsageError(f"%det_files takes one of {' and '.join(_QUESTIONS[name] for name in asked)} at a time. `%det_files?` explains.")
    question = asked[0] if asked else None
    if arguments.save and question not in ("exclude", "include"):
        raise UsageError("%det_files: --save needs --exclude or --include. `%det_files?` explains.")
    views = [f"--{name}" for name in ("all", "biggest", "find") if getattr(arguments, name) not in (None, False)]
    if question and views:
        raise UsageError(f"%det_files: {views[0]} cannot be combined with {_QUESTIONS[question]}. `%det_files?` explains.")
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
        notes=tuple(map(worded, determined.notes)),
        links=links_to(definition.root, shell),
    )
    return FileTree(report, definition.name or str(definition.path), options)


def _why(definition: ModelDefinition, path: str) -> Any:
    from detjupyter.bundle import explain
    from detjupyter.widgets.verdict import Why

    verdict = explain(definition.path, path, defaults=definition.defaults)
    place = definition.root / verdict.path
    return Why(verdict, exists=place.exists() or place.is_symlink())


def _as_determined(definition: ModelDefinition) -> Any:
    from detjupyter.bundle import determined_files, differences
    from detjupyter.widgets.packaging import DeterminedList

    report = scanned(definition)
    if report is None:
        return None
    with counting(f"Scanning {definition.name} as Determined's uploader does") as count:
        determined = determined_files(definition.path, progress=count)
    return DeterminedList(determined, definition.name, {} if determined.fails and not determined.files else differences(report, determined))


def _edit(definition: ModelDefinition, path: str, *, include: bool, save: bool) -> None:
    from detjupyter.bundle import apply, propose
    from detjupyter.widgets.verdict import proposal_bundle

    require_writable(definition)
    with counting(f"Scanning {definition.name}") as count:
        proposal = propose(definition.path, path, include=include, defaults=definition.defaults, progress=count)
    if not proposal.changes:
        say(f"{proposal.path} {'already ships' if include else 'is already left out'}. `%det_files --why {proposal.path}` explains why.")
        return
    display(proposal_bundle(proposal), raw=True)
    answer = save or ask("Write this into .detignore?")
    if answer is None:
        say("Nothing was written, because the notebook cannot ask for confirmation. `--save` writes without asking.")
    elif not answer:
        say("Nothing was written.")
    else:
        _saved[definition.root] = (proposal, apply(definition.root, proposal))
        say("Written to .detignore. `%det_files --undo` undoes the edit.")


def _undo(definition: ModelDefinition) -> None:
    from detjupyter.bundle import undo

    if definition.root not in _saved:
        raise DefinitionError(
            "There is nothing to undo: no edit of `.detignore` was saved from this kernel.",
            path=str(definition.root),
            hint="`%det_files --exclude PATH` and `--include PATH` make edits.",
        )
    proposal, step = _saved[definition.root]
    undo(definition.root, step)
    del _saved[definition.root]
    gone, back = (", ".join(f"`{one.text}`" for one in lines) for lines in (proposal.added, proposal.removed))
    changes = [f"no longer contains {gone}" if gone else "", f"contains {back} again" if back else ""]
    say(f"Undone: .detignore {' and '.join(part for part in changes if part)}.")
