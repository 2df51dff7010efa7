"""Walking a model definition from the top, without entering what is left out."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from detjupyter.bundle.ignore import IgnoreFile, IgnoreRules
from detjupyter.bundle.report import FileEntry, FileReport, Kind
from detjupyter.bundle.rules import (
    SPECIAL_FILE,
    SYMLINK_BROKEN,
    SYMLINK_OUTSIDE,
    SYMLINK_TO_DIRECTORY,
    UNREADABLE,
    VANISHED,
    Rule,
    always_rule,
)


def scan(root: Path, *, defaults: bool = True, expand: bool = False) -> FileReport:
    """Decide about every path of a model definition.

    Args:
        root: A directory, or the single .py file that is the whole definition (then nothing else ships).
        defaults: Whether the default rules hold (`.git/`, `node_modules/`, …).
        expand: Whether directories that are left out are entered too, so that each file in them is listed, with the rule that left its
            directory out. Otherwise such a directory is one entry, whatever it holds.

    Returns:
        The report, sorted by path. Nothing on disk makes this fail: what cannot be read is left out and named.
    """
    root = root.resolve()
    if root.is_file():
        return FileReport(root, [FileEntry(root.name, "file", root.stat().st_size, included=True, rule=None)])
    rules = IgnoreRules(IgnoreFile.read(root), defaults=defaults)
    walk = _Walk(root, rules, expand=expand)
    walk.run()
    return FileReport(root, walk.entries, rules.problems)


class _Walk:
    """One walk: a stack of directories still to be read, and the entries found so far."""

    def __init__(self, root: Path, rules: IgnoreRules, *, expand: bool) -> None:
        self._root = root
        self._rules = rules
        self._expand = expand
        self._pending: list[tuple[str, Rule | None]] = [("", None)]
        self.entries: list[FileEntry] = []

    def run(self) -> None:
        while self._pending:
            prefix, left_out_by = self._pending.pop()
            try:
                with os.scandir(self._root / prefix) as listing:
                    found = list(listing)
            except OSError as error:
                rule = VANISHED if isinstance(error, FileNotFoundError) else UNREADABLE
                if left_out_by is None:  # else its own entry has been made
                    self._leave_out(prefix or "./", "directory", 0, rule)
                continue
            for entry in found:
                if entry.is_dir(follow_symlinks=False):
                    self._directory(entry, prefix + entry.name, left_out_by)
                else:
                    self._file(entry, prefix + entry.name, left_out_by)

    def _directory(self, entry: os.DirEntry[str], path: str, left_out_by: Rule | None) -> None:
        if left_out_by is None:
            excluded, rule = self._verdict(entry.name, path, is_directory=True)
            left_out_by = rule if excluded else None
            if left_out_by is not None:
                self._leave_out(path + "/", "directory", 0, left_out_by)
        if left_out_by is None or self._expand:
            self._pending.append((path + "/", left_out_by))

    def _file(self, entry: os.DirEntry[str], path: str, left_out_by: Rule | None) -> None:
        kind: Kind = "symlink" if entry.is_symlink() else "file"
        kept_by = None
        if left_out_by is None:
            excluded, rule = self._verdict(entry.name, path, is_directory=False)
            left_out_by, kept_by = (rule, None) if excluded else (None, rule)
        if left_out_by is None and kind == "symlink":
            left_out_by = self._symlink_obstacle(entry)
        if left_out_by is not None:
            self._leave_out(path, kind, _size_bytes(entry), left_out_by)
            return
        size_bytes, obstacle = _look_at(entry)
        if obstacle is not None:
            self._leave_out(path, kind, size_bytes, obstacle)
        else:
            self.entries.append(FileEntry(path, kind, size_bytes, included=True, rule=kept_by))

    def _verdict(self, name: str, path: str, *, is_directory: bool) -> tuple[bool, Rule | None]:
        """Return whether the rules leave the path out, and the one that decided (None: no rule speaks of it)."""
        always = always_rule(name, is_directory=is_directory)
        return (True, always) if always is not None else self._rules.decide(path, is_directory=is_directory)

    def _symlink_obstacle(self, entry: os.DirEntry[str]) -> Rule | None:
        """Return why a symlink cannot ship as the content of its target, or None."""
        try:
            target = Path(entry.path).resolve(strict=True)
        except (OSError, RuntimeError):  # RuntimeError: how pathlib before 3.13 reports a loop
            return SYMLINK_BROKEN
        if not target.is_relative_to(self._root):
            return SYMLINK_OUTSIDE
        return SYMLINK_TO_DIRECTORY if target.is_dir() else None

    def _leave_out(self, path: str, kind: Kind, size_bytes: int, rule: Rule) -> None:
        self.entries.append(FileEntry(path, kind, size_bytes, included=False, rule=rule))


def _size_bytes(entry: os.DirEntry[str]) -> int:
    """Return the size of a file that stays, without following a link; 0 when it cannot be told."""
    try:
        return entry.stat(follow_symlinks=False).st_size
    except OSError:
        return 0


def _look_at(entry: os.DirEntry[str]) -> tuple[int, Rule | None]:
    """Return the size of what would ship, and the obstacle if there is one. Never opens the file: a pipe would block for ever."""
    try:
        status = entry.stat()
    except FileNotFoundError:
        return 0, VANISHED
    except OSError:
        return 0, UNREADABLE
    if not stat.S_ISREG(status.st_mode):
        return 0, SPECIAL_FILE
    # A file that the whole world may read needs no second system call to find out whether we may.
    readable = status.st_mode & 0o444 == 0o444 or os.access(entry.path, os.R_OK)
    return status.st_size, None if readable else UNREADABLE
