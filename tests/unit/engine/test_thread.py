"""What the user's code finds in the engine's thread."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from support.engine_thread import EngineThread
from support.waiting import LIMIT_S

from detjupyter.engine.thread import thread_environment

NAMES = [name for name in ("signal", "set_wakeup_fd", "alarm", "setitimer", "raise_signal") if hasattr(signal, name)]


def a_handler(*_: Any) -> None:
    """Do what a trial's handler does: nothing of interest."""


@pytest.fixture
def engine() -> Iterator[EngineThread]:
    """Return the thread of a trial."""
    with EngineThread() as engine:
        yield engine


class TestSignals:
    """Calls that Python allows in the main thread only."""

    def test_a_handler_is_accepted_with_one_note_and_has_no_effect(self, engine: EngineThread) -> None:
        """The process's handler stays; the call may be repeated in every batch."""
        before = signal.getsignal(signal.SIGINT)
        for _ in range(3):
            engine.work(lambda: signal.signal(signal.SIGINT, a_handler))
        assert signal.getsignal(signal.SIGINT) is before
        assert engine.notes == ["signal.signal(SIGINT, …) has no effect in a background training."]

    def test_each_signal_has_a_note(self, engine: EngineThread) -> None:
        """A definition that handles two signals gets two messages."""
        engine.work(lambda: (signal.signal(signal.SIGINT, a_handler), signal.signal(signal.SIGTERM, signal.SIG_IGN)))
        assert [note.split()[0] for note in engine.notes] == ["signal.signal(SIGINT,", "signal.signal(SIGTERM,"]

    def test_the_handler_before_is_returned_and_can_be_set_again(self, engine: EngineThread) -> None:
        """Code that restores a setting finds the process's value at first, and its own value after that."""
        first = engine.work(lambda: signal.signal(signal.SIGINT, a_handler))
        assert first is signal.getsignal(signal.SIGINT)
        assert engine.work(lambda: signal.signal(signal.SIGINT, first)) is a_handler

    @pytest.mark.parametrize(("arguments", "error"), [((9999, a_handler), ValueError), ((signal.SIGINT, "text"), TypeError)])
    def test_a_call_that_is_wrong_in_any_thread_is_wrong_here(
        self, engine: EngineThread, arguments: tuple[Any, ...], error: type[Exception]
    ) -> None:
        """No such signal, no function."""
        with pytest.raises(error):
            engine.work(lambda: signal.signal(*arguments))
        assert engine.notes == []

    def test_the_main_thread_sets_handlers_as_ever(self, engine: EngineThread) -> None:
        """A cell, while a trial's thread lives."""
        engine.work(lambda: None)
        before = signal.signal(signal.SIGTERM, a_handler)
        try:
            assert signal.getsignal(signal.SIGTERM) is a_handler
        finally:
            assert signal.signal(signal.SIGTERM, before) is a_handler
        assert engine.notes == []

    def test_another_thread_is_refused_as_ever(self, engine: EngineThread) -> None:
        """A thread that a trial starts has no main thread on a cluster either."""
        errors: list[BaseException] = []

        def run() -> None:
            try:
                signal.signal(signal.SIGTERM, a_handler)
            except ValueError as error:
                errors.append(error)

        def start() -> None:
            thread = threading.Thread(target=run)
            thread.start()
            thread.join(LIMIT_S)

        engine.work(start)
        assert len(errors) == 1

    def test_a_wakeup_descriptor_is_accepted(self, engine: EngineThread) -> None:
        """As ``asyncio`` sets one for ``add_signal_handler``."""
        assert engine.work(lambda: signal.set_wakeup_fd(-1)) == -1
        assert engine.notes == ["signal.set_wakeup_fd(…) has no effect in a background training."]

    @pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there are no alarms")
    def test_an_alarm_does_not_end_the_process(self) -> None:
        """Its handler is not there, and without one an alarm ends the process: so none is set."""
        code = """
            import signal, threading, time
            from detjupyter.engine.thread import thread_environment

            def run():
                with thread_environment(print):
                    signal.signal(signal.SIGALRM, lambda *_: None)
                    assert signal.alarm(1) == 0
                    assert signal.setitimer(signal.ITIMER_REAL, 0.01) == (0.0, 0.0)

            thread = threading.Thread(target=run)
            thread.start()
            thread.join()
            time.sleep(0.1)
            assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
        """
        done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=LIMIT_S)
        assert done.returncode == 0, done.stderr
        calls = ("signal.signal(SIGALRM, …)", "signal.alarm(…)", "signal.setitimer(…)")
        assert done.stdout.splitlines() == [f"{call} has no effect in a background training." for call in calls]

    def test_a_signal_that_the_trial_raises_reaches_its_own_handler(self, engine: EngineThread) -> None:
        """Without it the signal would end the process."""
        seen: list[int] = []

        def work() -> None:
            signal.signal(signal.SIGTERM, lambda number, _: seen.append(number))
            signal.raise_signal(signal.SIGTERM)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.raise_signal(signal.SIGTERM)

        engine.work(work)
        assert seen == [signal.SIGTERM]

    def test_the_functions_are_pythons_own_when_the_last_thread_has_ended(self) -> None:
        """One after the other, in either order."""
        before = [getattr(signal, name) for name in NAMES]
        with EngineThread() as one:
            with EngineThread() as other:
                other.work(lambda: signal.signal(signal.SIGINT, a_handler))
            one.work(lambda: signal.signal(signal.SIGINT, a_handler))
            assert len(one.notes) == len(other.notes) == 1
        assert [getattr(signal, name) for name in NAMES] == before

    def test_a_function_that_other_code_replaces_too_works_for_both(self) -> None:
        """A library that wraps ``signal.signal`` while a trial's thread lives, and a second trial after that."""
        calls: list[int] = []
        original = signal.signal
        with EngineThread() as one:
            ours = signal.signal

            def wrapped(number: int, handler: Any) -> Any:
                calls.append(number)
                return ours(number, handler)

            signal.signal = wrapped  # type: ignore[assignment]
            one.work(lambda: signal.signal(signal.SIGINT, a_handler))
        try:
            with EngineThread() as other:
                other.work(lambda: signal.signal(signal.SIGINT, a_handler))
                assert len(one.notes) == len(other.notes) == 1
                signal.signal(signal.SIGTERM, signal.signal(signal.SIGTERM, a_handler))
            assert calls == [signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGTERM]
        finally:
            signal.signal = ours  # the library takes its own away
            with EngineThread():
                pass
        assert signal.signal is original

    def test_a_reference_from_before_works_after_the_thread(self) -> None:
        """``from signal import signal`` in a library that a trial has imported."""
        with EngineThread() as engine:
            kept = engine.work(lambda: signal.signal)
        before = kept(signal.SIGTERM, a_handler)
        assert kept(signal.SIGTERM, before) is a_handler


