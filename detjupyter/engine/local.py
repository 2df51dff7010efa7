"""An engine that runs in a thread of this process."""

from __future__ import annotations

import contextvars
import ctypes
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from detjupyter.definition.isolation import working_directory
from detjupyter.engine import ambient
from detjupyter.engine.active_trial import ActiveTrial
from detjupyter.engine.checkpoints.service import Written
from detjupyter.engine.driver import Driver
from detjupyter.engine.emitter import Emitter
from detjupyter.engine.engine import Engine, Publish
from detjupyter.engine.failure import stack_text, summary
from detjupyter.engine.job_control import JobControl
from detjupyter.engine.libraries import Plain
from detjupyter.engine.loaded import LoadedTrial
from detjupyter.engine.loading import load_trial
from detjupyter.engine.memory import free_memory, reference_to
from detjupyter.engine.output import LogSink, captured, close_capture
from detjupyter.engine.refusals import closed
from detjupyter.engine.requests import Inbox, Request
from detjupyter.engine.settings import abandon, loading_for
from detjupyter.engine.thread import thread_environment
from detjupyter.errors import ProtocolError
from detjupyter.protocol.commands import CommandMessage, UseCode, UseRun, require_command
from detjupyter.protocol.events import Loaded
from detjupyter.protocol.origins import mark_engine_thread
from detjupyter.protocol.recipe import LoadedRecord, LoadRecipe
from detjupyter.protocol.states import State

JOIN_LIMIT_S = 10.0
"""How long closing an engine waits for the current batch."""
WRITE_LIMIT_S = 120.0
"""How long it waits for a checkpoint that is being written."""
SLICE_S = 0.2
"""Each single wait is at most this long, so that an interrupt can end the waiting on every platform."""

HOOK_STREAM = "startup-hook"
"""The stream of the log for the output of the startup hook."""

Build = Callable[[], LoadedTrial]
_log = logging.getLogger(__name__)


