"""Loaders and datasets that draw from the process's random states: a restored training continues bit for bit wherever they draw."""

from __future__ import annotations

import random
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import detjupyter as dj
from detjupyter.pytorch.randomness import RandomStates

DEFINITION = Path(__file__).parents[1] / "definitions/sources"
HOST = torch.device("cpu")
TOTAL = 22
"""Batches: two epochs of nine and a part of the third."""
PLAIN = ["generator", "generator with a length", "iterator", "cleaning up", "stream", "collated stream", "noisy"]
PLAIN_WITH_WORKERS = ["stream, workers", "noisy stream, workers", "noisy, workers"]
INDEXED = ["items", "items are batches", "collated"]
INDEXED_WITH_WORKERS = ["items, workers", "items are batches, workers", "collated, workers"]
MOMENTS = ["first batch", "every second batch", "seventh batch", "at the start", "at the end", "second pass", "always"]
STATES = [
    "python",
    "python, one of two normals",
    "python, many",
    "python, seeded",
    "numpy",
    "numpy, one of two normals",
    "numpy, many",
    "numpy, seeded",
    "torch",
    "torch, one of two normals",
    "torch, seeded",
]

Metrics = dict[str, list[float]]


def load(source: str, moment: str = "always", states: str = "all") -> Any:
    """Load the definition with a training loader of that kind."""
    hparams = {"source": source, "moment": moment, "states": states}
    return dj.load(None, path=DEFINITION, seed=4, device="cpu", hparams=hparams)


def metrics_of(session: Any, after: int = 0) -> Metrics:
    """Return the training metrics of the batches after the first ``after``."""
    found = {}
    for name in ("loss", "drawn", "data"):
        batches, values = session.metrics(name)
        found[name] = [float(value) for batch, value in zip(batches, values, strict=True) if batch > after]
    return found


@cache
def whole(source: str, moment: str = "always", states: str = "all") -> Metrics:
    """Return the metrics of a training that nothing interrupts."""
    session = load(source, moment, states)
    session.train(batches=TOTAL, wait=True)
    metrics = metrics_of(session)
    session.close()
    return metrics


def part(metrics: Metrics, after: int) -> Metrics:
    """Return the metrics of the batches after the first ``after``."""
    return {name: values[after:] for name, values in metrics.items()}


def disturb() -> None:
    """Draw, as a cell does between two steps of a training."""
    random.gauss(0, 1), np.random.randn(), torch.rand(3), random.seed(8)


def saved_at_every_batch(source: str, moment: str, states: str, positions: list[int]) -> dict[int, Any]:
    """Train batch by batch with a cell that draws, a validation and a reload in between; return the checkpoints at ``positions``."""
    session = load(source, moment, states)
    saved = {}
    for batch in range(1, TOTAL + 1):
        session.step(1)
        disturb()
        if batch % 4 == 0:
            session.validate()
        if batch in (6, 14):
            session.reload()
        if batch in positions:
            saved[batch] = session.checkpoint().path
    assert metrics_of(session) == whole(source, moment, states)
    session.close()
    return saved


def assert_continues(source: str, moment: str, states: str, positions: list[int]) -> None:
    """Restore every checkpoint in a separate session, and in one that has trained beyond it; both train the rest of the whole training."""
    expected = whole(source, moment, states)
    checkpoints = saved_at_every_batch(source, moment, states, positions)
    used = load(source, moment, states)
    used.train(batches=5, wait=True)
    for position, path in checkpoints.items():
        fresh = load(source, moment, states)
        for session in (fresh, used):
            session.restore(path)
            disturb()
            session.train(batches=TOTAL - position, wait=True)
            assert metrics_of(session, position) == part(expected, position), f"restored at batch {position}"
        fresh.close()
    used.close()


@pytest.mark.parametrize(
    ("source", "moment"),
    [*product(["generator", "iterator"], MOMENTS), *product(PLAIN[1:] + INDEXED, ["every second batch", "at the start", "second pass"])],
)
def test_a_restored_training_continues_whenever_its_loader_draws(source: str, moment: str) -> None:
    """From checkpoints in the middle of an epoch, at its edges and in later epochs."""
    assert_continues(source, moment, "all", [1, 9, 20])


@pytest.mark.parametrize("source", PLAIN_WITH_WORKERS + INDEXED_WITH_WORKERS)
@pytest.mark.parametrize("moment", ["always", "second pass"])
def test_a_restored_training_continues_whatever_its_workers_draw(source: str, moment: str) -> None:
    """The same of loaders whose batches come from other processes."""
    assert_continues(source, moment, "all", [4, 9, 20])


@pytest.mark.parametrize("states", STATES)
def test_a_restored_training_continues_whatever_its_loader_draws_from(states: str) -> None:
    """Each state alone, with the number that a pair of normals leaves for the next call, and after the loader seeded it."""
    assert_continues("generator", "every second batch", states, [5, 11])


def test_a_restored_training_continues_from_every_position() -> None:
    """A checkpoint after any batch is enough."""
    assert_continues("generator", "every second batch", "all", list(range(1, TOTAL)))


@pytest.mark.parametrize("states", [*STATES, "all"])
def test_what_a_plain_loader_draws_does_not_change_what_the_trial_draws(states: str) -> None:
    """The loader has its own random states, so its draws do not affect the trial."""
    quiet = whole("generator", "never")["drawn"]
    cases = ["generator"] if states != "all" else [*PLAIN, *PLAIN_WITH_WORKERS]
    for source, moment in product(cases, ("always", "at the start", "at the end")):
        assert whole(source, moment, states)["drawn"] == quiet, (source, moment)


def test_the_process_draws_what_it_would_have_drawn_without_the_training() -> None:
    """A training leaves Python's, numpy's and torch's states as they were, numbers kept for the next call included."""
    random.gauss(0, 1), np.random.randn(), torch.empty((), dtype=torch.float64).normal_()
    before = RandomStates.now(HOST).to_checkpoint()
    host = before.pop("cpu_rng_state")
    for source in [*PLAIN, *INDEXED, *PLAIN_WITH_WORKERS, *INDEXED_WITH_WORKERS]:
        session = load(source)
        session.train(batches=12, wait=True)
        session.close()
        after = RandomStates.now(HOST).to_checkpoint()
        assert torch.equal(after.pop("cpu_rng_state"), host), source
        assert after == before, source
