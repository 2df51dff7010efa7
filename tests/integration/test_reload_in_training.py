"""A reload in the middle of a training: without an edit everything is, to the bit, as if there had been none."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.waiting import LIMIT_S, wait_until

from detjupyter.errors import CheckpointError, DefinitionSyntaxError, SessionError
from detjupyter.protocol.commands import Pause, Reload
from detjupyter.protocol.lengths import Batch

if TYPE_CHECKING:
    from support.definition import Definition

pytest.importorskip("torch")

PER_EPOCH, PERIOD, LAST = 5, 4, 23
IN_THE_MIDDLE = 7
"""Of an epoch (5 to 10), of a reporting period (4 to 8), and between two updates (6 and 8)."""

CALLS = """
from detjupyter.pytorch import MetricReducer, PyTorchCallback


class Calls(PyTorchCallback):
    def __init__(self):
        self.calls = []

    def state_dict(self):
        return {"calls": list(self.calls)}

    def load_state_dict(self, state):
        self.calls = list(state["calls"])

    def on_training_start(self):
        self.calls.append("training")

    def on_training_epoch_start(self, epoch_idx):
        self.calls.append(("epoch", epoch_idx))

    def on_training_epoch_end(self, epoch_idx):
        self.calls.append(("epoch over", epoch_idx))

    def on_train_step_start(self, step_id):
        self.calls.append(("step", step_id))

    def on_training_workload_end(self, avg_metrics, batch_metrics):
        averages = {name: float(value) for name, value in avg_metrics.items()}
        self.calls.append((averages, [float(row["loss"]) for row in batch_metrics]))

    def on_train_step_end(self, step_id, metrics):
        self.calls.append(("step over", step_id, len(metrics["batch_metrics"])))


class Largest(MetricReducer):
    def __init__(self):
        self.seen = []
        self.largest = None

    def reset(self):
        self.seen.clear()
        self.largest = None

    def update(self, value):
        self.seen.append(value)
        self.largest = value if self.largest is None else max(self.largest, value)

    def per_slot_reduce(self):
        return self.largest, len(self.seen)

    def cross_slot_reduce(self, per_slot_metrics):
        ((largest, count),) = per_slot_metrics
        return {"largest": largest, "count": count}
"""

WRAPPED = """
import torch
from torch import nn
from torch.utils.data import TensorDataset
from detjupyter.pytorch import DataLoader, LRScheduler, PyTorchTrial
from calls import Largest, Calls

inputs = torch.linspace(-1, 1, 40).reshape(-1, 1)


class LineTrial(PyTorchTrial):
    def __init__(self, context):
        self.context = context
        self.when = {}
        context.experimental.use_amp()
        context.scaler = torch.amp.GradScaler("cpu", init_scale=4.0, growth_interval=3)
        self.model = context.wrap_model(nn.Sequential(nn.Linear(1, 8), nn.Dropout(0.5), nn.Linear(8, 1)))
        self.optimizer = context.wrap_optimizer(torch.optim.Adam(self.model.parameters(), lr=0.1), backward_passes_per_step=2)
        for mode, gamma in ((LRScheduler.StepMode.STEP_EVERY_BATCH, 0.9), (LRScheduler.StepMode.STEP_EVERY_EPOCH, 0.5)):
            context.wrap_lr_scheduler(torch.optim.lr_scheduler.StepLR(self.optimizer, 1, gamma), mode)
        self.largest = context.wrap_reducer(Largest(), for_validation=False)
        self.mean = context.wrap_reducer(lambda values: sum(values) / max(len(values), 1), name="mean")
        self.calls = Calls()

    def build_callbacks(self):
        return {"calls": self.calls}

    def build_training_data_loader(self):
        parts = torch.utils.data.random_split(TensorDataset(inputs, 2 * inputs), [20, 20])
        return DataLoader(parts[0], batch_size=4, shuffle=True)

    def build_validation_data_loader(self):
        return DataLoader(TensorDataset(inputs, 2 * inputs), batch_size=20)

    def train_batch(self, batch, epoch_idx, batch_idx):
        x, y = batch
        loss = ((self.model(x) - y) ** 2).mean()
        self.context.backward(loss)
        self.context.step_optimizer(self.optimizer)
        self.largest.update(loss.item())
        self.mean.update(loss.item())
        self.when.pop(batch_idx + 1, lambda: None)()
        rate, scale = self.optimizer.param_groups[0]["lr"], self.context.scaler.get_scale()
        return {"loss": loss, "epoch": epoch_idx, "rate": rate, "scale": scale, "begun": self.context.get_initial_batch()}

    def evaluate_batch(self, batch):
        x, y = batch
        self.mean.update(1.0)
        return {"error": ((self.model(x) - y) ** 2).mean()}
