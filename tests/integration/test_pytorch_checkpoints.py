"""Checkpoints of a PyTorch trial: weights, optimizer and random states, on disk and back."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from support.definition import Definition
from support.trained import weights

from detjupyter.errors import CheckpointError


class TestCheckpoints:
    """Save and restore."""

    @pytest.mark.parametrize("hparams", [{}, {"dropout": 0.5}])
    def test_a_restored_trial_goes_on_as_if_nothing_had_been(self, line: Definition, hparams: dict[str, Any]) -> None:
        """To the bit: the weights, and with data in its own order the next losses, dropout included."""
        session = line.load(hparams=hparams)
        session.step(13)
        saved = session.checkpoint()
        at_checkpoint = weights(session)
        session.step(9)
        first = session.metrics("loss")[1][13:]
        session.restore(saved)
        assert weights(session) == at_checkpoint
        session.step(9)
        assert session.metrics("loss")[1][13:].tolist() == first.tolist()

    def test_another_session_may_restore_it(self, line: Definition) -> None:
        """By its directory, after the first is gone."""
        session = line.load()
        session.step(5)
        saved = session.checkpoint()
        before = weights(session)
        session.close()
        other = line.load(seed=99)
        other.restore(saved.path)
        assert other.batches_trained == 5
        assert weights(other) == before

    def test_a_directory_that_is_called_like_an_id_is_not_taken_for_it(self, line: Definition, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is found by its path; other directories are found by their names."""
        session = line.load()
        session.train(batches=2, wait=True)
        saved = session.checkpoint()
        monkeypatch.chdir(line.root)
        shutil.copytree(saved.path, "mine")
        shutil.copytree(saved.path, saved.id)
        assert session.restore(saved.id) == Path(saved.path)
        assert session.restore(f"./{saved.id}") == line.root / saved.id
        assert session.restore("mine") == session.restore("mine/") == line.root / "mine"
        with pytest.raises(CheckpointError, match="No checkpoint has the id"):
            session.restore("x" * 5000)

    def test_it_holds_no_code(self, line: Definition) -> None:
        """It loads with weights_only, in Determined's layout."""
        session = line.load()
        session.step()
        state = torch.load(Path(session.checkpoint().path) / "state_dict.pth", weights_only=True)
        theirs = {"models_state_dict", "optimizers_state_dict", "lr_schedulers_state_dict", "callbacks", "rng_state"}
        assert set(state) == {*theirs, "detjupyter"}

    @pytest.mark.parametrize(
        ("edit", "words"),
        [
            (("nn.Linear(8, 1)", "nn.Linear(8, 2)"), "model 0 does not fit"),
            (("torch.optim.Adam(self.model.parameters()", "torch.optim.Adam(self.model[0].parameters()"), "optimizer 0 does not fit"),
        ],
    )
    def test_one_that_does_not_fit_changes_nothing(self, line: Definition, edit: tuple[str, str], words: str) -> None:
        """Not even the parts that would fit."""
        session = line.load()
        session.step(5)
        saved = session.checkpoint()
        line.edit(*edit)
        other = line.load(seed=2)
        other.at_batch(lambda _: None)
        before = weights(other)
        with pytest.raises(CheckpointError, match=words):
            other.restore(saved)
        assert weights(other) == before
        assert other.batches_trained == 0

    @pytest.mark.parametrize("damage", [b"", b"PK torn", None])
    def test_a_damaged_file_is_refused(self, line: Definition, damage: bytes | None) -> None:
        """A file that differs in any way from the written one is refused."""
        session = line.load()
        session.step()
        saved = session.checkpoint()
        file = Path(saved.path) / "state_dict.pth"
        if damage is None:
            torch.save({"models_state_dict": []}, file)
        else:
            file.write_bytes(damage)
        before = weights(session)
        with pytest.raises(CheckpointError, match=r"damaged: state_dict\.pth differs from what was written"):
            session.restore(saved)
        assert weights(session) == before

    @pytest.mark.skipif(sys.platform == "win32", reason="no limits of this kind there")
    def test_a_full_disk_does_not_end_the_training(self, line: Definition) -> None:
        """The writer of torch replaces the system's error with its own; the message shows the system's error again."""
        session = line.load()
        session.step(1)
        session.at_batch(lambda trial: setattr(trial, "ballast", trial.context.wrap_model(torch.nn.Linear(500, 500))))
        with _small_files(200_000), pytest.raises(CheckpointError, match="File too large"):
            session.checkpoint()
        assert session.state == "paused"
        session.checkpoint()

    def test_state_that_cannot_be_saved_does_not_end_the_training(self, line: Definition) -> None:
        """The sender of the command gets the error."""
        session = line.load()
        session.step(1)
        session.at_batch(lambda trial: trial.optimizer.param_groups[0].update(hook=lambda: None))
        with pytest.raises(CheckpointError, match="cannot be saved"):
            session.checkpoint()
        assert session.state == "paused"


@contextmanager
def _small_files(limit_bytes: int) -> Iterator[None]:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
