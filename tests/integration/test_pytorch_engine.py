"""The engine around a PyTorch trial: what it asks of the device, of the random states, and when it ends."""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import detjupyter
from detjupyter.errors import SessionError, TrialError

if TYPE_CHECKING:
    from integration.conftest import Definition

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
    """Twenty times as many batches do not wait more often: only reports do, a few times a second, whatever is recorded."""
    line.edit('return {"loss": loss}', 'return {"loss": loss, "largest": loss.detach().max(), "pair": torch.stack([loss, loss])}')
    session = line.load()
    session.train(batches=10, wait=True)
    waits.clear()
    session.train(batches=20, wait=True)
    few = waits.total()
    waits.clear()
    session.train(batches=400, wait=True)
    many = waits.total()
    assert few > 0
    assert many < few + 100, (few, many)
    assert len(session.metrics("largest")[0]) == 430


def test_metrics_that_a_trial_adds_to_are_kept_as_they_were(line: Definition) -> None:
    """A tensor that a later batch changes in place is recorded with the value of its own batch."""
    line.edit("def train_batch(self", "total = torch.zeros(())\n\n    def train_batch(self")
    line.edit('return {"loss": loss}', 'self.total += 1\n        return {"loss": loss, "total": self.total}')
    session = line.load()
    session.train(batches=7, wait=True)
    np.testing.assert_array_equal(session.metrics("total")[1], np.arange(1, 8))


def test_a_metric_of_some_batches_has_points_there_and_nowhere_else(line: Definition) -> None:
    """What a batch does not give is no NaN."""
    line.edit('return {"loss": loss}', 'return {"loss": loss, **({"extra": 5.0} if batch_idx % 3 == 0 else {}), "none": None}')
    session = line.load()
    session.train(batches=8, wait=True)
    batches, values = session.metrics("extra")
    assert batches.tolist() == [1, 4, 7]
    assert values.tolist() == [5.0, 5.0, 5.0]
    assert session.run is not None
    assert "none" not in session.run.metric_names()


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
        """Dropout and shuffling go on as if nothing had been."""
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


CALLBACK = """
class End(PyTorchCallback):
    ended = 0

    def on_trial_shutdown(self):
        self.ended += 1


"""
BUILD_CALLBACKS = """
    def build_callbacks(self):
        self.callback = End()
        return {"end": self.callback}

"""


class TestItsOwnEnd:
    """A trial may end its training itself."""

    def test_a_stop_that_the_trial_asks_for_ends_in_order(self, line: Definition) -> None:
        """After the batch under way, with a checkpoint; a new training goes on."""
        line.edit('return {"loss": loss}', 'self.context.set_stop_requested(batch_idx == 4)\n        return {"loss": loss}')
        session = line.load()
        session.train(batches=100, wait=True)
        assert (session.state, session.batches_trained) == ("finished", 5)
        assert session.run is not None
        assert [checkpoint.batches_trained for checkpoint in session.run.checkpoints()] == [5]
        assert any("asked to stop" in entry.text for entry in session.run.log())
        session.train(batches=3, wait=True)
        assert session.batches_trained == 8

    def test_hyperparameters_that_make_no_sense_end_it_in_order(self, line: Definition) -> None:
        """It is stopped, not failed, and what was trained is saved."""
        line.edit("import torch\n", "import torch\nimport determined as det\n")
        line.edit(
            'return {"loss": loss}', 'if batch_idx == 4:\n            raise det.InvalidHP("lr is too large")\n        return {"loss": loss}'
        )
        session = line.load()
        session.train(batches=100, wait=True)
        assert (session.state, session.batches_trained) == ("stopped", 4)
        assert session.run is not None
        assert any("lr is too large" in entry.text for entry in session.run.log())
        assert [checkpoint.batches_trained for checkpoint in session.run.checkpoints()] == [4]

    def test_nan_is_shown_and_fatal_only_if_asked(self, line: Definition) -> None:
        """The error names the metric and the first batch."""
        line.edit('return {"loss": loss}', 'return {"loss": loss if batch_idx != 5 else loss * float("nan")}')
        session = line.load()
        session.train(batches=8, wait=True)
        assert np.isnan(session.metrics("loss")[1]).tolist() == [batch == 5 for batch in range(8)]
        other = line.load()
        with pytest.raises(TrialError, match="loss was no finite number at batch 6"):
            other.train(batches=50, stop_at_nan=True, wait=True)
        assert other.state == "failed"

    def test_the_callbacks_hear_of_the_end_once(self, line: Definition) -> None:
        """When the session is closed."""
        line.edit("from detjupyter.pytorch import", "from detjupyter.pytorch import PyTorchCallback,")
        line.edit("class LineTrial", CALLBACK + "class LineTrial")
        line.edit("    def build_training_data_loader", BUILD_CALLBACKS + "    def build_training_data_loader")
        session = line.load()
        session.train(batches=2, wait=True)
        callback = session.trial.callback
        session.close()
        session.close()
        assert callback.ended == 1
