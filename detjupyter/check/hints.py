"""Why a file that the clean process missed was not there, when the directory has it."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from detjupyter.bundle import Rule, explain
from detjupyter.errors import DefinitionError

_MODULE = re.compile(r"No module named '([\w.]+)'|There is no module '([\w.]+)' in the model definition")
_NAME = re.compile(r"cannot import name '(\w+)' from '([\w.]+)'")
_FILE = re.compile(r"(?:No such file or directory|Not a directory|not found): '([^'\n]+)'")


def left_out_hint(text: str, root: Path, *, defaults: bool = True) -> str | None:
    """Return the sentence about the first file that an error speaks of and a rule leaves out; None if there is none.

    Args:
        text: The error as Python tells it, paths relative to the root of the definition.
        root: The directory that was packed.
        defaults: Whether the default rules hold.
    """
    for path in dict.fromkeys(_paths(text, root.name)):
        there = root / path
        if path.startswith("../"):
            if os.path.lexists(there):
                return f"{posixpath.basename(path)} stands outside of the definition ({path}): only what is below its root ships."
        elif os.path.lexists(there):
            try:
                told = explain(root, f"{path}/" if there.is_dir() and not there.is_symlink() else path, defaults=defaults)
            except DefinitionError:
                continue
            if not told.included and told.rule is not None:
                above = f" (with all of {told.decided_at})" if told.decided_at.rstrip("/") != path else ""
                return f"{path} is in the directory, but {_rule(told.rule)} leaves it out{above}, so it does not ship."
    return None


def _rule(rule: Rule) -> str:
    if rule.source == ".detignore":
        return f"`.detignore` line {rule.line} `{rule.pattern}`"
    if rule.source == "default":
        return f"the default rule `{rule.pattern}` (a line `!{rule.pattern}` in `.detignore` takes it back)"
    return f"the rule `{rule.pattern}`, which always holds,"


def _paths(text: str, own_name: str) -> Iterator[str]:
    """Yield the paths, relative to the root, that could be meant by what an error says is missing; the earliest error first."""
    found = [(match.start(), list(_of_module(match[1] or match[2], own_name))) for match in _MODULE.finditer(text)]
    found += [(match.start(), list(_of_name(match[1], match[2], own_name))) for match in _NAME.finditer(text)]
    found += [(match.start(), [posixpath.normpath(match[1])]) for match in _FILE.finditer(text) if not match[1].startswith("/")]
    for _, paths in sorted(found):
        yield from paths


def _of_module(name: str, own_name: str) -> Iterator[str]:
    parts = name.split(".")
    for some in (parts, parts[1:] if parts[0] == own_name else []):
        if some:
            path = "/".join(some)
            yield from (f"{path}.py", path, f"{path}/__init__.py")


def _of_name(name: str, module: str, own_name: str) -> Iterator[str]:
    yield from _of_module(name if module == own_name else f"{module}.{name}", own_name)
