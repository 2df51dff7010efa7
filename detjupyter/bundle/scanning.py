"""Scan a model definition: every path (`scan`), or only the totals (`survey`)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

from detjupyter.bundle.entries import EntryTable, FileEntry
from detjupyter.bundle.ignore import IgnoreFile, IgnoreRules
from detjupyter.bundle.report import LIMIT_BYTES, FileReport
from detjupyter.bundle.walk import Progress, Walk


@dataclass(frozen=True, slots=True)
class Survey:
    """The totals of a model definition.

    Attributes:
        included_files: The number of files that ship.
        included_bytes: Their size; 0 if only names were read.
        excluded_entries: The number of files and directories that are left out; a directory that is not scanned counts once.
        paths: The number of paths found.
        problems: One sentence for each line of `.detignore` that has a problem.
        limit_bytes: The size limit of an upload.
        over_after: Whether there are more than ``most_paths`` paths; the totals are then those of the paths found so far.
    """

    included_files: int
    included_bytes: int
    excluded_entries: int
    paths: int
    problems: tuple[str, ...] = ()
    limit_bytes: int = LIMIT_BYTES
    over_after: bool = False


def scan(
    root: Path,
    *,
    defaults: bool = True,
    expand: bool = False,
    ignore: bytes | None = None,
    progress: Progress | None = None,
) -> FileReport:
    """Decide about every path of a model definition.

    Args:
        root: A directory, or the single .py file that is the whole definition (then nothing else ships).
        defaults: Whether the default rules apply (`.git/`, `node_modules/`, …).
        expand: Whether to scan directories that are left out, so that each file in them is listed, with the rule that left its directory
            out. If not, such a directory is one entry.
        ignore: The content of `.detignore` to assume; None for its actual content.
        progress: Called with the number of paths so far, at most ten times a second. An exception that it raises, for example a
            `ScanStopped`, ends the scan and is passed on.

    Returns:
        The report, sorted by path. No state of the disk makes the scan fail: paths that cannot be read are left out and named.
    """
    root = root.resolve()
    if root.is_file():
        return FileReport(root, [FileEntry(root.name, "file", root.stat().st_size, included=True, rule=None)])
    rules = rules_of(root, defaults=defaults, ignore=ignore)
    walk = Walk(os.fsencode(root), rules, expand=expand, progress=progress)
    table = EntryTable(walk.verdicts)
    for listing in walk:
        table.add(listing)
    return FileReport(root, table, rules.problems)


def survey(
    root: Path,
    *,
    defaults: bool = True,
    ignore: bytes | None = None,
    progress: Progress | None = None,
    names_only: bool = False,
    most_paths: int | None = None,
) -> Survey:
    """Compute the totals of a model definition without storing its paths.

    Args:
        root: A directory, or the single .py file that is the whole definition.
        defaults: Whether the default rules apply.
        ignore: The content of `.detignore` to assume; None for its actual content.
        progress: As for `scan`.
        names_only: Whether to read only names, not the sizes of files: several times faster. All symlinks count as shipped.
        most_paths: Stop when more paths than this were found, so that the user can be asked before a whole disk is scanned.
    """
    root = root.resolve()
    if root.is_file():
        return Survey(1, root.stat().st_size, 0, 1)
    rules = rules_of(root, defaults=defaults, ignore=ignore)
    walk = Walk(os.fsencode(root), rules, sizes=not names_only, progress=progress)
    included_files = included_bytes = excluded = 0
    over = False
    for listing in walk:
        codes = listing.codes
        shipping = {code for code in set(codes) if walk.verdicts[code].included}
        included = sum(codes.count(code) for code in shipping)  # few codes, each counted at C speed
        included_files += included
        excluded += len(codes) - included
        included_bytes += sum(compress(listing.sizes, map(shipping.__contains__, codes)))
        if most_paths is not None and walk.paths > most_paths:
            over = True
            break
    return Survey(included_files, included_bytes, excluded, walk.paths, rules.problems, over_after=over)


def rules_of(root: Path, *, defaults: bool = True, ignore: bytes | None = None) -> IgnoreRules:
    """Return the rules of the definition at ``root``; with ``ignore``, as if that were the content of its `.detignore`."""
    return IgnoreRules(IgnoreFile.read(root) if ignore is None else IgnoreFile.parse(ignore), defaults=defaults)
