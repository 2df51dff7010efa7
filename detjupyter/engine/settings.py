"""The process-wide settings of a trial or a script: in force while it works, and restored when it pauses or ends.

A definition calls ``torch.set_default_dtype(torch.float64)`` or ``gc.disable()`` for its own training. In a kernel such a setting would
also affect the user's cells and every other trial. A :class:`ProcessSettings` records what one trial has changed. These values are
installed around the trial's work, like its random states, and the process has its own values in between.

This module does not handle settings of a thread or of a ``contextvars`` context (``numpy.seterr``, ``decimal``, the default device, grad
mode, autocast). They need no restoring, because a trial is built and trained in its own thread; see :mod:`detjupyter.engine.ambient`.

Three kinds of settings are not restored: environment variables, because changing them while other threads read them can crash the process;
matplotlib's backend; and the number of interop threads, which torch allows a process to set only once.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
import weakref
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from detjupyter.engine.libraries import Library, Setting, libraries_in_use

TURN_LIMIT_S = 10.0
"""How long a load waits for another trial to leave its block, if the two need different values."""
ENGINE_LIMIT_S = 2.0
"""How long a loaded trial waits for another one in total. The limit is shorter, because the other one may wait for it."""
SLICE_S = 0.05
"""An engine that waits for its turn checks for commands this often."""


class _Process:
    """The settings of this process, and the trials that work in it now.

    If two trials work concurrently, the process's own values are recorded when the first one begins, and restored when the last one ends.

    Attributes:
        turns: Held during every access to the other attributes; notified when a trial has left its block.
        own: The process's own values, by name.
        live: The values in force, as they were last read or written.
        inside: The trials that work now, in the order in which they began.
        queue: The trials that wait for their turn, the next one first.
        waiting_for: For each thread that loads a trial, the one that waits for it.
    """

    def __init__(self) -> None:
        self.turns = threading.Condition(threading.RLock())  # reentrant: a signal handler can run while this thread holds it
        self.own: dict[str, Any] = {}
        self.live: dict[str, Any] = {}
        self.inside: list[ProcessSettings] = []
        self.trials: weakref.WeakSet[ProcessSettings] = weakref.WeakSet()
        self.queue: list[ProcessSettings] = []
        self.waiting_for: dict[int, int] = {}
        self._settings: dict[str, Setting] = {}
        self._known: list[Library] = []

    def detect_changes(self, libraries: list[Library]) -> None:
        """Find every setting that has changed since the last call, and attribute the change to a trial or to the process."""
        if len(libraries) > len(self._known):
            self._learn(libraries)
        own, live = self.own, self.live
        for name, setting in self._settings.items():
            if setting.holds(live[name]):
                continue
            before, live[name] = live[name], setting.read()
            if setting.was_replaced():  # a cell entered or left `warnings.catch_warnings`: only what trials have set before is theirs
                self._take_over(setting)
            elif self.inside:
                self._assign(setting, before)
            else:
                own[name] = live[name]

    def value_for(self, trial: ProcessSettings, name: str) -> Any:
        """Return the value that ``trial`` works with."""
        own = self.own[name]
        return self._settings[name].merged(*trial.changes[name], own) if name in trial.changes else own

    def can_begin(self, trial: ProcessSettings) -> bool:
        """Return whether ``trial`` needs the same values as all trials that work now or are queued before it, except those it bypasses."""
        ahead = self.queue[: self.queue.index(trial)] if trial in self.queue else self.queue
        return not any(self.differ(trial, other) for other in (*self.inside, *ahead) if other not in trial.bypassed)

    def differ(self, one: ProcessSettings, other: ProcessSettings) -> bool:
        """Return whether two trials need different values of a setting that they cannot share."""
        names = (name for name in {*one.changes, *other.changes} if not self._settings[name].is_shareable)
        return any(self.value_for(one, name) != self.value_for(other, name) for name in names)

    def remove(self, trial: ProcessSettings) -> None:
        """Remove ``trial`` from those that work now, and put the values of the previous one in force again."""
        names = trial.names()
        self.inside.remove(trial)
        for other in self.trials:
            other.bypassed.discard(trial)
        self.install(names)
        self.turns.notify_all()

    def install(self, names: Iterable[str]) -> None:
        """Put in force the values of the trial that began last; without a trial, the process's own values."""
        for name in list(names):
            self._write(self._settings[name], self.value_for(self.inside[-1], name) if self.inside else self.own[name])

    def _learn(self, libraries: list[Library]) -> None:
        """Add the settings of libraries that were imported since the last call."""
        for setting in (setting for library in libraries if library not in self._known for setting in library.settings):
            self._settings[setting.name] = setting
            self.own[setting.name] = self.live[setting.name] = setting.initial() if self.inside else setting.read()
        self._known = libraries

    def _write(self, setting: Setting, value: Any) -> None:
        if value != self.live[setting.name]:
            with suppress(Exception):  # a library can reject a value, such as a recursion limit below the present depth
                setting.write(value)
            self.live[setting.name] = setting.read()

    def _assign(self, setting: Setting, before: Any) -> None:
        """Attribute a change to the trial that made it, or to the process if a cell may have been running.

        If several trials work, the one created last is taken: a trial changes settings while it is imported and built, and seldom later.
        A script is taken before the trainings in the background, because no cell runs while it does.
        """
        name, own = setting.name, self.own[setting.name]
        trial = max((trial for trial in self.inside if not trial.is_shared()), key=lambda trial: trial.number, default=None)
        if trial is None:
            self.own[name] = setting.merged(before, self.live[name], own)
            return
        after = setting.merged(before, self.live[name], self.value_for(trial, name))
        trial.changes.pop(name, None)
        if after != own:
            trial.changes[name] = (own, after)

    def _take_over(self, setting: Setting) -> None:
        """Make the value in force the process's own, without the parts that trials have set."""
        value = self.live[setting.name]
        for trial in self.trials:
            before, after = trial.changes.get(setting.name, (value, value))
            value = setting.merged(after, before, value)
        self.own[setting.name] = value
        if not self.inside:
            self._write(setting, value)


