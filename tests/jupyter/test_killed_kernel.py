"""What the history knows of a training whose kernel ends in the middle: killed, shut down, or interrupted by nothing at all."""

from __future__ import annotations

import ast
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cells import Cells, kernel_in

from detjupyter.protocol.states import Group, State
from detjupyter.store import Store, open_store

SLOW = Path(__file__).parent / "trials/slow.py"
BATCH_S = 0.005
MOST_LOST_S = 1.0


@pytest.fixture
def training(tmp_path: Path) -> Iterator[Cells]:
    """Begin a training in a separate kernel and wait until it trains at full speed."""
    with kernel_in(tmp_path / "work", tmp_path / "home") as cells:
        cells.ok("%load_ext detjupyter")
        cells.ok(f"session = %det_load :SlowTrial --path {SLOW} --hparam batch_s={BATCH_S}")
        cells.ok("%det_train --batches 1000000")
        cells.ok("import time; time.sleep(2)")
        yield cells


@pytest.fixture
def store(training: Cells) -> Iterator[Store]:
    """Open the kernel's history in this process."""
    store = open_store(training.history)
    yield store
    store.close()


def test_a_killed_kernel_leaves_an_interrupted_run_and_loses_at_most_a_second(training: Cells, store: Store) -> None:
    """Of the batches that the kernel reported, only those of the last second may be missing; curves and log end at the same batch."""
    reported, per_second, run_id = ast.literal_eval(
        training.value("[(r.batches_trained, r.batches_per_second, r.run_id) for r in [session.record()]][0]")
    )
    training.manager.provisioner.process.kill()  # type: ignore[union-attr]  # SIGKILL: nothing of the kernel's runs any more
    training.manager.provisioner.process.wait()  # type: ignore[union-attr]
    run = store.run(run_id)
    assert run.state is State.INTERRUPTED
    assert reported > 100
    batches, losses = store.series(run_id, Group.TRAINING, "loss")
    assert len(batches) >= reported - MOST_LOST_S * per_second
    assert batches.tolist() == list(range(1, len(batches) + 1))
    assert len(losses) == len(batches)
    assert run.batches_trained == len(batches)
    printed = [line.text for line in store.log(run_id)[1] if line.stream == "stdout"]
    assert printed[0] == "the trial trains batch 0"
    assert len(printed) >= reported - MOST_LOST_S * per_second
    assert store.runs()[0].state is State.INTERRUPTED


def test_a_kernel_that_is_shut_down_leaves_everything(training: Cells, store: Store) -> None:
    """Shutting down asks the kernel to go: the run is interrupted, and every batch of it is written."""
    run_id, reported = ast.literal_eval(training.value("session.run.id, session.batches_trained"))
    began = time.time()
    training.manager.shutdown_kernel()
    run = store.run(run_id)
    assert run.state is State.INTERRUPTED
    assert run.ended_at is not None
    batches, _ = store.series(run_id, Group.TRAINING, "loss")
    assert len(batches) == run.batches_trained >= reported
    printed = [line.text for line in store.log(run_id)[1] if line.stream == "stdout"]
    assert printed[-1] in (f"the trial trains batch {len(batches) - 1}", f"the trial trains batch {len(batches)}")
    assert began <= run.ended_at <= time.time()


def test_a_restarted_kernel_leaves_the_run_interrupted_and_starts_anew(training: Cells, store: Store) -> None:
    """The new process has nothing loaded and the same history; it can load and train at once."""
    run_id = ast.literal_eval(training.value("session.run.id"))
    training.manager.restart_kernel()
    training.client.wait_for_ready(timeout=60)
    training.ok("%load_ext detjupyter")
    assert "Nothing is loaded" in training.run("%det_status").message
    assert store.run(run_id).state is State.INTERRUPTED
    text = training.ok("%det_runs").text
    assert run_id in text
    assert "interrupted" in text
    training.ok(f"%det_load :SlowTrial --path {SLOW} --hparam batch_s=0")
    training.ok("%det_train --batches 3 --wait")
    assert [run.state for run in store.runs()] == [State.FINISHED, State.INTERRUPTED]
