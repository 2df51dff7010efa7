"""Both interfaces that PyTorch trials were written against."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from support.definition import Definition

from detjupyter.errors import HyperparameterError, TrialError

OLD = """
import torch
from torch import nn
from torch.utils.data import TensorDataset
import determined as det
from determined.pytorch import ClipGradsL2Norm, ClipGradsL2Value, DataLoader, LRScheduler, PyTorchCallback, PyTorchTrial, reset_parameters

inputs = torch.linspace(-1, 1, 40).reshape(-1, 1)
targets = 2 * inputs + 1


class Seen(PyTorchCallback):
    def __init__(self):
        self.norms = []

    def on_before_optimizer_step(self, parameters):
        self.norms.append(float(sum(p.grad.norm() ** 2 for p in parameters) ** 0.5))


class OldTrial(PyTorchTrial):
    def __init__(self, context: det.TrialContext):
        self.context = context
        self.order = ["init"]
        self.seen = Seen()

    def build_callbacks(self):
        self.order.append("callbacks")
        return {"seen": self.seen}

    def build_model(self):
        self.order.append("model")
        torch.manual_seed(1)
        return nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))

    def optimizer(self, model):
        self.order.append("optimizer")
        return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    def create_lr_scheduler(self, optimizer):
        self.order.append("scheduler")
        return LRScheduler(torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5), LRScheduler.StepMode.STEP_EVERY_EPOCH)

    def build_training_data_loader(self):
        return DataLoader(TensorDataset(inputs, targets), batch_size=4)

    def build_validation_data_loader(self):
        return DataLoader(TensorDataset(inputs, targets), batch_size=20)

    def train_batch(self, batch, model, epoch_idx, batch_idx):
        self.indices = (epoch_idx, batch_idx)
        x, y = batch
        return {"loss": ((model(x) - y) ** 2).mean()}

    def evaluate_batch(self, batch, model):
        x, y = batch
        return {"error": ((model(x) - y) ** 2).mean()}
