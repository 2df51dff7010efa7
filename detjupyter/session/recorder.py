"""Save a session: its events become rows of the store, in a separate thread.

The engine's thread never waits for a disk or for the lock of another process: it queues events and continues. Events that cannot be
written are kept and written later.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from detjupyter.errors import DetJupyterError, StoreBusyError, StoreError
from detjupyter.protocol.events import Event
from detjupyter.protocol.records import RunRecord, SessionRecord
from detjupyter.session.pace import Pace
from detjupyter.session.run_writer import Beginning, Resupply, RunWriter
from detjupyter.session.unwritten import LASTING
from detjupyter.store.base import Store

LINGER_S = 5.0
"""How long the idle thread waits for new work before it ends."""
RETRY_INTERVAL_S = 0.5
"""How often a locked store is tried while a caller waits for the run."""
EXIT_LIMIT_S = 2.0
"""How long the end of the process waits for unwritten events, for all sessions together."""

Task = Callable[[], object]
Item = tuple[float, Event] | Beginning | Task

_recorders: weakref.WeakSet[Recorder] = weakref.WeakSet()


class Recorder:
    """Keeps the rows of a run up to date with its session.

    A failing store (a full disk, a lock that another process holds) does not affect the training: unwritten events stay in memory and are
    written later, and the session's log says so once. Only log lines have a limit in memory
    (:data:`~detjupyter.session.unwritten.LOG_LINES_LIMIT`). If the history file is deleted or moved, the next flush notices it and saves
    the run again in a new file.

    In a forked child a recorder does nothing: the run belongs to the parent.

    Args:
        record: Returns the current state of the session.
        say: Adds a sentence to the session's log; must be quick.
        name: The name of the session, for the thread.
        resupply: Returns the curves in memory, used if a deleted history can no longer be read.
        after_move: Called in the recorder's thread with the store, after the run was saved again in a new file.

    Thread: any.
    """

    def __init__(
        self,
        record: Callable[[], SessionRecord],
        say: Callable[[str], None],
        *,
        name: str,
        resupply: Resupply = lambda: (),
        after_move: Callable[[Store], object] = lambda _: None,
    ) -> None:
        self.run_id: str | None = None
        self._say = say
        self._name = name
        self._writer = RunWriter(record, say, resupply, lambda store: self._attempt(lambda: after_move(store)))
        self._changed = threading.Condition()
        self._inbox: deque[Item] = deque()
        self._queue: deque[Item] = deque()  # used only by the thread: items taken from the inbox that are not done yet
        self._asked = self._answered = 0  # flushes
        self._attempts = self._last_failed = 0  # the number of attempts to write, and of the last one that failed
        self._pace = Pace()
        self._thread: threading.Thread | None = None
        self._is_idle = self._is_closed = self._is_hurried = self._is_inherited = False
        _recorders.add(self)

    @property
    def store(self) -> Store | None:
        """The store that contains the run, or in which it will be created; None until it is open."""
        return self._writer.store

    @property
    def is_in_trouble(self) -> bool:
        """Whether the last attempt to write failed."""
        return self._pace.failures > 0

    def begin(self, open_store: Callable[[], Store], run: RunRecord, then: Callable[[Store], object] | None = None) -> None:
        """Create ``run`` in the store that ``open_store`` opens, and call ``then`` with the store, both in the recorder's thread.

        All earlier and later events belong to the run. If the store cannot be opened or written, the run is kept in memory and the log
        says so; while another process holds its lock, the recorder retries.
        """
        with self._changed:
            self.run_id = run.id
            self._append(Beginning(open_store, run, then))

    def add(self, event: Event) -> None:
        """Add ``event``; it is written at the next flush. While there is no run, only events that a run records are kept."""
        with self._changed:
            if self._is_inherited or (self.run_id is None and not isinstance(event, LASTING)):
                return
            self._inbox.append((time.time(), event))
            self._is_closed = False
            if self.run_id is not None and (self._thread is None or self._is_idle):
                self._wake()

    def submit(self, task: Task) -> None:
        """Run a small task in the recorder's thread, after all earlier events are written. It runs once, even if it fails."""
        with self._changed:
            self._append(task)

    def flush_soon(self) -> None:
        """Request a flush now, without waiting for it."""
        with self._changed:
            if self.run_id is not None:
                self._ask()

    def beat(self) -> None:
        """Record in the store that a paused session is alive."""
        self.flush_soon()

    def settle(self, limit_s: float = 0.5, *, tries_again: bool = False) -> bool:
        """Write all events so far and the current state of the session; wait at most ``limit_s`` seconds.

        Args:
            limit_s: How long to wait.
            tries_again: Whether to wait for another attempt if the store has failed before.

        Returns:
            Whether everything is written. False at once in the recorder's own thread, and, without ``tries_again``, while the store fails.
        """
        with self._changed:
            if (self.run_id is None or self._is_closed) and self._answered == self._asked:
                return True  # nothing to write, or no run to write to
            return self._flush(limit_s, tries_again=tries_again)

    def has_run(self, limit_s: float = 0.5) -> bool:
        """Return whether there is a run to write to: the user may have deleted it from the history.

        Args:
            limit_s: How long to wait for the store. After that, and at once for 0, the last known value is returned.
        """
        if self.run_id is not None and limit_s > 0:
            with self._changed:
                self._flush(limit_s)
        return self.run_id is not None and self.run_id != self._writer.deleted_id

    def wait_for_store(self, limit_s: float = 10.0) -> Store | None:
        """Wait until the store of the run is open and return it; None if it is not open after ``limit_s`` seconds."""
        with self._changed:
            if self.run_id is not None and self._thread is not threading.current_thread():
                self._changed.wait_for(lambda: self.store is not None, limit_s)
        return self.store

    def wait_for_run(self, limit_s: float = 10.0) -> Store | None:
        """Wait until the store contains the run, and return the store; None if there is no run.

        A store that another process has locked is tried every half second.

        Raises:
            StoreBusyError: The run is not in the store after ``limit_s`` seconds.
        """
        deadline = time.monotonic() + limit_s
        with self._changed:
            if self.run_id is None or self._is_inherited or self._thread is threading.current_thread():
                return self.store
            # The attempt that creates the run also writes its events: only after it is nothing missing.
            is_there = self._is_created if self._is_created() else lambda: self._is_created() and not self.is_in_trouble
            while not is_there() and (left_s := deadline - time.monotonic()) > 0:
                self._is_hurried = True
                self._ask()
                self._changed.wait_for(is_there, min(left_s, RETRY_INTERVAL_S))
            if not self._is_created():
                raise StoreBusyError(
                    f"The run {self.run_id!r} is not in the history yet: another process keeps the history locked.",
                    hint="Try again; the training is not affected. A hung kernel may have to be killed.",
                )
        return self.store

    def close(self, limit_s: float = EXIT_LIMIT_S) -> bool:
        """Write all remaining events and end the thread, within ``limit_s`` seconds; a failing store is tried one last time.

        May be called twice; later events start a new thread.

        Returns:
            Whether everything is written.
        """
        deadline = time.monotonic() + limit_s
        with self._changed:
            thread = self._thread
            if self._is_inherited or thread is threading.current_thread() or (self.run_id is None and thread is None):
                return thread is None
            target = self._asked if self._is_closed else self._ask()
            self._is_closed = self._is_hurried = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._answered >= target, limit_s)
            is_written, thread = self._answered >= target, self._thread
            if is_written:  # again: "Saving works again", which the thread itself added, has opened the recorder
                self._is_closed = self._is_hurried = True
                self._changed.notify_all()
        if is_written and thread is not None:
            thread.join(max(deadline - time.monotonic(), 0.0))
        return is_written

    # --- with the lock held -------------------------------------------------------------------------------------------------------

    def _append(self, item: Item) -> None:
        if not self._is_inherited:
            self._inbox.append(item)
            self._is_closed = False
            self._ask()

    def _is_created(self) -> bool:
        """Return whether the store contains the run, or has contained it: the user may have deleted it."""
        return self.run_id in (self._writer.run_id, self._writer.deleted_id)

    def _flush(self, limit_s: float, *, tries_again: bool = False) -> bool:
        """Request a flush and wait for it; return whether it was done."""
        if self._thread is threading.current_thread() or self._is_inherited:
            return False
        self._is_hurried = True  # try a failing store now, without the usual pause
        target = self._ask()
        began = self._attempts  # one that is under way may have waited for a lock that is gone now, so its failure does not count

        def has_failed() -> bool:
            return self._last_failed > began if tries_again else self.is_in_trouble

        self._changed.wait_for(lambda: self._answered >= target or has_failed(), limit_s)
        return self._answered >= target

    def _ask(self) -> int:
        self._asked += 1
        self._wake()
        return self._asked

    def _wake(self) -> None:
        if self._is_inherited:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=f"detjupyter {self._name} recorder", daemon=True)
            self._thread.start()
        else:
            self._changed.notify_all()

    def _has_work(self) -> bool:
        return bool(self._inbox or self._queue or self._asked > self._answered or (self._writer.has_row and self._writer.unwritten))

    # --- in the recorder's thread -------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            while self._wait_for_work():
                self._turn()
        finally:
            with self._changed:
                if self._thread is threading.current_thread():  # not if it was idle: a new event may have started another one since
                    self._thread = None
                    self._changed.notify_all()

    def _wait_for_work(self) -> bool:
        """Wait until a write is due; return False if there was nothing to do for a while."""
        with self._changed:
            while True:
                if self._has_work():
                    due_at = self._pace.due_at(is_asked=self._asked > self._answered, is_hurried=self._is_hurried)
                    wait_s = due_at - time.monotonic()
                    if wait_s <= 0:
                        return True
                    self._changed.wait(wait_s)
                    continue
                self._is_idle = True
                is_woken = not self._is_closed and self._changed.wait(LINGER_S)
                self._is_idle = False
                if not is_woken and not self._has_work():
                    self._thread = None  # before the lock is released, so that the next event starts a new thread
                    return False

    def _turn(self) -> None:
        with self._changed:
            # Under one lock with the inbox: a caller of flush_soon() has added its events before.
            asked, self._is_hurried = self._asked, False
            self._attempts += 1
            self._queue.extend(self._inbox)
            self._inbox.clear()
        began = time.monotonic()
        try:
            self._advance()
        except Exception as error:  # an edge: an error of a store must not end a training
            self._note_failure(error, began)
        else:
            self._note_success(asked, began)

    def _advance(self) -> None:
        """Process the queue in order; an item that raises, and all later ones, stay in the queue."""
        while self._queue:
            item = self._queue[0]
            if isinstance(item, tuple):
                self._writer.take(item[1], item[0])
            elif isinstance(item, Beginning):
                self._begin(item)
            else:
                self._writer.flush()
                self._attempt(item)
            self._queue.popleft()
            del item  # a task may keep a trial alive
        self._writer.flush()

    def _begin(self, beginning: Beginning) -> None:
        try:
            self._writer.begin(beginning)
        finally:
            with self._changed:
                self._changed.notify_all()  # wakes callers that wait for the store
        then, store = beginning.then, beginning.store
        if then is not None and store is not None:
            self._attempt(lambda: then(store))

    def _attempt(self, task: Task) -> None:
        try:
            task()
        except Exception as error:  # an edge: the task is code of a caller
            self._say(_text(error))

    def _note_failure(self, error: Exception, began: float) -> None:
        with self._changed:
            was_in_trouble = self.is_in_trouble
            self._pace.note_failure(began)
            self._last_failed = self._attempts
            self._changed.notify_all()
        if not was_in_trouble:
            self._say(f"Saving failed; training continues, and the data is kept in memory until saving works. {_text(error)}")

    def _note_success(self, asked: int, began: float) -> None:
        with self._changed:
            was_in_trouble = self.is_in_trouble
            self._pace.note_success(began, time.monotonic())
        if was_in_trouble:
            self._say(self._recovered())
        with self._changed:
            self._answered = asked
            self._changed.notify_all()

    def _recovered(self) -> str:
        try:
            missing = self._writer.count_missing()
        except StoreError:
            return "Saving works again."
        return f"Saving works again; missing from the history: {missing}." if missing else "Saving works again; no data was lost."

    def _become_inherited(self) -> None:
        """Do nothing from now on: this is a forked child, whose copy of the lock may be held forever."""
        self._changed = threading.Condition()
        self._thread, self._is_inherited = None, True
        self._inbox.clear()
        self._queue.clear()


def _text(error: Exception) -> str:
    return str(error) if isinstance(error, DetJupyterError) else f"{type(error).__name__}: {error}"


def _close_all() -> None:
    deadline = time.monotonic() + EXIT_LIMIT_S
    for recorder in list(_recorders):
        recorder.close(max(deadline - time.monotonic(), 0.0))


def _forget_in_child() -> None:
    for recorder in list(_recorders):
        with suppress(Exception):  # an exception in a fork hook would only be printed
            recorder._become_inherited()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
