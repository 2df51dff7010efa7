"""How a trial's methods are called: by keyword, in a fixed order; and which of them make a class callback style."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.definition import Definition

from detjupyter.errors import NotATrialError, TrialError

KEYWORDS = """
import torch
from torch.utils.data import TensorDataset
from determined.pytorch import DataLoader, LRScheduler, PyTorchTrial

data = TensorDataset(torch.linspace(-1, 1, 8).reshape(-1, 1))


class KeywordTrial(PyTorchTrial):
    '''Takes its arguments by name only, and in an order of its own.'''

    def __init__(self, context):
        self.context = context
        self.order = []

    def build_model(self):
        self.order.append("model")
        self.model = torch.nn.Linear(1, 1)
        return self.model

    def optimizer(self, *, model):
        self.order.append("optimizer")
        assert self.context.models == [model]
        return torch.optim.SGD(model.parameters(), lr=0.1)

    def create_lr_scheduler(self, *, optimizer):
        self.order.append("scheduler")
        return LRScheduler(torch.optim.lr_scheduler.StepLR(optimizer, 1), LRScheduler.StepMode.STEP_EVERY_EPOCH)

    def build_training_data_loader(self):
        self.order.append("training data")
        return DataLoader(data, batch_size=4)

    def build_validation_data_loader(self):
        self.order.append("validation data")
        return DataLoader(data, batch_size=4)

    def train_batch(self, *, batch_idx, epoch_idx, model, batch):
        assert model is self.model
        return {"loss": model(batch[0]).sum(), "place": 10.0 * epoch_idx + batch_idx}

    def evaluate_batch(self, *, model, batch):
        return {"error": model(batch[0]).sum()}
"""


class TestCallbackStyle:
    """Trials with ``build_model``."""

    def test_callback_style_is_called_by_keyword(self, define: Callable[..., Definition]) -> None:
        """All methods; the model is wrapped before its optimizer is built, the data is built last."""
        session = define("keywords", model_def=KEYWORDS).load()
        session.train(batches=3, wait=True)
        assert session.metrics("place")[1].tolist() == [0.0, 1.0, 12.0]
        assert session.trial.order == ["model", "optimizer", "scheduler", "training data", "validation data"]
        assert session.metrics("error", "validation")[1].shape == (1,)

    def test_callback_style_evaluates_the_whole_data_by_keyword(self, define: Callable[..., Definition]) -> None:
        """`data_loader` and `model`; the loader is torch's."""
        definition = define("keywords", model_def=KEYWORDS)
        definition.edit("def evaluate_batch(self, *, model, batch):", "def evaluate_full_dataset(self, *, model, data_loader):")
        definition.edit('{"error": model(batch[0]).sum()}', '{"torchs": float(isinstance(data_loader, torch.utils.data.DataLoader))}')
        assert definition.load().validate() == {"torchs": 1.0}

    @pytest.mark.parametrize("edit", [("return LRScheduler(", "LRScheduler("), ("def create_lr_scheduler(", "def unused(")])
    def test_callback_style_needs_no_scheduler(self, define: Callable[..., Definition], edit: tuple[str, str]) -> None:
        """It returns None, or the method is not there."""
        definition = define("keywords", model_def=KEYWORDS)
        definition.edit(*edit)
        session = definition.load()
        session.train(batches=3, wait=True)
        assert session.context.get_lr_scheduler() is None

    def test_callback_style_returns_a_loss_or_a_dict(self, define: Callable[..., Definition]) -> None:
        """Anything else is named."""
        definition = define("keywords", model_def=KEYWORDS)
        definition.edit('return {"loss"', 'return [{"loss"')
        definition.edit("+ batch_idx}", "+ batch_idx}]")
        with pytest.raises(TrialError, match="It returned list"):
            definition.load().train(batches=1, wait=True)

    def test_a_scheduler_method_alone_makes_it_callback_style(self, line: Definition) -> None:
        """Then `build_model` is missing."""
        line.edit("    def build_training", "    def create_lr_scheduler(self, optimizer): ...\n\n    def build_training")
        with pytest.raises(TrialError, match="has no build_model"):
            line.load()

    def test_a_style_may_be_inherited(self, define: Callable[..., Definition]) -> None:
        """The class itself overrides nothing."""
        definition = define("keywords", model_def=KEYWORDS + "\n\nclass Derived(KeywordTrial):\n    pass\n")
        session = definition.load("model_def:Derived")
        session.train(batches=2, wait=True)
        assert session.metrics("place")[1].tolist() == [0.0, 1.0]


class TestContextStyle:
    """Trials that wrap their model."""

    def test_context_style_is_called_by_keyword(self, line: Definition) -> None:
        """Training batches and validation batches."""
        line.edit("train_batch(self, batch, epoch_idx, batch_idx)", "train_batch(self, *, batch_idx, batch, epoch_idx)")
        line.edit("evaluate_batch(self, batch)", "evaluate_batch(self, *, batch)")
        session = line.load()
        session.train(batches=2, wait=True)
        assert session.metrics("error", "validation")[1].shape == (1,)

    @pytest.mark.parametrize("inherited", [True, False])
    def test_a_class_of_the_name_pytorchtrial_overrides_like_any_other(self, line: Definition, inherited: bool) -> None:
        """It goes by the function, not by its qualified name; a class nested in one of that name counts, too."""
        line.edit("class LineTrial(PyTorchTrial):", "Base = PyTorchTrial\n\n\nclass PyTorchTrial(Base):")
        more = "class LineTrial(PyTorchTrial):\n    pass\n" if inherited else "LineTrial = PyTorchTrial\n"
        path = line.root / "model_def.py"
        path.write_text(f"{path.read_text()}\n\n{more}")
        session = line.load("model_def:LineTrial")
        session.train(batches=1, wait=True)
        assert "error" in session.validate()

    @pytest.mark.parametrize("method", ["build_training_data_loader", "build_validation_data_loader", "train_batch"])
    def test_what_every_trial_needs_is_asked_for(self, line: Definition, method: str) -> None:
        """The error names the method that is missing."""
        line.edit(f"def {method}", f"def other_{method}")
        with pytest.raises(NotATrialError, match=f"does not define {method}"):
            line.load()

    def test_the_mode_of_models_is_not_set_per_batch(self, line: Definition) -> None:
        """What a trial switches to evaluation mode stays so for the batches after."""
        line.edit(
            'return {"loss": loss}', 'mode = self.model.training\n        self.model.eval()\n        return {"loss": loss, "mode": mode}'
        )
        session = line.load()
        session.train(batches=3, wait=True)
        assert session.metrics("mode")[1].tolist() == [1.0, 0.0, 0.0]


class TestEvaluateBatch:
    """Arguments that only some trials take."""

    @pytest.mark.parametrize("signature", ["self, batch, batch_idx", "self, batch, number", "self, batch, *, batch_idx"])
    def test_it_gets_the_index_of_the_batch(self, line: Definition, signature: str) -> None:
        """By that name, or as a third argument of any."""
        name = "number" if "number" in signature else "batch_idx"
        line.edit("def evaluate_batch(self, batch):", f"def evaluate_batch({signature}):")
        line.edit('return {"error": ((self.model(x) - y) ** 2).mean()}', f'return {{"index": {name}}}')
        assert line.load().validate() == {"index": 0.5}