_process = _Process()
_numbers = itertools.count()


class ProcessSettings:
    """The process-wide settings that one trial has changed, in force inside a block of :meth:`active`.

    A setting that the trial has not changed has the process's value, also if a cell changes it between two blocks.

    Two trials can work concurrently if they need the same values. Otherwise they take turns, in the order of their requests. Code in the
    foreground, a script or a load, has its turn until it ends: a trial that needs other values waits from the end of the batch in which
    that code set them.

    Args:
        is_shared: Returns whether other user code may be running now: a cell during a training in the background, but not a cell that
            waits for the training. A change inside the block is then attributed to that code and stays in force, since nothing shows who
            made it, and cells change settings more often than batches do. By default all changes are attributed to the trial.

    Attributes:
        changes: The trial's changes, by name: the process's own value at that time, and the trial's value.
        number: Increases from trial to trial; new code of the same trial keeps it.
        bypassed: The trials that this one no longer waits for, until they leave their block: the waiting has reached its limit, or this
            trial works on behalf of them, in their thread.
        thread: The thread that entered the block last.
        foreground: What works in the foreground now, in words; None for trials, and outside of the block.
        awaited_by: The threads that wait for the trial.

    Thread: any.
    """

    def __init__(self, is_shared: Callable[[], bool] = lambda: False) -> None:
        self.changes: dict[str, tuple[Any, Any]] = {}
        self.number = next(_numbers)
        self.bypassed: weakref.WeakSet[ProcessSettings] = weakref.WeakSet()
        self.thread = 0
        self.foreground: str | None = None
        self.awaited_by: Container[int] = ()
        self.is_shared = is_shared
        self._depth = 0
        self._waited_s = 0.0
        with _process.turns:
            _process.trials.add(self)

    @classmethod
    def of_this_thread(cls) -> ProcessSettings:
        """Return settings for a trial that the calling thread has built: those that the blocks of this thread have changed so far."""
        libraries, settings = libraries_in_use(), cls()
        with _process.turns:
            _process.detect_changes(libraries)
            for other in _process.inside:
                if other.thread == threading.get_ident():
                    settings.changes.update(other.changes)
        return settings

    @property
    def is_contended(self) -> bool:
        """Whether this trial should leave its block soon: another one waits for its turn, or code in the foreground excludes it."""
        if _process.queue:
            return True
        if len(_process.inside) == 1:  # fast path: this is read after every batch
            return False
        # A copy, because this reads the list without the lock.
        return any(other.foreground is not None for other in tuple(_process.inside)) and self.excluded_by is not None

    @property
    def excluded_by(self) -> str | None:
        """What works in the foreground, or waits to do so, and excludes this trial, in words; None if nothing does."""
        libraries = libraries_in_use()
        with _process.turns:
            _process.detect_changes(libraries)
            return next((other.foreground for other in (*_process.inside, *_process.queue) if other.excludes(self)), None)

    def excludes(self, other: ProcessSettings) -> bool:
        """Return whether this is code in the foreground, and ``other`` was there before it, needs other values and must not work now.

        A trial that this code waits for is not excluded, and one that it has loaded was not there before.
        """
        is_older = self.foreground is not None and other.number < self.number
        return is_older and self.thread not in other.awaited_by and _process.differ(self, other)

    def names(self) -> set[str]:
        """Return the settings to write when this block begins or ends: those changed by this trial and by the blocks around it."""
        around = (other for other in _process.inside if other.thread == self.thread)
        return {*self.changes, *(name for other in around for name in other.changes)}

    @contextmanager
    def active(self, limit_s: float | None = None, *, foreground: str | None = None) -> Iterator[None]:
        """Put the trial's settings in force inside the block, which can be nested, and restore the process's own at its end.

        With ``foreground``, which names the code in the block, the trials that were there before and need other values wait for its end.

        Waits at most ``limit_s`` seconds (:data:`TURN_LIMIT_S` by default) for the trial's turn, then proceeds: the other trial may itself
        be waiting for this one. In the thread of the other trial it does not wait at all.
        """
        limit_s = TURN_LIMIT_S if limit_s is None else limit_s
        self.foreground = foreground or self.foreground
        try:
            self._enter(limit_s, limit_s)
            try:
                yield
            finally:
                self._leave()
        finally:
            self.foreground = None if foreground else self.foreground

    @contextmanager
    def turn(self, slice_s: float = SLICE_S) -> Iterator[bool]:
        """Act like :meth:`active` if the trial gets its turn within ``slice_s``, and yield whether it did; otherwise change nothing.

        For a thread that has to answer commands: it calls this repeatedly, and after :data:`ENGINE_LIMIT_S` in total it gets its turn, but
        never while it is excluded.
        """
        has_turn = self._enter(slice_s, ENGINE_LIMIT_S, is_patient=True)
        try:
            yield has_turn
        finally:
            if has_turn:
                self._leave()

    def _enter(self, slice_s: float, limit_s: float, *, is_patient: bool = False) -> bool:
        """Enter the block; return False if there was no turn within ``slice_s`` and the trial has waited less than ``limit_s`` in total.

        If ``is_patient``, the time while the trial is excluded does not count.
        """
        libraries = libraries_in_use()
        with _process.turns:
            if not self._depth:
                _process.detect_changes(libraries)
                self.thread = threading.get_ident()
                threads = self.thread, _process.waiting_for.get(self.thread)
                around = [other for other in _process.inside if other.thread in threads]
                if around:  # these blocks cannot end before this one, and the queued trials wait for them: waiting would be a deadlock
                    self.bypassed.update((*around, *_process.queue))
                if is_patient and self.excluded_by is not None:
                    _process.turns.wait(slice_s)  # not in the queue, where trials that are not excluded would wait behind it
                    return False
                left_s = max(limit_s - self._waited_s, 0.0)
                if not self._wait(libraries, min(slice_s, left_s)):
                    if slice_s < left_s:
                        self._waited_s += slice_s
                        return False
                    self.bypassed.update((*_process.inside, *_process.queue))
                self._waited_s = 0.0
            self._depth += 1
            if self._depth == 1:
                _process.inside.append(self)
                _process.install(self.names())
            return True

    def _wait(self, libraries: list[Library], limit_s: float) -> bool:
        if _process.can_begin(self):
            return True
        deadline = time.monotonic() + limit_s
        try:
            _process.queue.append(self)  # inside the try: an interrupt can be raised right after it
            while not (is_free := _process.can_begin(self)) and (left := deadline - time.monotonic()) > 0:
                _process.turns.wait(left)
                _process.detect_changes(libraries)
            return is_free
        finally:
            if self in _process.queue:
                _process.queue.remove(self)
            _process.turns.notify_all()  # the next trial in the queue may need the values in force

    def _leave(self) -> None:
        libraries = libraries_in_use()  # again: the trial may have imported one
        with _process.turns:
            self._depth -= 1
            if self._depth:
                return
            _process.detect_changes(libraries)
            if self in _process.inside:  # it is not in a child that was forked inside the block
                _process.remove(self)


