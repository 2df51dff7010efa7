"""Read `.detignore`, and decide about one path at a time.

The decision is that of git for one exclude file at the top: the last line that matches a path decides, and no path below a directory that
is left out can be re-included. The rules of a definition form one list in which later rules win: the defaults, the lines of the file, and
the rules that always apply.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from detjupyter.bundle.glob import Glob
from detjupyter.bundle.matching import Level, Matcher
from detjupyter.bundle.patterns import Node, read_pattern, trimmed
from detjupyter.bundle.rules import (
    ALWAYS_FILE_NAMES,
    ALWAYS_PATTERNS,
    DEFAULT_PATTERNS,
    IGNORE_FILE_NAME,
    NO_DEFAULTS_COMMENT,
    Rule,
    Source,
)

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_NO_DEFAULTS = re.compile(re.escape(NO_DEFAULTS_COMMENT.encode()).replace(rb"\ ", rb"\s*") + rb"\s*")
_MOST_BYTES = 100 << 20  # git has the same limit
_MOST_PROBLEMS = 100


@dataclass(frozen=True, slots=True)
class IgnoreFile:
    """The content of a `.detignore`.

    Attributes:
        lines: Its lines in order, without their ends.
        no_defaults: Whether it turns the default rules off.
        problems: One sentence for each problem of the file as a whole.
    """

    lines: tuple[bytes, ...] = ()
    no_defaults: bool = False
    problems: tuple[str, ...] = ()

    @classmethod
    def parse(cls, content: bytes) -> IgnoreFile:
        """Split the bytes of a file into lines as git does.

        A byte order mark is dropped. Lines end at LF only, and one CR before it is dropped. Nothing is decoded.
        """
        lines = tuple([line.removesuffix(b"\r") for line in content.removeprefix(BYTE_ORDER_MARK).split(b"\n")])
        return cls(lines, no_defaults=any(line[:1] == b"#" and _NO_DEFAULTS.fullmatch(line) for line in lines))

    @classmethod
    def read(cls, root: Path) -> IgnoreFile:
        """Read the `.detignore` at the top of ``root``; a missing file counts as empty, an unreadable one is reported in ``problems``."""
        path = root / IGNORE_FILE_NAME
        try:
            if not path.is_file():
                return cls()
            if path.stat().st_size > _MOST_BYTES:
                return cls(problems=(f"{IGNORE_FILE_NAME} is larger than {_MOST_BYTES:,} bytes, so it is ignored.",))
            return cls.parse(path.read_bytes())
        except OSError as error:
            return cls(problems=(f"{IGNORE_FILE_NAME} cannot be read ({error.strerror}), so it is ignored.",))


class IgnoreRules:
    """The default rules, the lines of one `.detignore` and the rules that always apply, compiled for matching.

    Attributes:
        problems: One sentence for each line that can match nothing, or that git reads differently from how it looks.
    """

    def __init__(self, file: IgnoreFile, *, defaults: bool = True) -> None:
        self._given: list[tuple[Source, int | None, bytes]] = []
        self._negated: list[bool] = []
        self._rules: dict[int, Rule] = {}
        self._obstacles = 0
        problems = list(file.problems)
        nodes: list[Node] = []
        if defaults and not file.no_defaults:
            for pattern in DEFAULT_PATTERNS:
                nodes += self._add("default", None, pattern.encode(), problems)
        for number, line in enumerate(file.lines, start=1):
            text = trimmed(line)
            if text:
                nodes += self._add(IGNORE_FILE_NAME, number, text, problems)
            if b"\0" in line and line[:1] != b"#":
                self._add_problem(problems, f"{IGNORE_FILE_NAME} line {number} contains a NUL byte: git reads only the text before it.")
        for pattern in ALWAYS_PATTERNS:
            nodes += self._add("always", None, pattern.encode(), problems)
        files = [self._add_file_name(name.encode()) for name in ALWAYS_FILE_NAMES]
        if self._obstacles > _MOST_PROBLEMS:
            problems.append(f"{self._obstacles - _MOST_PROBLEMS:,} more lines of {IGNORE_FILE_NAME} have problems.")
        self.problems = tuple(problems)
        self._matcher = Matcher(nodes, files)

    @property
    def top(self) -> Level:
        """The level of the root."""
        return self._matcher.top

    def rule(self, number: int) -> Rule | None:
        """Return the rule of a number that a `Level` returns; None for -1."""
        if number < 0:
            return None
        rule = self._rules.get(number)
        if rule is None:
            source, line, text = self._given[number]
            rule = self._rules[number] = Rule(source, line, shown(text))
        return rule

    def excludes(self, number: int) -> bool:
        """Return whether the rule of that number leaves a path out; False for -1."""
        return number >= 0 and not self._negated[number]

    def decide(self, path: str, *, is_directory: bool) -> tuple[bool, Rule | None]:
        """Return whether ``path`` itself is left out, and the rule that decided (None: no rule matches it, so it ships).

        Args:
            path: Relative to the root, POSIX, without a final ``/``. No directory above it is left out.
            is_directory: Whether it is a directory; False for every symlink.
        """
        *above, name = path.encode("utf-8", "surrogateescape").split(b"/")
        level = self.top
        for part in above:
            level = level.below(part)
        number = level.directory(name) if is_directory else level.file(name)
        return self.excludes(number), self.rule(number)

    def _add(self, source: Source, line: int | None, text: bytes, problems: list[str]) -> Sequence[Node]:
        """Number a rule, and return the first nodes of its chains."""
        pattern = read_pattern(text, len(self._given))
        self._given.append((source, line, text))
        self._negated.append(pattern.negated)
        if pattern.obstacle is not None:
            message = f"{IGNORE_FILE_NAME} line {line}, {shown(text)!r}, is not a pattern and matches nothing ({pattern.obstacle})."
            self._add_problem(problems, message)
        for remark in pattern.remarks:
            self._add_problem(problems, f"{IGNORE_FILE_NAME} line {line}, {shown(text)!r}: {remark}.")
        return pattern.nodes

    def _add_file_name(self, name: bytes) -> Node:
        self._given.append(("always", None, name))
        self._negated.append(False)
        glob = Glob(([bytes((byte,)) for byte in name],))
        return Node(glob, waits=True, following=None, rule=len(self._given) - 1, directories_only=False)

    def _add_problem(self, problems: list[str], message: str) -> None:
        self._obstacles += 1
        if self._obstacles <= _MOST_PROBLEMS:
            problems.append(message)


def shown(text: bytes) -> str:
    """Return the bytes of a file or a file name as text; bytes that are not UTF-8 become surrogate escapes, as in :func:`os.fsdecode`."""
    return text.decode("utf-8", "surrogateescape")
