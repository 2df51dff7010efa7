"""The answer of a scan: every path with its size, whether it ships, and why."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from detjupyter.bundle.catalogue import Catalogue, FileEntry

if TYPE_CHECKING:
    from detjupyter.protocol.records import FileRecord

__all__ = ["LIMIT_BYTES", "FileEntry", "FileReport"]

#: What Determined's uploader accepts: 95 MiB of content (constants.py of its harness).
LIMIT_BYTES = 99_614_720

_CHUNK_BYTES = 1 << 20


class FileReport:
    """Every path of a model definition, sorted.

    A million paths are no burden until somebody asks for them: entries are made one by one while the report is iterated, and only the
    lists `included` and `excluded` hold them all.

    Attributes:
        root: The directory or the single file that was scanned.
        limit_bytes: The most that an upload may hold.
        problems: One sentence for each line of `.detignore` that could not be understood.
    """

    limit_bytes = LIMIT_BYTES

    def __init__(self, root: Path, entries: Catalogue | Iterable[FileEntry], problems: Sequence[str] = ()) -> None:
        self.root = root
        self.problems = tuple(problems)
        self._entries = entries if isinstance(entries, Catalogue) else Catalogue.of(entries)

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
        """The files and directories that stay."""
        return list(self._entries.entries(included=False))

    @property
    def included_files(self) -> int:
        """How many files ship, counted without making entries."""
        return self._counts[0]

    @property
    def excluded_entries(self) -> int:
        """How many files and directories stay, counted without making entries."""
        return self._counts[2]

    @property
    def total_bytes(self) -> int:
        """The size of all that ships."""
        return self._counts[1]

    @cached_property
    def _counts(self) -> tuple[int, int, int]:
        return self._entries.counts()

    def find(self, path: str) -> FileEntry | None:
        """Return the entry of one path (a directory that is left out: with its final ``/``), or None."""
        return self._entries.find(path)

    def included_sizes(self) -> Iterator[tuple[str, int]]:
        """Yield path and size of all that ships, in no particular order and without making entries."""
        return self._entries.included_sizes()

    @cached_property
    def hash(self) -> str:
        """The SHA-256 (hex) of all that ships: names, whether executable, contents. Read once, when first asked for.

        Of the mode only the owner's execute bit counts, as in git, so that a checkout under another umask has the same hash.
        A file that can no longer be read counts by its name alone.
        """
        total = hashlib.sha256()
        for entry in self._entries.entries(included=True):
            for part in (os.fsencode(entry.path), *_mode_and_content(self.locate(entry))):
                total.update(len(part).to_bytes(8, "big") + part)
        return total.hexdigest()

    def locate(self, entry: FileEntry) -> Path:
        """Return where the entry stands on disk."""
        return self.root if self.root.is_file() else self.root / entry.path

    def records(self, limit: int | None = None) -> tuple[FileRecord, ...]:
        """Return the first ``limit`` entries (None: all) in the form that browsers read."""
        from detjupyter.protocol.records import FileRecord  # here, because it brings numpy

        return tuple(
            FileRecord(
                path=_printable(entry.path),
                kind=entry.kind,
                size_bytes=entry.size_bytes,
                included=entry.included,
                source=entry.rule.source if entry.rule else None,
                line=entry.rule.line if entry.rule else None,
                pattern=_printable(entry.rule.pattern) if entry.rule else None,
            )
            for entry in islice(self._entries, limit)
        )


def _printable(text: str) -> str:
    """Replace the bytes of a name that are not UTF-8: JSON cannot carry them."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _mode_and_content(path: Path) -> tuple[bytes, bytes]:
    """Return the execute bit and the digest of a file's content, each ``?`` if it cannot be told."""
    try:
        # A pipe may have taken the file's place since the scan: without O_NONBLOCK opening it would wait for ever.
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
