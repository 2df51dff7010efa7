"""Edited code, same weights."""

from __future__ import annotations

import sys

import pytest
import torch
from support.bench import LONG
from support.definition import Definition
from support.trained import weights
from support.waiting import LIMIT_S

from detjupyter.errors import CheckpointError, DefinitionSyntaxError, TrialError


class TestReloading:
    """Edited code, same weights."""

    def test_new_code_old_weights(self, line: Definition) -> None:
        """The training is paused; optimizer states are kept, too."""
        session = line.load()
        session.step(7)
        before, moments = weights(session), session.trial.optimizer.state_dict()["state"]
        line.edit('return {"loss": loss}', 'return {"loss": loss, "new": 1.0}')
        session.reload()
        assert weights(session) == before
        after = session.trial.optimizer.state_dict()["state"]
        assert all(torch.equal(moments[key]["exp_avg"], after[key]["exp_avg"]) for key in moments)
        session.step(1)
        assert session.metrics("new")[0].tolist() == [8]
        assert session.batches_trained == 8

    def test_a_reload_without_an_edit_changes_nothing(self, line: Definition) -> None:
        """Results are identical to the bit: building the new trial does not restart the random numbers."""

        def run(*, reload: bool) -> list[float]:
            session = line.load(hparams={"dropout": 0.5}, name="reloaded")
            for _ in range(3):
                session.step(4)
                if reload:
                    session.reload()
            losses: list[float] = session.metrics("loss")[1].tolist()
            return losses

        assert run(reload=True) == run(reload=False)

    def test_an_edited_option_takes_effect_and_one_changed_by_hand_stays(self, line: Definition) -> None:
        """A learning rate edited in the code counts; one set between two batches is kept while the code's did not change."""
        session = line.load()
        session.step(1)
        session.at_batch(lambda trial: trial.optimizer.param_groups[0].update(lr=0.5))
        line.edit('return {"loss": loss}', 'return {"loss": 2 * loss}')
        session.reload()
        assert session.trial.optimizer.param_groups[0]["lr"] == 0.5
        line.edit('get("lr", 0.01)', 'get("lr", 0.02)')
        session.reload()
        assert session.trial.optimizer.param_groups[0]["lr"] == 0.02

    def test_a_running_training_goes_on_with_the_new_code(self, line: Definition) -> None:
        """No pause is needed."""
        session = line.load()
        session.train(batches=LONG)
        while not session.at_batch(lambda _: session.batches_trained):
            pass
        line.edit('return {"loss": loss}', 'return {"loss": loss, "new": 1.0}')
        session.reload()
        at = session.at_batch(lambda _: session.batches_trained)
        session.step(3)
        assert session.batches_trained >= at + 3
        session.stop()
        batches, _ = session.metrics("new")
        assert batches[-1] == session.batches_trained
        assert batches[0] > 1

    def test_a_failing_batch_keeps_the_weights_and_training_goes_on_after_the_fix(self, line: Definition) -> None:
        """Edit the file, reload, train: the history is one."""
        line.edit(
            "x, y = batch\n        loss", "x, y = batch\n        if batch_idx == 5:\n            x = x @ torch.ones(2, 2)\n        loss"
        )
        session = line.load()
        session.train(batches=10)
        with pytest.raises(TrialError, match="mat1 and mat2") as raised:
            session.wait(LIMIT_S)
        assert "x = x @ torch.ones(2, 2)" in raised.value.user_traceback
        assert "/detjupyter/" not in raised.value.user_traceback
        assert session.batches_trained == 5
        before = weights(session)
        line.edit("x = x @ torch.ones(2, 2)", "pass")
        session.reload()
        assert weights(session) == before
        session.train(batches=5, wait=True)
        assert session.state == "finished"
        assert session.metrics("loss")[0].tolist() == list(range(1, 11))

    @pytest.mark.parametrize(
        ("edit", "error", "words"),
        [
            (("import torch\n", "import torch\nthis is no python\n"), DefinitionSyntaxError, "does not compile"),
            (("self.context = context", "raise ValueError('broken')"), TrialError, "broken"),
            (("nn.Linear(8, 1)", "nn.Linear(8, 2)"), CheckpointError, "model 0 does not fit"),
        ],
    )
    def test_a_reload_that_fails_changes_nothing(self, line: Definition, edit: tuple[str, str], error: type[Exception], words: str) -> None:
        """Same trial, same weights, and it trains."""
        session = line.load()
        session.step(2)
        trial, before, modules = session.trial, weights(session), set(sys.modules)
        line.edit(*edit)
        with pytest.raises(error, match=words):
            session.reload()
        assert {name for name in set(sys.modules) - modules if name.startswith("detjupyter.loaded.")} == set()
        assert session.trial is trial
        assert weights(session) == before
        session.step(1)
        assert session.batches_trained == 3

    def test_many_reloads_leave_one_version_behind(self, line: Definition) -> None:
        """Modules of earlier versions go."""
        session = line.load()
        count = sum(name.startswith("detjupyter.loaded.") for name in sys.modules)
        for _ in range(3):
            session.reload()
        assert sum(name.startswith("detjupyter.loaded.") for name in sys.modules) == count
