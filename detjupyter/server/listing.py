"""The files of a model definition for a browser: names, sizes and the rules that decided, without contents and without an import.

Everything here runs in a worker thread.
"""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from detjupyter.errors import DefinitionNotFoundError
from detjupyter.next_step import Wording, worded
from detjupyter.protocol.files import DefinitionRecord, DeterminedRecord, FileTable, LargestItemRecord, RuleRecord
from detjupyter.protocol.limits import NEAR_THE_LIMIT
from detjupyter.protocol.wire import to_json
from detjupyter.server.paths import inside

if TYPE_CHECKING:
    from detjupyter.bundle import FileEntry, FileReport, Rule
    from detjupyter.definition import ModelDefinition

MAX_FILES = 100_000
#: At most this many modules are searched for a Trial class, those nearest the root first.
MAX_MODULES = 1_000
#: The operating system limits the watched directories of all processes together, often to 8,192.
MAX_WATCHED = 4_096
#: A file or folder with a smaller share of the total is not named.
WORTH_NAMING = 0.02
IGNORE_FILE = ".detignore"
#: The time stamps of a file system can be earlier than the clock by one tick of the kernel, at most 10 ms.
TICK_NS = 10_000_000

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Ground:
    """The directories in which an edit could change a definition.

    Attributes:
        directories: The scanned directories, the root first; each is watched separately, so that excluded directories cost nothing.
        left_out: Files in them that do not ship: writing to such a file needs no notification.
        only: The file of a single-file definition, None for a directory.
        is_whole: Whether ``directories`` is complete; there is a limit.
        scanned_ns: When the scan began, in nanoseconds since the Unix epoch.
    """

    directories: tuple[str, ...]
    left_out: frozenset[str]
    only: str | None
    is_whole: bool
    scanned_ns: int

    def is_touched_by(self, path: str, *, only_written: bool) -> bool:
        """Return whether an event at ``path`` (absolute) may change the definition."""
        if self.only is not None:
            return path == self.only
        return not (only_written and path in self.left_out)

    def was_edited_since_scan(self) -> bool:
        """Return whether an edit after the scan may have changed the definition, by the time stamps on disk."""
        if self.only is not None:
            return self._is_newer(self.only)
        return any(self._is_newer(directory) or self._has_newer_file(directory) for directory in self.directories)

    def _has_newer_file(self, directory: str) -> bool:
        try:
            with os.scandir(directory) as entries:
                return any(
                    not entry.is_dir(follow_symlinks=False) and self.is_touched_by(entry.path, only_written=True) and self._is_newer(entry)
                    for entry in entries
                )
        except OSError:  # deleted
            return True

    def _is_newer(self, place: str | os.DirEntry[str]) -> bool:
        try:
            status = place.stat(follow_symlinks=False) if isinstance(place, os.DirEntry) else os.lstat(place)
        except OSError:
            return True
        return max(status.st_mtime_ns, status.st_ctime_ns) >= self.scanned_ns - TICK_NS  # ctime: rsync and tar set an old mtime


@dataclass(frozen=True, slots=True)
class Listing:
    """The `DefinitionRecord` as JSON, and the directories to watch for edits."""

    text: str
    ground: Ground


def list_definition(root: Path, path: str, any_size: bool, progress: Progress) -> Listing:
    """Return the files of the definition at the browser's ``path`` under ``root``.

    Raises:
        DefinitionError: ``path`` is refused or does not exist, or there are too many paths and ``any_size`` is false.
    """
    definition = open_definition(root, path, any_size=any_size)
    scanned_ns = time.time_ns()
    report = definition.files(progress=progress)
    return Listing(to_json(_record(definition, report, _outward(definition, root))), _ground(definition, report, scanned_ns))


def compare_with_determined(root: Path, path: str, any_size: bool, progress: Progress) -> str:
    """Return, as JSON, where Determined's uploader would decide differently about the definition at ``path``.

    Raises:
        DefinitionError: As for `list_definition`.
    """
    from detjupyter.bundle import determined_files, differences

    definition = open_definition(root, path, any_size=any_size)
    if definition.is_file:
        return to_json(DeterminedRecord(path, (), (), (), 0, ()))
    report = definition.files(progress=progress)
    theirs = determined_files(definition.root, progress=progress)
    compared = (
        {} if theirs.fails and not theirs.files else differences(report, theirs)
    )  # an upload that fails at once has no list of files to compare
    closed = {entry.path for entry in report.excluded if entry.path.endswith("/")}
    counts: dict[tuple[str, bool], int] = {}
    for name, where in compared.items():
        key = (_listed(name, closed), where == "only there")
        counts[key] = counts.get(key, 0) + 1
    return to_json(
        DeterminedRecord(
            path=_outward(definition, root),
            paths=tuple(name for name, _ in counts),
            ships=tuple(ships for _, ships in counts),
            counts=tuple(counts.values()),
            total=sum(counts.values()),
            problems=tuple(theirs.problems),
        )
    )


def open_definition(root: Path, path: str, *, any_size: bool = False) -> ModelDefinition:
    """Return the model definition at the browser's ``path``; nothing of it is imported.

    Raises:
        DefinitionError: ``path`` is refused or does not exist.
    """
    from detjupyter.definition import ModelDefinition

    place = inside(root, path)
    if not place.is_dir() and not (place.suffix == ".py" and place.is_file()):
        raise DefinitionNotFoundError(f"There is no directory and no .py file at {path!r} under the server's root.")
    return ModelDefinition(place, any_size=any_size)


