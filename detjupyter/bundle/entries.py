"""Compact storage of very many paths: columns per folder, from which entries are created on access."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import compress
from typing import Literal

from detjupyter.bundle.rules import Rule

Kind = Literal["file", "directory", "symlink"]


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One path of a model definition.

    Attributes:
        path: Relative to the root, POSIX. A directory that is left out as a whole ends in ``/``.
        kind: The kind of the path. A symlink ships as the content of the file that it points to.
        size_bytes: The bytes that ship, or would ship; 0 for a directory that is not scanned.
        included: Whether it ships.
        rule: The rule that decided; None if no rule matches the path.
    """

    path: str
    kind: Kind
    size_bytes: int
    included: bool
    rule: Rule | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The part of a `FileEntry` that many paths share: everything except its path and size."""

    kind: Kind
    included: bool
    rule: Rule | None


class Verdicts:
    """Verdicts, numbered in the order of their first use."""

    def __init__(self) -> None:
        self._codes: dict[Verdict, int] = {}
        self._verdicts: list[Verdict] = []

    def __getitem__(self, code: int) -> Verdict:
        return self._verdicts[code]

    def code(self, verdict: Verdict) -> int:
        """Return the number of a verdict; a verdict that is not known yet gets a new number."""
        code = self._codes.get(verdict)
        if code is None:
            code = self._codes[verdict] = len(self._verdicts)
            self._verdicts.append(verdict)
        return code


@dataclass(slots=True)
class Listing:
    """Some of the paths of one directory, in columns.

    Attributes:
        prefix: The directory, relative to the root, with a final ``/``; empty for the root.
        names: The names; those of directories that are left out end in ``/``.
        sizes: Their sizes in bytes; empty if no sizes were requested.
        codes: The numbers of their verdicts.
    """

    prefix: bytes
    names: list[bytes]
    sizes: list[int]
    codes: list[int]


class _Folder:
    """The paths of one directory: its names in one string, and two columns."""

    __slots__ = ("codes", "names", "sizes")

    def __init__(self) -> None:
        self.names: list[bytes] = []  # NUL between the names of one listing: no file name contains one
        self.sizes = array("q")  # numbers in arrays: a million files take 30 MB in all
        self.codes = array("i")


class EntryTable:
    """The paths of a tree, sorted when they are read.

    Args:
        verdicts: The verdicts that the codes of the listings refer to.
    """

    def __init__(self, verdicts: Verdicts) -> None:
        self._verdicts = verdicts
        self._folders: dict[bytes, _Folder] = {}
        self._below: dict[bytes, list[bytes]] | None = None
        self._length = 0

    @classmethod
    def of(cls, entries: Iterable[FileEntry]) -> EntryTable:
        """Create a table of existing entries."""
        table = cls(Verdicts())
        for entry in entries:
            path = os.fsencode(entry.path)
            name = path.rstrip(b"/").rpartition(b"/")[2] + (b"/" if path.endswith(b"/") else b"")
            code = table._verdicts.code(Verdict(entry.kind, entry.included, entry.rule))
            table.add(Listing(path.removesuffix(name), [name], [entry.size_bytes], [code]))
        return table

    def add(self, listing: Listing) -> None:
        """Add the paths of a listing."""
        if not listing.names:
            return
        folder = self._folders.get(listing.prefix)
        if folder is None:
            folder = self._folders[listing.prefix] = _Folder()
        folder.names.append(b"\0".join(listing.names))
        folder.sizes.extend(listing.sizes)
        folder.codes.extend(listing.codes)
        self._length += len(listing.names)
        self._below = None

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[FileEntry]:
        return self.entries()

    def entries(self, *, included: bool | None = None) -> Iterator[FileEntry]:
        """Yield the entries in the order of their paths.

        Args:
            included: Only those that ship (True), only those that are left out (False), or all (None).
        """
        verdicts = self._verdicts
        for prefix, name, size_bytes, code in self._rows():
            verdict = verdicts[code]
            if included is None or verdict.included is included:
                yield FileEntry(prefix + name, verdict.kind, size_bytes, verdict.included, verdict.rule)

    def included_sizes(self) -> Iterator[tuple[str, int]]:
        """Yield path and size of every file that ships, in no particular order and without creating entries."""
        for prefix, folder in self._folders.items():
            shipping = {code for code in set(folder.codes) if self._verdicts[code].included}
            start = os.fsdecode(prefix)
            for name, size_bytes, code in zip(_names(folder), folder.sizes, folder.codes, strict=True):
                if code in shipping:
                    yield start + name, size_bytes

    def counts(self) -> tuple[int, int, int]:
        """Return the number of paths that ship, their size in bytes, and the number of paths that are left out."""
        files = size_bytes = 0
        for folder in self._folders.values():
            shipping = {code for code in set(folder.codes) if self._verdicts[code].included}
            files += sum(folder.codes.count(code) for code in shipping)
            size_bytes += sum(compress(folder.sizes, map(shipping.__contains__, folder.codes)))
        return files, size_bytes, self._length - files

    def find(self, path: str) -> FileEntry | None:
        """Return the entry of a path (with a final ``/`` for a directory that is left out), or None."""
        encoded = os.fsencode(path)
        name = encoded.rstrip(b"/").rpartition(b"/")[2]
        prefix = encoded[: len(encoded.rstrip(b"/")) - len(name)]
        folder = self._folders.get(prefix)
        if folder is None:
            return None
        wanted = os.fsdecode(encoded[len(prefix) :])
        names = _names(folder)
        if wanted not in names:
            return None
        place = names.index(wanted)
        verdict = self._verdicts[folder.codes[place]]
        return FileEntry(path, verdict.kind, folder.sizes[place], verdict.included, verdict.rule)

    def _rows(self) -> Iterator[tuple[str, str, int, int]]:
        """Yield (prefix, name, size, code) sorted by path: files and subfolders are sorted together, subfolders with a final ``/``."""
        pending = [(b"", "", iter(self._sorted(b"")))]
        while pending:
            key, prefix, rows = pending[-1]
            for name, size_bytes, code in rows:
                if code >= 0:
                    yield prefix, name, size_bytes, code
                else:
                    below = key + os.fsencode(name)
                    pending.append((below, prefix + name, iter(self._sorted(below))))
                    break
            else:
                pending.pop()

    def _sorted(self, prefix: bytes) -> list[tuple[str, int, int]]:
        """Return the rows of one folder in order; a subfolder has the code -1 and comes after the entry of the same name."""
        folder = self._folders.get(prefix)
        rows = [] if folder is None else list(zip(_names(folder), folder.sizes, folder.codes, strict=True))
        rows += [(os.fsdecode(name), 0, -1) for name in self._folders_below().get(prefix, ())]
        rows.sort(key=_entry_before_folder)
        return rows

    def _folders_below(self) -> dict[bytes, list[bytes]]:
        """Return the names of the subfolders of each folder, including folders that contain only folders."""
        if self._below is None:
            below: dict[bytes, list[bytes]] = {}
            known = {b""}
            for prefix in self._folders:
                while prefix not in known:
                    known.add(prefix)
                    parent = prefix[: prefix.rfind(b"/", 0, -1) + 1]
                    below.setdefault(parent, []).append(prefix[len(parent) :])
                    prefix = parent
            self._below = below
        return self._below


def _names(folder: _Folder) -> list[str]:
    return os.fsdecode(b"\0".join(folder.names)).split("\0")


def _entry_before_folder(row: tuple[str, int, int]) -> tuple[str, bool]:
    return row[0], row[2] < 0
