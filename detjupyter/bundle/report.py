"""The result of a scan: every path with its size, whether it ships, and why."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from detjupyter.bundle.entries import EntryTable, FileEntry
from detjupyter.text import printable

if TYPE_CHECKING:
    from detjupyter.protocol.records import FileRecord

__all__ = ["LIMIT_BYTES", "FileEntry", "FileReport"]

#: The limit of Determined's uploader: 95 MiB of content (constants.py of its harness).
LIMIT_BYTES = 99_614_720

_CHUNK_BYTES = 1 << 20


class FileReport:
    """Every path of a model definition, sorted.

    A report of a million paths is cheap: entries are created one by one while the report is iterated, and only the lists `included` and
    `excluded` contain all of them.

    Attributes:
        root: The directory or the single file that was scanned.
        limit_bytes: The size limit of an upload.
        problems: One sentence for each line of `.detignore` that could not be parsed.
    """

    limit_bytes = LIMIT_BYTES

    def __init__(self, root: Path, entries: EntryTable | Iterable[FileEntry], problems: Sequence[str] = ()) -> None:
        self.root = root
        self.problems = tuple(problems)
        self._entries = entries if isinstance(entries, EntryTable) else EntryTable.of(entries)

    def __iter__(self) -> Iterator[FileEntry]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return (
            f"FileReport({str(self.root)!r}: {self.included_files} included, {self.total_bytes:,} bytes, {self.excluded_entries} left out)"
        )

    @cached_property
    def included(self) -> list[FileEntry]:
        """The files that ship."""
        return list(self._entries.entries(included=True))

    @cached_property
    def excluded(self) -> list[FileEntry]:
        """The files and directories that are left out."""
        return list(self._entries.entries(included=False))

    @property
    def included_files(self) -> int:
        """The number of files that ship, counted without creating entries."""
        return self._counts[0]

    @property
    def excluded_entries(self) -> int:
        """The number of files and directories that are left out, counted without creating entries."""
        return self._counts[2]

    @property
    def total_bytes(self) -> int:
        """The total size of the files that ship."""
        return self._counts[1]

    @cached_property
    def _counts(self) -> tuple[int, int, int]:
        return self._entries.counts()

    def find(self, path: str) -> FileEntry | None:
        """Return the entry of a path (with a final ``/`` for a directory that is left out), or None."""
        return self._entries.find(path)

    def included_sizes(self) -> Iterator[tuple[str, int]]:
        """Yield path and size of every file that ships, in no particular order and without creating entries."""
        return self._entries.included_sizes()

    @cached_property
    def hash(self) -> str:
        """The SHA-256 (hex) of the files that ship: names, execute bits, contents. Computed once, on first use.

        Only the owner's execute bit of the mode counts, as in git, so that a checkout under another umask has the same hash.
        A file that can no longer be read counts only by its name.
        """
        return self.hash_with({})

    def hash_with(self, contents: Mapping[str, bytes]) -> str:
        """Return the hash with the contents of the files in ``contents`` (by path) replaced: modules as they were loaded."""
        total = hashlib.sha256()
        for path, mode, digest in self._modes_and_contents:
            given = contents.get(path)
            content = digest if given is None else hashlib.sha256(given).digest()
            for part in (os.fsencode(path), mode, content):
                total.update(len(part).to_bytes(8, "big") + part)
        return total.hexdigest()

    @cached_property
    def _modes_and_contents(self) -> list[tuple[str, bytes, bytes]]:
        return [(entry.path, *_mode_and_content(self.locate(entry))) for entry in self._entries.entries(included=True)]

    def locate(self, entry: FileEntry) -> Path:
        """Return the path of the entry on disk."""
        return self.root if self.root.is_file() else self.root / entry.path

    def records(self, limit: int | None = None) -> tuple[FileRecord, ...]:
        """Return the first ``limit`` entries (None: all) as records for browsers."""
        from detjupyter.protocol.records import FileRecord  # imported here because it imports numpy

        return tuple(
            FileRecord(
                path=printable(entry.path),
                kind=entry.kind,
                size_bytes=entry.size_bytes,
                included=entry.included,
                source=entry.rule.source if entry.rule else None,
                line=entry.rule.line if entry.rule else None,
                pattern=printable(entry.rule.pattern) if entry.rule else None,
            )
            for entry in islice(self._entries, limit)
        )


def _mode_and_content(path: Path) -> tuple[bytes, bytes]:
    """Return the execute bit and the digest of a file's content, each ``?`` if it cannot be read."""
    try:
        # A pipe may have replaced the file since the scan: without O_NONBLOCK, opening it would block forever.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError:
        return _mode(path), b"?"
    digest = hashlib.sha256()
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            return b"?", b"?"
        while chunk := os.read(descriptor, _CHUNK_BYTES):
            digest.update(chunk)
    except OSError:
        return b"?", b"?"
    finally:
        os.close(descriptor)
    return _execute_bit(mode), digest.digest()


def _mode(path: Path) -> bytes:
    try:
        return _execute_bit(path.stat().st_mode)
    except OSError:
        return b"?"


def _execute_bit(mode: int) -> bytes:
    return b"x" if mode & stat.S_IXUSR else b"-"
