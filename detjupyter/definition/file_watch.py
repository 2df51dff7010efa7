"""Listening to the files that a definition's own threads open under its root, in this process and in its DataLoader workers.

One audit hook for the process, installed at the first watch and never to be removed (Python offers no way). While no thread is marked,
it compares a few texts for each audit event, of which a training causes few.

A worker reports to the process that made the watch through a scratch file: a child that was forked inherits the marks, and appends what it
opens for the first time; a child that was spawned is told by the environment where to append (`UsageWatch.environment`,
`join_from_environment`).
"""

from __future__ import annotations

import itertools
import os
import stat
import sys
import tempfile
import time
import weakref
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock, get_ident
from typing import Any

#: How many different files a watch remembers, so that a data set of a million files does not fill the memory.
MAX_FILES = 100_000

_ROOT_VARIABLE, _REPORT_VARIABLE, _SINCE_VARIABLE = (f"DETJUPYTER_USAGE_{name}" for name in ("ROOT", "REPORT", "SINCE"))
_EVENTS = frozenset({"open", "os.rename", "os.chdir"})
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
_DETOURS = ("..", f"{os.sep}.{os.sep}", os.sep * 2)
_READ, _WRITTEN, _END = b"r", b"w", b"\0"  # no name holds a null byte

_lock = Lock()
_installed = False
_marked: dict[int, tuple[UsageWatch, ...]] = {}  # by thread
_everywhere: tuple[UsageWatch, ...] = ()  # of a process that is all the definition's


class UsageWatch:
    """Remembers which files under a root were opened by marked threads. Made by `watch_usage`.

    Attributes:
        root: The directory.
        known: Paths as they were given that need not be noted again when they are read.

    Thread: any. What the hook does takes no lock, so that a process forked meanwhile cannot inherit a locked one.
    """

    def __init__(self, root: Path, report: Path | None = None, since: float | None = None) -> None:
        self.root = Path(os.path.abspath(root))  # noqa: PTH100 -- resolved below; both spellings count
        self._prefixes = tuple({_with_separator(str(self.root)), _with_separator(os.path.realpath(root))})
        self.known: set[str] = set()
        self._relative: set[str] = set()
        self._fresh: deque[str] = deque()
        self._since = time.time() if since is None else since
        self._read: set[str] = set()
        self._written: set[str] = set()
        self._closed = False
        self._offset = 0
        self._owner: int | None = None
        if report is None:
            self._owner = os.getpid()
            report = _scratch_file()
            if report is not None:
                weakref.finalize(self, _remove, report, self._owner)
        self._report = report
        self._channel: tuple[int, int] | None = None  # the process that opened it, and its descriptor

    def __repr__(self) -> str:
        return f"UsageWatch({str(self.root)!r}, {len(self._read)} files)"

    @contextmanager
    def active(self) -> Iterator[UsageWatch]:
        """Count what the current thread opens meanwhile; may be nested.

        Threads that it starts do not count, processes that it forks do. Put it around the definition's code, not around a scan or a
        hash of the bundle: those open files of the definition, too.
        """
        thread = get_ident()
        before = _marked.get(thread, ())
        if self not in before:
            _marked[thread] = (*before, self)
        try:
            yield self
        finally:
            if before:
                _marked[thread] = before
            else:
                _marked.pop(thread, None)

    def opened(self) -> frozenset[str]:
        """Return the regular files that were opened for reading so far, workers included: relative to the root, POSIX.

        Left out are files that were written first, or since the watch began: they are the definition's own outputs.
        """
        self.merge()
        opened = self._read - self._written
        return frozenset(opened) if os.sep == "/" else frozenset(path.replace(os.sep, "/") for path in opened)

    @property
    def complete(self) -> bool:
        """Whether `opened` holds every file: it stops at `MAX_FILES`."""
        return len(self._read) + len(self._written) + len(self._fresh) < MAX_FILES

    def environment(self) -> dict[str, str]:
        """Return what a spawned child needs in its environment to report here by `join_from_environment`."""
        if self._report is None:
            return {}
        return {_ROOT_VARIABLE: str(self.root), _REPORT_VARIABLE: str(self._report), _SINCE_VARIABLE: repr(self._since)}

    def close(self) -> None:
        """Stop counting; what was counted can still be asked for. Idempotent."""
        if not self._closed:
            self.merge()
            self._closed = True
            if self._report is not None:
                _remove(self._report, self._owner)

    def merge(self) -> None:
        """Take over what workers have told since; only in the process that made the watch."""
        if self._closed:
            return
        self._settle()
        if self._report is None or os.getpid() != self._owner:
            return
        with _lock, suppress(OSError), self._report.open("rb") as report:
            report.seek(self._offset)
            whole = report.read().rpartition(_END)[0]
            for line in whole.split(_END) if whole else ():
                (self._read if line[:1] == _READ else self._written).add(os.fsdecode(line[1:]))
            self._offset += len(whole) + len(_END) if whole else 0

    def note(self, path: Any, *, writing: bool) -> None:
        """Take notice that a marked thread opens a file (the hook's part; any object, because that is what the hook is given)."""
        if self._closed or not self.complete or isinstance(path, int):  # a number is a file that is open already
            return
        text = given = os.fsdecode(path)
        absolute = os.path.isabs(text)  # noqa: PTH117 -- this runs at every open of a new file, and a Path costs more than all the rest
        if not absolute:
            text = f"{os.getcwd()}{os.sep}{text}"  # noqa: PTH109
        if any(detour in text for detour in _DETOURS):
            text = os.path.normpath(text)
        if not text.startswith(self._prefixes):
            return
        if not absolute:
            self._relative.add(given)
            self.known.add(given)
        if text in self.known and not writing:
            return
        self.known.add(text)
        if writing:
            self._settle()  # what it is depends on whether it is there already
            self._keep(text, _WRITTEN)
        else:
            self._fresh.append(text)
            if os.getpid() != self._owner:
                self._settle()

    def forget_relative(self) -> None:
        """Know relative paths no more: the working directory changes, or there was no file yet."""
        self.known -= self._relative
        self._relative = set()

    def _settle(self) -> None:
        """Look at what was opened for reading since the last time: in passing there would be no time for it."""
        while self._fresh:
            with suppress(IndexError):  # another thread was quicker
                text = self._fresh.popleft()
                kind = self._kind(text)
                if kind is not None:
                    self._keep(text, kind)
                else:  # a later one is looked at anew
                    self.known.discard(text)
                    self.forget_relative()

    def _keep(self, text: str, kind: bytes) -> None:
        relative = next(text[len(prefix) :] for prefix in self._prefixes if text.startswith(prefix))
        if relative not in self._read and relative not in self._written:
            (self._read if kind is _READ else self._written).add(relative)
            if self._report is not None and os.getpid() != self._owner:
                self._tell(kind + os.fsencode(relative) + _END, self._report)

    def _kind(self, text: str) -> bytes | None:
        """Say what an open for reading is of; None if there is no file."""
        try:
            found = os.stat(text)  # noqa: PTH116
        except (OSError, ValueError):
            return None
        if not stat.S_ISREG(found.st_mode):
            return None
        # Written by what tells no hook, such as torch.save. An edit by hand while it trains looks the same; so does a fresh download.
        return _WRITTEN if found.st_mtime > self._since else _READ

    def _tell(self, line: bytes, report: Path) -> None:
        """Append to the report, from a process that is not the owner."""
        process = os.getpid()
        if self._channel is None or self._channel[0] != process:
            self._channel = (process, -1)  # before the open below, which comes by here again
            with suppress(OSError):  # the watch was closed
                self._channel = (process, os.open(report, os.O_WRONLY | os.O_APPEND))
        if self._channel[1] >= 0:
            with suppress(OSError):
                os.write(self._channel[1], line)


