"""What a script leaves in the kernel's process, restored at its end: settings, builtins, random states, signal handlers, streams, loggers.

A script on a cluster sets what it likes, because its process ends with it. Here the process is the kernel. Settings are restored by the
mechanism for trials (:mod:`detjupyter.engine.settings`, :mod:`detjupyter.engine.ambient`), also those of libraries that the script is the
first to import. This module adds what a trial cannot change, or what the engine handles in another way for trials.

Not restored, as for trials: environment variables, matplotlib's backend, and torch's number of interop threads.
"""

from __future__ import annotations

import asyncio
import builtins
import decimal
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any

from detjupyter.engine import ambient
from detjupyter.engine.libraries import libraries_in_use
from detjupyter.engine.python_settings import read_umask
from detjupyter.engine.settings import ProcessSettings
from detjupyter.engine.switch_interval import is_lowered

_STREAMS = ("stdin", "stdout", "stderr", "displayhook", "breakpointhook")
_TIMERS = ("ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF")  # Windows has none


@contextmanager
def restored_process_state(name: str) -> Iterator[None]:
    """Restore at the end of the block what code inside has set in the process and in this thread.

    Trials in the background that need other settings wait for the end of the block.

    The block begins with new random states, as a new process does: a script that does not seed them draws different numbers each time.
    Must be entered inside of a copy of the ``contextvars`` context, which restores context variables (``numpy.seterr``).

    Args:
        name: The name of the script.
    """
    with ExitStack() as blocks:
        for block in (
            _event_loop,
            _signals,
            _loggers,
            _streams,
            _interpreter,
            _working_directory,
            partial(ProcessSettings().active, foreground=f"the script {name}"),
            ambient.kept,
            _random_states,
        ):
            blocks.enter_context(block())
        # These two belong to a context: the copy shares their objects with the cell until they are copied, too.
        decimal.setcontext(decimal.getcontext().copy())
        ambient.apply(ambient.capture())
        yield


@contextmanager
def _random_states() -> Iterator[None]:
    known = libraries_in_use()
    # The random states of a framework contain those of Python and numpy, so one library is enough.
    fresh = next((library.fresh_random_states for library in reversed(known) if library.fresh_random_states is not None), nullcontext)
    try:
        with fresh():
            yield
    finally:
        for library in libraries_in_use():
            if library not in known:
                library.seed_again()


@contextmanager
def _working_directory() -> Iterator[None]:
    before = Path.cwd()
    try:
        yield
    finally:
        with suppress(OSError):  # the script deleted that directory
            os.chdir(before)


@contextmanager
def _streams() -> Iterator[None]:
    before = {name: getattr(sys, name) for name in _STREAMS}
    streams = [stream for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__) if stream is not None]
    try:
        for stream in streams:
            with suppress(AttributeError):  # its methods cannot be replaced
                stream.close = _stay_open  # type: ignore[method-assign]
        yield
    finally:
        for stream in streams:
            if getattr(stream, "__dict__", {}).get("close") is _stay_open:  # a training that has begun since has not replaced it
                del stream.close
        for name, value in before.items():
            setattr(sys, name, value)


def _stay_open() -> None:
    """Do nothing: a script that closes its output must not close the stream, which the kernel needs."""


@contextmanager
def _event_loop() -> Iterator[None]:
    """Let ``asyncio.run`` work, although a cell runs inside of the kernel's event loop: the kernel waits for the cell anyway."""
    running = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(running)
        if running is not None:
            asyncio.set_event_loop(running)  # `asyncio.run` leaves none


@contextmanager
def _interpreter() -> Iterator[None]:
    """Restore builtins (some scripts replace ``print``), trace functions, the switch interval, the stack size of threads, and the umask."""
    names, tracing, profiling = dict(vars(builtins)), sys.gettrace(), sys.getprofile()
    interval_s, stack_bytes, umask = sys.getswitchinterval(), threading.stack_size(), read_umask()
    try:
        yield
    finally:
        if sys.gettrace() is not tracing:
            sys.settrace(tracing)
        if sys.getprofile() is not profiling:
            sys.setprofile(profiling)
        for name in vars(builtins).keys() - names.keys() - {"_"}:  # `_` is the last result in Python's own console
            delattr(builtins, name)
        for name, value in names.items():
            if getattr(builtins, name, None) is not value:
                setattr(builtins, name, value)
        if not is_lowered(interval_s) and not is_lowered(sys.getswitchinterval()):  # a training restores it
            sys.setswitchinterval(interval_s)
        threading.stack_size(stack_bytes)
        os.umask(umask)


@contextmanager
def _signals() -> Iterator[None]:
    """Restore signal handlers, and cancel alarms, which would end the process without the script's handler."""
    if threading.current_thread() is not threading.main_thread():  # it can neither set handlers nor restore them
        yield
        return
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    timers = {timer: signal.getitimer(timer) for timer in (getattr(signal, name) for name in _TIMERS if hasattr(signal, name))}
    wakeup = signal.set_wakeup_fd(-1)
    with suppress(ValueError, OSError):  # a descriptor that was closed
        signal.set_wakeup_fd(wakeup)
    try:
        yield
    finally:
        for timer, (seconds, interval) in timers.items():
            if not seconds and signal.getitimer(timer)[0]:
                signal.setitimer(timer, seconds, interval)
        for number, handler in handlers.items():
            if handler is not None and signal.getsignal(number) is not handler:  # None: not set from Python
                signal.signal(number, handler)
        with suppress(ValueError, OSError):
            signal.set_wakeup_fd(wakeup)


def _state_of(logger: logging.Logger) -> tuple[Any, ...]:  # Any: of various types
    return logger.level, logger.propagate, logger.disabled, list(logger.handlers), list(logger.filters)


def _all_loggers() -> list[logging.Logger]:
    known = list(logging.root.manager.loggerDict.values())
    return [logging.root, *(logger for logger in known if isinstance(logger, logging.Logger))]


@contextmanager
def _loggers() -> Iterator[None]:
    """Restore the levels, handlers and filters of loggers.

    A new logger belongs to the script, and loses its handlers, unless it has the name of an installed module, which has set it up.
    """
    before = {logger: _state_of(logger) for logger in _all_loggers()}
    made = logging.getLoggerClass(), logging.getLogRecordFactory()
    try:
        yield
    finally:
        logging.setLoggerClass(made[0])
        logging.setLogRecordFactory(made[1])
        for logger in _all_loggers():
            top = logger.name.partition(".")[0]
            if logger in before:
                _restore(logger, *before[logger])
            elif top == "__main__" or top not in sys.modules:
                _restore(logger, logging.NOTSET, True, False, [], [])


def _restore(logger: logging.Logger, level: int, propagate: bool, disabled: bool, handlers: list[Any], filters: list[Any]) -> None:
    added = [handler for handler in logger.handlers if handler not in handlers]
    logger.handlers[:], logger.filters[:] = handlers, filters
    logger.propagate, logger.disabled = propagate, disabled
    logger.setLevel(level)  # not the attribute: this also clears what loggers remember of their levels
    for handler in added:
        with suppress(Exception):  # the script's own handler can raise anything
            handler.close()
