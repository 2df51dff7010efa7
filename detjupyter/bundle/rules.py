"""The rules that decide which paths ship, and those that apply without a `.detignore`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from detjupyter.text import one_line

Source = Literal["always", "default", ".detignore"]


@dataclass(frozen=True, slots=True)
class Rule:
    """The rule that decided about a path.

    Attributes:
        source: ``always`` (nothing overrides it), ``default`` (a negation in `.detignore` overrides it), or ``.detignore``.
        line: The line of `.detignore`, from 1; None for the built-in rules.
        pattern: The line as written, or the text of the built-in rule.
    """

    source: Source
    line: int | None
    pattern: str

    def __str__(self) -> str:
        return one_line(f".detignore line {self.line}: {self.pattern}" if self.line else f"{self.pattern} ({self.source})")


IGNORE_FILE_NAME: Final = ".detignore"

NO_DEFAULTS_COMMENT = "# detjupyter: no-defaults"

#: Left out unless the user's file re-includes them with a negation, or turns all of them off (see `NO_DEFAULTS_COMMENT`).
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

#: Always left out, as in Determined's documentation: byte-compiled Python at any depth.
ALWAYS_PATTERNS = ("__pycache__/", "*.pyc", "*.pyo", "*$py.class")

#: Files (not directories) that never ship, at any depth, as with Determined's uploader.
ALWAYS_FILE_NAMES = (IGNORE_FILE_NAME,)

SYMLINK_OUTSIDE = Rule("always", None, "symlink that leaves the definition")
SYMLINK_BROKEN = Rule("always", None, "symlink to nothing")
SYMLINK_TO_DIRECTORY = Rule("always", None, "symlink to a directory")
SPECIAL_FILE = Rule("always", None, "not a regular file (socket, pipe or device)")
UNREADABLE = Rule("always", None, "cannot be read")
VANISHED = Rule("always", None, "vanished during the scan")
