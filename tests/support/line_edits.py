"""The definition that fits a line, with another data set, sampler or loader in it."""

from __future__ import annotations

from support.definition import Definition

TRAINED = 'return {"loss": loss}'
EVALUATED = 'return {"error": ((self.model(x) - y) ** 2).mean()}'
PLAIN = "context.experimental.disable_dataset_reproducibility_checks()"
TRAINING = 'DataLoader(TensorDataset(inputs, targets), batch_size=4, shuffle=self.context.get_hparams().get("shuffle", False))'
VALIDATION = "DataLoader(TensorDataset(inputs, targets), batch_size=20)"
IMPORTS = """
import random
import numpy as np
import torch.utils.data
from torch.utils.data import Dataset, IterableDataset, Sampler
from detjupyter.pytorch import MetricReducer


"""


def prepare(line: Definition, before: str, *edits: tuple[str, str]) -> Definition:
    """Put ``before`` in front of the trial's class, and make the edits."""
    line.edit("class LineTrial", f"{IMPORTS}{before}\n\nclass LineTrial")
    for old, new in edits:
        line.edit(old, new)
    return line
