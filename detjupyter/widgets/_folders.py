"""The folders of a model definition with their totals, and the choice of rows to list when there are too many."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count

from detjupyter.bundle.report import FileEntry

MOST_PATHS = 2000
MOST_FOLDERS = 500
_FIRST_SHARE = 100
_MOST_LEVELS = 60

Marks = Mapping[str, str]
"""Where Determined's uploader decides differently: path to ``only here`` or ``only there``, as `bundle.differences` returns it."""


@dataclass(slots=True, eq=False)
class Folder:
    """A folder and its contents.

    Attributes:
        name: Its name; empty for the root.
        path: Relative to the root, with a final ``/``; empty for the root.
        folders: Its subfolders that were scanned, by name.
        entry: Its own entry, if it is left out as a whole but was scanned.
        entries: The files in it, and the directories in it that are left out as a whole.
        size_bytes: The size of the files below it that ship.
        files: The number of these files.
        left_out: The number of paths below it that are left out.
        left_out_bytes: Their size, as far as it is known.
        marks: The number of paths below it about which Determined's uploader decides differently.
        listed_folders: Its subfolders that have a row.
        listed_entries: Its entries that have a row.
    """

    name: str
    path: str
    entry: FileEntry | None = None
    folders: dict[str, Folder] = field(default_factory=dict)
    entries: list[FileEntry] = field(default_factory=list)
    size_bytes: int = 0
    files: int = 0
    left_out: int = 0
    left_out_bytes: int = 0
    marks: int = 0
    listed_folders: list[Folder] = field(default_factory=list)
    listed_entries: list[FileEntry] = field(default_factory=list)

    @property
    def weight(self) -> tuple[int, int, int]:
        """The sort key of folders: bytes that ship, then bytes that are left out, then the number of paths."""
        return self.size_bytes, self.left_out_bytes, self.files + self.left_out

    @property
    def paths(self) -> int:
        """The number of paths below it, counted as in the report."""
        return self.files + self.left_out

    @property
    def is_open(self) -> bool:
        """Whether any row below it is listed."""
        return bool(self.listed_folders or self.listed_entries)

    @property
    def hidden(self) -> int:
        """The number of paths without a row that are in this folder or in subfolders without a row."""
        listed = len(self.listed_entries) + sum(below.paths + (below.entry is not None) for below in self.listed_folders)
        return self.paths - listed


@dataclass(frozen=True, slots=True)
class Tree:
    """The folders below a root.

    Attributes:
        root: The root.
        marks: Where Determined's uploader decides differently, by path.
        marked_inside: For each directory that is left out as a whole, the number of its files that Determined's uploader ships.
    """

    root: Folder
    marks: Marks
    marked_inside: Mapping[str, int]

    def mark_of(self, entry: FileEntry) -> str | None:
        """Return how Determined's uploader decides differently about an entry, None if it decides the same."""
        if entry.path.endswith("/"):
            ships = self.marked_inside.get(entry.path, 0)
            return f"Determined ships {ships:,} {'file' if ships == 1 else 'files'} of it" if ships else None
        mark = self.marks.get(entry.path)
        return None if mark is None else "Determined leaves it out" if mark == "only here" else "Determined ships it"


def gather(entries: Iterable[FileEntry], marks: Marks) -> Tree:
    """Build the tree of the entries, with the totals of each folder; no row is listed yet."""
    root = Folder("", "")
    trails: dict[str, list[Folder]] = {"": [root]}
    directories: set[str] = set()
    for entry in entries:
        path = entry.path.rstrip("/")
        parent = path[: path.rfind("/") + 1]
        trail = trails.get(parent)
        if trail is None:
            trail = trails[parent] = _trail(root, parent)
        trail[-1].entries.append(entry)
        if entry.path.endswith("/"):
            directories.add(entry.path)
        for folder in trail:
            if entry.included:
                folder.size_bytes += entry.size_bytes
                folder.files += 1
            else:
                folder.left_out_bytes += entry.size_bytes
                folder.left_out += 1
    for trail in trails.values():
        _adopt(trail[-1])
    inside: Counter[str] = Counter()
    for path in marks:
        trail, carrier = _carrier(root, path)
        if carrier.endswith("/"):  # its directory is left out as a whole: the mark belongs to that directory, if it has an entry
            if carrier not in directories:
                continue
            inside[carrier] += 1
        for folder in trail:
            folder.marks += 1
    return Tree(root, marks, inside)


