"""Why a path ships or is left out: the output of ``%det_files --why``."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from detjupyter.bundle.ignore import IgnoreRules, shown
from detjupyter.bundle.rules import SPECIAL_FILE, SYMLINK_TO_DIRECTORY, UNREADABLE, Rule
from detjupyter.bundle.scanning import rules_of
from detjupyter.bundle.walk import look_at, look_through
from detjupyter.errors import DefinitionError
from detjupyter.text import printable


@dataclass(frozen=True, slots=True)
class Explanation:
    """The verdict on a path, and the rule that decided.

    Attributes:
        path: Relative to the root, POSIX; a directory's ends in ``/``.
        included: Whether it ships; for a directory, whether it is scanned.
        rule: The rule that decided; None if no rule matches the path.
        decided_at: The path itself, or the directory above it that is left out (with a final ``/``).
    """

    path: str
    included: bool
    rule: Rule | None
    decided_at: str

    @property
    def text(self) -> str:
        """One line in the form of ``git check-ignore -v``: source, line, pattern, a tab and the path."""
        rule = self.rule
        source = "" if rule is None else f"{rule.source}:{rule.line or ''}:{rule.pattern}"
        return f"{source or '::'}\t{self.path}"

    def __str__(self) -> str:
        return printable(self.text)


def explain(root: Path, path: str | Path, *, defaults: bool = True, ignore: bytes | None = None) -> Explanation:
    """Return whether a path ships, and the rule that decided.

    Args:
        root: The model definition.
        path: Relative to the root, or absolute. It need not exist; a final ``/`` then means a directory.
        defaults: Whether the default rules apply.
        ignore: The content of `.detignore` to assume; None for its actual content.

    Raises:
        DefinitionError: The path is not under the root.
    """
    root = root.resolve()
    relative = relative_to_root(root, path)
    if root.is_file():
        return Explanation(relative, relative == root.name, None, relative)
    return explain_by(rules_of(root, defaults=defaults, ignore=ignore), root, relative)


def explain_by(rules: IgnoreRules, root: Path, path: str) -> Explanation:
    """Explain one path by the given rules.

    Args:
        rules: The rules.
        root: The directory, absolute and without symlinks in its path.
        path: A path as `relative_to_root` returns it.
    """
    base = os.fsencode(root).rstrip(b"/") + b"/"
    parts = [part for part in os.fsencode(path).split(b"/") if part]
    level = rules.top
    rule: Rule | None = None
    for depth, part in enumerate(parts, start=1):
        sofar = b"/".join(parts[:depth])
        directory = depth < len(parts) or path.endswith("/")
        mode = _mode(base + sofar)
        link = mode is not None and stat.S_ISLNK(mode)
        number = level.directory(part) if directory and not link else level.file(part)
        rule = rules.rule(number)
        excluded = rules.excludes(number)
        if not excluded and mode is not None:
            obstacle = _obstacle(base, sofar, mode, inside=depth < len(parts))
            if obstacle is not None:
                rule, excluded = obstacle, True
        if excluded:
            return Explanation(path, False, rule, shown(sofar) + ("/" if directory and not link else ""))
        level = level.below(part)
    return Explanation(path, True, rule, path)


def relative_to_root(root: Path, path: str | Path) -> str:
    """Return a path relative to the root in the form of a `FileEntry`: POSIX, with a final ``/`` if it is a directory.

    Args:
        root: The model definition, absolute and without symlinks in its path.
        path: Relative to the root or absolute, with or without ``..``.

    Raises:
        DefinitionError: It is not under the root, or is the root.
    """
    given = os.fspath(path)
    folder = root.parent if root.is_file() else root
    # Symlinks in the directories above are followed, but not a symlink at the path: the question is about the link itself.
    whole = os.path.normpath(folder / given)
    for candidate in (whole, os.path.join(os.path.realpath(os.path.dirname(whole)), os.path.basename(whole))):  # noqa: PTH118, PTH119, PTH120
        if Path(candidate) != folder and Path(candidate).is_relative_to(folder):
            relative = Path(candidate).relative_to(folder).as_posix()
            mode = _mode(os.fsencode(candidate))
            directory = given.endswith("/") if mode is None else stat.S_ISDIR(mode)
            return f"{relative}/" if directory else relative
    raise DefinitionError(
        f"{given!r} is not a path inside the model definition.",
        path=str(root),
        hint="Name a file or a directory relative to the definition's root, for example `data/train.csv` or `data/`.",
    )


def _mode(path: bytes) -> int | None:
    """Return the mode of a path (of a symlink itself, not its target); None if it does not exist or cannot be read."""
    try:
        return os.lstat(path).st_mode
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return None


def _obstacle(base: bytes, path: bytes, mode: int, *, inside: bool) -> Rule | None:
    """Return why a path cannot ship although the rules include it; ``inside``: the question is about a path below it."""
    if stat.S_ISLNK(mode):
        return look_through(base + path, base)[1] or (SYMLINK_TO_DIRECTORY if inside else None)
    if stat.S_ISDIR(mode):
        return None if os.access(base + path, os.R_OK | os.X_OK) else UNREADABLE
    return look_at(base + path, follow_symlinks=False)[1] if stat.S_ISREG(mode) else SPECIAL_FILE
