"""What a trial sets in the process is in force while it works, and not in cells."""

from __future__ import annotations

import asyncio
import csv
import gc
import locale
import logging
import multiprocessing
import os
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.bench import Bench
from support.engine_thread import EngineThread
from support.python import run_python
from support.waiting import LIMIT_S, wait_until

from detjupyter.definition.isolation import working_directory
from detjupyter.engine.settings import ProcessSettings
from detjupyter.protocol.commands import Command, MakeCheckpoint, Step, Validate


def a_hook(*_: Any) -> None:
    """Do what a trial's hook for exceptions does: nothing of interest."""


def numeric_locale() -> str:
    """Return the locale of numbers."""
    return locale.setlocale(locale.LC_CTYPE)


def ignores_user_warnings() -> bool:
    """Return whether a filter of the trial's is in force."""
    return any(action == "ignore" and category is FutureWarning and line == 77 for action, _, category, _, line in warnings.filters)


#: What the trial calls, and what then differs.
CHANGES: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
    "sys.path.insert": (lambda: sys.path.insert(0, "/of the trial"), lambda: "/of the trial" in sys.path),
    "sys.path.append": (lambda: sys.path.append("/of the trial"), lambda: "/of the trial" in sys.path),
    "sys.path.remove": (lambda: sys.path.remove(sys.path[-1]), lambda: tuple(sys.path)),
    "warnings.simplefilter": (lambda: warnings.simplefilter("ignore", FutureWarning, lineno=77), ignores_user_warnings),
    "warnings.resetwarnings": (warnings.resetwarnings, lambda: len(warnings.filters)),
    "logging.disable": (lambda: logging.disable(logging.ERROR), lambda: logging.root.manager.disable),
    "gc.disable": (gc.disable, gc.isenabled),
    "gc.set_threshold": (lambda: gc.set_threshold(12345, 11, 12), lambda: gc.get_threshold()[0]),
    "sys.setrecursionlimit": (lambda: sys.setrecursionlimit(4321), sys.getrecursionlimit),
    "sys.excepthook": (lambda: setattr(sys, "excepthook", a_hook), lambda: sys.excepthook),
    "threading.excepthook": (lambda: setattr(threading, "excepthook", a_hook), lambda: threading.excepthook),
    "sys.unraisablehook": (lambda: setattr(sys, "unraisablehook", a_hook), lambda: sys.unraisablehook),
    "sys.set_int_max_str_digits": (lambda: sys.set_int_max_str_digits(0), sys.get_int_max_str_digits),
    "sys.dont_write_bytecode": (lambda: setattr(sys, "dont_write_bytecode", not sys.dont_write_bytecode), lambda: sys.dont_write_bytecode),
    "csv.field_size_limit": (lambda: csv.field_size_limit(1 << 30), csv.field_size_limit),
    "logging.captureWarnings": (lambda: logging.captureWarnings(True), lambda: warnings.showwarning),
    "asyncio.set_event_loop_policy": (
        lambda: asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy()),
        lambda: id(vars(asyncio.events)["_event_loop_policy"]),
    ),
    "socket.setdefaulttimeout": (lambda: socket.setdefaulttimeout(1.5), socket.getdefaulttimeout),
    "locale.setlocale": (lambda: locale.setlocale(locale.LC_CTYPE, "C"), numeric_locale),
    "multiprocessing.set_start_method": (
        lambda: multiprocessing.set_start_method("spawn", force=True),
        lambda: multiprocessing.get_start_method(allow_none=True),
    ),
}


each_change = pytest.mark.parametrize(("change", "read"), CHANGES.values(), ids=CHANGES.keys())


@pytest.fixture(autouse=True)
def _a_locale_to_change() -> Iterator[None]:
    """Begin with a locale that differs from the one that the trial sets."""
    before = locale.setlocale(locale.LC_ALL)
    locale.setlocale(locale.LC_CTYPE, "C.UTF-8")
    yield
    locale.setlocale(locale.LC_ALL, before)


