"""Tab completion on a magic's line: entrypoints, paths, hyperparameters, checkpoints and options."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detjupyter.errors import DetJupyterError
from detjupyter.magics.arguments import options, words
from detjupyter.protocol.states import State

if TYPE_CHECKING:
    from detjupyter.store.history import Run

# `%det_load …`, `session = %det_load …`, `%%det_file …`, and without the percent sign if IPython allows it
_LINE = re.compile(r"\s*(?:[\w.,\s]+=\s*%|%{0,2})(det_\w+)\s(.*)", re.DOTALL)
_MOST_ENTRIES = 200
_MOST_RUNS = 50
_MOST_TAGGED = 1000
_NEVER_MEANT = ("__pycache__", ".git", ".ipynb_checkpoints")


def register(shell: Any) -> None:
    """Complete our magics in ``shell``."""
    from IPython.core.completer import SimpleCompletion, context_matcher

    @context_matcher(identifier="detjupyter", priority=100)
    def match(context: Any) -> dict[str, Any]:
        word, offers = _offers(shell, context.text_until_cursor)
        fitting = [SimpleCompletion(text=offer, type="magic") for offer in offers if offer.startswith(word)]
        # Keywords and names of Python make no sense on such a line, and jedi takes seconds to find them.
        return {"completions": fitting, "matched_fragment": word, "ordered": True, "suppress": True}

    unregister(shell)
    shell.Completer.custom_matchers.append(match)


def unregister(shell: Any) -> None:
    """Undo :func:`register`."""
    matchers = shell.Completer.custom_matchers
    matchers[:] = [matcher for matcher in matchers if getattr(matcher, "matcher_identifier", None) != "detjupyter"]


def _offers(shell: Any, text: str) -> tuple[str, list[str]]:
    """Return the incomplete word at the end of ``text``, and its possible completions."""
    line = _LINE.fullmatch(text)
    magic = shell.find_line_magic(line[1]) if line else None
    parser: Any = getattr(magic, "parser", None)
    if line is None or parser is None:
        return "", []
    before, word = re.fullmatch(r"(.*?)(\S*)", line[2], re.DOTALL).groups()  # type: ignore[union-attr]
    try:
        typed = list(words(before))
    except ValueError:  # inside a quotation
        return "", []
    if word.startswith("-"):
        option, equals, value = word.partition("=")
        if not equals:
            return word, options(parser)
        typed, word = [*typed, option], value
    awaited = _awaited(parser, typed)
    offers = _SOURCES[awaited.dest](word, typed) if awaited is not None and awaited.dest in _SOURCES else []
    is_begun = awaited is not None and typed and typed[-1] in awaited.option_strings  # its first value is missing
    is_free = not is_begun and (awaited is None or not awaited.option_strings or awaited.nargs == "+")
    return word, [*offers, *(options(parser) if is_free and not word else [])]


def _awaited(parser: Any, typed: list[str]) -> Any:
    """Return the argument that the next word belongs to, None if only an option is possible."""
    positionals = [action for action in parser._actions if not action.option_strings]
    option = None
    for word in typed:
        if word.startswith("-"):
            option = next((action for action in parser._actions if word in action.option_strings and action.nargs != 0), None)
        elif option is None:
            positionals = positionals[1:]
        elif option.nargs != "+":
            option = None
    return option or next(iter(positionals), None)


def _entrypoints(_: str, typed: list[str]) -> list[str]:
    from detjupyter.definition.model_definition import ModelDefinition

    try:
        return [str(entrypoint) for entrypoint in ModelDefinition(_given(typed, "--path") or ".").entrypoints()]
    except DetJupyterError:
        return []


def _definitions(word: str, _: list[str]) -> list[str]:
    return _paths(word, (".py",))


def _configs(word: str, _: list[str]) -> list[str]:
    return _paths(word, (".yaml", ".yml"))


def _hyperparameters(_: str, typed: list[str]) -> list[str]:
    """Return the names in the config, in each of the files that may be the config, or that the code asks for."""
    from detjupyter.definition.config import read_config
    from detjupyter.definition.model_definition import ModelDefinition

    try:
        definition = ModelDefinition(_given(typed, "--path") or next((word for word in typed if word.endswith(".py")), "."))
        config = read_config(_given(typed, "--config"), definition.root)
        names = list(config.origins)
        for name in config.unread:
            with suppress(DetJupyterError):
                names += read_config(name, definition.root).origins
        return [f"{name}=" for name in dict.fromkeys(names or definition.hyperparameters())]
    except DetJupyterError:
        return []


def _checkpoints(_: str, __: list[str]) -> list[str]:
    from detjupyter.session.registry import registry
    from detjupyter.store.history import runs

    try:
        session = registry.get(None)
        record = session.record()  # not session.run: it waits for a locked history
        found = [
            one for one in runs(_MOST_RUNS, entrypoint=record.entrypoint) if one.record.definition_root == str(session.definition.root)
        ]
        own_first = sorted(found, key=lambda one: one.id != record.run_id)
        ids = [checkpoint.id for run in own_first for checkpoint in reversed(run.checkpoints())]
        return ["latest", "best", *ids]
    except DetJupyterError:
        return []


def _runs(_: str, typed: list[str]) -> list[str]:
    """Return the runs that can be continued: they have a recipe and a checkpoint."""
    return ["latest", "best", *(one.id for one in _loadable_runs(typed) if one.checkpoints())]


def _repeatable(_: str, typed: list[str]) -> list[str]:
    """Return the runs that can be repeated: they have a recipe."""
    return [one.id for one in _loadable_runs(typed)]


def _loadable_runs(typed: list[str]) -> list[Run]:
    """Return the runs that have a recipe, those of the definition on the line first."""
    from detjupyter.store.history import runs

    root = str(Path(_given(typed, "--path") or ".").absolute())
    try:
        found = [one for one in runs(_MOST_RUNS) if one.recipe is not None]
        return sorted(found, key=lambda one: one.record.definition_root != root)
    except DetJupyterError:
        return []


def _any_runs(_: str, __: list[str]) -> list[str]:
    from detjupyter.store.history import runs

    try:
        return ["latest", "best", *(one.id for one in runs(_MOST_RUNS))]
    except DetJupyterError:
        return []


def _tags(_: str, __: list[str]) -> list[str]:
    """Return the tags that runs have, as words of a magic's line."""
    from detjupyter.store import open_store

    try:
        tags = dict.fromkeys(tag for run in open_store().summaries(limit=_MOST_TAGGED) for tag in run.tags)
        return [shlex.quote(tag) for tag in tags]
    except DetJupyterError:
        return []


