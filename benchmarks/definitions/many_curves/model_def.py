# ruff: noqa: ARG002, D101, D102  written the way users write them
"""A small network that reports its loss and as many other noisy metrics as its hyperparameter ``metrics`` says, ten to a group."""

import random

import torch
from torch.nn import functional
from torch.utils.data import TensorDataset

from detjupyter.pytorch import DataLoader, PyTorchTrial, PyTorchTrialContext


class ManyCurvesTrial(PyTorchTrial):
    def __init__(self, context: PyTorchTrialContext) -> None:
        self.context = context
        self.model = context.wrap_model(torch.nn.Linear(64, 10))
        self.optimizer = context.wrap_optimizer(torch.optim.SGD(self.model.parameters(), lr=0.01))
        self.names = [f"group{index // 10}/metric_{index}" for index in range(1, context.get_hparam("metrics"))]
        generator = torch.Generator().manual_seed(0)
        self.data = TensorDataset(torch.randn(8000, 64, generator=generator), torch.randint(0, 10, (8000,), generator=generator))

    def build_training_data_loader(self):
        return DataLoader(self.data, batch_size=8)

    def build_validation_data_loader(self):
        return DataLoader(self.data, batch_size=4000)

    def train_batch(self, batch, epoch_idx: int, batch_idx: int):
        records, classes = batch
        loss = functional.cross_entropy(self.model(records), classes)
        self.context.backward(loss)
        self.context.step_optimizer(self.optimizer)
        level = 1 / (1 + batch_idx / 1000)
        return {"loss": loss, **{name: level + 0.1 * random.random() for name in self.names}}

    def evaluate_batch(self, batch):
        records, classes = batch
        return {"loss": functional.cross_entropy(self.model(records), classes)}