"""


@pytest.fixture
def old(define: Callable[..., Definition]) -> Definition:
    """Return a definition of 2020."""
    return define("old", model_def=OLD)


def by_hand(batches: int, *, aggregation: int = 1, clip: Callable[[Any], Any] | None = None) -> tuple[list[float], list[torch.Tensor]]:
    """Train the same with torch alone; return the losses and the weights."""
    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(1, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    inputs = torch.linspace(-1, 1, 40).reshape(-1, 1)
    losses = []
    for index in range(batches):
        x = inputs[index % 10 * 4 :][:4]
        loss = ((model(x) - (2 * x + 1)) ** 2).mean()
        losses.append(loss.item())
        loss.backward()
        if (index + 1) % aggregation == 0:
            for parameter in model.parameters():
                parameter.grad.div_(aggregation)
            if clip is not None:
                clip(model.parameters())
            optimizer.step()
            optimizer.zero_grad()
        if (index + 1) % 10 == 0:
            scheduler.step()
    return losses, list(model.parameters())


class TestCallbackStyle:
    """Trials with build_model."""

    def test_it_trains_as_a_loop_by_hand(self, old: Definition) -> None:
        """To the bit; and everything is built in the order of Determined 0.13."""
        session = old.load()
        assert session.trial.order == ["init", "callbacks", "model", "optimizer", "scheduler"]
        session.train(batches=23, wait=True)
        losses, weights = by_hand(23)
        np.testing.assert_array_equal(session.metrics("loss")[1], losses)
        assert all(torch.equal(mine, theirs) for mine, theirs in zip(session.context.get_model().parameters(), weights, strict=True))
        assert session.trial.indices == (2, 22)
        assert session.context.get_optimizer().param_groups[0]["lr"] == pytest.approx(0.025)
        assert session.context.get_lr_scheduler().get_last_lr() == [pytest.approx(0.025)]

    def test_a_bare_loss_counts_as_the_metric_of_that_name(self, old: Definition) -> None:
        """As there."""
        old.edit('return {"loss": ((model(x) - y) ** 2).mean()}', "return ((model(x) - y) ** 2).mean()")
        session = old.load()
        session.train(batches=3, wait=True)
        np.testing.assert_array_equal(session.metrics("loss")[1], by_hand(3)[0])

    def test_gradients_are_gathered_and_averaged(self, old: Definition) -> None:
        """By the config; before a step, callbacks see the parameters."""
        session = old.load(config={"optimizations": {"aggregation_frequency": 3}})
        session.train(batches=9, wait=True)
        np.testing.assert_array_equal(session.metrics("loss")[1], by_hand(9, aggregation=3)[0])
        assert len(session.trial.seen.norms) == 3

    @pytest.mark.parametrize(
        ("hparam", "clip"),
        [
            ("clip_grad_l2_norm", lambda parameters: torch.nn.utils.clip_grad_norm_(list(parameters), 0.1)),
            ("clip_grad_val", lambda parameters: torch.nn.utils.clip_grad_value_(list(parameters), 0.1)),
        ],
    )
    def test_hyperparameters_clip(self, hparam: str, clip: Any, old: Definition) -> None:
        """By norm or by value, before callbacks are asked."""
        session = old.load(hparams={hparam: 0.1})
        session.train(batches=8, wait=True)
        np.testing.assert_array_equal(session.metrics("loss")[1], by_hand(8, clip=clip)[0])
        if hparam == "clip_grad_l2_norm":
            assert max(session.trial.seen.norms) <= 0.1 + 1e-6

    def test_ready_made_callbacks_clip_too(self, old: Definition) -> None:
        """As the hyperparameters did before 0.12.7."""
        old.edit('{"seen": self.seen}', '{"clip": ClipGradsL2Norm(0.1), "seen": self.seen}')
        session = old.load()
        session.train(batches=5, wait=True)
        assert max(session.trial.seen.norms) <= 0.1 + 1e-6

    def test_evaluate_full_dataset_gets_the_loader_and_the_model(self, old: Definition) -> None:
        """Instead of the batches, one by one."""
        old.edit("def evaluate_batch(self, batch, model):", "def evaluate_full_dataset(self, data_loader, model):")
        old.edit('x, y = batch\n        return {"error"', 'x, y = next(iter(data_loader))\n        return {"error"')
        old.edit("** 2).mean()}\n", "** 2).mean(), 'batches': len(data_loader), 'grad': torch.is_grad_enabled()}\n")
        metrics = old.load().validate()
        assert (metrics["batches"], metrics["grad"]) == (2, False)
        assert metrics["error"] > 0

    def test_reset_parameters_initialises_anew(self, old: Definition) -> None:
        """All layers that know how."""
        anew = "nn.Linear(8, 1))\n        nn.init.zeros_(model[0].weight)\n        reset_parameters(model)\n        return model"
        old.edit("return nn.Sequential(", "model = nn.Sequential(")
        old.edit("nn.Linear(8, 1))", anew)
        assert old.load().context.models[0][0].weight.abs().sum() > 0

    @pytest.mark.parametrize(
        ("old_text", "new_text", "words"),
        [
            ('return {"loss":', 'return {"lost":', "must return the loss, alone or as the metric 'loss'"),
            ("def optimizer(", "def optimiser(", "has no optimizer"),
            ("def build_model(", "def make_model(", "has no build_model"),
            ("return LRScheduler(torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5), LRScheduler.StepMode.STEP_EVERY_EPOCH)",
             "return torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)", "LRScheduler or None"),
            ("def evaluate_batch(", "def evaluate_nothing(", "neither"),
            ("def evaluate_batch(", "def evaluate_full_dataset(self, data_loader, model): ...\n    def evaluate_batch(", "both"),
        ],
    )  # fmt: skip
    def test_half_a_style_is_explained(self, old: Definition, old_text: str, new_text: str, words: str) -> None:
        """In one error, with what to do."""
        old.edit(old_text, new_text)
        with pytest.raises(TrialError, match=words):
            old.load().train(batches=1, wait=True)

    @pytest.mark.parametrize(
        ("hparams", "words"),
        [
            ({"clip_grad_l2_norm": 1.0, "clip_grad_val": 1.0}, "exclude each other"),
            ({"amp": True}, "not a hyperparameter"),
            ({"clip_grad_val": "much"}, "must be a number, got 'much'"),
        ],
    )
    def test_hyperparameters_that_make_no_sense(self, old: Definition, hparams: dict[str, Any], words: str) -> None:
        """Are refused when it is loaded."""
        with pytest.raises((HyperparameterError, TrialError), match=words):
            old.load(hparams=hparams)

    def test_a_checkpoint_goes_on(self, old: Definition) -> None:
        """Momentum and scheduler included."""
        session = old.load()
        session.train(batches=13, wait=True)
        saved = session.checkpoint()
        other = old.load()
        other.restore(saved.path)
        other.train(batches=10, wait=True)
        np.testing.assert_array_equal(other.metrics("loss")[1], by_hand(23)[0][13:])

    def test_apex_without_a_gpu_is_full_precision_and_said(self, old: Definition, caplog: pytest.LogCaptureFixture) -> None:
        """The results are those of a training without."""
        with caplog.at_level(logging.WARNING, "detjupyter"):
            session = old.load(config={"optimizations": {"mixed_precision": "O1"}})
        assert "full precision" in caplog.text
        session.train(batches=3, wait=True)
        np.testing.assert_array_equal(session.metrics("loss")[1], by_hand(3)[0])


class TestContextStyleWithAModel:
    """The style of 0.12.13: the trial wraps in ``__init__``, and its methods get the model too."""

    TRAIN = ("train_batch(self, batch, epoch_idx, batch_idx)", "train_batch(self, batch, model, epoch_idx, batch_idx)")

    @pytest.mark.parametrize(
        ("parameters", "index"),
        [
            ("batch, model", "0"),
            ("batch, model=None", "0"),
            ("batch, model, batch_idx", "batch_idx"),
            ("batch, model, which", "which"),
            ("batch, which, model", "which"),
        ],
    )
    def test_the_methods_get_the_first_wrapped_model(self, parameters: str, index: str, line: Definition) -> None:
        """Also together with the index of the batch, under any name and in any order."""
        line.edit(*self.TRAIN)
        line.edit("loss = ((self.model(x)", "assert model is self.model\n        loss = ((model(x)")
        line.edit("def evaluate_batch(self, batch)", f"def evaluate_batch(self, {parameters})")
        line.edit('return {"error"', f'return {{"index": float({index}), "is_model": float(model is self.context.models[0]), "error"')
        session = line.load()
        session.step(3)
        metrics = session.validate()
        assert metrics["is_model"] == 1
        assert metrics["index"] == (0.5 if index != "0" else 0)  # two batches

    @pytest.mark.parametrize("parameters", ["batch, which", "data, which", "batch, which, /", "batch, *, batch_idx"])
    def test_without_a_model_the_index_is_passed_alone(self, parameters: str, line: Definition) -> None:
        """By its name, or in the third place under any name."""
        batch, index = parameters.partition(",")[0], "batch_idx" if "batch_idx" in parameters else "which"
        line.edit("def evaluate_batch(self, batch)", f"def evaluate_batch(self, {parameters})")
        line.edit("        x, y = batch\n        return {", f"        x, y = {batch}\n        return {{'index': float({index}), ")
        assert line.load().validate()["index"] == 0.5

    def test_a_validation_at_once_gets_the_model(self, line: Definition) -> None:
        """Together with its loader."""
        line.edit("def evaluate_batch(self, batch)", "def evaluate_full_dataset(self, data_loader, model)")
        line.edit(
            "        x, y = batch\n        return",
            "        assert model is self.model\n        x, y = next(iter(data_loader))\n        return",
        )
        session = line.load()
        assert session.validate()["error"] > 0

    def test_a_reload_passes_the_new_model(self, line: Definition) -> None:
        """Not the one of the trial that was replaced."""
        line.edit(*self.TRAIN)
        line.edit("loss = ((self.model(x)", "assert model is self.model\n        loss = ((model(x)")
        session = line.load()
        session.step(2)
        session.reload()
        session.step(2)
        assert session.batches_trained == 4


def test_both_styles_side_by_side(old: Definition, line: Definition) -> None:
    """In one kernel, at the same time."""
    sessions = [old.load(), line.load()]
    for session in sessions:
        session.train(batches=40)
    assert [session.wait() for session in sessions] == ["finished", "finished"]