class TestOneTrial:
    """A trial and the cells around it."""

    @each_change
    def test_what_a_trial_sets_holds_in_its_later_work_and_never_in_a_cell(
        self, engine: EngineThread, change: Callable[[], object], read: Callable[[], object]
    ) -> None:
        """Set at import, read in ``train_batch``; the cell's value is the same before and after."""
        before = read()
        engine.work(change)
        assert read() == before
        seen = engine.work(read)
        assert seen != before
        assert engine.work(read) == seen
        assert read() == before

    @each_change
    def test_what_is_set_in_a_batch_only_is_put_back_too(
        self, engine: EngineThread, change: Callable[[], object], read: Callable[[], object]
    ) -> None:
        """The trial was built long before, and sets it in its third piece of work."""
        before = read()
        engine.work(lambda: None)
        engine.work(lambda: None)
        engine.work(change)
        assert read() == before

    @each_change
    def test_a_trial_that_fails_leaves_nothing_set(
        self, engine: EngineThread, change: Callable[[], object], read: Callable[[], object]
    ) -> None:
        """The process has its own value although the code raised right after the call."""
        before = read()

        def fail() -> None:
            change()
            raise RuntimeError("the trial's own")

        with pytest.raises(RuntimeError, match="the trial's own"):
            engine.work(fail)
        assert read() == before

    @each_change
    def test_another_trial_sees_nothing_of_it(self, engine: EngineThread, change: Callable[[], object], read: Callable[[], object]) -> None:
        """Two trials that take turns each have their own."""
        before = read()
        with EngineThread() as other:
            engine.work(change)
            assert other.work(read) == before
            assert engine.work(read) != before
            assert other.work(read) == before

    def test_what_a_cell_sets_between_two_batches_counts_for_the_trial(self, engine: EngineThread) -> None:
        """A trial that has said nothing about it follows the process."""
        before = gc.get_threshold()
        engine.work(gc.disable)
        gc.set_threshold(999, 9, 9)
        try:
            assert engine.work(gc.get_threshold) == (999, 9, 9)
            assert gc.get_threshold() == (999, 9, 9)
        finally:
            gc.set_threshold(*before)

    def test_what_a_cell_sets_does_not_replace_what_the_trial_has_set(self, engine: EngineThread) -> None:
        """Each has its own value afterwards."""
        before = socket.getdefaulttimeout()
        engine.work(lambda: socket.setdefaulttimeout(1.5))
        socket.setdefaulttimeout(7.0)
        try:
            assert engine.work(socket.getdefaulttimeout) == 1.5
            assert socket.getdefaulttimeout() == 7.0
        finally:
            socket.setdefaulttimeout(before)

    def test_directories_that_a_cell_and_a_trial_add_both_count(self, engine: EngineThread) -> None:
        """The trial searches its own and the cell's; the cell only its own, also after one more change."""
        before = list(sys.path)
        engine.work(lambda: sys.path.insert(0, "/of the trial"))
        sys.path.append("/of the cell")
        try:
            assert engine.work(lambda: list(sys.path)) == ["/of the trial", *before, "/of the cell"]
            assert sys.path == [*before, "/of the cell"]
            sys.path.remove("/of the cell")
            assert engine.work(lambda: list(sys.path)) == ["/of the trial", *before]
        finally:
            sys.path[:] = before

    def test_a_trial_can_take_back_what_it_set(self, engine: EngineThread) -> None:
        """Set to the process's value again, it follows the process."""
        engine.work(gc.disable)
        engine.work(gc.enable)
        assert engine.settings.changes == {}

    def test_blocks_may_be_nested(self) -> None:
        """The inner block ends nothing."""
        settings = ProcessSettings()
        with settings.active():
            gc.disable()
            with settings.active():
                assert not gc.isenabled()
            assert not gc.isenabled()
        assert gc.isenabled()

    def test_a_value_that_cannot_be_put_back_does_not_hide_the_others(self) -> None:
        """A recursion limit that is refused at this depth stays; the collector is on again."""
        before = sys.getrecursionlimit()
        trial = ProcessSettings()
        try:
            with trial.active():
                gc.disable()
                sys.setrecursionlimit(before + 5000)

            def deeper(depth: int) -> None:
                if depth:
                    return deeper(depth - 1)
                settings_in_force = trial.active()
                with settings_in_force:
                    assert not gc.isenabled()
                return None

            with trial.active():
                deeper(before + 100)
            assert gc.isenabled()
        finally:
            sys.setrecursionlimit(before)

    @pytest.mark.skipif(sys.platform == "win32", reason="there is no umask")
    def test_a_umask_stays_the_trials(self, engine: EngineThread) -> None:
        """On Linux it belongs to the thread, with the working directory; on other systems it is restored like other settings."""

        def umask() -> int:
            value = os.umask(0o022)
            os.umask(value)
            return value

        before = umask()
        if sys.platform == "linux" and working_directory.threads_may_have_their_own():
            engine.work(lambda: working_directory.enter(working_directory.Path.cwd()))
        engine.work(lambda: os.umask(0o007))
        assert umask() == before
        assert engine.work(umask) == 0o007

    def test_environment_variables_stay(self, engine: EngineThread, monkeypatch: pytest.MonkeyPatch) -> None:
        """They are for the processes that the kernel starts, and to swap them while others read them can crash the process."""
        monkeypatch.setenv("DETJUPYTER_TEST", "before")
        engine.work(lambda: os.environ.__setitem__("DETJUPYTER_TEST", "of the trial"))
        assert os.environ["DETJUPYTER_TEST"] == "of the trial"