class LocalEngine(Engine):
    """A trial and the thread that owns it.

    The thread runs in a copy of the caller's ``contextvars`` context, so that context variables that a cell has set apply to the trial.

    Args:
        name: The name of the session, which the thread's name contains.
        root: The directory against which relative paths of the trial are resolved.
        publish: Takes the events.
        build: Builds the trial, in the engine's thread.
        load_again: Loads the definition again, for a reload.
        settings: The settings of the thread that opens the engine, from :func:`~detjupyter.engine.ambient.capture`; by default those of the
            calling thread.
        sink: Collects what the trial prints.
    """

    def __init__(
        self,
        name: str,
        root: Path,
        publish: Publish,
        build: Build,
        *,
        load_again: Callable[[LoadRecipe], LoadedTrial] = load_trial,
        settings: Mapping[str, Plain] | None = None,
        sink: LogSink | None = None,
    ) -> None:
        self.opened: Future[LoadedRecord] = Future()
        self.ended: Future[None] = Future()
        self._name = name
        self._root = root
        self._build: Build | None = build
        self._load_again = load_again
        self._inbox = Inbox()
        self._unanswered: dict[int, Request] = {}  # by id
        self._emitter = Emitter(publish, sink or LogSink())
        self._ambient = ambient.capture() if settings is None else settings
        self._loading_thread = threading.get_ident()
        self._driver: Driver | None = None
        self._closing: State | None = None
        self._process = os.getpid()
        self._is_loading, self._is_killed = True, False
        self._lock = threading.RLock()  # reentrant: while a thread holds it, garbage collection can close this engine in the same thread
        self._waiting: list[int] = []  # the threads that only wait for the trial
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._run,), name=f"detjupyter {name}", daemon=True)
        self._thread.start()

    def send(self, message: CommandMessage) -> Future[Any]:
        """Send a command."""
        future: Future[Any] = Future()
        try:
            require_command(message.command)
        except ProtocolError as error:
            future.set_exception(error)
            return future
        driver = self._driver
        if isinstance(message.command, (UseRun, UseCode)):  # not through the inbox: a checkpoint that is being written may wait for it
            if driver is not None:
                driver.trial.checkpoints.use(message.command)
            future.set_result(None)
        else:
            self._put(Request(message, future), future)
        return future

    def close(self, state: State, *, limit_s: float | None = None) -> bool:
        """End the thread."""
        self._begin_closing(state)
        if self.is_own_thread:
            return False
        deadline = time.monotonic() + (JOIN_LIMIT_S if limit_s is None else limit_s)
        write_deadline = time.monotonic() + WRITE_LIMIT_S
        while self._thread.is_alive() and time.monotonic() < (write_deadline if self._is_writing() else deadline):
            self._thread.join(SLICE_S)
        return not self._thread.is_alive()

    def close_soon(self) -> None:
        """Ask the thread to end."""
        self._begin_closing(State.STOPPED)

    @contextmanager
    def awaited(self) -> Iterator[None]:
        """Register that the calling thread only waits for the trial inside the block."""
        thread = threading.get_ident()
        self._waiting.append(thread)
        try:
            yield
        finally:
            self._waiting.remove(thread)

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt in a load that is under way; the engine then ends."""
        self._begin_closing(State.STOPPED)
        with self._lock:
            # Under the lock, which the end of the load needs, too: the exception must not be raised in the code after it.
            if self._is_loading:
                self._is_loading = False  # a second interrupt would be raised in the handling of the first
                self._raise_in_thread(KeyboardInterrupt)
                self._abandon_settings()  # C code that waits raises the exception late or never

    def kill(self) -> None:
        """Fail all waiting requests, and raise SystemExit in the thread. Python raises it only after C code returns."""
        self._begin_closing(State.INTERRUPTED)
        self._is_killed = True
        self._abandon_requests(closed())
        self._abandon_settings()
        if self._thread.is_alive():
            self._raise_in_thread(SystemExit)

    @property
    def is_own_thread(self) -> bool:
        """Whether this is the engine's thread."""
        return threading.current_thread() is self._thread

    @property
    def trial(self) -> Any:
        """The user's trial."""
        return self._alive().trial.progress.adapter.trial

    @property
    def context(self) -> Any:
        """The trial's context."""
        return self._alive().trial.progress.adapter.context

    def stack(self) -> str:
        """Return the frames of the thread as text."""
        frame = sys._current_frames().get(self._thread.ident or 0)
        driver = self._driver
        return "" if frame is None else stack_text(frame, [self._root] if driver is None else driver.trial.loaded.roots)

    def _put(self, request: Request, future: Future[Any]) -> None:
        key = id(request)  # with the request itself, the callback would create a cycle that keeps the command and its result alive
        # Before the checks: whatever ends the engine fails all requests that are registered here, so none is lost in between.
        self._unanswered[key] = request
        future.add_done_callback(lambda _: self._unanswered.pop(key, None))
        is_inherited = os.getpid() != self._process  # in a forked child there is no thread that would answer
        if self._closing is not None or is_inherited or not self._inbox.put(request) or self._is_killed:
            request.abandon(closed())

    def _abandon_requests(self, error: BaseException) -> None:
        for request in list(self._unanswered.values()):
            request.abandon(error)

    def _raise_in_thread(self, error: type[BaseException]) -> None:
        if self._thread.ident is not None:
            # Without c_ulong, ctypes would pass the identifier as a C int of 32 bits.
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread.ident), ctypes.py_object(error))

    def _abandon_settings(self) -> None:
        """Restore the settings of cells and other trials now, because this engine's thread may never leave its block."""
        if self._thread.ident is not None:
            abandon(self._thread.ident)

    def _alive(self) -> Driver:
        driver = self._driver
        if driver is None:
            raise closed()
        return driver

    def _is_writing(self) -> bool:
        driver = self._driver
        return driver is not None and driver.trial.checkpoints.is_under_way

    def _begin_closing(self, state: State) -> None:
        with self._lock:
            if self._closing is None:
                self._closing = state
        self._inbox.put(self._stop)

    def _stop(self) -> None:
        if self._driver is not None and self._closing is not None:
            self._driver.control.stop(self._closing)

    # The engine's thread ---------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._work()
        finally:
            self.ended.set_result(None)

    def _work(self) -> None:
        mark_engine_thread()
        working_directory.enter(self._root)  # until this thread ends, and for the workers that it starts
        sink = self._emitter.sink
        with captured(sink), thread_environment(sink.say_once):
            ambient.apply(self._ambient)
            try:
                with self._emitter.in_background(f"detjupyter {self._name} load"):  # the loading cell shows printed lines at once
                    driver = self._load()
            except BaseException as error:  # the caller of the load gets everything that the definition raises
                free_memory()  # before the caller tries again: a partly built model can occupy the memory of the device
                self._emitter.flush()
                self._refuse_the_rest()
                self.opened.set_exception(error)
                return
            self._drive(driver)
            free_device = driver.trial.loaded.adapter.free_device_memory
            reference = reference_to(driver.trial.loaded.adapter.trial)
            del driver  # the last reference to the trial, unless the user's code or the trial itself has one
            free_memory(free_device, reference)
            with suppress(Exception):
                self._emitter.flush()  # the output of the trial's finalizers
            close_capture(sink)

    def _load(self) -> Driver:
        """Build the trial. Only the driver refers to it afterwards, since a reload replaces it there."""
        build, self._build = self._build, None
        assert build is not None  # called once
        try:
            with loading_for(self._loading_thread):
                return Driver(JobControl(lambda written: self._activate(build(), written)), self._inbox)
        finally:
            with self._lock:
                self._is_loading = False

    def _drive(self, driver: Driver) -> None:
        """Run the trial until the engine is closed, and release it."""
        try:
            record = driver.trial.loaded.record()
            self._emitter.follow(driver.trial.loaded, set(record.sources))
            # Before `opened` is done: the session then sends UseRun, which has no effect without a driver.
            self._driver = driver
            self._emitter.flush(Loaded(record, 0))
            self.opened.set_result(record)
            driver.run(lambda: self._closing is not None and not self._inbox and not driver.trial.checkpoints.is_under_way)
            driver.control.stop(self._closing or State.STOPPED)
        except BaseException as error:  # kill() was called, or detjupyter has a bug; every waiting request must be answered nevertheless
            if not self._is_killed:
                _log.exception("Internal error in the engine of %s.", self._name)
            failure: BaseException | None = driver.control.abandon(error)
        else:
            failure = None
        finally:
            self._driver = None
        self._refuse_the_rest(failure, driver)
        self._release(driver)

    def _activate(self, loaded: LoadedTrial, written: Callable[[Written], None]) -> ActiveTrial:
        return ActiveTrial(
            loaded,
            self._inbox,
            self._emitter,
            name=self._name,
            awaited_by=self._waiting,
            load_again=self._load_again,
            written=written,
        )

    def _release(self, driver: Driver) -> None:
        """Release the trial, in the thread that built it."""
        driver.close()
        self._emitter.unfollow()
        try:
            with driver.trial.user_code():
                driver.trial.loaded.adapter.release()
                driver.trial.loaded.adapter.shut_down()
        except Exception as error:  # user code; the trial is not needed any more
            self._emitter.say(f"The trial's shutdown failed with {summary(error)}")
        with suppress(Exception):
            driver.trial.loaded.release()
            self._emitter.flush()

    def _refuse_the_rest(self, error: BaseException | None = None, driver: Driver | None = None) -> None:
        self._closing = self._closing or State.FAILED
        left = self._inbox.close()
        if driver is not None:
            driver.refuse(left, error or closed())
        self._abandon_requests(error or closed())


def open_engine(recipe: LoadRecipe, root: Path, publish: Publish, *, name: str) -> LocalEngine:
    """Open an engine that loads ``recipe``, and return at once; :attr:`LocalEngine.opened` has the result of the load.

    Args:
        recipe: The load recipe.
        root: The directory of the definition.
        publish: Takes the events.
        name: The name of the session.
    """
    sink = LogSink()
    return LocalEngine(
        name,
        root,
        publish,
        lambda: load_trial(recipe, hook_output=lambda line: sink.write(HOOK_STREAM, f"{line}\n")),
        settings=recipe.settings,
        sink=sink,
    )
