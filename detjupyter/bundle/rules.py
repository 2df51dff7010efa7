"""The rules that decide what ships, and those that hold without a `.detignore`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Source = Literal["always", "default", ".detignore"]


@dataclass(frozen=True, slots=True)
class Rule:
    """The rule that decided about a path.

    Attributes:
        source: ``always`` (nothing overrides it), ``default`` (a negation in `.detignore` overrides it), or ``.detignore``.
        line: The line of `.detignore`, from 1; None for the built-in rules.
        pattern: The line as written, or what the built-in rule says.
    """

    source: Source
    line: int | None
    pattern: str

    def __str__(self) -> str:
        return f".detignore line {self.line}: {self.pattern}" if self.line else f"{self.pattern} ({self.source})"


#: Left out unless the user's file takes them back by a negation, or turns them all off (see `NO_DEFAULTS_COMMENT`).
DEFAULT_PATTERNS = (
    ".git/",
    ".ipynb_checkpoints/",
    ".venv/",
    "node_modules/",
    ".mypy_cache/",
    ".idea/",
    ".vscode/",
    ".detjupyter/",
)

NO_DEFAULTS_COMMENT = "# detjupyter: no-defaults"

IGNORE_FILE_NAME = ".detignore"

_BYTE_CODE_DIRECTORY = Rule("always", None, "__pycache__/")
_BYTE_CODE_SUFFIXES = (
    (".pyc", Rule("always", None, "*.pyc")),
    (".pyo", Rule("always", None, "*.pyo")),
    ("$py.class", Rule("always", None, "*$py.class")),
)
_IGNORE_FILE = Rule("always", None, IGNORE_FILE_NAME)

SYMLINK_OUTSIDE = Rule("always", None, "symlink that leaves the definition")
SYMLINK_BROKEN = Rule("always", None, "symlink to nothing")
SYMLINK_TO_DIRECTORY = Rule("always", None, "symlink to a directory")
SPECIAL_FILE = Rule("always", None, "not a regular file (socket, pipe or device)")
UNREADABLE = Rule("always", None, "cannot be read")
VANISHED = Rule("always", None, "vanished while it was looked at")


def always_rule(name: str, *, is_directory: bool) -> Rule | None:
    """Return the rule that leaves out every file or directory of this name wherever it stands, or None.

    Byte-compiled Python never ships, and neither does a file named `.detignore`: the same as Determined's documentation and uploader.
    """
    if is_directory:
        return _BYTE_CODE_DIRECTORY if name == "__pycache__" else None
    if name == IGNORE_FILE_NAME:
        return _IGNORE_FILE
    for suffix, rule in _BYTE_CODE_SUFFIXES:
        if name.endswith(suffix):
            return rule
    return None
