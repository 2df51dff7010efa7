"""When learning-rate schedulers are stepped."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.definition import Definition
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from detjupyter.errors import TrialError
from detjupyter.pytorch import LRScheduler
from detjupyter.pytorch.lr_scheduler import StepMode, advance_all


class Counting:
    """A scheduler that is nothing but a count of its steps."""

    def __init__(self) -> None:
        self.steps = 0
        self.arguments: list[Any] = []

    def step(self, *arguments: Any) -> None:
        """Count."""
        self.steps += 1
        self.arguments.append(arguments)

    def get_last_lr(self) -> list[float]:
        """Return the count."""
        return [float(self.steps)]

    def state_dict(self) -> dict[str, Any]:
        """Return the count."""
        return {"steps": self.steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take a count back."""
        self.steps = state_dict["steps"]


def optimizer() -> torch.optim.Optimizer:
    """Return any optimizer."""
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)


def steps_at(mode: StepMode, frequency: int, *, batches: int, per_epoch: int | None, aggregation: int = 1) -> list[int]:
    """Return the numbers of batches trained at which steps were taken, with repeats."""
    counting = Counting()
    scheduler = LRScheduler(counting, mode, frequency)
    taken = []
    for batch_idx in range(batches):
        if (batch_idx + 1) % aggregation == 0:
            before = counting.steps
            advance_all([scheduler], batch_idx, per_epoch, aggregation)
            taken += [batch_idx + 1] * (counting.steps - before)
    return taken


class TestModes:
    """Epochs, batches, updates, by hand; at some of them, or all."""

    @pytest.mark.parametrize(
        ("mode", "frequency", "expected"),
        [
            (StepMode.STEP_EVERY_EPOCH, 1, [4, 8, 12]),
            (StepMode.STEP_EVERY_EPOCH, 2, [8]),
            (StepMode.STEP_EVERY_BATCH, 1, list(range(1, 13))),
            (StepMode.STEP_EVERY_BATCH, 5, [5, 10]),
            (StepMode.STEP_EVERY_OPTIMIZER_STEP, 1, list(range(1, 13))),
            (StepMode.STEP_EVERY_OPTIMIZER_STEP, 3, [3, 6, 9, 12]),
            (StepMode.MANUAL_STEP, 1, []),
        ],
    )
    def test_each_mode_without_aggregation(self, mode: StepMode, frequency: int, expected: list[int]) -> None:
        """Twelve batches, four in an epoch."""
        assert steps_at(mode, frequency, batches=12, per_epoch=4) == expected

    @pytest.mark.parametrize(
        ("mode", "frequency", "expected"),
        [
            # Epochs end after 6, 12, 18 and 24 batches: each counts at the last update that is not beyond its end.
            (StepMode.STEP_EVERY_EPOCH, 1, [4, 12, 16, 24]),
            (StepMode.STEP_EVERY_EPOCH, 2, [12, 24]),
            (StepMode.STEP_EVERY_BATCH, 1, [update for update in (4, 8, 12, 16, 20, 24) for _ in range(4)]),
            (StepMode.STEP_EVERY_BATCH, 3, [4, 8, 12, 12, 16, 20, 24, 24]),
            (StepMode.STEP_EVERY_OPTIMIZER_STEP, 1, [4, 8, 12, 16, 20, 24]),
            (StepMode.STEP_EVERY_OPTIMIZER_STEP, 8, [8, 16, 24]),
            (StepMode.MANUAL_STEP, 1, []),
        ],
    )
    def test_each_mode_where_four_batches_make_an_update(self, mode: StepMode, frequency: int, expected: list[int]) -> None:
        """Steps are taken with updates only; epochs of six batches are not a whole number of them, and yet have one step each."""
        assert steps_at(mode, frequency, batches=24, per_epoch=6, aggregation=4) == expected

    def test_epochs_shorter_than_an_update_have_a_step_each(self) -> None:
        """Several at once then."""
        assert steps_at(StepMode.STEP_EVERY_EPOCH, 1, batches=12, per_epoch=2, aggregation=4) == [4, 4, 8, 8, 12, 12]

    @pytest.mark.parametrize("per_epoch", [None, 0])
    def test_without_a_length_no_epoch_ends(self, per_epoch: int | None) -> None:
        """Batches still count."""
        assert steps_at(StepMode.STEP_EVERY_EPOCH, 1, batches=9, per_epoch=per_epoch) == []
        assert steps_at(StepMode.STEP_EVERY_BATCH, 3, batches=9, per_epoch=per_epoch) == [3, 6, 9]

    def test_the_modes_have_determineds_numbers(self) -> None:
        """Configurations and checkpoints may hold them."""
        assert {mode.name: mode.value for mode in LRScheduler.StepMode} == {
            "STEP_EVERY_EPOCH": 1,
            "STEP_EVERY_BATCH": 2,
            "MANUAL_STEP": 3,
            "STEP_EVERY_OPTIMIZER_STEP": 4,
        }


