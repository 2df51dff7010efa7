"""A session whose trial waits for its turn answers every command."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from support.bench import Bench, Held
from support.engine_thread import EngineThread
from support.waiting import LIMIT_S, wait_until

from detjupyter.engine import settings


@pytest.fixture(params=[False, True], ids=["direct", "bytes"])
def behind_bytes(request: pytest.FixtureRequest) -> bool:
    """Have each test twice: on the engine itself, and on one behind bytes."""
    return bool(request.param)


class TestWithoutItsTurn:
    """Another trial works with settings that this one cannot share, and its batch does not end."""

    @pytest.fixture
    def limit_s(self) -> float:
        """Return how long an engine waits for its turn."""
        return settings.ENGINE_LIMIT_S

    @pytest.fixture
    def other(self, bench: Bench, limit_s: float, monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
        """Hold another trial in its block after the training has begun; a load would wait for it forever."""
        monkeypatch.setattr(settings, "TURN_LIMIT_S", 100 * LIMIT_S)
        monkeypatch.setattr(settings, "ENGINE_LIMIT_S", limit_s)
        bench.bring_to("running")
        held = Held()
        with EngineThread() as engine:
            engine.work(gc.disable)
            batch = engine.begin(held)
            held.wait()
            yield held
            held.may_continue.set()
            batch.result(LIMIT_S)
        assert gc.isenabled()

    @pytest.mark.parametrize("limit_s", [100 * LIMIT_S])
    def test_it_answers_commands_while_it_waits(self, bench: Bench, other: Held) -> None:
        """No batch is trained before its turn has come; then the training continues."""
        trained = len(bench.adapter.calls)
        bench.session.pause()
        bench.session.resume()
        assert len(bench.adapter.calls) == trained
        other.may_continue.set()
        wait_until(lambda: len(bench.adapter.calls) > trained, "batches")

    def test_after_a_while_it_trains_and_every_command_is_answered_without_another_wait(self, bench: Bench, other: Held) -> None:
        """The other one may be waiting for it. Each command makes the driver look up and enter the trial again."""
        trained = bench.session.batches_trained
        for _ in range(3):
            bench.between_batches()
            bench.session.pause()
            bench.session.step(2)
            bench.session.resume()
        wait_until(lambda: bench.session.batches_trained >= trained + 6, "batches")
        assert not other.may_continue.is_set()