class TestWhileACellRuns:
    """A change during the trial's work may be a cell's."""

    @pytest.mark.parametrize("is_shared", [True, False])
    @pytest.mark.parametrize("has_its_own", [True, False])
    def test_what_a_cell_sets_during_a_batch_stays_if_a_cell_was_running(self, is_shared: bool, has_its_own: bool) -> None:
        """Nothing shows who has set it: if nothing else could have run, the trial. What the trial has set itself is kept apart."""
        before = list(sys.path), gc.get_threshold()
        with EngineThread(settings=ProcessSettings(lambda: is_shared)) as engine:
            if has_its_own:
                engine.settings.is_shared = lambda: False
                engine.work(lambda: sys.path.insert(0, "/of the trial"))
                engine.settings.is_shared = lambda: is_shared
            inside, added = threading.Event(), threading.Event()
            batch = engine.begin(lambda: (inside.set(), added.wait(LIMIT_S)))
            assert inside.wait(LIMIT_S)
            sys.path.append("/of the cell")
            gc.set_threshold(999, 9, 9)
            added.set()
            batch.result(LIMIT_S)
            after = list(sys.path), gc.get_threshold()
            try:
                assert after == (([*before[0], "/of the cell"], (999, 9, 9)) if is_shared else before)
                assert engine.work(lambda: "/of the trial" in sys.path) is has_its_own
            finally:
                sys.path[:] = before[0]
                gc.set_threshold(*before[1])

    @pytest.mark.parametrize("leaves", ["during the same batch", "after it", "during the next batch"])
    def test_a_cell_in_catch_warnings_neither_gets_nor_loses_filters(self, engine: EngineThread, leaves: str) -> None:
        """``catch_warnings`` puts a copy of the filters in the place of the list, with the trial's in it, and the list back at its end."""
        engine.work(lambda: warnings.simplefilter("ignore", FutureWarning, lineno=77))
        before = list(warnings.filters)
        inside, done = threading.Event(), threading.Event()
        batch = engine.begin(lambda: (inside.set(), done.wait(LIMIT_S)))
        assert inside.wait(LIMIT_S)
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)
            if leaves != "during the same batch":
                done.set()
                batch.result(LIMIT_S)
                assert not ignores_user_warnings()
            if leaves == "during the next batch":
                inside, done = threading.Event(), threading.Event()
                batch = engine.begin(lambda: (inside.set(), done.wait(LIMIT_S)))
                assert inside.wait(LIMIT_S)
                assert ignores_user_warnings()
        done.set()
        batch.result(LIMIT_S)
        assert engine.work(ignores_user_warnings)
        assert list(warnings.filters) == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_worker_has_the_trials_settings_and_can_work_with_trials() -> None:
    """A data loader's worker is a copy of the trial's process, made while another thread holds the lock."""
    code = """
        import gc, os, threading
        from detjupyter.engine import settings
        trial = settings.ProcessSettings()
        with trial.active():
            gc.disable()
            held, over = threading.Event(), threading.Event()
            def hold():
                with settings._process.turns:
                    held.set()
                    over.wait()
            thread = threading.Thread(target=hold)
            thread.start()
            held.wait()
            child = os.fork()
            if not child:
                another = settings.ProcessSettings()
                with another.turn(0) as has_turn:
                    if not has_turn:
                        os._exit(2)
                    os._exit(7 if not gc.isenabled() else 1)
            status = os.waitpid(child, 0)[1]
            over.set()
            thread.join()
        assert os.waitstatus_to_exitcode(status) == 7, status
    """
    run_python(code)