class TestWrapper:
    """What a wrapped scheduler offers, and what is refused."""

    def test_it_hands_everything_on(self) -> None:
        """Steps with their arguments, the rate, the state."""
        counting = Counting()
        scheduler = LRScheduler(counting, StepMode.MANUAL_STEP)
        scheduler.step()
        scheduler.step(0.5)
        assert counting.arguments == [(), (0.5,)]
        assert scheduler.get_last_lr() == [2.0]
        assert scheduler.state_dict() == {"steps": 2}
        scheduler.load_state_dict({"steps": 7})
        assert counting.steps == 7
        assert scheduler.scheduler is counting
        assert repr(scheduler) == "LRScheduler(Counting, MANUAL_STEP, frequency=1)"

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ((Counting(), 1), "It is 1"),
            ((Counting(), "STEP_EVERY_BATCH"), "It is 'STEP_EVERY_BATCH'"),
            ((Counting(), None), "It is None"),
            ((Counting(), StepMode.MANUAL_STEP, 0), "positive integer.*It is 0"),
            ((Counting(), StepMode.MANUAL_STEP, 1.5), "It is 1.5"),
            ((Counting(), StepMode.MANUAL_STEP, True), "It is True"),
            ((None, StepMode.MANUAL_STEP), "This NoneType has no step"),
            ((object(), StepMode.MANUAL_STEP), "has no step.. and no state_dict"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, arguments: tuple[Any, ...], words: str) -> None:
        """By its value."""
        with pytest.raises(TrialError, match=f"(?s){words}"):
            LRScheduler(*arguments)

    @pytest.mark.parametrize("mode", [mode for mode in StepMode if mode is not StepMode.MANUAL_STEP])
    def test_a_scheduler_that_wants_a_metric_is_stepped_by_hand_only(self, mode: StepMode) -> None:
        """The metric is only known to the trial."""
        with pytest.raises(TrialError, match="ReduceLROnPlateau") as raised:
            LRScheduler(ReduceLROnPlateau(optimizer()), mode)
        assert "MANUAL_STEP" in (raised.value.hint or "")
        LRScheduler(ReduceLROnPlateau(optimizer()), StepMode.MANUAL_STEP)


