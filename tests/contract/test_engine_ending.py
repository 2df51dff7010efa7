"""What every engine promises about its end, and about loads that fail (see :mod:`detjupyter.engine.engine`)."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support.answered import Answered
from support.bench import LONG, Bench, Held, open_engine
from support.waiting import LIMIT_S, wait_until

from detjupyter.engine.job_control import JobControl
from detjupyter.engine.loaded import LoadedTrial
from detjupyter.engine.settings import ProcessSettings
from detjupyter.errors import EntrypointError, SessionError, TrialError
from detjupyter.protocol.commands import (
    CommandMessage,
    Step,
    Stop,
    Validate,
)
from detjupyter.protocol.events import (
    Event,
    Loaded,
)
from detjupyter.protocol.states import State


class TestEnding:
    """Closing, killing, and loads that fail."""

    def test_a_trial_that_never_returns_can_be_given_up(self, bench: Bench) -> None:
        """Senders are answered at once, the run says interrupted, and what the batch does later is in no record."""
        bench.session.step(2)
        bench.train_to_gate()
        sent = Answered(bench)
        sent.send(Step(5), Validate(), Stop())
        waiting = threading.Thread(target=lambda: _try(bench.session.validate))
        waiting.start()
        bench.session.close(force=True)
        assert [type(error) for error in sent.check(reported=False)] == [SessionError] * 3
        waiting.join(LIMIT_S)
        assert not waiting.is_alive()
        assert (bench.session.state, bench.session.is_closed, bench.session.allowed) == ("interrupted", True, ())
        (run,) = bench.store.runs()
        assert run.state is State.INTERRUPTED
        assert bench.thread is not None, "the batch has not returned"
        events = len(bench.events("state"))
        bench.adapter.gate.set()
        wait_until(lambda: bench.thread is None, "the end of the batch and its thread")
        assert len(bench.events("state")) == events
        assert bench.session.state == "interrupted"
        assert bench.store.runs()[0].state is State.INTERRUPTED
        with pytest.raises(SessionError, match="closed"):
            bench.session.step()

    def test_an_idle_session_can_be_given_up_too(self, bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
        """It keeps its state, and nothing says that something broke."""
        bench.session.train(batches=1, wait=True)
        bench.session.close(force=True)
        assert bench.session.state == "finished"
        wait_until(lambda: bench.thread is None, "the end of the thread")
        assert caplog.records == []

    def test_closing_can_be_repeated_and_mixed(self, bench: Bench) -> None:
        """In any order, from any thread."""
        bench.bring_to("running")
        bench.engine.close_soon()
        threads = [threading.Thread(target=bench.session.close) for _ in range(4)]
        for one in threads:
            one.start()
        for one in threads:
            one.join(LIMIT_S)
        assert bench.engine.close(State.STOPPED)
        bench.engine.close_soon()
        bench.engine.interrupt()
        bench.engine.kill()
        assert bench.session.state == "stopped"
        assert bench.engine.stack() == ""

    def test_the_trial_may_close_its_own_session(self, bench: Bench) -> None:
        """It cannot wait for itself, so it ends after the batch."""
        closed: list[bool] = []
        bench.adapter.on_batch = lambda _: closed.append(bench.engine.close(State.STOPPED))  # type: ignore[func-returns-value]
        bench.session.train(batches=LONG)
        wait_until(lambda: bench.thread is None, "the end of the thread")
        assert closed == [False]
        assert bench.session.state == "stopped"

    def test_the_end_is_known_however_it_comes(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        """An engine that ends by itself leaves a session that offers nothing."""
        bench.session.step()
        assert not bench.engine.ended.done()
        assert bench.session.allowed
        heard = threading.Event()
        bench.session.channel.subscribe(lambda: None if bench.session.allowed else heard.set())
        monkeypatch.setattr(JobControl, "next_job", None)
        with suppress(TrialError):
            bench.session.validate()
        bench.engine.ended.result(LIMIT_S)
        assert heard.wait(LIMIT_S)
        assert bench.session.allowed == ()
        assert bench.session.state == "failed"

    def test_a_closed_engine_has_no_trial(self, bench: Bench) -> None:
        """It was released, by the thread that made it."""
        bench.session.close()
        assert "release" in bench.adapter.calls
        with pytest.raises(SessionError):
            _ = bench.session.trial

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
    @pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
    def test_a_forked_child_has_no_engine(self, bench: Bench) -> None:
        """Its thread is the parent's: a command is refused there, and its sender does not wait."""
        bench.session.train(batches=LONG)
        child = os.fork()
        if not child:
            status = 1
            try:
                bench.session.pause()
            except SessionError:
                status = 0
            finally:
                os._exit(status)
        wait_until(lambda: os.waitpid(child, os.WNOHANG) == (child, 0), "the end of the child")
        bench.session.pause()
        assert bench.session.state == "paused"

    def test_a_load_that_fails_is_the_loaders_error(self, tmp_path: Path, behind_bytes: bool) -> None:
        """With its class, words and fields; what was sent in between is refused, and the thread ends."""
        held = Held()

        def build() -> LoadedTrial:
            held()
            raise EntrypointError("There is no class 'T'.", entrypoint="m:T", path="/there", hint="Look again.")

        events: list[Event] = []
        engine = open_engine(tmp_path, events.append, behind_bytes=behind_bytes, build=build)
        held.wait()
        early = engine.send(CommandMessage(Step(1)))
        held.may_continue.set()
        error = engine.opened.exception(LIMIT_S)
        assert type(error) is EntrypointError
        assert (error.message, error.hint, error.entrypoint, error.path) == ("There is no class 'T'.", "Look again.", "m:T", "/there")
        assert isinstance(early.exception(LIMIT_S), SessionError)
        assert isinstance(engine.send(CommandMessage(Step(1))).exception(LIMIT_S), SessionError)
        assert engine.close(State.STOPPED)
        assert engine.ended.result(LIMIT_S) is None
        assert [event for event in events if isinstance(event, Loaded)] == []

    def test_a_load_that_is_given_up_leaves_no_setting_in_force(self, tmp_path: Path, behind_bytes: bool) -> None:
        """It may wait in C code, where no interrupt arrives; cells have their own settings at once, and other trials do not wait for it."""
        before, held = gc.get_threshold(), Held()

        def build() -> LoadedTrial:
            with ProcessSettings().active():
                gc.set_threshold(12345, 11, 12)
                held()
            raise EntrypointError("There is no class 'T'.", entrypoint="m:T", path="/there", hint="Look again.")

        engine = open_engine(tmp_path, lambda _: None, behind_bytes=behind_bytes, build=build)
        held.wait()
        engine.interrupt()
        wait_until(lambda: gc.get_threshold() == before, "the process's own setting")
        with ProcessSettings().active(limit_s=0):
            assert gc.get_threshold() == before
        held.may_continue.set()
        engine.ended.result(LIMIT_S)
        assert gc.get_threshold() == before

    def test_a_load_can_be_interrupted(self, tmp_path: Path, behind_bytes: bool) -> None:
        """It ends by itself, and so does the thread."""
        reached, unreached = threading.Event(), threading.Event()

        def build() -> LoadedTrial:
            reached.set()
            while not unreached.wait(0.01):
                pass
            raise AssertionError

        engine = open_engine(tmp_path, lambda _: None, behind_bytes=behind_bytes, build=build)
        assert reached.wait(LIMIT_S)
        engine.interrupt()
        error = engine.opened.exception(LIMIT_S)
        unreached.set()
        assert error is not None
        assert "KeyboardInterrupt" in (type(error).__name__ + str(error))
        assert engine.close(State.STOPPED)


def _try(call: Callable[[], Any]) -> None:
    with suppress(SessionError):
        call()