"""

OF_2020 = """
import torch
from torch import nn
from torch.utils.data import TensorDataset
from detjupyter.pytorch import DataLoader, LRScheduler, PyTorchTrial
from calls import Calls

inputs = torch.linspace(-1, 1, 40).reshape(-1, 1)


class LineTrial(PyTorchTrial):
    def __init__(self, context):
        self.context = context
        self.when = {}
        self.calls = Calls()

    def build_model(self):
        return nn.Sequential(nn.Linear(1, 8), nn.Dropout(0.5), nn.Linear(8, 1))

    def optimizer(self, model):
        return torch.optim.Adam(model.parameters(), lr=0.1)

    def create_lr_scheduler(self, optimizer):
        return LRScheduler(torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.9), LRScheduler.StepMode.STEP_EVERY_BATCH)

    def build_callbacks(self):
        return {"calls": self.calls}

    def build_training_data_loader(self):
        return DataLoader(TensorDataset(inputs, 2 * inputs), batch_size=8, shuffle=True)

    def build_validation_data_loader(self):
        return DataLoader(TensorDataset(inputs, 2 * inputs), batch_size=20)

    def train_batch(self, batch, model, epoch_idx, batch_idx):
        x, y = batch
        self.when.pop(batch_idx + 1, lambda: None)()
        loss = ((model(x) - y) ** 2).mean()
        return {"loss": loss, "epoch": epoch_idx, "rate": self.context.get_lr_scheduler().get_last_lr()[0]}

    def evaluate_batch(self, batch, model):
        x, y = batch
        return {"error": ((model(x) - y) ** 2).mean()}