@contextmanager
def loading_for(thread: int) -> Iterator[None]:
    """Do not wait for blocks of ``thread`` inside the block: it waits for this one, such as a script that loads a trial.

    Args:
        thread: The identifier of the thread.
    """
    own = threading.get_ident()
    with _process.turns:
        _process.waiting_for[own] = thread
    try:
        yield
    finally:
        with _process.turns:
            del _process.waiting_for[own]


def abandon(thread: int) -> None:
    """Restore the process's own values although blocks of a thread have not ended, because its engine was killed or its load interrupted.

    A thread can have two trials in their blocks: the one that is being reloaded, and its replacement.

    Args:
        thread: The identifier of the thread.

    Thread: any.
    """
    libraries = libraries_in_use()
    with _process.turns:
        abandoned = [trial for trial in _process.inside if trial.thread == thread]
        if abandoned:
            _process.detect_changes(libraries)  # the changes so far belong to these trials
        for trial in abandoned:
            _process.remove(trial)
    for library in libraries:
        library.abandon(thread)


def _begin_in_child() -> None:
    """Make the values in force a forked child's own: the child, such as a data loader's worker, is part of the trial and runs no other."""
    _process.turns = threading.Condition(threading.RLock())  # another thread of the parent may hold the old one forever
    _process.inside.clear()
    _process.own = dict(_process.live)
    _process.queue.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_in_child)