def watch_usage(root: Path) -> UsageWatch:
    """Return a new watch of the files under ``root``; nothing counts before a thread is marked by its `active`."""
    _install()
    return UsageWatch(root)


def join_from_environment(environment: Mapping[str, str] = os.environ) -> UsageWatch | None:
    """In a spawned child that works for a definition: report the files that any of its threads opens to the watch of the parent.

    Returns:
        The child's end of it; None when the environment names no watch, or one that is closed.
    """
    global _everywhere
    root, report, since = (environment.get(name, "") for name in (_ROOT_VARIABLE, _REPORT_VARIABLE, _SINCE_VARIABLE))
    if not root or not since or not Path(report).is_file():
        return None
    for watch in _everywhere:
        if watch.environment().items() <= environment.items():
            return watch
    _install()
    watch = UsageWatch(Path(root), Path(report), float(since))
    _everywhere = (*_everywhere, watch)
    return watch


def _install() -> None:
    global _installed
    if _installed:  # asked without the lock, because a process may be forked while another thread holds it
        return
    with _lock:
        if not _installed:
            _installed = True
            sys.addaudithook(_hook)
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(before=_merge_before_fork)


def _merge_before_fork() -> None:
    """Let new workers inherit what earlier ones have told, or they would tell all of it again in every epoch."""
    for watch in _marked.get(get_ident(), ()):
        watch.merge()


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    """Hear of an audit event. Must neither raise, which would make the user's ``open`` fail, nor cost anything."""
    if event not in _EVENTS or not (_marked or _everywhere):
        return
    try:
        watches = _marked.get(get_ident(), _everywhere)
        if event == "open":
            for watch in watches:
                if arguments[2] & _WRITES or arguments[0] not in watch.known:
                    watch.note(arguments[0], writing=arguments[2] & _WRITES != 0)
        elif event == "os.rename":  # written beside its place, and then put there
            for watch in watches:
                watch.note(arguments[1], writing=True)
        else:
            for watch in {*_everywhere, *itertools.chain(*list(_marked.values()))}:
                watch.forget_relative()
    except Exception:  # an odd argument is for the call itself to refuse
        pass


def _with_separator(path: str) -> str:
    return path if path.endswith(os.sep) else path + os.sep


def _scratch_file() -> Path | None:
    """Make the file in which workers tell; None where there is no room for one: then only this process counts."""
    try:
        descriptor, name = tempfile.mkstemp(prefix="detjupyter-usage-")
    except OSError:
        return None
    os.close(descriptor)
    return Path(name)


def _remove(report: Path, owner: int | None) -> None:
    if os.getpid() == owner:  # not in a fork of it that ends
        with suppress(OSError):
            report.unlink()
