"""The files that Determined's own uploader would ship, which differ from git's reading in some cases.

The rules are those of ``det experiment create`` (harness/determined/common of its main branch, commit c1e9c6d7): its list of built-in
patterns, then the lines of `.detignore` as text, matched by pathspec's git-wildmatch. A directory is dropped when its path matches with or
without a final ``/``; a symlink to a directory becomes an empty directory; a symlink to a file ships the file, wherever that is.
"""

from __future__ import annotations

import io
import os
import stat
import time
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from detjupyter.bundle.ignore import BYTE_ORDER_MARK, IgnoreFile
from detjupyter.bundle.report import LIMIT_BYTES, FileReport
from detjupyter.bundle.rules import IGNORE_FILE_NAME
from detjupyter.bundle.walk import Progress
from detjupyter.errors import ScanStopped
from detjupyter.next_step import NextStep

_BUILT_IN = (
    *("__pycache__/", "*.py[co]", "*$py.class", "terraform", "terraform_data", "terraform.tfstate*", "terraform.tfvars*", ".terraform*"),
    *(".git/", ".vscode/", ".idea/", ".mypy_cache/", "/shared_fs"),
)
_PROGRESS_S = 0.1
_MOST_LINES, _MOST_COMPARISONS = 5_000, 2_000_000
_MOST_NAMED = 20
_FAIL = "Determined's uploader would fail"


@dataclass(frozen=True, slots=True)
class DeterminedReport:
    """The files that Determined's uploader would ship.

    Attributes:
        root: The directory.
        files: Relative POSIX path and size in bytes of each file, by path.
        directories: The directories that get their own entry: all included ones, with empty ones and symlinks to directories.
        total_bytes: The total as the uploader counts it: each file rounded up to a multiple of three.
        problems: Errors and surprises of the upload, one sentence each.
        fails: Whether the upload would fail; ``files`` are then the files that it would have shipped, as far as they are known.
        limit_bytes: The largest total that the uploader accepts.
    """

    root: Path
    files: tuple[tuple[str, int], ...]
    directories: tuple[str, ...]
    total_bytes: int
    problems: tuple[str, ...] = ()
    fails: bool = False
    limit_bytes: int = LIMIT_BYTES


def determined_files(root: Path, *, ignore: bytes | None = None, progress: Progress | None = None) -> DeterminedReport:
    """Return the files of a directory that Determined's uploader would ship.

    Args:
        root: The model definition.
        ignore: The content of `.detignore` to assume; None for its actual content.
        progress: As for `scan`.
    """
    root = root.resolve()
    if root.is_file():
        problem = f"{_FAIL}: {root.name} is not a directory (the uploader adds single files only to a directory)."
        return DeterminedReport(root, (), (), 0, (problem,), fails=True)
    problems: list[str] = []
    spec = _specification(_lines(root, ignore, problems), problems)
    if spec is None:
        return DeterminedReport(root, (), (), 0, tuple(problems), fails=True)
    walk = _Walk(root, spec, progress)
    walk.run()
    if walk.total_bytes > LIMIT_BYTES:
        problems.append(f"{_FAIL}: {walk.total_bytes:,} bytes are more than the {LIMIT_BYTES:,} that it accepts.")
    fails = walk.total_bytes > LIMIT_BYTES or bool(walk.pipes)
    problems += [f"Determined's uploader would wait forever at the pipe {path}." for path in walk.pipes[:_MOST_NAMED]]
    problems += [f"Determined's uploader would skip {path}, which cannot be read." for path in walk.skipped[:_MOST_NAMED]]
    return DeterminedReport(root, tuple(sorted(walk.files)), tuple(sorted(walk.directories)), walk.total_bytes, tuple(problems), fails)


