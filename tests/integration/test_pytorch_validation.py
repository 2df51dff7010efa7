"""A validation: evaluation mode, no gradients, the whole data; and the training as it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.definition import Definition
from support.inside import loaded_in
from support.line_edits import EVALUATED

from detjupyter.errors import TrialError


class TestValidation:
    """Modes, gradients and data."""

    def test_models_are_in_evaluation_mode_and_come_back_as_they_were(self, line: Definition) -> None:
        """A layer that the user froze stays frozen."""
        line.edit(
            "x, y = batch\n        return",
            "x, y = batch\n        self.seen = (self.model.training, torch.is_grad_enabled())\n        return",
        )
        session = line.load(hparams={"dropout": 0.5})
        session.step(1)
        session.at_batch(lambda trial: trial.model[0].eval())
        session.validate()
        assert session.trial.seen == (False, False)
        assert [module.training for module in session.trial.model] == [False, True, True]
        assert session.trial.model.training

    def test_gradients_are_on_again_between_two_validation_batches(self, line: Definition) -> None:
        """Something else may run there in the same thread."""
        session = line.load()
        steps = loaded_in(session).adapter.validate()
        next(steps)
        assert torch.is_grad_enabled()
        assert not session.trial.model.training
        steps.close()
        assert session.trial.model.training

    def test_models_come_back_after_a_validation_that_fails(self, line: Definition) -> None:
        """The training can continue after a fix."""
        line.edit('return {"error"', 'raise ValueError("bad")\n        return {"error"')
        session = line.load()
        with pytest.raises(TrialError, match="ValueError: bad"):
            session.validate()
        assert session.trial.model.training

    def test_the_whole_data_at_once(self, line: Definition) -> None:
        """evaluate_full_dataset gets torch's loader; tensors it returns come to the host."""
        line.edit(
            "    def evaluate_batch(self, batch):",
            "    def evaluate_full_dataset(self, data_loader):\n"
            "        assert not torch.is_grad_enabled()\n"
            "        return {'batches': len(data_loader), 'error': next(self.model.parameters()).sum(), 'all': torch.ones(3)}\n\n"
            "    def unused(self, batch):",
        )
        session = line.load()
        metrics = session.validate()
        assert metrics["batches"] == 2
        assert isinstance(metrics["error"], np.ndarray)
        assert session.metrics("error", "validation")[1].shape == (1,)

    def test_every_validation_is_one_whole_pass(self, line: Definition) -> None:
        """Nothing of it is skipped or repeated, wherever the training is."""
        line.edit(EVALUATED, 'return {"error": 0.0, "first": x[0], "records": float(len(x))}')
        line.edit("def evaluate_batch", "def evaluation_reducer(self):\n        return Reducer.SUM\n\n    def evaluate_batch")
        line.edit("import DataLoader", "import DataLoader, Reducer")
        session = line.load()
        for batches in (0, 1, 7):
            if batches:
                session.step(batches)
            metrics = session.validate()
            assert metrics["records"] == 40
            assert metrics["first"] == pytest.approx(float(torch.linspace(-1, 1, 40)[[0, 20]].sum()))

    @pytest.mark.parametrize(
        ("how", "device"),
        [("", "meta"), ("context.experimental.disable_auto_to_device()", "cpu"), ("full", "cpu")],
    )
    def test_validation_batches_are_moved_one_by_one_only(self, line: Definition, how: str, device: str) -> None:
        """Those of `evaluate_batch`, unless the trial moves them itself; never those of `evaluate_full_dataset`."""
        if how == "full":
            line.edit(
                "evaluate_batch(self, batch):\n        x, y = batch",
                "evaluate_full_dataset(self, data_loader):\n        x, y = next(iter(data_loader))",
            )
        else:
            line.edit("        self.context = context\n", f"        self.context = context\n        {how}\n")
        line.edit('return {"error": ((self.model(x) - y) ** 2).mean()}', 'self.seen = x.device.type\n        return {"error": 0.0}')
        session = line.load()
        session.context.device = torch.device("meta")
        session.validate()
        assert session.trial.seen == device

    def test_a_validation_does_not_change_the_training_around_it(self, line: Definition) -> None:
        """To the bit, dropout included: looking at a training is free."""

        def run(*, look: bool) -> list[float]:
            session = line.load(hparams={"dropout": 0.5}, name="looked at")
            for _ in range(4):
                session.step(3)
                if look:
                    session.validate()
            losses: list[float] = session.metrics("loss")[1].tolist()
            return losses

        assert run(look=True) == run(look=False)