"""

Between = Callable[[Any, Any], object]
"""What is done between two batches: with the session, and the definition."""


def nothing(session: Any, definition: Definition) -> None:
    """Do nothing."""


def reload_it(session: Any, definition: Definition) -> None:
    """Reload without an edit, twice."""
    session.reload()
    session.reload()


def reload_a_syntax_error(session: Any, definition: Definition) -> None:
    """Reload what does not compile; put it right again."""
    definition.edit("def train_batch", "def train_batch)")
    with pytest.raises(DefinitionSyntaxError):
        session.reload()
    definition.edit("def train_batch)", "def train_batch")


def reload_another_shape(session: Any, definition: Definition) -> None:
    """Reload a model that the weights do not fit; put it right again."""
    definition.edit("nn.Linear(1, 8)", "nn.Linear(1, 8, bias=False)")
    with pytest.raises(CheckpointError):
        session.reload()
    definition.edit("nn.Linear(1, 8, bias=False)", "nn.Linear(1, 8)")


def train(definition: Definition, between: Between, at: int, *, paused: bool) -> dict[str, Any]:
    """Train :data:`LAST` batches, do something after ``at`` of them, and return all that can be seen of the training."""
    session = definition.load(config={"scheduling_unit": PERIOD}, name="line")
    reached: list[Future[Any]] = []
    ask = (lambda: session.send(Pause())) if paused else (lambda: session.send(Reload()))
    if paused or between is not nothing:
        session.at_batch(lambda trial: trial.when.update({at: lambda: reached.append(ask())}))
    session.train(batches=LAST, validate_every=Batch(10))
    if paused:
        wait_until(lambda: session.state != "running", "the pause")
        assert (session.state, str(session.error), session.batches_trained) == ("paused", "None", at)
        between(session, definition)
        session.resume()
    assert session.wait(LIMIT_S) == "finished"
    for future in reached:
        future.result(LIMIT_S)
    names = session.run.metric_names("training")
    seen: dict[str, Any] = {name: [column.tolist() for column in session.metrics(name)] for name in names}
    seen["calls"] = session.trial.calls.calls
    seen["error"] = session.metrics("error", "validation")[1].tolist()
    seen["weights"] = [value.tolist() for model in session.context.models for value in model.state_dict().values()]
    session.close()
    return seen


@pytest.mark.parametrize("style", [WRAPPED, OF_2020], ids=["wrapped", "of 2020"])
class TestNothingBeginsAgain:
    """Rows, step and reducers of the period, epochs, schedulers, scaler, gradients, callbacks, data and what the context says."""

    @pytest.mark.parametrize("at", [IN_THE_MIDDLE, PERIOD, 2 * PER_EPOCH, 1], ids=["in the middle", "period", "epoch", "first batch"])
    def test_of_a_paused_training(self, define: Callable[..., Definition], style: str, at: int) -> None:
        """At any place, and at several reloads in a row."""
        definition = define(model_def=style, calls=CALLS)
        assert train(definition, reload_it, at, paused=True) == train(definition, nothing, at, paused=True)

    def test_of_a_running_training(self, define: Callable[..., Definition], style: str) -> None:
        """Without a pause."""
        definition = define(model_def=style, calls=CALLS)
        assert train(definition, reload_it, IN_THE_MIDDLE, paused=False) == train(definition, nothing, IN_THE_MIDDLE, paused=False)

    @pytest.mark.parametrize("failure", [reload_a_syntax_error, reload_another_shape])
    def test_after_a_reload_that_failed(self, define: Callable[..., Definition], style: str, failure: Between) -> None:
        """What was there continues, whether the code does not load or the weights do not fit."""
        definition = define(model_def=style, calls=CALLS)
        assert train(definition, failure, IN_THE_MIDDLE, paused=True) == train(definition, nothing, IN_THE_MIDDLE, paused=True)


def test_the_period_is_the_edited_codes_where_its_metrics_have_other_names(define: Callable[..., Definition]) -> None:
    """Batches of different metrics have no common average: the callback gets those of the new code, and nothing fails."""
    definition = define(model_def=WRAPPED, calls=CALLS)

    def edit(session: Any, definition: Definition) -> None:
        definition.edit('return {"loss": loss,', 'return {"loss": loss, "new": 1.0,')
        session.reload()

    calls = train(definition, edit, IN_THE_MIDDLE, paused=True)["calls"]
    averages = [entry for entry in calls if isinstance(entry[0], dict)]
    assert [("new" in means, len(rows)) for means, rows in averages] == [
        (False, 4),
        (True, 1),
        *[(True, 2), (True, 2)],
        *averages_after(12),
    ]


def averages_after(at: int) -> list[tuple[bool, int]]:
    """Return what the callback gets of the batches after ``at``: a period is cut short by validations only."""
    ends = [*range(at + PERIOD, LAST, PERIOD), LAST]
    cut = sorted({at, *ends, *(end for end in (20,) if end > at)})
    return [(True, int(size)) for size in np.diff(cut)]


def test_what_an_edited_reducer_is_made_with_counts(define: Callable[..., Definition]) -> None:
    """It takes over what was collected, not what the code before wrote."""
    definition = define(model_def=WRAPPED, calls=CALLS)
    definition.edit(
        "        self.largest = None\n\n    def reset", "        self.largest, self.limits = None, [10.0]\n\n    def reset", "calls"
    )
    session = definition.load(config={"scheduling_unit": PERIOD}, name="line")
    session.step(2)
    definition.edit("[10.0]", "[20.0]", "calls")
    session.reload()
    assert session.trial.largest.limits == [20.0]
    assert len(session.trial.largest.seen) == 2
    session.close()


def test_a_trial_of_a_script_is_not_reloaded_and_continues(define: Callable[..., Definition]) -> None:
    """A Trainer's session refuses; the training is as it would have been."""
    from detjupyter.pytorch import Trainer, init

    def fit(*, reload: bool) -> list[float]:
        import torch

        definition = define(f"script{reload}", model_def=WRAPPED, calls=CALLS)
        kind = definition.load(name="kind").trial.__class__
        torch.manual_seed(3)
        refused: list[BaseException | None] = []
        with init(hparams={}) as context:
            trial = kind(context)
            trainer = Trainer(trial, context)

            def ask() -> None:
                assert trainer.session is not None
                future = trainer.session.send(Reload())
                future.add_done_callback(lambda done: refused.append(done.exception()))

            if reload:
                trial.when = {IN_THE_MIDDLE: ask}
            trainer.fit(max_length=Batch(LAST))
        assert trainer.session is not None
        assert [type(error) for error in refused] == ([SessionError] if reload else [])
        losses: list[float] = trainer.session.metrics("loss")[1].tolist()
        return losses

    assert fit(reload=True) == fit(reload=False)
