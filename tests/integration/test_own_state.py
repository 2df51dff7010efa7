"""State that holds objects of the definition's own classes: saved, read back without a question, and exact."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.definition import fitting

import detjupyter as dj
from detjupyter.engine.checkpoints.signature import KEY
from detjupyter.errors import UntrustedCheckpointError
from detjupyter.store.location import home

if TYPE_CHECKING:
    from support.definition import Definition

SCHEDULED = fitting(
    "ScheduledTrial",
    """
self.model = context.wrap_model(nn.Linear(1, 1))
self.optimizer = context.wrap_optimizer(torch.optim.SGD(self.model.parameters(), lr=0.1, momentum=0.9))
scheduler = {"Options": Options, "Function": Function, "Warmup": Warmup}[context.get_hparam("scheduler")]
context.wrap_lr_scheduler(scheduler(self.optimizer), pytorch.LRScheduler.StepMode.STEP_EVERY_BATCH)
self.counting = Counting()
""",
    top="""
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler


class Attributes(dict):
    '''A dict whose items are attributes, too.'''

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.__dict__ = self


class Options(LRScheduler):
    def __init__(self, optimizer):
        self.options = Attributes(gamma=0.9)
        super().__init__(optimizer)

    def get_lr(self):
        return [rate * self.options.gamma**self.last_epoch for rate in self.base_lrs]


class Function(LRScheduler):
    def __init__(self, optimizer):
        self.factor = lambda epoch: 0.9**epoch
        super().__init__(optimizer)

    def get_lr(self):
        return [rate * self.factor(self.last_epoch) for rate in self.base_lrs]


class Warmup(LRScheduler):
    def __init__(self, optimizer):
        self.after = CosineAnnealingLR(optimizer, 50)
        super().__init__(optimizer)

    def get_lr(self):
        return self.after.get_last_lr() if self.last_epoch > 3 else [rate * (self.last_epoch + 1) / 3 for rate in self.base_lrs]

    def step(self, epoch=None):
        super().step()
        if self.last_epoch > 3:
            self.after.step()
            self._last_lr = self.after.get_last_lr()


class Counting(pytorch.PyTorchCallback):
    def __init__(self):
        self.seen = Attributes(periods=0)

    def on_training_workload_end(self, avg_metrics, batch_metrics):
        self.seen.periods += 1

    def state_dict(self):
        return {"seen": self.seen}

    def load_state_dict(self, state):
        self.seen = state["seen"]
""",
    methods="""
def build_callbacks(self):
    return {"counting": self.counting}
""",
)


@pytest.fixture
def scheduled(define: Callable[..., Definition]) -> Definition:
    """Write a definition whose schedulers and callback have state of their own classes."""
    return define("scheduled", model_def=SCHEDULED)


@pytest.mark.parametrize("scheduler", ["Options", "Function", "Warmup"])
def test_a_checkpoint_with_the_definitions_own_classes_goes_on_exactly(scheduled: Definition, scheduler: str) -> None:
    """A dict with attributes, a lambda, a scheduler inside another one, and the same in a callback are restored without trust."""
    given: dict[str, Any] = {"hparams": {"scheduler": scheduler}}
    session = scheduled.load(**given)
    session.train(batches=6, wait=True)
    saved = session.checkpoint()
    session.train(batches=6, wait=True)
    other = scheduled.load(**given)
    other.restore(saved.path)
    assert other.trial.counting.seen.periods >= 1
    other.train(batches=6, wait=True)
    assert np.array_equal(other.metrics("loss")[1][-6:], session.metrics("loss")[1][-6:])


def test_taking_a_checkpoint_changes_no_state(scheduled: Definition) -> None:
    """With one on the way or without, the losses are the same."""
    given: dict[str, Any] = {"hparams": {"scheduler": "Options"}}
    plain, saving = scheduled.load(**given), scheduled.load(**given)
    plain.train(batches=8, wait=True)
    for _ in range(4):
        saving.train(batches=2, wait=True)
        saving.checkpoint()
    assert np.array_equal(plain.metrics("loss")[1], saving.metrics("loss")[1])


def test_one_of_another_key_is_asked_about(scheduled: Definition, tmp_path: Path) -> None:
    """A user's own checkpoint needs no trust, wherever it lies; with another key the very same files do."""
    session = scheduled.load(hparams={"scheduler": "Warmup"})
    session.train(batches=6, wait=True)
    moved = tmp_path / "moved"
    Path(session.checkpoint().path).rename(moved)
    other = scheduled.load(hparams={"scheduler": "Warmup"})
    other.restore(moved)
    (home() / KEY).unlink()
    with pytest.raises(UntrustedCheckpointError, match="there is no key"):
        other.restore(moved)
    other.restore(moved, trust=True)
    assert other.batches_trained == 6


def test_types_of_numpys_past_are_there_for_a_definition_alone(define: Callable[..., Definition]) -> None:
    """Definitions of 2020 can use `np.int` and similar names; the process's numpy does not change."""
    definition = define("past", model_def=f"import numpy as np\nZERO = np.array([0.5]).astype(np.int)\n{SCHEDULED}")
    session = definition.load(hparams={"scheduler": "Options"})
    session.step()
    assert not hasattr(np, "int")
    assert dj.sessions()
