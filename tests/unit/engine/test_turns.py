"""Trials that need different settings of the process take turns."""

from __future__ import annotations

import gc
import signal
import socket
import sys
import threading
from collections.abc import Callable

import pytest
from support.engine_thread import EngineThread
from support.waiting import LIMIT_S, wait_until

from detjupyter.engine import settings
from detjupyter.engine.settings import ProcessSettings


def has_turn(engine: EngineThread) -> bool:
    """Return whether a trial need not wait for another one."""
    with engine.settings.turn(0) as has_turn:
        return has_turn


class TestTwoTrials:
    """Two trials at once share one process."""

    def test_trials_without_settings_work_at_the_same_time(self) -> None:
        """Neither waits for the other."""
        with EngineThread() as one, EngineThread() as other:
            inside, done = threading.Event(), threading.Event()
            batch = one.begin(lambda: (inside.set(), done.wait(LIMIT_S)))
            assert inside.wait(LIMIT_S)
            assert has_turn(other)
            other.work(lambda: None)
            assert not batch.done()
            done.set()
            batch.result(LIMIT_S)

    def test_trials_that_need_different_values_take_turns(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The one that comes second waits until the first has left, which can see that it is waited for."""
        monkeypatch.setattr(settings, "TURN_LIMIT_S", 10 * LIMIT_S)
        with EngineThread() as one, EngineThread() as other:
            one.work(gc.disable)
            inside, done = threading.Event(), threading.Event()
            batch = one.begin(lambda: (inside.set(), done.wait(LIMIT_S), gc.isenabled()))
            assert inside.wait(LIMIT_S)
            assert not has_turn(other)
            waiting = other.begin(gc.isenabled)
            while not one.settings.is_contended:
                assert not waiting.done()
                done.wait(0.001)
            done.set()
            assert batch.result(LIMIT_S)[-1] is False
            assert waiting.result(LIMIT_S) is True
            assert has_turn(other)
            assert not one.settings.is_contended

    def test_a_trial_that_waits_for_another_which_waits_for_it_goes_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A definition that trains another one in its constructor: after a while they share, and the process's values come back."""
        monkeypatch.setattr(settings, "TURN_LIMIT_S", 0.01)
        with EngineThread() as outer, EngineThread() as inner:
            outer.work(gc.disable)
            assert outer.work(lambda: inner.work(lambda: "trained")) == "trained"
            assert gc.isenabled()
            assert outer.work(gc.isenabled) is False
            assert inner.work(gc.isenabled) is True

    def test_a_trial_that_another_one_loads_in_its_own_thread_does_not_wait_and_has_its_own_values(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A student that loads its teacher in a batch would wait for itself, and so behind a trial that waits for the student."""
        monkeypatch.setattr(settings, "TURN_LIMIT_S", 10 * LIMIT_S)

        def load_teacher() -> list[bool]:
            inside.set()
            assert waits.wait(LIMIT_S)
            with ProcessSettings().active():
                seen = [gc.isenabled()]
                gc.set_threshold(999, 9, 9)
            return [*seen, gc.isenabled(), gc.get_threshold() == (999, 9, 9)]

        with EngineThread() as student, EngineThread() as other:
            student.work(gc.disable)
            inside, waits = threading.Event(), threading.Event()
            batch = student.begin(load_teacher)
            assert inside.wait(LIMIT_S)
            others = other.begin(gc.isenabled)
            wait_until(lambda: student.settings.is_contended, "the other's wait")
            waits.set()
            assert batch.result(LIMIT_S) == [True, False, False]
            assert others.result(LIMIT_S) is True
            assert list(student.settings.changes) == ["gc.enable"]

    def test_it_waits_for_a_third_trial_that_works_at_the_same_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Student and third need the same value, the teacher another one: the third finishes its batch before the value changes."""
        monkeypatch.setattr(settings, "TURN_LIMIT_S", 10 * LIMIT_S)

        def load_teacher() -> bool:
            with ProcessSettings().active():
                return gc.isenabled()

        with EngineThread() as student, EngineThread() as third:
            for one in (student, third):
                one.work(gc.disable)
            inside, done = threading.Event(), threading.Event()
            batch = third.begin(lambda: (inside.set(), done.wait(LIMIT_S), gc.isenabled()))
            assert inside.wait(LIMIT_S)
            teacher = student.begin(load_teacher)
            wait_until(lambda: third.settings.is_contended, "the teacher's wait")
            done.set()
            assert batch.result(LIMIT_S)[-1] is False
            assert teacher.result(LIMIT_S) is True

    def test_a_trial_that_has_waited_in_vain_does_not_wait_again_until_the_other_has_left(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It begins each of its batches at once, while the other one is in the same batch; afterwards they take turns again."""
        with EngineThread() as one, EngineThread() as other:
            one.work(gc.disable)
            for attempt in range(2):
                inside, done = threading.Event(), threading.Event()
                batch = one.begin(lambda inside=inside, done=done: (inside.set(), done.wait(LIMIT_S)))
                assert inside.wait(LIMIT_S)
                monkeypatch.setattr(settings, "ENGINE_LIMIT_S", 10 * LIMIT_S)
                assert not has_turn(other), attempt
                monkeypatch.setattr(settings, "ENGINE_LIMIT_S", 0.0)
                assert has_turn(other)
                monkeypatch.setattr(settings, "ENGINE_LIMIT_S", 10 * LIMIT_S)
                assert has_turn(other)
                done.set()
                batch.result(LIMIT_S)
            assert one.work(gc.isenabled) is False
            assert gc.isenabled()

    def test_a_trial_that_trains_batch_after_batch_lets_the_other_have_its_turn(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It leaves its block and comes back at once, faster than any other thread: it is put behind the one that has asked before."""
        monkeypatch.setattr(settings, "TURN_LIMIT_S", 10 * LIMIT_S)
        training, over, seen = ProcessSettings(), threading.Event(), []
        with training.active():
            gc.disable()

        def train() -> None:
            while not over.is_set():
                with training.active():
                    seen.append(gc.isenabled())

        thread = threading.Thread(target=train)
        with EngineThread() as other:
            thread.start()
            try:
                assert [other.work(gc.isenabled) for _ in range(20)] == [True] * 20
            finally:
                over.set()
                thread.join(LIMIT_S)
        assert not any(seen)

    @pytest.mark.skipif(sys.platform == "win32", reason="a thread cannot send a signal there")
    def test_a_wait_for_a_turn_can_be_interrupted(self) -> None:
        """A trial that is built in a cell, while another one trains: afterwards the cell can be run again."""
        waiting = ProcessSettings()
        with EngineThread() as engine:
            engine.work(gc.disable)

            def interrupt() -> None:
                while not engine.settings.is_contended:
                    ended.wait(0.001)
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
                ended.wait(LIMIT_S)

            def take_turns_until(done: Callable[[], bool]) -> None:
                while not done():
                    with waiting.active():
                        pass

            ended = threading.Event()
            batch = engine.begin(interrupt)
            with pytest.raises(KeyboardInterrupt):
                take_turns_until(batch.done)
            ended.set()
            batch.result(LIMIT_S)
            assert not engine.settings.is_contended
            with waiting.active():
                assert gc.isenabled()
                gc.disable()
            assert gc.isenabled()
            assert list(waiting.changes) == ["gc.enable"]

    def test_a_change_while_two_are_at_work_is_the_younger_ones(self) -> None:
        """The younger one is being imported and built, which is when settings are made; the older one trains, batch after batch."""
        with EngineThread() as older, EngineThread() as younger:
            begun, both, changed, done = (threading.Event() for _ in range(4))

            def build() -> None:
                begun.set()
                assert both.wait(LIMIT_S)
                gc.disable()
                changed.set()
                assert done.wait(LIMIT_S)

            building = younger.begin(build)
            assert begun.wait(LIMIT_S)
            older.work(lambda: (both.set(), changed.wait(LIMIT_S)))
            assert older.settings.changes == {}
            assert not has_turn(older)
            done.set()
            building.result(LIMIT_S)
            assert list(younger.settings.changes) == ["gc.enable"]
            assert gc.isenabled()
            assert older.work(gc.isenabled) is True

    def test_many_trials_in_turn_leave_the_process_as_it_was(self) -> None:
        """Each trial finds its own value each time, for any values of the others."""
        before = socket.getdefaulttimeout()
        engines = [EngineThread() for _ in range(4)]
        try:
            for engine in engines:
                engine.__enter__()
            for number, engine in enumerate(engines, start=1):
                engine.work(lambda number=number: socket.setdefaulttimeout(float(number)))
            seen = [[engine.begin(socket.getdefaulttimeout) for engine in engines] for _ in range(50)]
            assert [[future.result(LIMIT_S) for future in row] for row in seen] == [[1.0, 2.0, 3.0, 4.0]] * 50
            assert socket.getdefaulttimeout() == before
        finally:
            for engine in engines:
                engine.__exit__(None, None, None)
