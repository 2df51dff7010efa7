"""Makes an engine's thread look like a main thread to the user's code.

Some calls work only in the main thread: in other threads, ``signal.signal`` and similar functions raise, and ``asyncio.get_event_loop``
finds no loop. On a cluster a trial runs in the main thread, so definitions and libraries use these calls. In an engine's thread they are
accepted: a signal handler has no effect, and a line in the log says so. In a child that the trial forks, the forking thread becomes the
main thread, and the original functions work.
"""

from __future__ import annotations

import asyncio
import decimal
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_TASKS_LIMIT_S = 5.0


@contextmanager
def thread_environment(note: Callable[[str], None]) -> Iterator[None]:
    """Prepare this thread for a trial, until the thread ends.

    * Calls that are restricted to the main thread are accepted (``signal.signal``, ``signal.set_wakeup_fd``), and so are the calls that
      would end the process without a handler (``signal.alarm``, ``signal.setitimer``, ``signal.raise_signal``).
    * ``asyncio.get_event_loop`` returns a loop for this thread. At the end its tasks are canceled, and it is closed.
    * ``decimal.getcontext`` returns a separate context, also if the thread runs in a copy of another thread's context variables.

    Args:
        note: Called with a sentence for the trial's log, at each call that has no effect.

    Thread: the engine's; never the main thread.
    """
    decimal.setcontext(decimal.getcontext().copy())
    with _signals_accepted(note):
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            yield
        finally:
            _close(loop)


def _close(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel the remaining tasks of a loop, as ``asyncio.run`` does at its end, and close the loop."""
    if not loop.is_closed():
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        for _ in range(len(tasks) + 1):  # a task that raises SystemExit ends the loop's run while the other tasks have not ended
            try:
                loop.run_until_complete(_wait_for(asyncio.all_tasks(loop)))
                break
            except BaseException:  # a user's task can raise anything while it is canceled, and the thread is about to end
                continue
    asyncio.set_event_loop(None)
    loop.close()


async def _wait_for(tasks: set[asyncio.Task[object]]) -> None:
    """Wait for ``tasks`` to end, then close unfinished asynchronous generators."""
    if tasks:
        await asyncio.wait(tasks, timeout=_TASKS_LIMIT_S)
    await asyncio.get_running_loop().shutdown_asyncgens()


class _Signals:
    """The signal handlers that the code of one thread has set."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self.handlers: dict[int, Any] = {}  # Any: a handler, SIG_IGN or SIG_DFL
        self._note = note

    def note(self, call: str) -> None:
        """Report that a call has no effect."""
        self._note(f"{call} has no effect in a background training.")


_lock = threading.Lock()
_threads: dict[int, _Signals] = {}
_originals: dict[str, Any] = {}
_wrapped: set[str] = set()
"""The functions that stay replaced, because other code has replaced them again and calls our replacement."""


@contextmanager
def _signals_accepted(note: Callable[[str], None]) -> Iterator[None]:
    """Accept this thread's calls of :mod:`signal`. The functions are replaced while at least one thread is inside the block."""
    ident = threading.get_ident()
    with _lock:
        if not _threads:
            _replace()
        _threads[ident] = _Signals(note)
    try:
        yield
    finally:
        with _lock:
            was_here = _threads.pop(ident, None) is not None  # False in a child that was forked inside the block
            if was_here and not _threads:
                _restore()


def _replace() -> None:
    for name, replacement in _REPLACEMENTS.items():
        if hasattr(signal, name) and name not in _wrapped:  # Windows has no alarms
            _originals[name] = getattr(signal, name)
            setattr(signal, name, replacement)


def _restore() -> None:
    for name, original in _originals.items():
        if getattr(signal, name) is _REPLACEMENTS[name]:
            setattr(signal, name, original)
            _wrapped.discard(name)
        else:  # other code has replaced the function again; its replacement calls ours
            _wrapped.add(name)


def _here() -> _Signals | None:
    return _threads.get(threading.get_ident())


def _signal(signalnum: int, handler: Any) -> Any:
    """Replace ``signal.signal``."""
    here = _here()
    if here is None:
        return _originals["signal"](signalnum, handler)
    number = signal.Signals(signalnum)  # raises the same ValueError as signal.signal for an invalid number
    if not callable(handler) and handler not in (signal.SIG_IGN, signal.SIG_DFL):
        raise TypeError("signal handler must be signal.SIG_IGN, signal.SIG_DFL, or a callable object")
    before = here.handlers.get(number, signal.getsignal(number))
    here.handlers[number] = handler
    here.note(f"signal.signal({number.name}, …)")
    return before


def _set_wakeup_fd(fd: int, *, warn_on_full_buffer: bool = True) -> int:
    """Replace ``signal.set_wakeup_fd``."""
    here = _here()
    if here is None:
        return int(_originals["set_wakeup_fd"](fd, warn_on_full_buffer=warn_on_full_buffer))
    here.note("signal.set_wakeup_fd(…)")
    return -1


def _alarm(seconds: int) -> int:
    """Replace ``signal.alarm``: the thread's handler is not installed in the process, so the alarm would end the process."""
    here = _here()
    if here is None:
        return int(_originals["alarm"](seconds))
    here.note("signal.alarm(…)")
    return 0


def _setitimer(which: int, seconds: float, interval: float = 0.0) -> tuple[float, float]:
    """Replace ``signal.setitimer``, for the same reason."""
    here = _here()
    if here is None:
        first, second = _originals["setitimer"](which, seconds, interval)
        return first, second
    here.note("signal.setitimer(…)")
    return 0.0, 0.0


def _raise_signal(signalnum: int) -> None:
    """Replace ``signal.raise_signal``: call the handler that this thread has set for the signal."""
    here = _here()
    handler = None if here is None else here.handlers.get(signalnum)
    if handler is None:
        _originals["raise_signal"](signalnum)
    elif callable(handler):
        handler(signalnum, None)


_REPLACEMENTS: dict[str, Callable[..., Any]] = {
    "signal": _signal,
    "set_wakeup_fd": _set_wakeup_fd,
    "alarm": _alarm,
    "setitimer": _setitimer,
    "raise_signal": _raise_signal,
}


def _begin_in_child() -> None:
    """Restore the functions of :mod:`signal` in a forked child: the forking thread is its main thread, so the original functions work."""
    global _lock
    _lock = threading.Lock()  # another thread of the parent may hold the old one forever
    _threads.clear()
    _restore()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_in_child)
