"""The folders of a model definition with their sums, and which of their rows to list when there are too many."""

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
"""What Determined's uploader decides otherwise: path to ``only here`` or ``only there``, as `bundle.differences` returns it."""


@dataclass(slots=True, eq=False)
class Folder:
    """A folder with what stands in it.

    Attributes:
        name: Its name; empty for the root.
        path: Relative to the root, with a final ``/``; empty for the root.
        folders: The folders in it that are looked into, by name.
        entry: Its own, if it is left out as a whole and was looked into all the same.
        entries: The files and the directories left out as a whole that stand in it.
        size_bytes: How much of what is below it ships.
        files: How many files that is.
        left_out: How many paths below it stay.
        left_out_bytes: Their size, as far as they were looked at.
        marks: About how many paths below it Determined's uploader decides otherwise.
        listed_folders: The folders in it that have a row.
        listed_entries: The entries in it that have a row.
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
        """What ranks folders: what ships of them, then what stays, then how much there is."""
        return self.size_bytes, self.left_out_bytes, self.files + self.left_out

    @property
    def paths(self) -> int:
        """How many paths are below it, counted as the report does."""
        return self.files + self.left_out

    @property
    def is_open(self) -> bool:
        """Whether any of its rows is listed."""
        return bool(self.listed_folders or self.listed_entries)

    @property
    def hidden(self) -> int:
        """How many paths below it have no row, though it is open itself: they stand in it, or in folders of it without a row."""
        listed = len(self.listed_entries) + sum(below.paths + (below.entry is not None) for below in self.listed_folders)
        return self.paths - listed


@dataclass(frozen=True, slots=True)
class Tree:
    """The folders below a root.

    Attributes:
        root: The root.
        marks: What Determined's uploader decides otherwise, by path.
        marked_inside: For each directory that is left out as a whole, how many files of it Determined's uploader ships.
    """

    root: Folder
    marks: Marks
    marked_inside: Mapping[str, int]

    def mark_of(self, entry: FileEntry) -> str | None:
        """Return what is to be said of Determined's uploader about an entry, None if it decides the same."""
        if entry.path.endswith("/"):
            ships = self.marked_inside.get(entry.path, 0)
            return f"Determined ships {ships:,} {'file' if ships == 1 else 'files'} of it" if ships else None
        mark = self.marks.get(entry.path)
        return None if mark is None else "Determined leaves it out" if mark == "only here" else "Determined ships it"


def gather(entries: Iterable[FileEntry], marks: Marks) -> Tree:
    """Return the tree that the entries make, with the sums of each folder; nothing of it is listed yet."""
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
        if carrier.endswith("/"):  # its directory is left out as a whole, and carries the mark if it is among the entries
            if carrier not in directories:
                continue
            inside[carrier] += 1
        for folder in trail:
            folder.marks += 1
    return Tree(root, marks, inside)


def choose(root: Folder, *, biggest: bool) -> None:
    """Decide which rows are listed: at most 2,000 paths and 500 folders, those of the heaviest folders first.

    Of each folder a hundred rows are listed, the biggest; what is left of the allowance then goes to the heaviest folders.

    Args:
        root: The root of what `gather` returns.
        biggest: Whether each folder's rows stand in the order of their sizes; otherwise by name.
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
    """Return the folders from the root down to ``parent``, made where they are missing."""
    trail = [root]
    for part in parent.split("/")[:-1]:
        above = trail[-1]
        folder = above.folders.get(part)
        if folder is None:
            folder = above.folders[part] = Folder(part, f"{above.path}{part}/")
        trail.append(folder)
    return trail


def _carrier(root: Folder, path: str) -> tuple[list[Folder], str]:
    """Return the folders from the root down to a path, and the path; or what of it is no folder here, with its final ``/``."""
    trail = [root]
    for part in path.split("/")[:-1]:
        below = trail[-1].folders.get(part)
        if below is None:
            return trail, f"{trail[-1].path}{part}/"
        trail.append(below)
    return trail, path


def _adopt(folder: Folder) -> None:
    """Give the folders in a folder their own entries, so that none of them has two rows."""
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
    """Yield the rows right below a folder: folders, then files; with ``biggest`` mixed, by size."""
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


def legible(text: str) -> str:
    """Return a name with a sign in the place of each byte that is not UTF-8: neither HTML nor JSON can carry those."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
