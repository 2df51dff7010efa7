"""Reading `.detignore` and deciding about one path at a time.

`pathspec` translates each line into a regular expression; the decision is taken here, in the way git takes it: the caller walks the tree
from the top and never enters an excluded directory, and about each path the last line that matches *that path itself* decides. (Asking
``GitIgnoreSpec`` for the decision gets everyday cases such as ``*`` ``!*/`` ``!*.py`` wrong, because it ranks lines by more than order.)
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detjupyter.bundle.rules import DEFAULT_PATTERNS, IGNORE_FILE_NAME, NO_DEFAULTS_COMMENT, Rule

_NO_DEFAULTS = re.compile(re.escape(NO_DEFAULTS_COMMENT).replace(r"\ ", r"\s*") + r"\s*")
# The name of the group by which pathspec says "this line matched a directory above the path, not the path".
_MATCHED_ABOVE = "ps_d"


@dataclass(frozen=True, slots=True)
class IgnoreFile:
    """The text of a `.detignore`: its lines in order, whether it turns the default rules off, and what is wrong with it."""

    lines: tuple[str, ...] = ()
    no_defaults: bool = False
    problems: tuple[str, ...] = ()

    @classmethod
    def parse(cls, content: bytes) -> IgnoreFile:
        """Split the bytes of a file into lines the way git does.

        A byte order mark is dropped, lines end at LF only, one CR before it is dropped. File names need not be UTF-8, so
        undecodable bytes become surrogate escapes, as they do in :func:`os.scandir`.
        """
        text = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
        lines = tuple(line.removesuffix("\r") for line in text.split("\n"))
        return cls(lines, no_defaults=any(_NO_DEFAULTS.fullmatch(line) for line in lines))

    @classmethod
    def read(cls, root: Path) -> IgnoreFile:
        """Read the `.detignore` at the top of ``root``; a missing file is an empty one, an unreadable one is a problem to show."""
        path = root / IGNORE_FILE_NAME
        try:
            return cls.parse(path.read_bytes()) if path.is_file() else cls()
        except OSError as error:
            return cls(problems=(f"{IGNORE_FILE_NAME} cannot be read ({error.strerror}), so it leaves nothing out.",))


@dataclass(frozen=True, slots=True)
class _Line:
    """One line, ready to match: ``excludes`` is False for a negation."""

    expression: re.Pattern[str]
    directories_only: bool
    excludes: bool
    rule: Rule


class IgnoreRules:
    """The default rules followed by the lines of one `.detignore`.

    Attributes:
        problems: One sentence for each line that cannot be understood; such a line matches nothing.
    """

    def __init__(self, file: IgnoreFile, *, defaults: bool = True) -> None:
        problems = list(file.problems)
        lines: list[_Line] = []
        if defaults and not file.no_defaults:
            lines += _translate((Rule("default", None, pattern) for pattern in DEFAULT_PATTERNS), problems)
        lines += _translate((Rule(".detignore", number, text) for number, text in enumerate(file.lines, start=1)), problems)
        self.problems = tuple(problems)
        self._newest_first = tuple(reversed(lines))

    def decide(self, path: str, *, is_directory: bool) -> tuple[bool, Rule | None]:
        """Return whether ``path`` is excluded, and the rule that decided (None: no line matches, so it ships).

        Args:
            path: Relative to the root, POSIX, without a final ``/``. No directory above it is excluded.
            is_directory: False for a symlink, whatever it points to.
        """
        for line in self._newest_first:
            if line.directories_only and not is_directory:
                continue
            match = line.expression.search(path)
            if match is not None and match.lastgroup != _MATCHED_ABOVE:
                return line.excludes, line.rule
        return False, None


def _translate(rules: Iterable[Rule], problems: list[str]) -> list[_Line]:
    """Compile the rules that are neither blank nor comments, and say in ``problems`` which ones cannot be."""
    lines = []
    for rule in rules:
        text = _without_trailing_spaces(rule.pattern)
        if not text or text.startswith("#"):
            continue
        pattern = _without_directory_mark(text)
        try:
            translated = _compile(pattern)
        except Exception as error:  # pathspec lets several kinds out (its own, re.error, IndexError) and a preview must survive them all
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            problems.append(f"{IGNORE_FILE_NAME} line {rule.line}, {text!r}, is not a pattern and matches nothing ({reason}).")
            continue
        if translated.include is not None:
            shown = Rule(rule.source, rule.line, text)
            lines.append(_Line(translated.regex, pattern != text, bool(translated.include), shown))
    return lines


def _compile(pattern: str) -> Any:  # pathspec's pattern class has moved between modules from 0.12 to 1.x
    """Return pathspec's reading of one line: ``.regex`` and ``.include`` (None for a line that says nothing)."""
    from pathspec import GitIgnoreSpec

    try:
        # Left to itself pathspec takes re2 or hyperscan where installed, and those answer differently.
        return GitIgnoreSpec.from_lines([pattern], backend="simple").patterns[0]
    except TypeError:  # before 1.0 there was only the simple one, and no argument to ask for it
        return GitIgnoreSpec.from_lines([pattern]).patterns[0]


def _without_trailing_spaces(line: str) -> str:
    """Drop the spaces at the end of a line, keeping one that a backslash protects (gitignore(5))."""
    stripped = line.rstrip(" ")
    backslashes = len(stripped) - len(stripped.rstrip("\\"))
    return stripped + " " if backslashes % 2 and stripped != line else stripped


def _without_directory_mark(text: str) -> str:
    """Drop the final ``/`` that restricts a pattern to directories, and protect a final tab, which pathspec would strip."""
    pattern = text[:-1] if text.endswith("/") and text not in ("/", "!/") else text
    last = pattern[-1]
    return f"{pattern[:-1]}[{last}]" if last.isspace() and last != " " else pattern
