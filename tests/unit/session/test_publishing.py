"""Notifications of the views: when and how often, and the output of the trial."""

from __future__ import annotations

import contextlib
import io
import itertools
import logging
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from support.bench import LONG, Bench, Held
from support.waiting import LIMIT_S, wait_until

from detjupyter.definition.config import Config
from detjupyter.engine.driver import HEARTBEAT_S
from detjupyter.errors import SessionBusyError, SessionError, TrialError
from detjupyter.protocol.commands import Pause, Step, Validate
from detjupyter.protocol.states import State
from detjupyter.session.channel import Channel
from detjupyter.session.stuck_watch import STUCK_AFTER_S


class TestListeners:
    """Views subscribe."""

    def test_a_channel_is_what_the_views_were_promised(self, bench: Bench) -> None:
        """It has every method of the protocol."""
        channel: Channel = bench.session.channel
        for name in ("subscribe", "record", "patches", "log", "send"):
            assert callable(getattr(channel, name))

    def test_they_hear_of_every_state(self, bench: Bench) -> None:
        """The record has the state when they are called; the history has it when the session's run is read."""
        heard: list[State] = []

        def listen() -> None:
            state = bench.session.record().state
            if not heard or heard[-1] is not state:
                heard.append(state)

        bench.session.step()
        bench.session.channel.subscribe(listen)
        bench.session.train(batches=LONG)
        bench.session.pause()
        bench.session.resume()
        bench.session.stop()
        assert [state.value for state in heard] == ["running", "paused", "running", "stopped"]
        assert bench.session.run is not None
        assert bench.session.run.state == "stopped"

    def test_they_hear_at_most_about_twelve_times_a_second(self, bench: Bench) -> None:
        """However fast the batches are."""
        calls: list[float] = []
        enough = threading.Event()

        def listen() -> None:
            calls.append(time.monotonic())
            if len(calls) >= 8:
                enough.set()

        bench.bring_to("running")
        bench.session.channel.subscribe(listen)
        assert enough.wait(LIMIT_S)
        bench.session.stop()
        gaps = [later - earlier for earlier, later in itertools.pairwise(calls[:7])]
        assert min(gaps) >= 1 / 12

    def test_one_that_raises_is_dropped_and_named(self, bench: Bench) -> None:
        """The others and the training do not notice."""
        good: list[int] = []
        bad: list[int] = []

        def fail() -> None:
            bad.append(1)
            raise ValueError("broken view")

        bench.session.channel.subscribe(fail)
        bench.session.channel.subscribe(lambda: good.append(1))
        bench.session.train(batches=3, wait=True)
        assert len(bad) == 1
        assert len(good) > 1
        assert bench.session.state == "finished"
        assert any("broken view" in line for line in bench.log())

    def test_unsubscribing_ends_it(self, bench: Bench) -> None:
        """Twice is once, and a listener may do it while it is called."""
        calls: list[int] = []
        unsubscribe: list[Any] = []

        def once() -> None:
            calls.append(1)
            unsubscribe[0]()

        unsubscribe.append(bench.session.channel.subscribe(once))
        bench.session.train(batches=2, wait=True)
        unsubscribe[0]()
        assert calls == [1]

    def test_one_may_send_commands(self, bench: Bench) -> None:
        """A view that pauses at a threshold does not block the thread that calls it."""
        sent: list[Any] = []

        def pause_once() -> None:
            if not sent and bench.session.record().batches_trained > 0:
                sent.append(bench.session.channel.send(Pause()))

        bench.session.channel.subscribe(pause_once)
        bench.session.train(batches=LONG)
        assert bench.session.wait(LIMIT_S) == "paused"
        assert sent[0].exception(LIMIT_S) is None

    def test_many_may_come_and_go_from_many_threads(self, bench: Bench) -> None:
        """None is lost, none is left."""
        bench.bring_to("paused")
        calls: list[int] = []
        kept = []
        lock = threading.Lock()

        def come_and_go(number: int) -> None:
            for _ in range(50):
                bench.session.channel.subscribe(lambda: None)()
            with lock:
                kept.append(bench.session.channel.subscribe(lambda: calls.append(number)))

        threads = [threading.Thread(target=come_and_go, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT_S)
        bench.session.at_batch(lambda _: None)
        assert sorted(calls) == list(range(8))
        for unsubscribe in kept:
            unsubscribe()
        bench.session.at_batch(lambda _: None)
        assert len(calls) == 8


class TestPrints:
    """What the trial writes goes to its log."""

    def test_stdout_stderr_and_logging_go_to_the_log(self, bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
        """Nothing of it shows in whichever cell runs."""

        def write(index: int) -> None:
            print("to stdout")  # noqa: T201
            print("to stderr", file=sys.stderr)  # noqa: T201
            sys.stdout.writelines(["two\n", "lines\n"])
            sys.stdout.flush()
            logging.lastResort.handle(logging.makeLogRecord({"msg": "logged", "levelno": logging.WARNING}))  # type: ignore[union-attr]

        bench.adapter.on_batch = write
        bench.session.train(batches=1, wait=True)
        assert bench.session.run is not None
        lines = [(line.stream, line.text) for line in bench.session.run.log()]
        assert [text for stream, text in lines if stream == "stdout"] == ["to stdout", "two", "lines"]
        errors = [text for stream, text in lines if stream == "stderr"]
        assert errors == ["to stderr", "logged"]
        assert capsys.readouterr() == ("", "")

    def test_what_other_threads_print_goes_where_it_went(self, bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
        """The cell that runs at that time keeps its output."""
        bench.train_to_gate()
        print("from a cell")  # noqa: T201
        other = threading.Thread(target=print, args=("from a thread",))
        other.start()
        other.join(LIMIT_S)
        assert capsys.readouterr().out == "from a cell\nfrom a thread\n"
        assert bench.log() == []

    def test_the_streams_are_as_before_when_no_session_is_left(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Not even a method of ours is left on them; who replaced one finds it."""
        mine = io.StringIO()
        monkeypatch.setattr(sys, "stdout", mine)
        bench = Bench(tmp_path, Config())
        assert sys.stdout is mine
        assert vars(mine), "a loaded trial may print"
        bench.bring_to("paused")
        bench.session.close()
        assert sys.stdout is mine
        assert vars(mine) == {}

    def test_a_training_begun_in_a_captured_cell_stays_captured_after_it(self, bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
        """`%%capture` restores the old streams at its end, which would let the trial print into every later cell."""
        bench.adapter.on_batch = lambda _: print("from the trial")  # noqa: T201
        cell = io.StringIO()
        with contextlib.redirect_stdout(cell):
            bench.session.step(1)
        bench.session.step(20)
        bench.session.stop()
        assert cell.getvalue() == ""
        assert capsys.readouterr().out.count("from the trial") <= 1  # at most the batch that was under way
        bench.session.step(3)
        assert capsys.readouterr().out == ""

    def test_lines_come_before_the_event_they_led_to(self, bench: Bench) -> None:
        """What a failing batch printed is in the log when the state says failed."""
        at_failure: list[list[str]] = []

        def fail(_: int) -> None:
            print("about to fail, no newline", end="")  # noqa: T201
            raise ValueError

        def listen() -> None:
            if bench.session.record().state is State.FAILED:
                at_failure.append(bench.log())

        bench.adapter.on_batch = fail
        bench.session.channel.subscribe(listen)
        bench.session.train(batches=1)
        with pytest.raises(TrialError):
            bench.session.wait(LIMIT_S)
        assert at_failure[0] == ["about to fail, no newline"]

    def test_a_call_between_batches_prints_to_the_log_too(self, bench: Bench) -> None:
        """Also while nothing trains."""
        bench.session.at_batch(lambda trial: print("looked at", trial.weight))  # noqa: T201
        assert bench.log() == ["looked at 0.0"]


class TestTheRecord:
    """What the views draw."""

    def test_progress_of_a_training(self, bench: Bench) -> None:
        """It counts from where the training began, and is empty before the next one is planned."""
        bench.session.train(batches=5, wait=True)
        bench.adapter.gate.clear()
        bench.session.train(batches=20)
        bench.adapter.wait_at_gate()
        record = bench.session.record()
        assert (record.plan_start_batches, record.plan_target_batches, record.batches_trained) == (5, 25, 5)
        assert record.batches_per_epoch == 10
        assert record.activity.value == "training"

    def test_no_progress_of_the_training_before_shows(self, bench: Bench) -> None:
        """While the data of a new training is prepared, the old target is gone."""
        bench.session.train(batches=5, wait=True)
        preparing, go_on = threading.Event(), threading.Event()

        def prepare() -> None:
            preparing.set()
            go_on.wait(LIMIT_S)

        bench.adapter.on_data = prepare
        bench.session.train(batches=5)
        assert preparing.wait(LIMIT_S)
        record = bench.session.record()
        go_on.set()
        assert (record.state, record.plan_target_batches, record.eta_s) == (State.RUNNING, None, None)

    def test_the_curves_are_those_of_the_history(self, bench: Bench) -> None:
        """Short ones point by point."""
        bench.session.train(batches=50, validate_every=10, wait=True)
        patches = {(patch.group.value, patch.name): patch for patch in bench.session.channel.patches({})}
        for (group, name), patch in patches.items():
            batches, values = bench.session.metrics(name, group)
            assert patch.batches.tolist() == batches.tolist()
            assert patch.values.tolist() == values.tolist()
        assert set(patches) == {("training", "loss"), ("validation", "error")}

    def test_commands_are_in_the_history(self, bench: Bench) -> None:
        """What was asked of a training, by what, at which batch, and what became of it."""
        bench.adapter.gate.clear()
        bench.session.train(batches=3)
        bench.adapter.wait_at_gate()
        pause = bench.session.channel.send(Pause())
        bench.adapter.gate.set()
        pause.result(LIMIT_S)
        bench.session.resume()
        bench.session.wait(LIMIT_S)
        with pytest.raises(SessionError):
            bench.session.pause()
        found = [
            (event["command"], event["origin"], event["at_batch"], event["answered_at_batch"], event["outcome"])
            for event in bench.events("command")
        ]
        assert found == [
            ("train", "script", 0, 0, "done"),
            ("pause", "live_view", 1, 1, "done"),
            ("resume", "script", 1, 1, "done"),
            ("pause", "script", 3, 3, "refused"),
        ]
        train, *_, refused = bench.events("command")
        assert train["arguments"]["length"]["value"] == 3
        assert refused["error"] == "Nothing is training: the session is finished."
        assert refused["arguments"] == {}

    def test_a_command_that_ended_in_an_error_is_recorded_as_failed(self, bench: Bench) -> None:
        """It took effect, which a refused one did not."""
        bench.adapter.on_batch = lambda _: 1 // 0  # type: ignore[assignment, return-value]
        with pytest.raises(TrialError):
            bench.session.step(5)
        (step,) = bench.events("command")
        assert (step["command"], step["arguments"], step["outcome"]) == ("step", {"batches": 5}, "failed")
        assert "ZeroDivisionError" in step["error"] or "in your code" in step["error"]


class TestStuck:
    """The views when an engine does not report."""

    @pytest.fixture(autouse=True)
    def _soon(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Do not wait for it."""
        monkeypatch.setattr("detjupyter.session.stuck_watch.STUCK_AFTER_S", 0.05)
        monkeypatch.setattr("detjupyter.session.stuck_watch.LOOK_EVERY_S", 0.01)

    @pytest.mark.parametrize("where", ["on_batch", "on_validation_batch"])
    def test_whatever_hangs_shows_where_and_offers_the_way_out(self, bench: Bench, where: str) -> None:
        """A batch of a training, and a validation of a session that does not train; no more when it continues."""
        held = Held()
        setattr(bench.adapter, where, held)
        future = bench.session.send(Validate()) if where == "on_validation_batch" else bench.session.send(Step())
        held.wait()
        wait_until(lambda: bench.session.record().stuck is not None, "the notice")
        assert "force_close" in bench.session.allowed
        held.may_continue.set()
        future.result(LIMIT_S)
        wait_until(lambda: bench.session.record().stuck is None, "the end of the notice")
        assert "force_close" not in bench.session.allowed

    def test_what_the_session_says_itself_is_no_sign_of_life(self, bench: Bench) -> None:
        """A command that a cell sends and the session refuses, and a line of the session."""
        held = Held()
        bench.adapter.on_batch = held
        bench.session.train(batches=LONG)
        held.wait()
        received = bench.session._publisher._received_at
        with pytest.raises(SessionBusyError):
            bench.session.train(batches=1)
        bench.session._publisher.say("a line of the session")
        assert bench.session._publisher._received_at == received
        held.may_continue.set()
        bench.session.stop()

    def test_an_engine_that_waits_is_heard_often_enough(self) -> None:
        """While it writes files for long, for example: twice before it would count as stuck."""
        assert 2 * HEARTBEAT_S < STUCK_AFTER_S


def test_a_training_that_was_slowed_and_is_paused_is_not_slowed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor when it continues, without a cell that is busy."""
    slowed = True
    monkeypatch.setattr("detjupyter.engine.handover_probe.HandoverProbe.read", lambda _: slowed)
    bench.bring_to("running")
    wait_until(lambda: bench.session.record().slowed, "the mark")
    bench.session.pause()
    wait_until(lambda: not bench.session.record().slowed, "the end of the mark")
    slowed = False
    bench.session.resume()
    bench.between_batches()
    assert not bench.session.record().slowed
    bench.session.stop()