def choose(root: Folder, *, biggest: bool) -> None:
    """Choose the rows to list: at most 2,000 paths and 500 folders, the largest folders first.

    Each folder first gets rows for its hundred largest entries. The largest folders then get the rows that remain.

    Args:
        root: The root of the tree that `gather` returns.
        biggest: Whether the rows of each folder are sorted by size; if not, by name.
    """
    paths, folders = MOST_PATHS, MOST_FOLDERS
    turn = count()
    for share in (_FIRST_SHARE, MOST_PATHS):
        heap = [(_descending(root), next(turn), root)]
        while heap and (paths or folders):
            _, _, folder = heapq.heappop(heap)
            before = len(folder.listed_entries), len(folder.listed_folders)
            wanted = min(share, before[0] + paths)
            if wanted > before[0]:
                folder.listed_entries = heapq.nsmallest(wanted, folder.entries, key=_heaviest_entry)
            wanted = min(share, before[1] + folders)
            if wanted > before[1]:
                folder.listed_folders = heapq.nsmallest(wanted, folder.folders.values(), key=_heaviest_folder)
            paths -= len(folder.listed_entries) - before[0]
            folders -= len(folder.listed_folders) - before[1]
            for below in folder.listed_folders if folder.path.count("/") < _MOST_LEVELS else ():
                heapq.heappush(heap, (_descending(below), next(turn), below))
    _arrange(root, biggest=biggest)


def _trail(root: Folder, parent: str) -> list[Folder]:
    """Return the folders from the root down to ``parent``; missing ones are created."""
    trail = [root]
    for part in parent.split("/")[:-1]:
        above = trail[-1]
        folder = above.folders.get(part)
        if folder is None:
            folder = above.folders[part] = Folder(part, f"{above.path}{part}/")
        trail.append(folder)
    return trail


def _carrier(root: Folder, path: str) -> tuple[list[Folder], str]:
    """Return the folders from the root down to a path, and the path.

    If a folder of the path is not in the tree, return the folders above it, and its path with a final ``/``.
    """
    trail = [root]
    for part in path.split("/")[:-1]:
        below = trail[-1].folders.get(part)
        if below is None:
            return trail, f"{trail[-1].path}{part}/"
        trail.append(below)
    return trail, path


def _adopt(folder: Folder) -> None:
    """Move the entries of subfolders to those subfolders, so that none of them has two rows."""
    own = {}
    if folder.folders:
        directories = {entry.path: entry for entry in folder.entries if entry.path.endswith("/")}
        own = {below.path: directories[below.path] for below in folder.folders.values() if below.path in directories}
    if own:
        for below in folder.folders.values():
            below.entry = own.get(below.path)
        folder.entries = [entry for entry in folder.entries if entry.path not in own]


def _arrange(folder: Folder, *, biggest: bool) -> None:
    pending = [folder]
    while pending:
        folder = pending.pop()
        folder.listed_folders.sort(key=_heaviest_folder if biggest else _name_of_folder)
        folder.listed_entries.sort(key=_heaviest_entry if biggest else _name_of_entry)
        pending += folder.listed_folders


def listed(folder: Folder, *, biggest: bool) -> Iterator[Folder | FileEntry]:
    """Yield the rows directly below a folder: folders, then files; with ``biggest``, both sorted together by size."""
    rows: list[Folder | FileEntry] = [*folder.listed_folders, *folder.listed_entries]
    if biggest:
        rows.sort(key=lambda row: -row.size_bytes if isinstance(row, Folder) or row.included else 0)
    yield from rows


def _descending(folder: Folder) -> tuple[int, ...]:
    return tuple(-part for part in folder.weight)


def _heaviest_folder(folder: Folder) -> tuple[object, ...]:
    return (*_descending(folder), folder.name)


def _heaviest_entry(entry: FileEntry) -> tuple[bool, int, str]:
    return not entry.included, -entry.size_bytes, entry.path


def _name_of_folder(folder: Folder) -> str:
    return folder.name


def _name_of_entry(entry: FileEntry) -> str:
    return entry.path
