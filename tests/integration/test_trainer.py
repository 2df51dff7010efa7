"""``pytorch.init`` and ``Trainer.fit``: trials that a script builds itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

import detjupyter as dj
from detjupyter import pytorch
from detjupyter.errors import SessionError, TrialError

Callbacks = dict[str, pytorch.PyTorchCallback]


class ScriptTrial(pytorch.PyTorchTrial):
    """Fits a line; its constructor takes more than the context."""

    def __init__(
        self, context: pytorch.PyTorchTrialContext, width: int, callbacks: dict[str, pytorch.PyTorchCallback] | None = None
    ) -> None:
        self.context = context
        self.callbacks = callbacks or {}
        self.model = context.wrap_model(torch.nn.Sequential(torch.nn.Linear(1, width), torch.nn.Linear(width, 1)))
        self.optimizer = context.wrap_optimizer(torch.optim.SGD(self.model.parameters(), lr=0.05, momentum=0.9))

    def build_callbacks(self) -> dict[str, pytorch.PyTorchCallback]:
        """Return the test's."""
        return self.callbacks

    def build_training_data_loader(self) -> pytorch.DataLoader:
        """Return ten batches in an order of each epoch's own."""
        inputs = torch.linspace(-1, 1, 40).reshape(-1, 1)
        return pytorch.DataLoader(TensorDataset(inputs, 2 * inputs + 1), batch_size=4, shuffle=True)

    def build_validation_data_loader(self) -> pytorch.DataLoader:
        """Return two batches."""
        inputs = torch.linspace(-1, 1, 8).reshape(-1, 1)
        return pytorch.DataLoader(TensorDataset(inputs, 2 * inputs + 1), batch_size=4)

    def train_batch(self, batch: Any, epoch_idx: int, batch_idx: int) -> torch.Tensor:  # noqa: ARG002
        """Take a step."""
        inputs, targets = batch
        loss = ((self.model(inputs) - targets) ** 2).mean()
        self.context.backward(loss)
        self.context.step_optimizer(self.optimizer)
        return loss

    def evaluate_batch(self, batch: Any) -> dict[str, Any]:
        """Return the error."""
        inputs, targets = batch
        return {"error": ((self.model(inputs) - targets) ** 2).mean()}


@pytest.fixture(autouse=True)
def _close_sessions() -> Iterator[None]:
    yield
    for session in dj.sessions():
        session.close()


def train(width: int = 3, callbacks: dict[str, pytorch.PyTorchCallback] | None = None, **fit: Any) -> dj.Session:
    """Seed, build and fit as a script does; return the session."""
    torch.manual_seed(4)
    with pytorch.init(hparams={"width": width}) as context:
        trainer = pytorch.Trainer(ScriptTrial(context, width, callbacks), context)
        trainer.fit(**fit)
    assert trainer.session is not None
    return trainer.session


def weights(session: dj.Session) -> list[float]:
    """Return all parameters."""
    return [value for parameter in session.trial.model.parameters() for value in parameter.flatten().tolist()]


def test_a_fit_trains_validates_saves_and_is_a_run_of_the_history() -> None:
    """It returns when that is done; the session is the current one and goes on from there."""
    session = train(max_length=pytorch.Epoch(2))
    assert session is dj.current_session()
    assert (session.state, session.batches_trained) == ("finished", 20)
    assert session.metrics("error", "validation")[0].tolist() == [20]
    assert session.run is not None
    assert len(session.run.checkpoints()) == 1
    session.train(batches=5, wait=True)
    assert session.batches_trained == 25


@pytest.mark.parametrize(
    ("period", "at"),
    [
        (pytorch.Batch(6), [6, 12, 18, 20]),
        (pytorch.Epoch(1), [10, 20]),
        (pytorch.Batch({3, 7}), [3, 7, 20]),
        (pytorch.Epoch([2]), [20]),
        (7, [7, 14, 20]),
    ],
)
def test_periods_are_numbers_or_containers_of_batches_or_epochs(period: Any, at: list[int]) -> None:
    """The end is validated, too."""
    session = train(max_length=pytorch.Epoch(2), validation_period=period, checkpoint_policy="none")
    assert session.metrics("error", "validation")[0].tolist() == at


