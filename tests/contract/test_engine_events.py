"""What every engine promises about events and their order (see :mod:`detjupyter.engine.engine`)."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support.bench import Bench, ToyAdapter, load_toy, make_bench, open_engine
from support.waiting import LIMIT_S

from detjupyter.definition.config import Config
from detjupyter.engine.loaded import LoadedTrial
from detjupyter.errors import CheckpointError, DetJupyterError, EntrypointError, SessionError, TrialError
from detjupyter.protocol.commands import (
    CommandMessage,
    Pause,
    Step,
    Stop,
    Validate,
)
from detjupyter.protocol.events import (
    ActivityChanged,
    BestChanged,
    Checkpointed,
    CommandAnswered,
    Event,
    Failed,
    Loaded,
    Logged,
    MetricsReported,
    Moved,
    PlanChanged,
    StateChanged,
    Validated,
    Warned,
)
from detjupyter.protocol.states import State


def tell(event: Event) -> Any:
    """Return what of an event does not depend on time; None for what comes by the clock."""
    match event:
        case StateChanged():
            return ("state", event.state.value, event.batches_trained)
        case ActivityChanged():
            return ("activity", event.activity.value)
        case PlanChanged():
            return ("plan", event.start, event.target, event.is_training)
        case MetricsReported():
            return ("metrics", event.batches.tolist(), {name: values.tolist() for name, values in event.columns.items()})
        case Validated():
            return ("validation", event.batches_trained, dict(event.metrics))
        case BestChanged():
            return ("best", event.best.value, event.best.batches_trained)
        case Checkpointed():
            return ("checkpoint", event.checkpoint.batches_trained, event.checkpoint.automatic)
        case Moved():
            return ("moved", event.batches_trained, event.records_trained)
        case Loaded():
            return ("loaded", event.loaded.class_name, event.batches_trained)
        case Warned():
            return ("warning", event.text, event.until.value)
        case Failed():
            return ("error", event.error.message, event.batches_trained)
        case CommandAnswered():
            return ("command", event.command, event.origin.value, event.at_batch, event.answered_at_batch, event.outcome, event.error)
        case _:
            return None


def story(bench: Bench) -> list[Any]:
    """Return what happened, with the reports between two other events as one and repeated activities once."""
    received: list[Any] = []
    for one in filter(None, map(tell, bench.published)):
        last = received[-1] if received else (None,)
        if one[0] == last[0] == "metrics":
            received[-1] = ("metrics", last[1] + one[1], {name: last[2][name] + one[2][name] for name in one[2]})
        elif one != last or one[0] != "activity":
            received.append(one)
    return received


def live_through_a_day(bench: Bench) -> list[BaseException | None]:
    """Have a session do everything once; return the errors."""
    session, errors, fresh = bench.session, list[BaseException | None](), ToyAdapter()
    bench.reloaded = lambda: fresh
    bench.adapter.needs_driver = fresh.needs_driver = True  # files are written in turn

    def attempt(call: Callable[[], Any]) -> None:
        try:
            call()
        except DetJupyterError as error:
            errors.append(error)
        else:
            errors.append(None)

    attempt(session.pause)
    attempt(lambda: session.step(2))
    attempt(session.resume)
    attempt(session.validate)
    saved = session.checkpoint()
    attempt(lambda: session.train(batches=3, wait=True))
    attempt(lambda: session.restore(saved))
    attempt(lambda: session.restore(bench.root / "nowhere"))
    attempt(session.reload)
    fresh.on_batch = _fail_at_4
    attempt(lambda: session.train(batches=5, wait=True))
    attempt(lambda: session.step(5))
    attempt(session.stop)
    fresh.on_batch = lambda _: None
    attempt(lambda: session.step(1))
    session.close()
    attempt(session.validate)
    return errors


def _fail_at_4(index: int) -> None:
    if index == 4:
        raise ValueError("a bad batch")


class TestEvents:
    """What an engine tells, and in which order."""

    def test_both_engines_tell_the_same_in_the_same_order(self, tmp_path: Path) -> None:
        """And their senders get the same answers: classes, words, hints and fields of errors."""
        benches = [make_bench(tmp_path / name, behind_bytes=name == "bytes") for name in ("direct", "bytes")]
        direct, bytewise = [(live_through_a_day(bench), bench) for bench in benches]
        assert story(direct[1]) == story(bytewise[1])
        assert [_describe(error, direct[1]) for error in direct[0]] == [_describe(error, bytewise[1]) for error in bytewise[0]]
        classes = [type(error) for error in direct[0]]
        expected = [
            SessionError,
            None,
            SessionError,
            None,
            None,
            None,
            CheckpointError,
            None,
            TrialError,
            TrialError,
            None,
            None,
            SessionError,
        ]
        assert classes == [type(None) if one is None else one for one in expected]

    def test_a_training_is_reported_from_its_beginning_to_its_end(self, bench: Bench) -> None:
        """Each event once, each after what it follows from."""
        bench.adapter.needs_driver = True  # files are written in turn
        bench.session.train(batches=3, validate_every=2, wait=True)
        assert story(bench) == [
            ("loaded", "ToyTrial", 0),
            ("state", "running", 0),
            ("command", "train", "script", 0, 0, "done", None),
            ("plan", 0, 3, True),
            ("activity", "training"),
            ("metrics", [1, 2], {"loss": [1.0, 1 / 2]}),
            ("activity", "validating"),
            ("validation", 2, {"error": 1 / 3}),
            ("best", 1 / 3, 2),
            ("activity", "checkpointing"),
            ("checkpoint", 2, True),
            ("activity", "training"),
            ("metrics", [3], {"loss": [1 / 3]}),
            ("activity", "validating"),
            ("validation", 3, {"error": 1 / 4}),
            ("best", 1 / 4, 3),
            ("activity", "checkpointing"),
            ("checkpoint", 3, True),
            ("activity", "training"),
            ("state", "finished", 3),
        ]

    def test_lines_come_before_the_event_they_led_to(self, bench: Bench) -> None:
        """The output of a batch is published before the failure that follows it."""

        def fail(_: int) -> None:
            print("about to fail", end="")  # noqa: T201
            raise ValueError

        bench.adapter.on_batch = fail
        with pytest.raises(TrialError):
            bench.session.step()
        kinds = [event.kind for event in bench.published if isinstance(event, (Logged, Failed, StateChanged))]
        assert kinds == ["state", "log", "error", "state"]

    def test_events_come_from_one_thread(self, tmp_path: Path, behind_bytes: bool) -> None:
        """Events come from the trial's thread, for commands from any thread."""
        threads: set[str] = set()
        engine = open_engine(tmp_path, lambda _: threads.add(threading.current_thread().name), behind_bytes=behind_bytes)
        engine.opened.result(LIMIT_S)
        for command in (Pause(), Validate(), Step(2), Stop()):
            with suppress(SessionError):
                engine.send(CommandMessage(command)).result(LIMIT_S)
        engine.close(State.STOPPED)
        assert threads == {"detjupyter toy"}

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="children are captured on POSIX")
    @pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
    @pytest.mark.parametrize("fails", [False, True], ids=["loads", "fails"])
    def test_lines_of_a_load_come_as_they_are_printed(self, tmp_path: Path, behind_bytes: bool, fails: bool) -> None:
        """From the trial's thread, from threads and children that it starts: one event at a time, and all before the end of the load."""
        expected = ["printed", "of a thread", "of a program", "of a forked child"]
        received: list[str] = []
        under_way: list[Event] = []
        at_once: set[int] = set()
        printed_all = threading.Event()

        def publish(event: Event) -> None:
            under_way.append(event)
            time.sleep(0.01)  # time for another one to come in between
            at_once.add(len(under_way))
            received.extend([line.text for line in event.lines] if isinstance(event, Logged) else [event.kind])
            if set(expected) <= set(received):
                printed_all.set()
            under_way.pop()

        def build() -> LoadedTrial:
            print(expected[0])  # noqa: T201
            talkers = [threading.Thread(target=print, args=(expected[1],)) for _ in range(8)]
            for thread in talkers:
                thread.start()
            subprocess.run(["echo", expected[2]], check=True)
            child = multiprocessing.get_context("fork").Process(target=print, args=(expected[3],))
            child.start()
            child.join(LIMIT_S)
            assert printed_all.wait(LIMIT_S), "not reported while it loads"
            for thread in talkers:
                thread.join(LIMIT_S)
            print("at last", end="")  # noqa: T201
            if fails:
                raise EntrypointError("No.", entrypoint="m:T", path="/there")
            return load_toy(tmp_path, Config(), ToyAdapter())

        engine = open_engine(tmp_path, publish, behind_bytes=behind_bytes, build=build)
        assert isinstance(engine.opened.exception(LIMIT_S), EntrypointError if fails else type(None))
        assert at_once == {1}
        lines = [*expected, *[expected[1]] * 7, "at last"]
        assert sorted(received[: len(lines)]) == sorted(lines)
        assert received[len(lines) - 1 :] == (["at last"] if fails else ["at last", "loaded"])
        engine.close(State.STOPPED)


def _describe(error: BaseException | None, bench: Bench) -> Any:
    if error is None:
        return None
    found = {name: str(value).replace(str(bench.root), "ROOT") for name, value in vars(error).items()}
    return type(error).__name__, str(error).replace(str(bench.root), "ROOT"), found
