"""`pytorch.init` and `Trainer`: a script, or a cell, builds a trial of its own and trains it as a session."""

from __future__ import annotations

import gc
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import detjupyter as dj
from detjupyter import pytorch
from detjupyter.definition.trial import InvalidHP
from detjupyter.errors import CheckpointError, HyperparameterError, SessionBusyError, SessionError, TrialError
from detjupyter.pytorch import Batch, Epoch
from detjupyter.training.registry import Shown, registry

BATCHES_PER_EPOCH = 10


class Moments(pytorch.PyTorchCallback):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def on_training_start(self) -> None:
        """Note it."""
        self.seen.append("start")

    def on_training_workload_end(self, avg_metrics: dict[str, Any], batch_metrics: list[dict[str, Any]]) -> None:
        """Note where the stretch ended, and how many batches it had."""
        self.seen.append((avg_metrics["batches"], len(batch_metrics)))

    def on_validation_end(self, metrics: dict[str, Any]) -> None:  # noqa: ARG002
        """Note it."""
        self.seen.append("validation")

    def on_checkpoint_upload_end(self, uuid: str) -> None:  # noqa: ARG002
        """Note it."""
        self.seen.append("checkpoint")

    def on_trial_shutdown(self) -> None:
        """Note it."""
        self.seen.append("shutdown")


class Fit(pytorch.PyTorchTrial):
    """Fits a line on 40 shuffled records; `before_batch` is what a test wants to happen first."""

    def __init__(self, context: pytorch.PyTorchTrialContext, before_batch: Any = None, width: int = 8) -> None:
        self.context = context
        self.before_batch = before_batch
        self.moments = Moments()
        self.model = context.wrap_model(nn.Sequential(nn.Linear(1, width), nn.Dropout(0.2), nn.Linear(width, 1)))
        lr = context.get_hparams().get("lr", 0.05)
        self.optimizer = context.wrap_optimizer(torch.optim.SGD(self.model.parameters(), lr=lr, momentum=0.9))

    def data(self) -> TensorDataset:
        """Return 40 points of a line."""
        inputs = torch.linspace(-1, 1, 40).reshape(-1, 1)
        return TensorDataset(inputs, 2 * inputs + 1)

    def build_training_data_loader(self) -> pytorch.DataLoader:
        """Return them shuffled."""
        return pytorch.DataLoader(self.data(), batch_size=4, shuffle=True)

    def build_validation_data_loader(self) -> pytorch.DataLoader:
        """Return them in order."""
        return pytorch.DataLoader(self.data(), batch_size=20)

    def build_callbacks(self) -> dict[str, pytorch.PyTorchCallback]:
        """Return what notes."""
        return {"moments": self.moments}

    def train_batch(self, batch: Any, epoch_idx: int, batch_idx: int) -> dict[str, Any]:  # noqa: ARG002
        """Train on a batch."""
        if self.before_batch is not None:
            self.before_batch(self, batch_idx)
        x, y = batch
        loss = ((self.model(x) - y) ** 2).mean()
        self.context.backward(loss)
        self.context.step_optimizer(self.optimizer)
        return {"loss": loss, "first": x[0, 0]}

    def evaluate_batch(self, batch: Any) -> dict[str, Any]:
        """Return the error."""
        x, y = batch
        return {"error": ((self.model(x) - y) ** 2).mean()}


@pytest.fixture(autouse=True)
def closes_sessions() -> Iterator[None]:
    """Leave no session behind."""
    yield
    for session in dj.sessions():
        session.close()


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Shown]:
    """What was to be shown where the person is looking."""
    seen: list[Shown] = []
    monkeypatch.setattr(registry, "show", seen.append)
    return seen


def trainer_of(seed: int = 0, before_batch: Any = None, **given: Any) -> pytorch.Trainer:
    """Return a trainer of a new trial, whose constructor takes more than the context."""
    torch.manual_seed(seed)
    with pytorch.init(**{"hparams": {"lr": 0.05}, **given}) as context:
        return pytorch.Trainer(Fit(context, before_batch, width=4), context)


