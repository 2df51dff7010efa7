"""Begins and ends the capture of threads. Functions of the process are replaced while at least one thread is captured."""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from detjupyter.engine.output import children, displays, figures, handlers, prompts, threads
from detjupyter.engine.output.owner import here, working_for
from detjupyter.engine.output.patches import Patches
from detjupyter.engine.output.pipes import NUMBERS
from detjupyter.engine.output.sink import LogSink
from detjupyter.engine.output.streams import OUTSIDE, Streams


class Hold:
    """Keeps the replacements installed for ``holder`` until :meth:`release`, or until this object is garbage collected. Thread: any."""

    def __init__(self, holder: object) -> None:
        self._holder: object = holder
        _begin(holder)

    def release(self) -> None:
        """End the hold. Can be called twice."""
        holder, self._holder = self._holder, None
        if holder is not None:
            _end(holder)

    def __del__(self) -> None:
        with suppress(Exception):  # at the end of the interpreter, the module's globals may be deleted
            self.release()


def _outside(name: str) -> None:
    for holder in list(_holders):
        if isinstance(holder, LogSink):
            holder.say_once(OUTSIDE.format(number=NUMBERS[name], name=name))


_lock = threading.RLock()  # reentrant: garbage collection can release a Hold while its thread begins or ends another one
_holders: Counter[object] = Counter()
_streams = Streams(_outside)
_patches = Patches(
    [
        *threads.targets(Hold),
        *children.targets(_streams.is_routed),
        *displays.TARGETS,
        *figures.TARGETS,
        *handlers.TARGETS,
        *prompts.TARGETS,
    ]
)
_modules = 0  # the number of imported modules when the patches were last completed


def _begin(holder: object) -> None:
    global _modules
    with _lock:
        if isinstance(holder, LogSink) and holder.is_closed:
            return
        _holders[holder] += 1
        if _holders.total() == 1:
            _streams.install()
            _patches.install()
            _modules = len(sys.modules)


def _end(holder: object) -> None:
    with _lock:
        if _holders[holder] > 1:
            _holders[holder] -= 1
            return
        was_held = _holders.pop(holder, 0)  # 0 after close_capture()
        if was_held and not _holders:
            _patches.undo()
            _streams.undo()
    children.close_pipes(holder)


def close_capture(sink: LogSink) -> None:
    """End the capture for ``sink``, even if threads of its trial still run, such as that of a progress bar.

    Their later output is dropped; it goes to the cell once no thread is captured any more. To be called when the session is closed, after
    the last lines were taken. Can be called twice. Thread: any.
    """
    sink.close()
    with _lock:
        if sink in _holders:
            _holders[sink] = 1
    _end(sink)


@contextmanager
def held(holder: object) -> Iterator[None]:
    """Keep the replacements installed inside the block."""
    hold = Hold(holder)
    try:
        yield
    finally:
        hold.release()


@contextmanager
def captured(sink: LogSink) -> Iterator[None]:
    """Send to ``sink`` the output and displays of the calling thread, and the output of threads and processes that it starts.

    Threads that outlive the block still print to ``sink``. The replaced functions are restored when the last block and the last of these
    threads have ended, or at :func:`close_capture`.

    Thread: any; blocks of several threads can overlap.
    """
    sink.reopen()
    with held(sink), working_for(sink, here.load):
        keep_captured()
        yield


@contextmanager
def silenced() -> Iterator[None]:
    """Drop the output and displays of the calling thread inside the block, and of threads and processes that it starts."""
    sink = LogSink()
    try:
        with captured(sink):
            yield
    finally:
        close_capture(sink)


def are_captured() -> bool:
    """Return whether :func:`keep_captured` has nothing to do. This runs after every batch, so it is a few comparisons only."""
    return not _holders or (_streams.are_current() and len(sys.modules) == _modules)


def keep_captured() -> None:
    """Adapt to changes by other threads: a cell under ``%%capture`` replaces the streams, and an import adds functions to replace."""
    global _modules
    if are_captured():
        return
    with _lock:
        if _holders:
            _streams.follow()
            _patches.install()
            _modules = len(sys.modules)


def _new_lock_in_child() -> None:
    global _lock
    _lock = threading.RLock()  # another thread of the parent may hold the old one forever


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_lock_in_child)
