"""A session whose trial waits for its turn answers every command."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from support.bench import LONG, Bench, Held, ToyAdapter
from support.engine_thread import EngineThread
from support.waiting import LIMIT_S, wait_until

from detjupyter.engine import active_trial, driver, settings
from detjupyter.engine.settings import ProcessSettings
from detjupyter.protocol.events import Beat


@pytest.fixture(params=[False, True], ids=["direct", "bytes"])
def behind_bytes(request: pytest.FixtureRequest) -> bool:
    """Have each test twice: on the engine itself, and on one behind bytes."""
    return bool(request.param)


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten what every test waits for: the turn of the code that a command runs, and signs of life."""
    monkeypatch.setattr(active_trial, "ENGINE_LIMIT_S", 0.2)
    monkeypatch.setattr(driver, "HEARTBEAT_S", 0.2)


class TestWithoutItsTurn:
    """Another trial works with settings that this one cannot share, and its batch does not end."""

    @pytest.fixture
    def limit_s(self) -> float:
        """Return how long an engine waits for its turn; the tests need not wait for as long as users do."""
        return 0.3

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


@contextmanager
def script(work: Callable[[], object] = gc.disable) -> Iterator[None]:
    """Run a script in a thread of its own, as that of the cells; it has done ``work`` when the block begins, and ends with it.

    By default it sets what the trial of the bench does not have.
    """
    begun, may_end = threading.Event(), threading.Event()

    def run() -> None:
        with ProcessSettings().active(foreground="the script train.py"):
            work()
            begun.set()
            assert may_end.wait(LIMIT_S)

    with ThreadPoolExecutor(1) as cells:
        running = cells.submit(run)
        try:
            wait_until(lambda: begun.is_set() or running.done(), "the script's work")
            yield
        finally:
            may_end.set()
            running.result(LIMIT_S)


class TestCodeInTheForeground:
    """A script or a load, which has its turn until it ends."""

    @pytest.fixture(autouse=True)
    def _impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(settings, "TURN_LIMIT_S", 100 * LIMIT_S)
        monkeypatch.setattr(settings, "ENGINE_LIMIT_S", 0.0)

    def test_a_training_waits_for_its_end_and_answers_commands(self, bench: Bench) -> None:
        """From the next batch on, with a line in the log and signs of life; afterwards it continues with its own settings."""
        seen: list[bool] = []
        bench.adapter.on_batch = lambda _: seen.append(gc.isenabled())
        bench.bring_to("running")
        with script():
            waits(bench)
            trained = len(seen)
            bench.session.pause()
            bench.session.resume()
            waiting_since = len(bench.published)
            wait_until(lambda: any(isinstance(event, Beat) for event in bench.published[waiting_since:]), "a sign of life")
            assert bench.session.state == "running"
            assert len(seen) == trained
        wait_until(lambda: len(seen) > trained, "batches")
        bench.session.stop()
        assert all(seen[: trained - 1])
        assert all(seen[trained:])  # the script can set it in the middle of one batch
        assert sum("the script train.py" in line for line in bench.log()) == 1

    def test_it_can_be_stopped_and_closed(self, bench: Bench) -> None:
        """No batch is trained for that."""
        bench.bring_to("running")
        with script():
            waits(bench)
            trained = len(bench.adapter.calls)
            bench.session.stop()
            assert bench.session.state == "stopped"
            bench.session.close()
            assert not [call for call in bench.adapter.calls[trained:] if call.startswith("batch")]

    def test_a_script_that_sets_nothing_leaves_it_alone(self, bench: Bench) -> None:
        """Nor one that sets what it has, or what trials can share."""
        bench.bring_to("running")
        with script(lambda: (gc.enable(), sys.path.append("/nowhere"))):
            trained = len(bench.adapter.calls)
            wait_until(lambda: len(bench.adapter.calls) > trained + 50, "batches")
        assert not any("the script" in line for line in bench.log())

    def test_a_script_begins_while_a_batch_does_not_end(self, bench: Bench) -> None:
        """And the training waits after that batch."""
        bench.train_to_gate()
        with script():
            bench.adapter.gate.set()
            waits(bench)
            assert bench.adapter.calls == ["batch 0"]
        wait_until(lambda: len(bench.adapter.calls) > 1, "batches")

    def test_a_script_can_train_a_session_that_was_there_before(self, bench: Bench) -> None:
        """It waits for the session, which therefore does not wait for it."""

        def train() -> None:
            gc.disable()
            bench.session.train(batches=3, wait=True)
            bench.session.step(1)
            bench.session.validate()

        with script(train):
            assert bench.session.batches_trained == 4

    def test_it_trains_only_while_the_script_waits_for_it(self, bench: Bench) -> None:
        """It leaves its turn after the batch in which the script stops to wait."""
        trained: list[int] = []

        def wait_a_moment() -> None:
            gc.disable()
            bench.session.train(batches=LONG)
            while not bench.adapter.calls:
                bench.session.wait(0.05)

        with script(wait_a_moment):
            waits(bench)
            trained += [len(bench.adapter.calls)]
            bench.session.pause()  # answered between two batches
            trained += [len(bench.adapter.calls)]
            bench.session.resume()
        assert trained[0] == trained[1]

    def test_a_trial_of_the_script_trains_while_others_wait(self, bench: Bench) -> None:
        """As many batches as it likes: those that wait for the script do not ask for its turn."""
        bench.bring_to("running")
        made: list[ProcessSettings] = []

        def load() -> None:
            gc.disable()
            made.append(ProcessSettings.of_this_thread())

        with script(load), EngineThread(settings=made[0]) as own:
            waits(bench)
            trained = len(bench.adapter.calls)
            for _ in range(20):
                own.work(lambda: None)
                assert not own.settings.is_contended
            assert len(bench.adapter.calls) == trained

    def test_new_code_of_a_trial_waits_as_the_code_before(self, bench: Bench) -> None:
        """A reload from the panel while the script runs."""
        bench.bring_to("paused")
        fresh = ToyAdapter()
        bench.reloaded = lambda: fresh
        with script():
            bench.session.reload()
            bench.session.resume()
            waits(bench)
            assert fresh.calls == []
        wait_until(lambda: bool(fresh.calls), "batches")


def waits(bench: Bench) -> None:
    """Return when the log says that the training waits for the script."""
    wait_until(lambda: any("the script train.py" in line for line in bench.log()), "the line in the log")