class TestEventLoop:
    """``asyncio`` without ``asyncio.run``."""

    def test_there_is_a_loop_which_stays_the_same(self, engine: EngineThread) -> None:
        """Made in ``__init__``, used in ``train_batch``; not the cell's."""

        async def answer() -> int:
            await asyncio.sleep(0)
            return 42

        loop = engine.work(asyncio.get_event_loop)
        assert engine.work(lambda: asyncio.get_event_loop().run_until_complete(answer())) == 42
        assert engine.work(asyncio.get_event_loop) is loop

    def test_asyncio_run_works_as_well(self, engine: EngineThread) -> None:
        """It creates its own loop."""

        async def answer() -> int:
            return 42

        assert engine.work(lambda: asyncio.run(answer())) == 42

    @pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="the loop handles no signals there")
    def test_a_loop_accepts_a_handler_for_a_signal(self, engine: EngineThread) -> None:
        """It asks for the main thread, too."""
        engine.work(lambda: asyncio.get_event_loop().add_signal_handler(signal.SIGUSR1, a_handler))
        assert any("SIGUSR1" in note for note in engine.notes)

    def test_the_loop_is_closed_with_the_thread_and_its_tasks_are_cancelled(self) -> None:
        """A task that a trial has left, and a generator that it has not finished, end as with ``asyncio.run``."""
        ended: list[str] = []

        async def numbers() -> AsyncIterator[int]:
            try:
                yield 1
                yield 2
            finally:
                ended.append("generator")

        async def task() -> None:
            try:
                await asyncio.sleep(10**6)
            finally:
                ended.append("task")

        async def begin(kept: list[Any]) -> None:
            kept.append(asyncio.ensure_future(task()))
            kept.append(numbers())
            await anext(kept[1])
            await asyncio.sleep(0)

        kept: list[Any] = []
        with EngineThread() as engine:
            loop = engine.work(asyncio.get_event_loop)
            engine.work(lambda: loop.run_until_complete(begin(kept)))
        assert ended == ["task", "generator"]
        assert loop.is_closed()

    @pytest.mark.parametrize("leave", ["closed", "another", "a task that raises", "a task that exits"])
    def test_whatever_the_trial_has_done_to_the_loop_the_thread_ends(self, leave: str) -> None:
        """Closed by the trial, replaced by another loop, or with a task that fails at its end."""
        own = asyncio.new_event_loop()

        async def bad(error: BaseException) -> None:
            try:
                await asyncio.sleep(10**6)
            finally:
                raise error

        async def begin(error: BaseException) -> None:
            tasks.append(asyncio.ensure_future(bad(error)))
            await asyncio.sleep(0)

        tasks: list[Any] = []
        ways: dict[str, Callable[[], Any]] = {
            "closed": lambda: asyncio.get_event_loop().close(),
            "another": lambda: asyncio.set_event_loop(own),
            "a task that raises": lambda: asyncio.get_event_loop().run_until_complete(begin(ValueError("at the end"))),
            "a task that exits": lambda: asyncio.get_event_loop().run_until_complete(begin(SystemExit(3))),
        }
        with EngineThread() as engine:
            loop = engine.work(asyncio.get_event_loop)
            engine.work(ways[leave])
        assert loop.is_closed()
        assert own.is_closed() is False  # it is the trial's
        own.close()
        for task in tasks:
            assert task.exception() is not None

    def test_the_main_threads_loop_is_left_alone(self) -> None:
        """The kernel's own runs in it."""
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            with EngineThread() as engine:
                assert engine.work(asyncio.get_event_loop) is not loop
            assert asyncio.get_event_loop() is loop
        finally:
            asyncio.set_event_loop(None)
            loop.close()