def session_of(trainer: pytorch.Trainer) -> dj.Session:
    """Return the session of a trainer that has fitted."""
    assert trainer.session is not None
    return trainer.session


def moments(trainer: pytorch.Trainer) -> list[Any]:
    """Return what the callback of the trial was told."""
    seen: list[Any] = session_of(trainer).trial.moments.seen
    return seen


def weights(trainer: pytorch.Trainer) -> dict[str, Any]:
    """Return the weights."""
    state: dict[str, Any] = session_of(trainer).trial.model.state_dict()
    return state


def validations(trainer: pytorch.Trainer) -> list[int]:
    """Return after how many batches it was validated."""
    return list(session_of(trainer).metrics("error", "validation")[0])


def checkpoints(trainer: pytorch.Trainer) -> list[int]:
    """Return after how many batches checkpoints were told of."""
    run = session_of(trainer).run
    assert run is not None
    return sorted({event["checkpoint"]["batches_trained"] for event in run.events() if event["kind"] == "checkpoint"})


def test_fit_trains_to_the_end_as_a_session_and_a_run(shown: list[Shown]) -> None:
    """It blocks until all is trained, ends with a validation and a checkpoint, is the current session, shown, and in the history."""
    trainer = trainer_of()
    trainer.fit(max_length=Epoch(2))
    session = dj.current_session()
    assert session is trainer.session
    assert session.state == "finished"
    batches, losses = session.metrics("loss")
    assert list(batches) == list(range(1, 2 * BATCHES_PER_EPOCH + 1))
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    assert validations(trainer) == checkpoints(trainer) == [20]
    run = session.run
    assert run is not None
    assert dj.run(run.record.id).record.batches_trained == 20
    assert run.hyperparameters == {"lr": 0.05}
    assert [one.channel for one in shown] == [session.channel]


def test_what_was_built_by_hand_can_be_steered_afterwards() -> None:
    """The session of a fit goes on with `train`, `step`, `validate` and `checkpoint`, like any other."""
    trainer = trainer_of()
    trainer.fit(max_length=Batch(3))
    session = dj.current_session()
    session.step(2)
    session.stop()
    session.train(batches=4, wait=True)
    assert session.batches_trained == 9
    assert set(session.validate()) == {"error"}
    assert session.checkpoint().batches_trained == 9
    with pytest.raises(SessionError, match="nothing to load again"):
        session.reload()


def test_the_code_of_a_run_is_the_file_that_the_class_stands_in(tmp_path: Path) -> None:
    """Of a script without modules of its own it is the script; with one beside it, the directory."""
    script = (
        "import sys\nimport torch, detjupyter as dj\nfrom detjupyter import pytorch\n{more}"
        "class Small(pytorch.PyTorchTrial):\n"
        "    def __init__(self, context):\n        self.context = context\n"
        "        self.model = context.wrap_model(torch.nn.Linear(1, 1))\n"
        "        self.optimizer = context.wrap_optimizer(torch.optim.SGD(self.model.parameters(), lr=0.1))\n"
        "    def build_training_data_loader(self):\n        return pytorch.DataLoader(torch.ones(8, 1), batch_size=2)\n"
        "    build_validation_data_loader = build_training_data_loader\n"
        "    def train_batch(self, batch, epoch_idx, batch_idx):\n        loss = self.model(batch).mean()\n"
        "        self.context.backward(loss)\n        self.context.step_optimizer(self.optimizer)\n        return loss\n"
        "    def evaluate_batch(self, batch):\n        return {{'mean': self.model(batch).mean()}}\n"
        "if __name__ == '__main__':\n"
        "    with pytorch.init() as context:\n        pytorch.Trainer(Small(context), context).fit(max_length=pytorch.Epoch(1))\n"
        "    session = dj.current_session()\n"
        "    files = sorted(entry.path for entry in session.files().included)\n"
        "    print(session.state, session.batches_trained, files, session.card().entrypoint)\n"
    )
    for name, more, said in (
        ("alone", "", "finished 4 ['train.py'] :Small"),
        ("beside", "import data\n", "finished 4 ['data.py', 'notes.txt', 'train.py'] train:Small"),
    ):
        directory = tmp_path / name
        directory.mkdir()
        (directory / "train.py").write_text(script.format(more=more))
        (directory / "data.py").write_text("")
        (directory / "notes.txt").write_text("")
        ran = subprocess.run([sys.executable, "train.py"], cwd=directory, capture_output=True, text=True, check=False)
        assert (ran.stdout.strip(), ran.returncode) == (said, 0), ran.stderr


