"""A model definition written for one test, and the one that most tests begin with."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

LINE = """
import torch
from torch import nn
from torch.utils.data import TensorDataset
from detjupyter.pytorch import DataLoader, PyTorchTrial

inputs = torch.linspace(-1, 1, 40).reshape(-1, 1)
targets = 2 * inputs + 1


class LineTrial(PyTorchTrial):
    '''Fits a straight line; the data comes in its own order.'''

    def __init__(self, context):
        self.context = context
        dropout = nn.Dropout(context.get_hparams().get("dropout", 0.0))
        self.model = context.wrap_model(nn.Sequential(nn.Linear(1, 8), dropout, nn.Linear(8, 1)))
        self.optimizer = context.wrap_optimizer(torch.optim.Adam(self.model.parameters(), lr=context.get_hparams().get("lr", 0.01)))

    def build_training_data_loader(self):
        return DataLoader(TensorDataset(inputs, targets), batch_size=4, shuffle=self.context.get_hparams().get("shuffle", False))

    def build_validation_data_loader(self):
        return DataLoader(TensorDataset(inputs, targets), batch_size=20)

    def train_batch(self, batch, epoch_idx, batch_idx):
        x, y = batch
        loss = ((self.model(x) - y) ** 2).mean()
        self.context.backward(loss)
        self.context.step_optimizer(self.optimizer)
        return {"loss": loss}

    def evaluate_batch(self, batch):
        x, y = batch
        return {"error": ((self.model(x) - y) ** 2).mean()}
"""


_LOSS = "loss = ((self.model(x) - y) ** 2).mean()"


def fitting(name: str, init: str, *, top: str = "", methods: str = "", before_data: str = "", loss: str = _LOSS, records: int = 40) -> str:
    """Return a definition that fits a line to shuffled data, in batches of 4, with what a test is about.

    Args:
        name: The name of the trial.
        init: The statements of ``__init__``, which create ``self.model`` and ``self.optimizer``.
        top: Imports, classes and functions before the trial.
        methods: Further methods of the trial.
        before_data: The statements before the training data is created.
        loss: The statements that compute ``loss`` from ``x`` and ``y``.
        records: The number of records.
    """
    parts = [
        "import torch\nfrom torch import nn\nfrom torch.utils.data import TensorDataset\nfrom detjupyter import pytorch",
        f"inputs = torch.linspace(-1, 1, {records}).reshape(-1, 1)",
        top,
        f"class {name}(pytorch.PyTorchTrial):",
        _method("__init__(self, context)", f"self.context = context\n{_dedent(init)}"),
        _indent(methods),
        _method(
            "build_training_data_loader(self)",
            f"{_dedent(before_data)}\nreturn pytorch.DataLoader(TensorDataset(inputs, 2 * inputs), batch_size=4, shuffle=True)",
        ),
        _method("build_validation_data_loader(self)", "return pytorch.DataLoader(TensorDataset(inputs, 2 * inputs), batch_size=20)"),
        _method(
            "train_batch(self, batch, epoch_idx, batch_idx)",
            f"x, y = batch\n{_dedent(loss)}\n"
            'self.context.backward(loss)\nself.context.step_optimizer(self.optimizer)\nreturn {"loss": loss}',
        ),
        _method("evaluate_batch(self, batch)", 'x, y = batch\nreturn {"error": ((self.model(x) - y) ** 2).mean()}'),
    ]
    return "\n\n".join(part for part in parts if part.strip()) + "\n"


def _method(signature: str, body: str) -> str:
    return _indent(f"def {signature}:\n{textwrap.indent(body.strip(), '    ')}")


def _indent(text: str) -> str:
    return textwrap.indent(_dedent(text), "    ")


def _dedent(text: str) -> str:
    return textwrap.dedent(text).strip()


class Definition:
    """A model definition in a directory of the test's."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(exist_ok=True)

    def write(self, **files: str) -> Definition:
        """Write ``name="text"`` as name.py, dedented."""
        for name, text in files.items():
            (self.root / f"{name}.py").write_text(textwrap.dedent(text), encoding="utf-8")
        return self

    def edit(self, old: str, new: str, name: str = "model_def") -> None:
        """Replace a piece of a file, as a user does between two runs of a cell."""
        path = self.root / f"{name}.py"
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    def load(self, entrypoint: str | None = None, **given: Any) -> Any:
        """Load it on the CPU; seed 1 unless another is given."""
        import detjupyter as dj

        return dj.load(entrypoint, path=self.root, **{"seed": 1, "device": "cpu", **given})