def test_an_error_in_the_thread_passes_through_and_everything_is_put_back() -> None:
    """The environment hides nothing."""
    before = [getattr(signal, name) for name in NAMES]
    errors: list[BaseException] = []

    def run() -> None:
        try:
            with warnings.catch_warnings(), thread_environment(lambda _: None):
                raise RuntimeError("a bug")
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(LIMIT_S)
    assert [str(error) for error in errors] == ["a bug"]
    assert [getattr(signal, name) for name in NAMES] == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.parametrize("forked_in", ["the trial's thread", "a cell"])
def test_a_forked_child_sets_signal_handlers(forked_in: str) -> None:
    """A data loader's worker or a pool's ignores SIGINT, and handles SIGTERM: the thread that forked it is its main thread.

    Also if another thread is just then being prepared for a trial, and at the end of the block in the child.
    """
    code = f"""
        import os, signal, sys, threading
        from concurrent.futures import Future
        from detjupyter.engine import thread
        originals = {{name: getattr(signal, name) for name in {NAMES!r}}}
        held, over, began, status, notes = threading.Event(), threading.Event(), threading.Event(), Future(), []
        def hold():
            with thread._lock:
                held.set()
                over.wait()
        def handle(number, frame):
            os._exit(7)
        def another_trial():
            with thread.thread_environment(notes.append):
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
        def fork():
            child = os.fork()
            if not child:
                try:
                    assert {{name: getattr(signal, name) for name in {NAMES!r}}} == originals
                    signal.signal(signal.SIGINT, signal.SIG_IGN)
                    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
                    signal.signal(signal.SIGTERM, handle)
                    engine = threading.Thread(target=another_trial)
                    engine.start()
                    engine.join()
                    assert len(notes) == 1
                    assert {{name: getattr(signal, name) for name in {NAMES!r}}} == originals
                    os.kill(os.getpid(), signal.SIGINT)
                    os.kill(os.getpid(), signal.SIGTERM)
                finally:
                    os._exit(1)
            status.set_result(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        def trial():
            with thread.thread_environment(notes.append):
                began.set()
                if {forked_in == "a cell"}:
                    status.exception()
                    return
                threading.Thread(target=hold).start()
                held.wait()
                fork()
                over.set()
        engine = threading.Thread(target=trial)
        engine.start()
        began.wait()
        if {forked_in == "a cell"}:
            fork()
        engine.join()
        assert notes == []
        assert status.result() == 7, status.result()
        assert {{name: getattr(signal, name) for name in {NAMES!r}}} == originals
    """
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_the_block_may_end_in_a_forked_child() -> None:
    """A child that returns from the trial's code, as one made with ``os.fork`` may, leaves everything as it is in a new process."""
    code = f"""
        import os, signal, threading
        from detjupyter.engine.thread import thread_environment
        originals = {{name: getattr(signal, name) for name in {NAMES!r}}}
        def trial():
            global code
            child = -1
            with thread_environment(print):
                child = os.fork()
            if not child:
                os._exit(7 if {{name: getattr(signal, name) for name in {NAMES!r}}} == originals else 1)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        engine = threading.Thread(target=trial)
        engine.start()
        engine.join()
        assert code == 7, code
    """
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 0, done.stderr
