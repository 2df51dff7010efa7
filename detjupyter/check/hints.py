"""Explain why a file of the directory was missing in the clean process."""

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
    """Return a sentence about the first file that an error mentions and a rule leaves out; None if there is none.

    Args:
        text: The error as Python formats it, with paths relative to the root of the definition.
        root: The directory that was packed.
        defaults: Whether the default rules apply.
    """
    for path in dict.fromkeys(_paths(text, root.name)):
        there = root / path
        if path.startswith("../"):
            if os.path.lexists(there):
                return f"{posixpath.basename(path)} is outside the definition ({path}): only files below its root ship."
        elif os.path.lexists(there):
            try:
                verdict = explain(root, f"{path}/" if there.is_dir() and not there.is_symlink() else path, defaults=defaults)
            except DefinitionError:
                continue
            if not verdict.included and verdict.rule is not None:
                above = f" (with all of {verdict.decided_at})" if verdict.decided_at.rstrip("/") != path else ""
                return f"{path} is in the directory, but {_rule(verdict.rule)} leaves it out{above}, so it does not ship."
    return None


def _rule(rule: Rule) -> str:
    if rule.source == ".detignore":
        return f"`.detignore` line {rule.line} `{rule.pattern}`"
    if rule.source == "default":
        return f"the default rule `{rule.pattern}` (the line `!{rule.pattern}` in `.detignore` re-includes it)"
    return f"the rule `{rule.pattern}`, which always applies,"


def _paths(text: str, own_name: str) -> Iterator[str]:
    """Yield the candidate paths, relative to the root, of files that an error reports as missing; the earliest error first."""
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