def test_periods_and_schedules_say_when_to_validate_to_save_and_to_report() -> None:
    """Batches and epochs, as a period or as a container of those at which it is due; less than one means always."""
    trainer = trainer_of()
    trainer.fit(
        max_length=Batch(25),
        validation_period=Batch([3, 4, 21]),
        checkpoint_period=Epoch(1),
        reporting_period=Batch(5),
        checkpoint_policy="none",
    )
    assert validations(trainer) == [3, 4, 21, 25]
    assert checkpoints(trainer) == [10, 20, 25]
    ends = [seen[0] for seen in moments(trainer) if isinstance(seen, tuple)]
    assert ends == [3, 4, 5, 10, 15, 20, 21, 25]
    assert sum(seen[1] for seen in moments(trainer) if isinstance(seen, tuple)) == 25

    trainer = trainer_of()
    trainer.fit(max_length=Batch(3), validation_period=Batch(0), checkpoint_policy="all")
    assert validations(trainer) == checkpoints(trainer) == [1, 2, 3]

    trainer = trainer_of()
    trainer.fit(max_length=Epoch(3), validation_period=Epoch({2}), checkpoint_policy="none", step_zero_validation=True)
    assert validations(trainer) == [0, 20, 30]


def test_the_policy_best_saves_what_is_better_than_all_before() -> None:
    """Without a searcher's metric the first validation metric ranks, by its name; so `best` means best here, too."""
    trainer = trainer_of()
    trainer.fit(max_length=Batch(12), validation_period=Batch(2))
    _, errors = session_of(trainer).metrics("error", "validation")
    best = [2 * (index + 1) for index, error in enumerate(errors) if error == min(errors[: index + 1])]
    assert checkpoints(trainer) == sorted({*best, 12})


def test_a_length_in_total_that_is_reached_trains_nothing_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    """`max_length` counts from the first batch: the same fit again has nothing to do, a longer one does the rest."""
    trainer = trainer_of()
    trainer.fit(max_length=Batch(5))
    with caplog.at_level(logging.WARNING, "detjupyter"):
        trainer.fit(max_length=Batch(5))
    assert "nothing to train" in caplog.text
    assert session_of(trainer).batches_trained == 5
    trainer.fit(max_length=Batch(8))
    assert list(session_of(trainer).metrics("loss")[0]) == list(range(1, 9))


@pytest.mark.parametrize("by", ["directory", "id"])
def test_a_fit_from_a_checkpoint_continues_to_the_bit(by: str) -> None:
    """Half of it, a checkpoint, another trial of another seed, the other half: what one fit would have given.

    In the middle of an epoch, with shuffling, dropout and momentum.
    """
    whole = trainer_of(seed=1)
    whole.fit(max_length=Batch(34))
    half = trainer_of(seed=1)
    half.fit(max_length=Batch(17), checkpoint_policy="none")
    run = session_of(half).run
    assert run is not None
    (saved,) = run.checkpoints()

    other = trainer_of(seed=99)
    other.fit(max_length=Batch(34), latest_checkpoint=saved.path if by == "directory" else saved.id)
    assert session_of(other).batches_trained == 34
    for name in ("loss", "first"):
        batches, values = session_of(other).metrics(name)
        assert list(batches) == list(range(18, 35))
        assert np.array_equal(values, session_of(whole).metrics(name)[1][17:])
    assert all(torch.equal(one, weights(other)[name]) for name, one in weights(whole).items())


