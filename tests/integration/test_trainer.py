"""`pytorch.init` and `Trainer`: a script, or a cell, builds its own trial and trains it as a session."""

from __future__ import annotations

import gc
import logging
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.fitting import BATCHES_PER_EPOCH, Fit, session_of, trainer_of
from support.trained import checkpoints, validations, weights
from torch import nn
from torch.utils.data import TensorDataset

import detjupyter as dj
from detjupyter import pytorch
from detjupyter.definition.trial import InvalidHP
from detjupyter.errors import CheckpointError, SessionBusyError, SessionError, TrialError
from detjupyter.pytorch import Batch, Epoch
from detjupyter.session.registry import Viewable, registry


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Viewable]:
    """The channels that were to be shown in the cell."""
    seen: list[Viewable] = []
    monkeypatch.setattr(registry, "show", seen.append)
    return seen


def test_fit_trains_to_the_end_as_a_session_and_a_run(shown: list[Viewable]) -> None:
    """It blocks until all is trained, ends with a validation and a checkpoint, is the current session, shown, and in the history."""
    trainer = trainer_of()
    trainer.fit(max_length=Epoch(2))
    session = dj.current_session()
    assert session is trainer.session
    assert session.state == "finished"
    batches, losses = session.metrics("loss")
    assert list(batches) == list(range(1, 2 * BATCHES_PER_EPOCH + 1))
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    assert validations(session_of(trainer)) == checkpoints(session_of(trainer)) == [20]
    run = session.run
    assert run is not None
    assert dj.run(run.record.id).record.batches_trained == 20
    assert run.hyperparameters == {"lr": 0.05}
    assert [one.channel for one in shown] == [session.channel]


def test_what_was_built_by_hand_can_be_steered_afterwards() -> None:
    """The session of a fit continues with `train`, `step`, `validate` and `checkpoint`, like any other session."""
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
    """For a script without other modules it is the script; with other modules it is the directory."""
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
    assert weights(session_of(other)) == weights(session_of(whole))


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


def test_a_trainer_takes_a_trial_and_its_context_only() -> None:
    """A trial of another class, or no context, is a TypeError that names the class of the argument."""
    with pytorch.init(hparams={}) as context:
        with pytest.raises(TypeError, match=r"trial must be a PyTorchTrial .*got builtins\.object"):
            pytorch.Trainer(object(), context)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"context must be a PyTorchTrialContext"):
            pytorch.Trainer(Fit(context), None)  # type: ignore[arg-type]


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
    """`InvalidHP` saves a checkpoint and stops; fit returns and the reason is logged, in the run and on the logger of the script."""

    def refuse(trial: Fit, batch_idx: int) -> None:
        if batch_idx == 4:
            raise InvalidHP("lr is too large")

    trainer = trainer_of(before_batch=refuse)
    with caplog.at_level(logging.WARNING, "detjupyter"):
        trainer.fit(max_length=Batch(20))
    assert session_of(trainer).state == "stopped"
    assert checkpoints(session_of(trainer)) == [4]
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
    assert checkpoints(session_of(trainer)) == [6]


def test_fit_waits_while_it_is_paused_and_returns_when_it_is_stopped() -> None:
    """A pause from the sidebar does not let the rest of the cell run on half a training; a stop does."""
    reached, held = threading.Event(), threading.Event()

    def note(trial: Fit, batch_idx: int) -> None:
        if batch_idx == 3:
            reached.set()
            held.wait(60)

    trainer = trainer_of(before_batch=note)
    fitting = threading.Thread(target=trainer.fit, kwargs={"max_length": Batch(100_000_000)})
    fitting.start()
    assert reached.wait(60)
    session = session_of(trainer)
    asked = threading.Thread(target=session.pause)
    asked.start()
    held.set()
    asked.join(60)
    assert session.state == "paused"
    with pytest.raises(SessionBusyError):
        trainer.fit(max_length=Batch(5))
    fitting.join(0.3)
    assert fitting.is_alive()
    session.resume()
    assert session.state == "running"
    session.stop()
    fitting.join(60)
    assert not fitting.is_alive()
    assert session.state == "stopped"


def test_a_cell_that_is_run_again_leaves_no_trial_behind() -> None:
    """The session of a trainer that is gone makes room for the next of its class; one in use, or of another class, stays."""
    kept = trainer_of()
    kept.fit(max_length=Batch(2))
    calls = []
    for _ in range(3):
        trainer = trainer_of()
        trainer.fit(max_length=Batch(2))
        session = dj.current_session()
        calls.append(session.trial.moments.seen)
        del trainer
        gc.collect()
    assert len(dj.sessions()) == 2
    assert session_of(kept) in dj.sessions()
    assert session.metrics("loss")[0][-1] == 2
    assert ["shutdown" in seen for seen in calls] == [True, True, False]
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
