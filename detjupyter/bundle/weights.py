"""What weighs most among what ships, for when the total is near the limit or over it."""

from __future__ import annotations

from dataclasses import dataclass

from detjupyter.bundle.report import FileReport

_MOST_OF_IT = 0.8


@dataclass(frozen=True, slots=True)
class Culprit:
    """A folder or a file that weighs much.

    Attributes:
        path: Relative to the root; a folder's ends in ``/``.
        size_bytes: What of it ships.
        files: How many files that is.
    """

    path: str
    size_bytes: int
    files: int


def folder_sizes(report: FileReport) -> dict[str, tuple[int, int]]:
    """Return for each folder (with its final ``/``; ``""`` is the root) how many bytes of it ship, and in how many files."""
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


def culprits(report: FileReport, n: int = 5) -> list[Culprit]:
    """Return the ``n`` folders and files that weigh most, biggest first, none of them inside another.

    A folder is named at the depth where its weight is: as long as one thing in it holds most of it (four fifths), that thing is named
    instead. The root is never named.
    """
    folders = folder_sizes(report)
    inside: dict[str, list[Culprit]] = {}
    for folder, (size_bytes, files) in folders.items():
        if folder:
            inside.setdefault(folder[: folder.rfind("/", 0, -1) + 1], []).append(Culprit(folder, size_bytes, files))
    heaviest: dict[str, Culprit] = {}
    top: list[Culprit] = list(inside.get("", ()))
    for path, size_bytes in report.included_sizes():
        folder = path[: path.rfind("/") + 1]
        if not folder:
            top.append(Culprit(path, size_bytes, 1))
        elif folder not in heaviest or size_bytes > heaviest[folder].size_bytes:
            heaviest[folder] = Culprit(path, size_bytes, 1)
    top.sort(key=lambda culprit: (-culprit.size_bytes, culprit.path))
    return [_deepest(culprit, inside, heaviest) for culprit in top[:n] if culprit.size_bytes]


def _deepest(culprit: Culprit, inside: dict[str, list[Culprit]], heaviest: dict[str, Culprit]) -> Culprit:
    """Go down as long as one folder or file holds most of the one above it."""
    while culprit.path.endswith("/"):
        candidates = [*inside.get(culprit.path, ()), *([heaviest[culprit.path]] if culprit.path in heaviest else ())]
        largest = max(candidates, key=lambda candidate: candidate.size_bytes, default=None)
        if largest is None or largest.size_bytes < _MOST_OF_IT * culprit.size_bytes:
            break
        culprit = largest
    return culprit
