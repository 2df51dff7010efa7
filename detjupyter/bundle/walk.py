"""Walk a model definition from the top, one listing at a time, without entering directories that are left out."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from detjupyter.bundle.entries import Kind, Listing, Verdict, Verdicts
from detjupyter.bundle.ignore import IgnoreRules
from detjupyter.bundle.matching import Level
from detjupyter.bundle.rules import SPECIAL_FILE, SYMLINK_BROKEN, SYMLINK_OUTSIDE, SYMLINK_TO_DIRECTORY, UNREADABLE, VANISHED, Rule

#: Called with the number of paths found so far; an exception that it raises ends the walk.
Progress = Callable[[int], None]

_LISTING_SIZE = 4096  # names processed together: enough to share the work, few enough to bound the memory for a folder of a million
_PROGRESS_S = 0.1


class Walk:
    """One walk through a tree: iterate over it to get its listings.

    Args:
        root: The directory, absolute and without symlinks in its path.
        rules: The rules that decide.
        expand: Whether to enter directories that are left out, too.
        sizes: Whether to check each file: its size, and whether it can be read. If not, only names and kinds are read, the sizes are
            missing, and every symlink counts as if it could ship.
        progress: Called with the number of paths so far, at most ten times a second.
        top: The start: a directory that is not left out, relative to the root, with a final ``/``.

    Attributes:
        verdicts: The verdicts that the codes of the listings refer to.
        paths: The number of paths found so far.
    """

    def __init__(
        self,
        root: bytes,
        rules: IgnoreRules,
        *,
        expand: bool = False,
        sizes: bool = True,
        progress: Progress | None = None,
        top: bytes = b"",
    ) -> None:
        self.verdicts = Verdicts()
        self.paths = 0
        self._base = root if root.endswith(b"/") else root + b"/"
        self._rules = rules
        self._expand = expand
        self._sizes = sizes
        self._progress = progress
        self._reported_at = time.monotonic()
        self._file_codes: dict[int, int] = {}
        # The rule is that of the directory above that is left out (only with expand), or None.
        self._pending: list[tuple[bytes, Level, Rule | None]] = [(top, self._level(top), None)]

    def __iter__(self) -> Iterator[Listing]:
        while self._pending:
            for listing, met in self._listings(*self._pending.pop()):
                self._report(met)
                yield listing

    def _listings(self, prefix: bytes, level: Level, left_out_by: Rule | None) -> Iterator[tuple[Listing, int]]:
        """Yield one directory in listings, each with the number of names read for it."""
        try:
            with os.scandir((self._base + prefix)[:-1] or b"/") as found:  # the root can be / itself
                while entries := list(islice(found, _LISTING_SIZE)):
                    yield self._judge(prefix, level, left_out_by, entries), len(entries)
        except OSError as error:
            if left_out_by is None:  # otherwise the directory already has an entry
                yield self._unreadable(prefix, VANISHED if isinstance(error, FileNotFoundError) else UNREADABLE), 0

    def _level(self, top: bytes) -> Level:
        level = self._rules.top
        for part in top.split(b"/")[:-1]:
            level = level.below(part)
        return level

    def _report(self, paths: int) -> None:
        self.paths += paths
        if self._progress is not None:
            now = time.monotonic()
            if now - self._reported_at >= _PROGRESS_S:
                self._reported_at = now
                self._progress(self.paths)

    def _judge(self, prefix: bytes, level: Level, left_out_by: Rule | None, entries: list[os.DirEntry[bytes]]) -> Listing:
        """Decide about some of the names in one directory, and queue the directories to enter."""
        listing = Listing(prefix, [], [], [])
        files: list[os.DirEntry[bytes]] = []
        others: list[os.DirEntry[bytes]] = []
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                files.append(entry)
            elif entry.is_dir(follow_symlinks=False):
                self._directory(listing, entry.name, level, left_out_by)
            else:
                others.append(entry)
        if files:
            self._files(listing, files, level, left_out_by)
        for entry in others:
            self._other(listing, entry, level, left_out_by)
        return listing

    def _directory(self, listing: Listing, name: bytes, level: Level, left_out_by: Rule | None) -> None:
        path = listing.prefix + name + b"/"
        if left_out_by is None:
            number = level.directory(name)
            if not self._rules.excludes(number):
                self._pending.append((path, level.below(name), None))
                return
            left_out_by = self._rules.rule(number)
            self._put(listing, name + b"/", "directory", 0, left_out_by)
        if self._expand:
            self._pending.append((path, level, left_out_by))

    def _files(self, listing: Listing, files: list[os.DirEntry[bytes]], level: Level, left_out_by: Rule | None) -> None:
        """Decide about regular files, all at once."""
        names = [entry.name for entry in files]
        if left_out_by is not None:
            codes = [self.verdicts.code(Verdict("file", included=False, rule=left_out_by))] * len(names)
        else:
            floor, matched = level.files(names)
            if matched:
                usual = self._file_code(floor)
                code_of = {number: self._file_code(number) for number in set(matched.values())}
                coded = {name: code_of[number] for name, number in matched.items()}
                codes = [coded.get(name, usual) for name in names]
            else:
                codes = [self._file_code(floor)] * len(names)
        if self._sizes:
            try:
                found = [entry.stat(follow_symlinks=False) for entry in files]
            except OSError:
                found = []  # one of them vanished: check each one separately
            if found and all(map(_may_read, found)):
                listing.sizes += [status.st_size for status in found]
            else:
                for place, entry in enumerate(files):
                    size_bytes, obstacle = look_at(entry.path, follow_symlinks=False)
                    listing.sizes.append(size_bytes)
                    if obstacle is not None and self.verdicts[codes[place]].included:
                        codes[place] = self.verdicts.code(Verdict("file", included=False, rule=obstacle))
        listing.names += names
        listing.codes += codes

    def _file_code(self, number: int) -> int:
        code = self._file_codes.get(number)
        if code is None:
            verdict = Verdict("file", not self._rules.excludes(number), self._rules.rule(number))
            code = self._file_codes[number] = self.verdicts.code(verdict)
        return code

    def _other(self, listing: Listing, entry: os.DirEntry[bytes], level: Level, left_out_by: Rule | None) -> None:
        """Decide about a symlink or a special file."""
        kind: Kind = "symlink" if entry.is_symlink() else "file"
        rule = left_out_by
        kept_by = None
        if rule is None:
            number = level.file(entry.name)
            rule, kept_by = (self._rules.rule(number), None) if self._rules.excludes(number) else (None, self._rules.rule(number))
        size_bytes = 0
        if kind == "file":
            rule = rule or SPECIAL_FILE
        elif self._sizes and rule is None:
            size_bytes, rule = look_through(entry.path, self._base)
        if rule is None:
            self._put(listing, entry.name, kind, size_bytes, kept_by, included=True)
        else:
            self._put(listing, entry.name, kind, size_bytes, rule)

    def _put(self, listing: Listing, name: bytes, kind: Kind, size_bytes: int, rule: Rule | None, *, included: bool = False) -> None:
        listing.names.append(name)
        listing.codes.append(self.verdicts.code(Verdict(kind, included, rule)))
        if self._sizes:
            listing.sizes.append(size_bytes)

    def _unreadable(self, prefix: bytes, rule: Rule) -> Listing:
        parent = prefix[: prefix.rfind(b"/", 0, -1) + 1]
        listing = Listing(parent, [], [], [])
        self._put(listing, prefix[len(parent) :] or b"./", "directory", 0, rule)
        return listing


def look_through(link: bytes, base: bytes) -> tuple[int, Rule | None]:
    """Return the size of the file that a symlink points to, and why it cannot ship as that file's content (None: it can).

    Args:
        link: The path of the symlink.
        base: The root, with a final ``/``.
    """
    try:
        target = os.path.realpath(link, strict=True)
    except PermissionError:
        return 0, UNREADABLE
    except OSError:  # a broken link, or a loop of links
        return 0, SYMLINK_BROKEN
    if not (target + b"/").startswith(base):
        return 0, SYMLINK_OUTSIDE
    return (0, SYMLINK_TO_DIRECTORY) if Path(os.fsdecode(target)).is_dir() else look_at(target, follow_symlinks=True)


def look_at(path: bytes, *, follow_symlinks: bool) -> tuple[int, Rule | None]:
    """Return the size of the content that would ship, and the obstacle if there is one. Never opens the file: a pipe would block."""
    try:
        status = Path(os.fsdecode(path)).stat(follow_symlinks=follow_symlinks)
    except FileNotFoundError:
        return 0, VANISHED
    except OSError:
        return 0, UNREADABLE
    if not stat.S_ISREG(status.st_mode):
        return 0, SPECIAL_FILE
    return status.st_size, None if _may_read(status) or os.access(path, os.R_OK) else UNREADABLE


def _may_read(status: os.stat_result) -> bool:
    """Return whether the mode alone shows that the process can read a file, which saves a second system call."""
    return status.st_mode & 0o444 == 0o444 or (status.st_uid == _USER and status.st_mode & 0o400 != 0)


_USER = os.geteuid() if hasattr(os, "geteuid") else -1
