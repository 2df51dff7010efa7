"""The engine around a PyTorch trial: what it asks of the device, and whose random states it uses."""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.definition import Definition
from support.inside import loaded_in
from support.transfers import Transfers

import detjupyter
from detjupyter.errors import SessionError
from detjupyter.protocol.events import MetricsReported

WAITING = ("item", "tolist", "cpu", "numpy", "__float__", "__int__", "__bool__", "__index__", "__array__")
"""What makes the host wait for a GPU."""


OURS = str(Path(detjupyter.__file__).parent)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count the calls of ours that would wait for a GPU, as if the host were one; Adam asks for its own step counts."""
    counted: Counter[str] = Counter()

    def counting(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            counted[name] += OURS in sys._getframe(1).f_code.co_filename
            return original(tensor, *args, **kwargs)

        return call

    for name in WAITING:
        monkeypatch.setattr(torch.Tensor, name, counting(name, getattr(torch.Tensor, name)))
    return counted


def test_nothing_waits_for_the_device_in_a_batch(line: Definition, waits: Counter[str]) -> None:
    """With twenty times as many batches there are no more waits: only reports wait, with any number of metrics."""
    line.edit('return {"loss": loss}', 'return {"loss": loss, "largest": loss.detach().max(), "pair": torch.stack([loss, loss])}')
    session = line.load()
    session.train(batches=10, wait=True)
    reports: list[MetricsReported] = []
    session._publisher.react_with(lambda event: reports.append(event) if isinstance(event, MetricsReported) else None)
    waits.clear()
    session.train(batches=20, wait=True)
    few = waits.total()
    waits.clear()
    reports.clear()
    session.train(batches=400, wait=True)
    many = waits.total()
    assert few > 0
    assert many <= few * len(reports), (few, many, len(reports))
    assert len(session.metrics("largest")[0]) == 430


class TestRandomness:
    """The trial's random states are its own."""

    @staticmethod
    def draw() -> tuple[float, float, float]:
        """Draw from each of the kernel's."""
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    @pytest.fixture(autouse=True)
    def _seeded(self) -> None:
        random.seed(3), np.random.seed(3), torch.manual_seed(3)

    def test_the_kernels_are_left_alone(self, line: Definition) -> None:
        """Loading, training, validating and restoring draw nothing from them."""
        expected = [self.draw() for _ in range(4)]
        random.seed(3), np.random.seed(3), torch.manual_seed(3)
        line.edit('.get("dropout", 0.0)', '.get("dropout", 0.5)')
        found = [self.draw()]
        session = line.load(hparams={"shuffle": True})
        found.append(self.draw())
        session.train(batches=13, wait=True)
        found.append(self.draw())
        session.restore(session.checkpoint())
        session.validate()
        found.append(self.draw())
        assert found == expected

    @pytest.mark.parametrize("between", ["draws", "a pause", "steps", "validations", "a checkpoint", "a reload"])
    def test_what_happens_between_two_batches_changes_no_later_one(self, line: Definition, between: str) -> None:
        """Dropout and shuffling continue as if nothing had happened."""
        line.edit('.get("dropout", 0.0)', '.get("dropout", 0.5)')
        line.edit("def evaluate_batch(self, batch):", "def evaluate_batch(self, batch):\n        torch.rand(5)")
        whole, session = (line.load(seed=8, hparams={"shuffle": True}) for _ in range(2))
        whole.train(batches=25, wait=True)
        session.step(7)
        match between:
            case "draws":
                self.draw()
            case "a pause":
                session.train(batches=10)
                try:
                    session.pause()
                except SessionError:  # it was over already
                    pass
                else:
                    self.draw()
                    session.resume()
                session.wait()
            case "steps":
                for _ in range(4):
                    session.step(2)
                    self.draw()
            case "validations":
                session.validate()
                session.train(batches=6, validate_every=1, wait=True)
            case "a checkpoint":
                session.checkpoint()
            case "a reload":
                session.reload()
        session.train(batches=25 - session.batches_trained, wait=True)
        np.testing.assert_array_equal(session.metrics("loss")[1], whole.metrics("loss")[1])


class TestMetricsStayOnTheDevice:
    """One transfer for each metric and report, not one for each batch."""

    def test_no_value_is_read_per_batch(self, line: Definition, monkeypatch: pytest.MonkeyPatch) -> None:
        """Below Python, a training of 200 batches reads tensors' values as often as it reports, times its metrics."""
        monkeypatch.setattr("detjupyter.engine.loop.REPORT_INTERVAL_S", 1e9)
        line.edit('return {"loss": loss}', 'return {"loss": loss, "twice": 2 * loss}')
        session = line.load()
        adapter = loaded_in(session).adapter
        # The optimizer's own bookkeeping aside: Adam keeps its step counters on the host and reads them there.
        reads: list[int] = []
        with Transfers() as transfers:
            rows = [adapter.train_batch(index)[0] for index in range(200)]
            reads.append(transfers.count["_local_scalar_dense"])
            transfers.count.clear()
            columns = adapter.fetch(rows)
        assert all(isinstance(value, torch.Tensor) and not value.requires_grad for row in rows for value in row.values())
        assert {name: values.shape for name, values in columns.items()} == {"loss": (200,), "twice": (200,)}
        assert transfers.count["stack"] == 2
        assert transfers.count["_local_scalar_dense"] == 0
        parameters = len(list(session.trial.model.parameters()))
        assert reads[0] <= 200 * parameters + 50  # Adam's counters, once per parameter, and the sampler's seeds; not one more per metric

    def test_each_report_copies_each_metric_once(self, line: Definition, monkeypatch: pytest.MonkeyPatch) -> None:
        """Counted where a tensor is brought to the host."""
        monkeypatch.setattr("detjupyter.engine.loop.REPORT_INTERVAL_S", 1e9)
        copied: list[tuple[int, ...]] = []
        cpu = torch.Tensor.cpu

        def spy(tensor: torch.Tensor) -> torch.Tensor:
            copied.append(tuple(tensor.shape))
            return cpu(tensor)

        monkeypatch.setattr(torch.Tensor, "cpu", spy)
        session = line.load()
        session.step(50)
        assert copied == [(50,)]
        session.train(batches=30, validate_every=10, wait=True)
        assert copied[1:] == [(10,), (2,)] * 3  # ten losses, then the errors of two validation batches

    def test_a_held_metric_holds_no_graph(self, line: Definition) -> None:
        """What waits for the next report is detached, or it would keep every batch's activations."""
        adapter = loaded_in(line.load()).adapter
        metrics, _ = adapter.train_batch(0)
        assert metrics["loss"].grad_fn is None