Difference = Literal["only here", "only there"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Where Determined's uploader decides differently.

    Attributes:
        differences: The result of `differences`; None if the two were not compared, or cannot be.
        notes: Remarks about the comparison, one sentence each.
    """

    differences: dict[str, Difference] | None
    notes: tuple[str, ...] = ()


def compare(report: FileReport) -> Comparison:
    """Compare a report with what Determined's uploader would ship, unless that takes more than about two seconds.

    The comparison costs a regular expression for each path and line, and compiling each line.
    """
    if report.root.is_file():  # Determined's uploader only accepts directories
        return Comparison(None)
    lines = len(_BUILT_IN) + len(IgnoreFile.read(report.root).lines)

    def stop_early(paths: int) -> None:
        # The uploader may walk directories that detjupyter skips, `.venv/` for example.
        if lines > _MOST_LINES or paths * lines > _MOST_COMPARISONS:
            raise ScanStopped(paths)

    try:
        stop_early(report.included_files)
        determined = determined_files(report.root, progress=stop_early)
    except ScanStopped:
        return Comparison(
            None, (f"Not compared with Determined's uploader, because that takes longer: {NextStep.DETERMINED_FILES} compares them.",)
        )
    notes = determined.problems
    if determined.fails and not determined.files:  # it would fail before it reads any file
        return Comparison(None, notes)
    return Comparison(differences(report, determined), notes)


def differences(report: FileReport, determined: DeterminedReport) -> dict[str, Difference]:
    """Return the files that only one of the two ships, by path: git's reading (here), Determined's uploader (there)."""
    here = {path for path, _ in report.included_sizes()}
    there = {path for path, _ in determined.files}
    return {path: "only here" if path in here else "only there" for path in sorted(here ^ there)}


def _lines(root: Path, ignore: bytes | None, problems: list[str]) -> list[str] | None:
    """Return the lines of `.detignore` as a text file, or None if it cannot be read."""
    try:
        path = root / IGNORE_FILE_NAME
        content = ignore if ignore is not None else path.read_bytes() if path.is_file() else b""
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        problems.append(f"{_FAIL}: line {line} of {IGNORE_FILE_NAME} is not UTF-8.")
        return None
    except OSError as error:
        problems.append(f"{_FAIL}: {IGNORE_FILE_NAME} cannot be read ({error.strerror}).")
        return None
    if content.startswith(BYTE_ORDER_MARK):
        problems.append(
            f"Determined's uploader reads the byte order mark of {IGNORE_FILE_NAME} as part of line 1, so that line matches nothing."
        )
    return list(io.StringIO(text, newline=None))  # with line ends: pathspec strips an escaped space before a line end


def _specification(lines: list[str] | None, problems: list[str]) -> Any:  # Any: pathspec's types differ between 0.12 and 1.x
    """Return pathspec's reading of the built-in patterns and the lines, or None with the reason in ``problems``."""
    if lines is None:
        return None
    from pathspec import PathSpec

    try:
        # Since 1.0, GitWildMatchPattern is an alias of this class that warns about its name.
        Pattern: Any = import_module("pathspec.patterns.gitignore.spec").GitIgnoreSpecPattern  # noqa: N806 -- a class
    except ImportError:
        Pattern = import_module("pathspec.patterns").GitWildMatchPattern  # noqa: N806
    for number, line in enumerate(lines, start=1):
        try:
            Pattern(line)
        except Exception as error:  # pathspec raises several kinds: its own, re.error, IndexError
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            problems.append(f"{_FAIL}: line {number} of {IGNORE_FILE_NAME}, {line.rstrip()!r}, is not a valid pattern ({reason}).")
            return None
    given = [*_BUILT_IN, *lines]
    try:
        return PathSpec.from_lines(Pattern, given, backend="simple")  # re2 and hyperscan, if installed, match differently
    except TypeError:  # before 1.0 there was only the simple backend, and no such argument
        return PathSpec.from_lines(Pattern, given)


class _Walk:
    """The uploader's walk."""

    def __init__(self, root: Path, spec: Any, progress: Progress | None) -> None:
        self._root = str(root)
        self._spec = spec
        self._progress = progress
        self._paths = 0
        self._reported_at = time.monotonic()
        self.files: list[tuple[str, int]] = []
        self.directories: list[str] = []
        self.pipes: list[str] = []
        self.skipped: list[str] = []
        self.total_bytes = 0

    def run(self) -> None:
        for parent, directories, files in os.walk(self._root):
            prefix = f"{parent[len(self._root) :].strip(os.sep).replace(os.sep, '/')}/".removeprefix("/")
            directories[:] = [name for name in directories if not self._dropped(prefix + name)]
            self.directories += [prefix + name for name in directories]
            self._add(prefix, parent, files)
            self._report(len(directories))

    def _report(self, paths: int) -> None:
        self._paths += paths
        if self._progress is not None and time.monotonic() - self._reported_at >= _PROGRESS_S:
            self._reported_at = time.monotonic()
            self._progress(self._paths)

    def _dropped(self, path: str) -> bool:
        return bool(self._spec.match_file(path) or self._spec.match_file(path + "/"))

    def _add(self, prefix: str, parent: str, names: Iterable[str]) -> None:
        for name in names:
            self._report(1)
            path = prefix + name
            if name == IGNORE_FILE_NAME or self._spec.match_file(path):
                continue
            place = os.path.join(parent, name)  # noqa: PTH118 -- a million Path objects are slow
            try:
                status = os.stat(place)  # noqa: PTH116
            except OSError:
                self.skipped.append(path)
                continue
            if stat.S_ISFIFO(status.st_mode):
                self.pipes.append(path)
            elif not stat.S_ISREG(status.st_mode) or not os.access(place, os.R_OK):
                self.skipped.append(path)
            else:
                self.files.append((path, status.st_size))
                self.total_bytes += -(-status.st_size // 3) * 3
