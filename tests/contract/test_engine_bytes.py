"""What every engine promises about what crosses from the session to the trial and back (see :mod:`detjupyter.engine.engine`)."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from support.bench import Bench, make_bench
from support.messages import same
from support.waiting import LIMIT_S

from detjupyter.engine.loopback import LoopbackEngine
from detjupyter.errors import DetJupyterError, SessionError
from detjupyter.protocol.commands import (
    CommandMessage,
    Restore,
    Step,
    Stop,
    Validate,
)
from detjupyter.protocol.events import (
    MetricsReported,
)


class TestBytes:
    """Nothing but data crosses."""

    def test_every_command_answer_and_event_is_bytes(self, tmp_path: Path) -> None:
        """What arrives is equal to what was sent and is not it; the counters of the engine grow with each."""
        bench = make_bench(tmp_path / "toy", behind_bytes=True)
        engine = bench.engine
        assert isinstance(engine, LoopbackEngine)
        sent, received = engine.bytes_sent, engine.bytes_received
        for command in (Step(2), Validate(), Stop()):
            engine.send(CommandMessage(command)).result(LIMIT_S)
            assert engine.bytes_sent > sent
            assert engine.bytes_received > received
            sent, received = engine.bytes_sent, engine.bytes_received
        bench.session.close()
        inside, outside = bench.emitted, bench.published
        assert len(inside) == len(outside)
        assert all(map(same, inside, outside))
        assert not any(one is other for one, other in zip(inside, outside, strict=True))
        metrics = [(one, other) for one, other in zip(inside, outside, strict=True) if isinstance(one, MetricsReported)]
        assert metrics
        for one, other in metrics:
            assert isinstance(other, MetricsReported)
            assert one.batches is not other.batches
            assert one.columns is not other.columns

    @pytest.mark.parametrize("behind_bytes", [True], ids=["bytes"])
    def test_a_command_that_cannot_be_sent_is_refused_here(self, bench: Bench) -> None:
        """Nothing reaches the engine."""
        future = bench.engine.send(CommandMessage(Restore(object())))  # type: ignore[arg-type]
        with pytest.raises(DetJupyterError, match=r"CommandMessage\.command\.path cannot be sent"):
            future.result(LIMIT_S)
        assert bench.answers() == []


class Unspeakable:
    """An object that cannot even be printed."""

    def __repr__(self) -> str:
        raise RuntimeError("no words")


class TestOddMetrics:
    """A metric that cannot be sent as data."""

    @pytest.mark.parametrize("odd", [object(), Unspeakable(), {1j: 2}, iter("ab"), threading.Lock()], ids=lambda odd: type(odd).__name__)
    def test_the_others_are_kept_and_the_log_says_so_once(self, bench: Bench, odd: Any) -> None:
        """However often it comes; the training, the history and the sender of the command do not notice."""
        bench.adapter.validation_metrics = {"error": 0.5, "odd": odd, "many": [1.0, 2.0]}
        for _ in range(2):
            bench.session.step()
            metrics = bench.session.validate()
            assert {name: metrics[name] for name in ("error", "many")} == {"error": 0.5, "many": [1.0, 2.0]}
        assert bench.session.state == "paused"
        bench.settle_record()
        assert bench.session.metrics("error", "validation")[1].tolist() == [0.5, 0.5]
        assert [event["metrics"]["many"] for event in bench.events("validation")] == [[1.0, 2.0]] * 2
        said = [line for line in bench.log() if "Validated.metrics['odd']" in line]
        assert len(said) == (1 if bench.behind_bytes else 0), "in this process it is recorded as text"
        assert not any("Saving failed" in line for line in bench.log())


class TestWhatNeedsTheTrial:
    """The only difference between engines: the live object."""

    @pytest.mark.parametrize("behind_bytes", [True], ids=["bytes"])
    def test_behind_bytes_it_is_refused_in_words(self, bench: Bench) -> None:
        """The trial, its context and functions; the message says why, and what to do instead."""
        for what in ("trial", "context"):
            with pytest.raises(SessionError, match=f"`session.{what}` needs the live trial, which is in another process") as refused:
                getattr(bench.session, what)
            assert refused.value.hint
            assert refused.value.state == "ready"
        with pytest.raises(SessionError, match="An engine in another process cannot call a function") as refused:
            bench.session.at_batch(lambda trial: trial)
        assert refused.value.hint
        assert bench.answers()[-1].outcome == "refused"

    @pytest.mark.parametrize("behind_bytes", [False], ids=["direct"])
    def test_in_this_process_it_is_the_object_itself(self, bench: Bench) -> None:
        """And a function gets it."""
        assert bench.session.trial is bench.adapter.trial
        assert bench.session.context is bench.adapter.context
        assert bench.session.at_batch(lambda trial: trial) is bench.adapter.trial
