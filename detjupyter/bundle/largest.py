"""The largest folders and files that ship, shown when the total is near or over the limit."""

from __future__ import annotations

from dataclasses import dataclass

from detjupyter.bundle.report import FileReport

_DOMINANT_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class LargestItem:
    """One of the largest folders or files.

    Attributes:
        path: Relative to the root; a folder's ends in ``/``.
        size_bytes: The size of its files that ship.
        files: The number of these files.
    """

    path: str
    size_bytes: int
    files: int


def folder_sizes(report: FileReport) -> dict[str, tuple[int, int]]:
    """Return for each folder (with a final ``/``; ``""`` is the root) the size and the number of its files that ship."""
    own: dict[str, list[int]] = {}
    for path, size_bytes in report.included_sizes():
        total = own.setdefault(path[: path.rfind("/") + 1], [0, 0])
        total[0] += size_bytes
        total[1] += 1
    sums: dict[str, list[int]] = {"": [0, 0]}
    for folder, (size_bytes, files) in own.items():
        above = folder
        while True:
            total = sums.setdefault(above, [0, 0])
            total[0] += size_bytes
            total[1] += files
            if not above:
                break
            above = above[: above.rfind("/", 0, -1) + 1]
    return {folder: (size_bytes, files) for folder, (size_bytes, files) in sums.items()}


def largest_items(report: FileReport, n: int = 5) -> list[LargestItem]:
    """Return the ``n`` largest folders and files, largest first, none of them inside another.

    If one folder or file makes up most (four fifths) of a folder, it is named instead of that folder. The root is never named.
    """
    folders = folder_sizes(report)
    inside: dict[str, list[LargestItem]] = {}
    for folder, (size_bytes, files) in folders.items():
        if folder:
            inside.setdefault(folder[: folder.rfind("/", 0, -1) + 1], []).append(LargestItem(folder, size_bytes, files))
    largest_file: dict[str, LargestItem] = {}
    top: list[LargestItem] = list(inside.get("", ()))
    for path, size_bytes in report.included_sizes():
        folder = path[: path.rfind("/") + 1]
        if not folder:
            top.append(LargestItem(path, size_bytes, 1))
        elif folder not in largest_file or size_bytes > largest_file[folder].size_bytes:
            largest_file[folder] = LargestItem(path, size_bytes, 1)
    top.sort(key=lambda item: (-item.size_bytes, item.path))
    return [_deepest(item, inside, largest_file) for item in top[:n] if item.size_bytes]


def _deepest(item: LargestItem, inside: dict[str, list[LargestItem]], largest_file: dict[str, LargestItem]) -> LargestItem:
    """Descend as long as one folder or file makes up most of the folder above it."""
    while item.path.endswith("/"):
        candidates = [*inside.get(item.path, ()), *([largest_file[item.path]] if item.path in largest_file else ())]
        largest = max(candidates, key=lambda candidate: candidate.size_bytes, default=None)
        if largest is None or largest.size_bytes < _DOMINANT_SHARE * item.size_bytes:
            break
        item = largest
    return item
