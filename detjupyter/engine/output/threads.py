"""Makes a thread belong to the trial whose thread starts it, until the thread has ended and printed its last traceback."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from detjupyter.engine.output.owner import here, working_for
from detjupyter.engine.output.patches import Target, replacement


def targets(hold: Callable[[object], object]) -> list[Target]:
    """Return the functions to replace.

    Args:
        hold: Called with a sink or a load, in each thread that begins to work for it. The capture lasts as long as the object it returns.
    """

    def start(original: Callable[..., None]) -> Callable[..., Any]:
        @replacement(original)
        def start(self: threading.Thread) -> None:
            if here.sink is not None or here.load is not None:
                _inherit(self, hold)
            try:
                original(self)
            except BaseException:
                vars(self).pop("run", None)
                raise

        return start

    def start_new_thread(original: Callable[..., int]) -> Callable[..., Any]:
        @replacement(original)
        def start_new_thread(function: Callable[..., object], *args: Any, **kwargs: Any) -> int:
            is_of_trial = here.sink is not None or here.load is not None
            return original(_inheriting(function, hold) if is_of_trial else function, *args, **kwargs)

        return start_new_thread

    return [
        # In addition to `start_new_thread`: `threading` has bound that function under another name at its own import.
        Target("threading", "Thread.start", start),
        Target("_thread", "start_new_thread", start_new_thread),
        Target("concurrent.futures.thread", "ThreadPoolExecutor.submit", _submit),
    ]


def _inherit(thread: threading.Thread, hold: Callable[[object], object]) -> None:
    """Make ``thread`` work for the calling thread's trial when it runs."""
    given = vars(thread).get("run")
    run = thread.run

    def run_for_trial() -> None:
        vars(thread).pop("run", None)  # this function and the thread refer to each other: remove the cycle
        if given is not None:
            vars(thread)["run"] = given
        inherited()

    inherited = _inheriting(run, hold)
    vars(thread)["run"] = run_for_trial


def _inheriting(function: Callable[..., object], hold: Callable[[object], object]) -> Callable[..., object]:
    sink, load = here.sink, here.load

    def run(*args: Any, **kwargs: Any) -> object:
        # Not restored afterwards: `threading.excepthook` prints in this thread after its function has ended. The hold ends with the thread.
        here.sink, here.load, here.hold = sink, load, hold(load if sink is None else sink)
        return function(*args, **kwargs)

    return run


def _submit(original: Callable[..., Any]) -> Callable[..., Any]:
    """Make a task belong to the trial of the thread that submits it, since trials and cells can share an executor."""

    @replacement(original)
    def submit(self: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        sink, load = here.sink, here.load

        def task(*args: Any, **kwargs: Any) -> Any:
            with working_for(sink, load):
                return fn(*args, **kwargs)

        return original(self, task, *args, **kwargs)

    return submit