def test_what_the_user_seeded_decides(tmp_path: Path) -> None:
    """Weights and the order of the data follow torch's seed; and nothing is drawn from the user's states."""
    del tmp_path
    one, two = train(max_length=pytorch.Batch(13)), train(max_length=pytorch.Batch(13))
    assert weights(one) == weights(two)
    after = torch.rand(()).item()
    torch.manual_seed(4)
    torch.nn.Linear(1, 3), torch.nn.Linear(3, 1)
    assert torch.rand(()).item() == after


def test_a_checkpoint_goes_on_exactly() -> None:
    """Counters and the place in the data continue, in the middle of an epoch."""
    whole = train(max_length=pytorch.Batch(26))
    first = train(max_length=pytorch.Batch(13))
    assert first.run is not None
    second = train(max_length=pytorch.Batch(26), latest_checkpoint=first.run.checkpoints()[-1].path)
    assert second.batches_trained == 26
    assert weights(second) == weights(whole)
    np.testing.assert_array_equal(second.metrics("loss")[1], whole.metrics("loss")[1][13:])


def test_what_is_trained_already_is_only_validated() -> None:
    """A second fit to the same length trains nothing."""
    torch.manual_seed(4)
    with pytorch.init() as context:
        trainer = pytorch.Trainer(ScriptTrial(context, 2), context)
        trainer.fit(max_length=pytorch.Batch(4))
        trainer.fit(max_length=pytorch.Batch(3))
        trainer.fit(max_length=pytorch.Batch(9))
    assert trainer.session is not None
    assert trainer.session.batches_trained == 9


def test_test_mode_is_one_batch() -> None:
    """With a validation and a checkpoint."""
    session = train(test_mode=True)
    assert session.batches_trained == 1
    assert session.run is not None
    assert session.run.checkpoints()


def test_step_zero_validation_comes_first() -> None:
    """Before anything is trained."""
    session = train(max_length=pytorch.Batch(3), step_zero_validation=True)
    assert session.metrics("error", "validation")[0].tolist() == [0, 3]


@pytest.mark.parametrize(
    ("fit", "kind", "words"),
    [
        ({}, ValueError, "needs max_length"),
        ({"max_length": 5}, TypeError, "Batch"),
        ({"max_length": pytorch.Batch([3])}, TypeError, "whole number"),
        ({"max_length": pytorch.Batch(2), "checkpoint_policy": "some"}, ValueError, "best, all, none"),
        ({"max_length": pytorch.Batch(2), "validation_period": "often"}, TypeError, "validation_period"),
        ({"max_length": pytorch.Batch(0)}, SessionError, "at least 1"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(fit: dict[str, Any], kind: type[Exception], words: str) -> None:
    """Before anything is trained."""
    with pytest.raises(kind, match=words):
        train(**fit)


def test_what_the_trial_raises_is_raised() -> None:
    """As one short error."""

    class Failing(pytorch.PyTorchCallback):
        def on_training_start(self) -> None:
            raise ZeroDivisionError("by the callback")

    with pytest.raises(TrialError, match="by the callback"):
        train(callbacks={"failing": Failing()}, max_length=pytorch.Batch(2))


def test_a_context_without_a_config_says_so() -> None:
    """Also as the ValueError that scripts catch."""
    with pytorch.init() as context:
        for ask in (context.get_experiment_config, context.get_hparams, context.get_global_batch_size):
            with pytest.raises(ValueError, match=r"pytorch\.init|no hyperparameters|no experiment"):
                ask()
    with pytorch.init(hparams={"a": 1}, exp_conf={"searcher": {"name": "single", "max_length": {"batches": 3}}}) as context:
        assert context.get_hparam("a") == 1
        trainer = pytorch.Trainer(ScriptTrial(context, 2), context)
        trainer.fit()
    assert trainer.session is not None
    assert trainer.session.batches_trained == 3


def test_the_code_of_a_script_is_kept() -> None:
    """The run gives back the file that the class stands in."""
    session = train(max_length=pytorch.Batch(1))
    assert session.run is not None
    assert any(b"class ScriptTrial" in session.run.code[name] for name in session.run.code)