def test_the_users_own_seed_decides() -> None:
    """`torch.manual_seed` before the trial gives the same training again, and what a cell draws later is as without any training."""
    losses = []
    for _ in range(2):
        trainer = trainer_of(seed=5)
        before = torch.get_rng_state()
        trainer.fit(max_length=Batch(6))
        assert torch.equal(torch.get_rng_state(), before)
        losses.append(session_of(trainer).metrics("loss")[1])
    assert np.array_equal(*losses)


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    """Neither a directory nor an id: a CheckpointError, and nothing is trained."""
    trainer = trainer_of()
    with pytest.raises(CheckpointError):
        trainer.fit(max_length=Batch(2), latest_checkpoint="no-such-checkpoint")
    with pytest.raises(CheckpointError):
        trainer.fit(max_length=Batch(2), latest_checkpoint=tmp_path)
    assert session_of(trainer).batches_trained == 0


def test_test_mode_takes_one_batch_through_everything() -> None:
    """One batch is trained, the trial is validated and saved, whatever the length; again, and it is one batch more."""
    trainer = trainer_of()
    trainer.fit(max_length=Epoch(100), test_mode=True)
    assert session_of(trainer).batches_trained == 1
    assert validations(trainer) == checkpoints(trainer) == [1]
    assert moments(trainer)[:2] == ["start", (1, 1)]
    trainer.fit(test_mode=True)
    assert session_of(trainer).batches_trained == 2


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({}, ValueError, "needs max_length"),
        ({"max_length": 5}, TypeError, r"Batch\(n\) or Epoch\(n\)"),
        ({"max_length": Batch(1.5)}, TypeError, "whole number"),  # type: ignore[arg-type]
        ({"max_length": Batch([5])}, TypeError, "whole number"),
        ({"max_length": Batch(0)}, ValueError, "at least 1"),
        ({"max_length": Batch(5), "checkpoint_policy": "sometimes"}, ValueError, "best, all, none"),
        ({"max_length": Batch(5), "validation_period": "often"}, TypeError, "validation_period"),
        ({"max_length": Batch(5), "checkpoint_period": Batch("often")}, TypeError, "checkpoint_period"),  # type: ignore[arg-type]
        ({"max_length": Batch(5), "reporting_period": Batch(2.5)}, TypeError, "reporting_period"),  # type: ignore[arg-type]
    ],
)
def test_arguments_that_make_no_sense_are_refused_before_anything_happens(given: dict[str, Any], error: type[Exception], text: str) -> None:
    """No session is made, and the error says which argument."""
    trainer = trainer_of()
    with pytest.raises(error, match=text):
        trainer.fit(**given)
    assert trainer.session is None
    assert dj.sessions() == []


def test_a_trainer_takes_a_trial_and_its_context_only() -> None:
    """A trial of another house, or no context, is a TypeError that names the class that came."""
    with pytorch.init(hparams={}) as context:
        with pytest.raises(TypeError, match=r"trial is a PyTorchTrial .*not builtins\.object"):
            pytorch.Trainer(object(), context)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"context is a PyTorchTrialContext"):
            pytorch.Trainer(Fit(context), None)  # type: ignore[arg-type]


def test_a_context_without_a_config_says_what_it_has_not() -> None:
    """No hyperparameters, no config, no seed: errors that a definition can catch as `ValueError`, each saying how to give them."""
    with pytorch.init() as context:
        for ask in (context.get_hparams, lambda: context.get_hparam("lr"), context.get_global_batch_size, context.get_experiment_config):
            with pytest.raises(ValueError, match=r"pytorch\.init\(\)"):
                ask()
        with pytest.raises(TrialError, match="seed"):
            context.get_trial_seed()
        assert context.get_data_config() == {}


