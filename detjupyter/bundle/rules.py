"""The rules that decide what ships, and those that hold without a `.detignore`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

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


IGNORE_FILE_NAME: Final = ".detignore"

NO_DEFAULTS_COMMENT = "# detjupyter: no-defaults"

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

#: Left out whatever the user's file says, as Determined's documentation has it: byte-compiled Python at any depth.
ALWAYS_PATTERNS = ("__pycache__/", "*.pyc", "*.pyo", "*$py.class")

#: Files (not directories) that never ship, wherever they stand: as Determined's uploader does.
ALWAYS_FILE_NAMES = (IGNORE_FILE_NAME,)

SYMLINK_OUTSIDE = Rule("always", None, "symlink that leaves the definition")
SYMLINK_BROKEN = Rule("always", None, "symlink to nothing")
SYMLINK_TO_DIRECTORY = Rule("always", None, "symlink to a directory")
SPECIAL_FILE = Rule("always", None, "not a regular file (socket, pipe or device)")
UNREADABLE = Rule("always", None, "cannot be read")
VANISHED = Rule("always", None, "vanished while it was looked at")
