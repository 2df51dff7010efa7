"""Compare the files under its root that a definition uses with the files that ship.

`watch_usage` records, through Python's audit hook, the files that the definition's own threads open; `usage_report` compares imported and
opened files with a scan. The hook sees files opened by Python or through it (numpy, pandas, PIL, `torch.load`), but not files that a C
library opens itself (OpenCV, HDF5). So "not used" is only a hint.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from detjupyter.bundle import FileEntry, FileReport
from detjupyter.bundle.rules import IGNORE_FILE_NAME, Rule
from detjupyter.definition.opened_files import UsageWatch, join_from_environment, watch_usage
from detjupyter.text import one_line

__all__ = ["UnshippedFile", "UnusedFile", "Usage", "UsageWatch", "join_from_environment", "usage_report", "watch_usage"]

How = Literal["imported", "opened"]

# Files for users, for Determined or for the notebook, which the code of the definition does not read.
_NOT_FOR_CODE = re.compile(
    r"readme.*|license.*|.*\.(md|ipynb|yaml|yml)|\.git.*|startup-hook\.sh|requirements.*\.txt|__init__\.py", re.IGNORECASE | re.DOTALL
)
_NEVER_COUNT = frozenset({"__pycache__", "site-packages", "dist-packages", ".detjupyter", IGNORE_FILE_NAME})
_BYTE_CODE = (".pyc", ".pyo", "$py.class")


@dataclass(frozen=True, slots=True)
class UnshippedFile:
    """A file that the definition uses but the bundle does not contain.

    Attributes:
        path: Relative to the root, POSIX.
        how: How the definition uses it.
        rule: The rule that leaves it out; None if the definition is a single file, which ships alone.
        entry: The path in the report that the rule matches: that of the file, or of a directory above it (``data/``).
    """

    path: str
    how: How
    rule: Rule | None
    entry: str

    def __str__(self) -> str:
        return one_line(f"{self.path} was {self.how} but {_reason(self.rule)}: it would be missing on another machine.")


@dataclass(frozen=True, slots=True)
class UnusedFile:
    """A file that ships but has not been imported or opened so far."""

    path: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Usage:
    """The files that the definition uses, compared with those that ship.

    Attributes:
        unshipped: Files that are used but left out, sorted by path: on another machine they would be missing.
        unused: Files that ship but were not used so far, largest first: a hint.
    """

    unshipped: tuple[UnshippedFile, ...] = ()
    unused: tuple[UnusedFile, ...] = ()

    def sentences(self) -> tuple[str, ...]:
        """Return one sentence for each file, or directory, that is used but left out."""
        groups: dict[tuple[str, How], list[UnshippedFile]] = {}
        for file in self.unshipped:
            groups.setdefault((file.entry, file.how), []).append(file)
        return tuple(
            str(files[0])
            if len(files) == 1
            else f"{len(files):,} files in {entry} were {how} but {_reason(files[0].rule)}: they would be missing on another machine."
            for (entry, how), files in groups.items()
        )


def usage_report(opened: Collection[str], imported: Collection[str], report: FileReport, *, complete: bool = True) -> Usage:
    """Compare the files that a definition used with those that ship.

    Byte code, `.detignore`, and an environment inside the root are ignored, and so are files that are not in the report because they were
    created after it.

    Args:
        opened: Paths relative to the root (POSIX) of files opened for reading: ``UsageWatch.opened()``.
        imported: Paths of the imported modules, in the same form.
        report: A scan of the definition.
        complete: Whether ``opened`` contains all opened files; if not, no file is reported as unused.
    """
    imported = frozenset(imported)
    used = imported.union(opened)
    entries = {entry.path: entry for entry in report}
    alone = report.root.is_file()
    environments = tuple(_environments(report.root.parent if alone else report.root))
    unshipped = []
    for path in sorted(used):
        if not _counts(path) or path.startswith(environments):
            continue
        how: How = "imported" if path in imported else "opened"
        entry = _entry(path, entries)
        if entry is None and alone:
            unshipped.append(UnshippedFile(path, how, None, path))
        elif entry is not None and not entry.included:
            unshipped.append(UnshippedFile(path, how, entry.rule, entry.path))
    unused = [
        UnusedFile(entry.path, entry.size_bytes)
        for entry in report
        if complete and not alone and entry.included and entry.path not in used and not _is_not_for_code(entry.path)
    ]
    return Usage(tuple(unshipped), tuple(sorted(unused, key=lambda file: (-file.size_bytes, file.path))))


def _reason(rule: Rule | None) -> str:
    if rule is None:
        return "the definition is a single file, which ships alone"
    if rule.line is not None:
        return f"`{IGNORE_FILE_NAME}` line {rule.line} `{rule.pattern}` leaves it out"
    return f"the default rule `{rule.pattern}` leaves it out" if rule.source == "default" else f"it never ships ({rule.pattern})"


def _counts(path: str) -> bool:
    return not path.endswith(_BYTE_CODE) and _NEVER_COUNT.isdisjoint(path.split("/"))


def _is_not_for_code(path: str) -> bool:
    return _NOT_FOR_CODE.fullmatch(path.rpartition("/")[2]) is not None


def _environments(root: Path) -> Iterable[str]:
    """Yield the directories of this Python that are inside the root, relative to it."""
    for prefix in {sys.prefix, sys.base_prefix}:
        path = Path(prefix)
        if path != root and path.is_relative_to(root):
            yield f"{path.relative_to(root).as_posix()}/"


def _entry(path: str, entries: Mapping[str, FileEntry]) -> FileEntry | None:
    """Return the entry of a file in the report, or that of the nearest directory (or link to a directory) above it."""
    return next((entries[name] for name in (path, *_above(path)) if name in entries), None)


def _above(path: str) -> Iterator[str]:
    while (cut := path.rfind("/")) > 0:
        path = path[:cut]
        yield f"{path}/"
        yield path