def test_a_context_knows_what_init_was_given() -> None:
    """Hyperparameters win over the config's; the config gives the data section, the seed and the length."""
    config = {
        "hyperparameters": {"lr": 0.5, "global_batch_size": 4},
        "data": {"url": "here"},
        "reproducibility": {"experiment_seed": 12},
        "searcher": {"name": "single", "metric": "error", "max_length": {"batches": 4}},
    }
    with pytorch.init(exp_conf=config) as context:
        assert context.get_hparam("lr") == 0.5
        assert context.get_per_slot_batch_size() == 4
        assert context.get_data_config() == {"url": "here"}
        assert context.get_trial_seed() == 12
        trainer = pytorch.Trainer(Fit(context), context)
        trainer.fit()
        assert session_of(trainer).batches_trained == 4
    with pytorch.init(hparams={"lr": 0.25}, exp_conf=config) as context:
        assert context.get_hparam("lr") == 0.25
        with pytest.raises(HyperparameterError):
            context.get_hparam("global_batch_size")
    with pytorch.init(hparams={"lr": 0.1}) as context, pytest.raises(HyperparameterError) as raised:
        context.get_hparam("depth")
    assert "pytorch.init(hparams={…, 'depth': …})" in str(raised.value.hint)
    with pytest.raises(SessionError, match="in one process, not in 4"), pytorch.init(distributed=type("Four", (), {"size": 4})()):
        pass


def test_gradients_are_gathered_over_as_many_batches_as_init_says() -> None:
    """`aggregation_frequency=2`: the weights change after every other batch only."""
    seen: list[float] = []

    def note(trial: Fit, batch_idx: int) -> None:
        seen.append(float(trial.model[0].weight.detach().sum()))

    trainer = trainer_of(before_batch=note, aggregation_frequency=2)
    trainer.fit(max_length=Batch(5))
    assert seen[0] == seen[1] != seen[2] == seen[3] != seen[4]


def test_what_the_trial_raises_comes_out_of_fit() -> None:
    """A TrialError with the user's own frames; the session is failed, and it can be fitted on."""

    def fail(trial: Fit, batch_idx: int) -> None:
        if batch_idx == 3:
            trial.before_batch = None
            raise ZeroDivisionError("the third")

    trainer = trainer_of(before_batch=fail)
    with pytest.raises(TrialError, match="ZeroDivisionError") as raised:
        trainer.fit(max_length=Batch(6))
    assert "the third" in str(raised.value)
    assert "in fail" in raised.value.user_traceback
    assert session_of(trainer).state == "failed"
    trainer.fit(max_length=Batch(6))
    assert session_of(trainer).state == "finished"


def test_hyperparameters_that_the_trial_calls_invalid_end_the_fit_in_order(caplog: pytest.LogCaptureFixture) -> None:
    """`InvalidHP` saves a checkpoint and stops; fit returns and the reason is logged, in the run and for who looks at no run."""

    def refuse(trial: Fit, batch_idx: int) -> None:
        if batch_idx == 4:
            raise InvalidHP("lr is too large")

    trainer = trainer_of(before_batch=refuse)
    with caplog.at_level(logging.WARNING, "detjupyter"):
        trainer.fit(max_length=Batch(20))
    assert session_of(trainer).state == "stopped"
    assert checkpoints(trainer) == [4]
    assert "lr is too large" in caplog.text
    run = session_of(trainer).run
    assert run is not None
    assert any("lr is too large" in line.text for line in run.log())