def _outward(definition: ModelDefinition, root: Path) -> str:
    return "" if definition.path == root else definition.path.relative_to(root).as_posix()


def _record(definition: ModelDefinition, report: FileReport, path: str) -> DefinitionRecord:
    from detjupyter.bundle import remarks_on

    included, left_out, limit_bytes = report.included_files, report.excluded_entries, report.limit_bytes
    rules, files = _table(report)
    return DefinitionRecord(
        path=path,
        name=definition.name,
        is_file=definition.is_file,
        entrypoints=_entrypoints(definition, report),
        config=_config(definition),
        rules=rules,
        files=files,
        truncated=max(0, included + left_out - len(files.paths)),
        included_files=included,
        included_bytes=report.total_bytes,
        excluded_entries=left_out,
        limit_bytes=limit_bytes,
        largest=_largest(report) if report.total_bytes > NEAR_THE_LIMIT * limit_bytes else (),
        problems=tuple(report.problems),
        remarks=tuple(worded(remark, Wording.MAGICS) for remark in remarks_on(report).sentences),
    )


def _table(report: FileReport) -> tuple[tuple[RuleRecord, ...], FileTable]:
    numbers: dict[tuple[Rule, bool], int] = {}
    paths: list[str] = []
    sizes: list[int] = []
    rules: list[int] = []
    symlinks: list[int] = []
    for entry in _shown(report):
        if entry.kind == "symlink":
            symlinks.append(len(paths))
        paths.append(entry.path)
        sizes.append(entry.size_bytes)
        rules.append(-1 if entry.rule is None else numbers.setdefault((entry.rule, entry.included), len(numbers)))
    records = (RuleRecord(rule.source, rule.line, rule.pattern, includes) for rule, includes in numbers)
    return tuple(records), FileTable(tuple(paths), tuple(sizes), tuple(rules), tuple(symlinks))


def _shown(report: FileReport) -> Iterator[FileEntry]:
    """Yield the entries to list: all, or if there are too many, those nearest the root."""
    if len(report) <= MAX_FILES:
        yield from report
        return
    by_depth = Counter(_depth(entry) for entry in report)
    room, deepest = MAX_FILES, 0
    while by_depth[deepest] <= room:
        room -= by_depth[deepest]
        deepest += 1
    for entry in report:
        depth = _depth(entry)
        if depth == deepest and room > 0:
            room -= 1
            yield entry
        elif depth < deepest:
            yield entry


def _depth(entry: FileEntry) -> int:
    return entry.path.rstrip("/").count("/")


def _largest(report: FileReport) -> tuple[LargestItemRecord, ...]:
    from detjupyter.bundle import largest_items

    items = (item for item in largest_items(report, n=5) if item.size_bytes >= WORTH_NAMING * report.total_bytes)
    return tuple(LargestItemRecord(item.path, item.size_bytes, item.files) for item in items)


def _entrypoints(definition: ModelDefinition, report: FileReport) -> tuple[str, ...]:
    from detjupyter.definition.discovery import find_trials, module_name

    if definition.is_file:
        modules = {"": definition.path}
    else:
        # without creating an entry for each of a hundred thousand files
        found = (path for path, _ in report.included_sizes() if path.endswith(".py"))
        files = sorted(found, key=lambda path: (path.count("/"), path))
        modules = {name: definition.root / path for path in files[:MAX_MODULES] if (name := module_name(path)) is not None}
    return tuple(str(entrypoint) for entrypoint in find_trials(modules))


def _config(definition: ModelDefinition) -> str | None:
    from detjupyter.definition.config.files import config_files, default_config

    found = config_files(definition.root) if default_config(definition.root) is None else ()
    return found[0] if found else None


def _ground(definition: ModelDefinition, report: FileReport, scanned_ns: int) -> Ground:
    root = definition.root
    if definition.is_file:
        return Ground((str(root),), frozenset(), str(definition.path), is_whole=True, scanned_ns=scanned_ns)
    closed = {entry.path for entry in report.excluded if entry.path.endswith("/")}
    directories: list[str] = []
    waiting = deque([""])
    while waiting and len(directories) < MAX_WATCHED:
        prefix = waiting.popleft()
        try:
            with os.scandir(root / prefix) as listing:
                below = [f"{prefix}{entry.name}/" for entry in listing if entry.is_dir(follow_symlinks=False)]
        except OSError:  # deleted or unreadable: then it contains no file that ships
            continue
        directories.append(str(root / prefix))
        waiting.extend(path for path in below if path not in closed)
    # the `.detignore` itself never ships, but edits of it matter most
    quiet = (entry.path for entry in report.excluded if not entry.path.endswith("/") and entry.path != IGNORE_FILE)
    left_out = frozenset(os.path.join(root, path) for path in quiet)  # noqa: PTH118 (a Path for each of a hundred thousand takes a second)
    return Ground(tuple(directories), left_out, None, is_whole=not waiting, scanned_ns=scanned_ns)


def _listed(path: str, closed: set[str]) -> str:
    """Return the path under which ``path`` is listed: itself, or the directory above it that is left out as a whole."""
    place = path.find("/")
    while place != -1:
        if path[: place + 1] in closed:
            return path[: place + 1]
        place = path.find("/", place + 1)
    return path