class TestAnswers:
    """A cell that waited for the trial continues at once."""

    @pytest.mark.parametrize("command", [Validate(), MakeCheckpoint(), Step(1)], ids=lambda command: command.kind)
    def test_the_settings_are_the_processs_own_when_the_sender_is_answered(self, bench: Bench, command: Command) -> None:
        """Whatever is answered; the trial has set something in its first batch, while a cell waited."""
        before = gc.get_threshold()
        bench.adapter.on_batch = lambda index: gc.set_threshold(12345, 11, 12) if index == 0 else None
        bench.session.train(batches=1, wait=True)
        seen: list[tuple[int, int, int]] = []
        is_heard = threading.Event()

        def wait(_: object) -> None:
            assert is_heard.wait(LIMIT_S)

        bench.adapter.on_batch = bench.adapter.on_validation_batch = bench.adapter.on_save = wait
        future = bench.session.send(command)
        future.add_done_callback(lambda _: seen.append(gc.get_threshold()))
        is_heard.set()
        future.result(LIMIT_S)
        bench.session.close()
        assert seen == [before]

    def test_so_it_is_for_a_validation_that_the_training_was_about_to_do(self, bench: Bench) -> None:
        """The validation of the training answers it."""
        before = gc.get_threshold()
        bench.adapter.on_batch = lambda index: gc.set_threshold(12345, 11, 12) if index == 0 else None
        bench.session.train(batches=1, wait=True)
        seen: list[tuple[int, int, int]] = []

        def ask(index: int) -> None:
            if index == 1:
                bench.session.send(Validate()).add_done_callback(lambda _: seen.append(gc.get_threshold()))

        bench.adapter.on_validation_batch = ask
        bench.session.train(batches=1, wait=True)
        assert seen == [before]

    def test_what_the_first_batch_sets_is_the_trials_if_the_cell_waits(self, bench: Bench) -> None:
        """The cell counts as waiting before the training begins, and until its end."""
        before = gc.get_threshold()
        waiting: list[int] = []
        is_waiting, wait = threading.Event(), bench.session.wait

        def train(_: int) -> None:
            assert is_waiting.wait(LIMIT_S)
            gc.set_threshold(12345, 11, 12)
            waiting.append(len(bench.session._engine._waiting))  # type: ignore[attr-defined]

        def wait_later() -> str:
            is_waiting.set()  # the training has been answered, and the cell does not wait for its end yet
            wait_until(lambda: len(waiting) == 3)
            return wait()

        bench.adapter.on_batch = train
        bench.session.wait = wait_later  # type: ignore[method-assign, assignment]
        bench.session.train(batches=3, wait=True)
        assert all(waiting)
        assert gc.get_threshold() == before