class TestInATraining:
    """In both styles, with a real scheduler."""

    def scheduled(self, line: Definition, mode: str, frequency: int = 1, **config: Any) -> Any:
        """Load the line with a learning rate that falls by a tenth with each step, reported with every batch."""
        line.edit(
            "    def build_training",
            "        self.scheduler = context.wrap_lr_scheduler(\n"
            "            torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda steps: 0.9**steps),\n"
            f"            LRScheduler.StepMode.{mode}, frequency={frequency})\n\n    def build_training",
        )
        line.edit("import DataLoader", "import DataLoader, LRScheduler")
        line.edit('return {"loss": loss}', 'return {"loss": loss, "steps": float(self.scheduler.last_epoch)}')
        return line.load(config=config)

    def steps(self, session: Any) -> list[int]:
        """Return how many steps each batch saw before it."""
        return [int(steps) for steps in session.metrics("steps")[1]]

    def test_epochs_of_ten_batches_with_an_update_every_four(self, line: Definition) -> None:
        """One step an epoch, not one for each update near its end; the batch after the update sees it."""
        session = self.scheduled(line, "STEP_EVERY_EPOCH", optimizations={"aggregation_frequency": 4})
        session.train(batches=40, wait=True)
        assert self.steps(session) == [0] * 8 + [1] * 12 + [2] * 8 + [3] * 12
        assert session.trial.scheduler.last_epoch == 4

    def test_every_third_batch(self, line: Definition) -> None:
        """After ``train_batch``, so the third batch still sees the old rate."""
        session = self.scheduled(line, "STEP_EVERY_BATCH", 3)
        session.train(batches=7, wait=True)
        assert self.steps(session) == [0, 0, 0, 1, 1, 1, 2]

    def test_a_restored_scheduler_goes_on_where_it_was(self, line: Definition) -> None:
        """In another session."""
        session = self.scheduled(line, "STEP_EVERY_BATCH")
        session.train(batches=5, wait=True)
        record = session.checkpoint()
        session.close()
        other = line.load()
        other.restore(record)
        assert other.trial.scheduler.last_epoch == 5
        other.step(1)
        assert other.trial.optimizer.param_groups[0]["lr"] == pytest.approx(0.01 * 0.9**6)

    def test_an_optimizer_that_is_not_wrapped_is_refused(self, line: Definition) -> None:
        """The scheduler would change a learning rate that no optimizer uses."""
        line.edit(
            "    def build_training",
            "        other = torch.optim.SGD(self.model.parameters(), lr=1.0)\n"
            "        context.wrap_lr_scheduler(torch.optim.lr_scheduler.StepLR(other, 1), LRScheduler.StepMode.STEP_EVERY_BATCH)\n\n"
            "    def build_training",
        )
        line.edit("import DataLoader", "import DataLoader, LRScheduler")
        with pytest.raises(TrialError, match="optimizer of this StepLR is not wrapped"):
            line.load()

    def test_callback_style_steps_the_same(self, line: Definition) -> None:
        """What ``create_lr_scheduler`` returned."""
        line.write(
            model_def="""
            import torch
            from torch.utils.data import TensorDataset
            from detjupyter.pytorch import DataLoader, LRScheduler, PyTorchTrial

            data = TensorDataset(torch.linspace(-1, 1, 12).reshape(-1, 1))


            class OldTrial(PyTorchTrial):
                def __init__(self, context):
                    self.context = context

                def build_model(self):
                    return torch.nn.Linear(1, 1)

                def optimizer(self, model):
                    return torch.optim.SGD(model.parameters(), lr=0.1)

                def create_lr_scheduler(self, optimizer):
                    self.scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
                    return LRScheduler(self.scheduler, step_mode=LRScheduler.StepMode.STEP_EVERY_EPOCH)

                def build_training_data_loader(self):
                    return DataLoader(data, batch_size=4)

                def build_validation_data_loader(self):
                    return DataLoader(data, batch_size=4)

                def train_batch(self, batch, model, epoch_idx, batch_idx):
                    return {"loss": (model(batch[0]) ** 2).mean(), "steps": float(self.scheduler.last_epoch)}

                def evaluate_batch(self, batch, model):
                    return {"error": (model(batch[0]) ** 2).mean()}
            """
        )
        session = line.load(config={"optimizations": {"aggregation_frequency": 2}})
        session.train(batches=12, wait=True)
        assert self.steps(session) == [0] * 2 + [1] * 4 + [2] * 2 + [3] * 4
        assert session.trial.scheduler.last_epoch == 4


def test_a_lambda_scheduler_reports_the_rate_of_its_groups() -> None:
    """Through the wrapper."""
    scheduler = LRScheduler(LambdaLR(optimizer(), lambda _: 0.5), StepMode.MANUAL_STEP)
    assert scheduler.get_last_lr() == [0.5]


class TestByHand:
    """The trial steps a scheduler, too."""

    def test_a_trial_may_step_a_scheduler_that_is_stepped_for_it(self, line: Definition) -> None:
        """Both steps count; stepping the wrapper is allowed and not checked."""
        line.edit("import DataLoader", "import DataLoader, LRScheduler")
        line.edit(
            "    def build_training",
            "        self.scheduler = context.wrap_lr_scheduler(\n"
            "            torch.optim.lr_scheduler.StepLR(self.optimizer, 1), step_mode=LRScheduler.StepMode.STEP_EVERY_BATCH)\n\n"
            "    def build_training",
        )
        line.edit(
            'return {"loss": loss}', 'self.scheduler.step()\n        self.context.lr_schedulers[0].step()\n        return {"loss": loss}'
        )
        session = line.load()
        (wrapped,) = session.context.lr_schedulers
        assert isinstance(wrapped, LRScheduler)
        session.train(batches=2, wait=True)
        assert session.trial.scheduler.last_epoch == 6
