"""Looking a model definition over: every path (`scan`), or only how much it is (`survey`)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

from detjupyter.bundle.catalogue import Catalogue, FileEntry
from detjupyter.bundle.ignore import IgnoreFile, IgnoreRules
from detjupyter.bundle.report import LIMIT_BYTES, FileReport
from detjupyter.bundle.walk import Progress, Walk


@dataclass(frozen=True, slots=True)
class Survey:
    """How much a model definition is.

    Attributes:
        included_files: How many files ship.
        included_bytes: How much they hold; 0 when only names were looked at.
        excluded_entries: How many files and directories stay; a directory that is not entered counts once.
        paths: How many paths were met.
        problems: One sentence for each line of `.detignore` that cannot be what was meant.
        limit_bytes: The most that an upload may hold.
        over_after: Whether there are more than ``most_paths`` paths; the figures are then of those met before that was clear.
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
        defaults: Whether the default rules hold (`.git/`, `node_modules/`, …).
        expand: Whether directories that are left out are entered too, so that each file in them is listed, with the rule that left its
            directory out. Otherwise such a directory is one entry, whatever it holds.
        ignore: What `.detignore` would hold; None: what it holds.
        progress: Called with the number of paths so far, at most ten times a second. What it raises ends the scan and comes out of it:
            a `ScanStopped`, for example.

    Returns:
        The report, sorted by path. Nothing on disk makes this fail: what cannot be read is left out and named.
    """
    root = root.resolve()
    if root.is_file():
        return FileReport(root, [FileEntry(root.name, "file", root.stat().st_size, included=True, rule=None)])
    rules = rules_of(root, defaults=defaults, ignore=ignore)
    walk = Walk(os.fsencode(root), rules, expand=expand, progress=progress)
    catalogue = Catalogue(walk.verdicts)
    for listing in walk:
        catalogue.add(listing)
    return FileReport(root, catalogue, rules.problems)


def survey(
    root: Path,
    *,
    defaults: bool = True,
    ignore: bytes | None = None,
    progress: Progress | None = None,
    names_only: bool = False,
    most_paths: int | None = None,
) -> Survey:
    """Add up a model definition without keeping its paths.

    Args:
        root: A directory, or the single .py file that is the whole definition.
        defaults: Whether the default rules hold.
        ignore: What `.detignore` would hold; None: what it holds.
        progress: As for `scan`.
        names_only: Whether to look at no file, only at names: several times quicker, without sizes. Symlinks count as if they shipped.
        most_paths: Stop as soon as more paths than that were met, so that somebody can be asked before a scan of a whole disk.
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
        included = sum(codes.count(code) for code in shipping)  # a handful of codes, counted without a loop of ours
        included_files += included
        excluded += len(codes) - included
        included_bytes += sum(compress(listing.sizes, map(shipping.__contains__, codes)))
        if most_paths is not None and walk.paths > most_paths:
            over = True
            break
    return Survey(included_files, included_bytes, excluded, walk.paths, rules.problems, over_after=over)


def rules_of(root: Path, *, defaults: bool = True, ignore: bytes | None = None) -> IgnoreRules:
    """Return the rules of the definition at ``root``, as if its `.detignore` held ``ignore`` unless that is None."""
    return IgnoreRules(IgnoreFile.read(root) if ignore is None else IgnoreFile.parse(ignore), defaults=defaults)