def _files(word: str, typed: list[str]) -> list[str]:
    """Return the paths in one directory of the model definition, relative to its root."""
    from detjupyter.magics.chosen import chosen_definition

    try:
        definition = chosen_definition(_given(typed, "--path"))
    except DetJupyterError:
        return []
    if definition.is_file:
        return [definition.path.name]
    directory = word.rpartition("/")[0]
    if directory.startswith("/") or ".." in directory.split("/"):
        return []
    shown = f"{directory}/" if directory else ""
    try:
        entries = sorted(os.scandir(definition.root / directory), key=lambda entry: entry.name)
    except (OSError, ValueError):
        return []
    visible = [entry for entry in entries if entry.name not in _NEVER_MEANT][:_MOST_ENTRIES]
    return [f"{shown}{entry.name}{'/' if entry.is_dir(follow_symlinks=False) else ''}" for entry in visible]


def _archives(word: str, _: list[str]) -> list[str]:
    return _paths(word, (".tar.gz", ".tgz"))


def _given(typed: list[str], option: str) -> str | None:
    """Return the value of an option that is already on the line."""
    values = (value for name, value in pairwise(typed) if name == option)
    return next(values, None)


def _paths(word: str, suffixes: tuple[str, ...]) -> list[str]:
    """Return the directories, and the files with these suffixes, that complete ``word``."""
    directory, _, _ = word.rpartition("/")
    shown = f"{directory}/" if directory or word.startswith("/") else ""
    try:
        entries = sorted(os.scandir(shown or "."), key=lambda entry: entry.name)
    except OSError:
        return []
    visible = [entry for entry in entries if not entry.name.startswith((".", "__"))][:_MOST_ENTRIES]
    return [f"{shown}{entry.name}{'/' if entry.is_dir() else ''}" for entry in visible if entry.is_dir() or entry.name.endswith(suffixes)]


_SOURCES: dict[str, Callable[[str, list[str]], list[str]]] = {
    "entrypoint": _entrypoints,
    "path": _definitions,
    "config": _configs,
    "script": _definitions,
    "hparam": _hyperparameters,
    "checkpoint": _checkpoints,
    "from_run": _runs,
    "runs": _any_runs,
    "run": _any_runs,
    "tag": _tags,
    "untag": _tags,
    "state": lambda _word, _typed: [state.value for state in State],
    "repeat": _repeatable,
    "script_checkpoint": lambda _word, _typed: ["latest"],
    "file": _files,
    "why": _files,
    "exclude": _files,
    "include": _files,
    "as_whom": lambda _word, _typed: ["determined"],
    "target": _archives,
}