def test_a_trial_that_asks_to_stop_is_saved_and_done() -> None:
    """`set_stop_requested(True)` ends the fit after the batch, with a checkpoint."""

    def enough(trial: Fit, batch_idx: int) -> None:
        trial.context.set_stop_requested(batch_idx == 5)

    trainer = trainer_of(before_batch=enough)
    trainer.fit(max_length=Epoch(50))
    assert session_of(trainer).batches_trained == 6
    assert checkpoints(trainer) == [6]


def test_fit_waits_while_it_is_paused_and_returns_when_it_is_stopped() -> None:
    """A pause from the sidebar does not let the rest of the cell run on half a training; a stop does."""
    reached, held = threading.Event(), threading.Event()

    def note(trial: Fit, batch_idx: int) -> None:
        if batch_idx == 3:
            reached.set()
            held.wait(20)

    trainer = trainer_of(before_batch=note)
    fitting = threading.Thread(target=trainer.fit, kwargs={"max_length": Batch(100_000_000)})
    fitting.start()
    assert reached.wait(20)
    session = session_of(trainer)
    asked = threading.Thread(target=session.pause)
    asked.start()
    held.set()
    asked.join(20)
    assert session.state == "paused"
    with pytest.raises(SessionBusyError):
        trainer.fit(max_length=Batch(5))
    fitting.join(0.3)
    assert fitting.is_alive()
    session.resume()
    assert session.state == "running"
    session.stop()
    fitting.join(20)
    assert not fitting.is_alive()
    assert session.state == "stopped"


def test_a_cell_that_is_run_again_leaves_no_trial_behind() -> None:
    """The session of a trainer that is gone makes room for the next of its class; one in use, or of another class, stays."""
    kept = trainer_of()
    kept.fit(max_length=Batch(2))
    told = []
    for _ in range(3):
        trainer = trainer_of()
        trainer.fit(max_length=Batch(2))
        session = dj.current_session()
        told.append(session.trial.moments.seen)
        del trainer
        gc.collect()
    assert len(dj.sessions()) == 2
    assert session_of(kept) in dj.sessions()
    assert session.metrics("loss")[0][-1] == 2
    assert ["shutdown" in seen for seen in told] == [True, True, False]
    assert len([run for run in dj.runs() if run.record.entrypoint.endswith(":Fit")]) >= 4


def test_the_callback_style_is_trained_by_a_trainer_too() -> None:
    """A class with `build_model` and `optimizer`, as before 0.12.13."""

    class Old(pytorch.PyTorchTrial):
        def __init__(self, context: pytorch.PyTorchTrialContext) -> None:
            self.context = context

        def build_model(self) -> nn.Module:
            return nn.Linear(1, 1)

        def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
            return torch.optim.SGD(model.parameters(), lr=0.1)

        def build_training_data_loader(self) -> pytorch.DataLoader:
            return pytorch.DataLoader(TensorDataset(torch.ones(8, 1)), batch_size=2)

        build_validation_data_loader = build_training_data_loader

        def train_batch(self, batch: Any, model: Any, epoch_idx: int, batch_idx: int) -> torch.Tensor:  # type: ignore[override]  # noqa: ARG002
            loss: torch.Tensor = (model(batch[0]) ** 2).mean()
            return loss

        def evaluate_batch(self, batch: Any, model: Any) -> dict[str, Any]:  # type: ignore[override]
            return {"size": (model(batch[0]) ** 2).mean()}

    with pytorch.init(hparams={}) as context:
        pytorch.Trainer(Old(context), context).fit(max_length=Epoch(1))
    session = dj.current_session()
    assert session.batches_trained == 4
    assert session.session_id == "Old"


def test_what_did_something_once_says_that_it_does_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """`configure_profiler` and `profiling_enabled` are taken and answered with what to use."""
    trainer = trainer_of()
    with caplog.at_level(logging.WARNING, "detjupyter"):
        trainer.configure_profiler(enabled=True, sync_timings=True)
        trainer.fit(max_length=Batch(1), profiling_enabled=True)
    assert caplog.text.count("set_profiler") == 2
