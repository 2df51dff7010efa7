"""The answer of a scan: every path with its size, whether it ships, and why."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from detjupyter.bundle.rules import Rule

if TYPE_CHECKING:
    from detjupyter.protocol.records import FileRecord

#: What Determined's uploader accepts: 95 MiB of content (constants.py of its harness).
LIMIT_BYTES = 99_614_720

_CHUNK_BYTES = 1 << 20

Kind = Literal["file", "directory", "symlink"]


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One path of a model definition.

    Attributes:
        path: Relative to the root, POSIX. A directory that is left out as a whole ends in ``/``.
        kind: What stands there; a symlink that ships does so as the content of the file it points to.
        size_bytes: Bytes that ship, or would; 0 for a directory that is not entered.
        included: Whether it ships.
        rule: What decided; None when no rule speaks of the path.
    """

    path: str
    kind: Kind
    size_bytes: int
    included: bool
    rule: Rule | None


class FileReport:
    """Every path of a model definition, sorted.

    Attributes:
        root: The directory or the single file that was scanned.
        limit_bytes: The most that an upload may hold.
        problems: One sentence for each line of `.detignore` that could not be understood.
    """

    limit_bytes = LIMIT_BYTES

    def __init__(self, root: Path, entries: Sequence[FileEntry], problems: Sequence[str] = ()) -> None:
        self.root = root
        self.problems = tuple(problems)
        self._entries = tuple(sorted(entries, key=lambda entry: entry.path))

    def __iter__(self) -> Iterator[FileEntry]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"FileReport({str(self.root)!r}: {len(self.included)} included, {self.total_bytes:,} bytes, {len(self.excluded)} left out)"

    @cached_property
    def included(self) -> list[FileEntry]:
        """The files that ship."""
        return [entry for entry in self._entries if entry.included]

    @cached_property
    def excluded(self) -> list[FileEntry]:
        """The files and directories that stay."""
        return [entry for entry in self._entries if not entry.included]

    @cached_property
    def total_bytes(self) -> int:
        """The size of all that ships."""
        return sum(entry.size_bytes for entry in self.included)

    @cached_property
    def hash(self) -> str:
        """The SHA-256 (hex) of all that ships: names, whether executable, contents. Read once, when first asked for.

        Of the mode only the owner's execute bit counts, as in git, so that a checkout under another umask has the same hash.
        A file that can no longer be read counts by its name alone.
        """
        total = hashlib.sha256()
        for entry in self.included:
            path = self.locate(entry)
            for part in (entry.path.encode("utf-8", "surrogateescape"), _mode(path), _content_hash(path)):
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
            for entry in self._entries[:limit]
        )


def _printable(text: str) -> str:
    """Replace the bytes of a name that are not UTF-8: JSON cannot carry them."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _mode(path: Path) -> bytes:
    try:
        return b"x" if path.stat().st_mode & stat.S_IXUSR else b"-"
    except OSError:
        return b"?"


def _content_hash(path: Path) -> bytes:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    except OSError:
        return b"?"
    return digest.digest()
