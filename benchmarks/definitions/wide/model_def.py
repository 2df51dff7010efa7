# ruff: noqa: ARG002, D101, D102  written the way users write them
"""A trial that reports as many metrics as its hyperparameter ``metrics`` says, all of them on the device."""

import torch
from torch.utils.data import TensorDataset

from detjupyter.pytorch import DataLoader, PyTorchTrial, PyTorchTrialContext


class WideTrial(PyTorchTrial):
    def __init__(self, context: PyTorchTrialContext) -> None:
        self.model = context.wrap_model(torch.nn.Linear(1, 1))
        context.wrap_optimizer(torch.optim.SGD(self.model.parameters(), lr=0.1))
        self.names = [f"layer_{index}/norm" for index in range(context.get_hparam("metrics"))]

    def build_training_data_loader(self):
        return DataLoader(TensorDataset(torch.arange(1000.0).reshape(-1, 1)), batch_size=1)

    def build_validation_data_loader(self):
        return DataLoader(TensorDataset(torch.arange(2.0).reshape(-1, 1)), batch_size=1)

    def train_batch(self, batch, epoch_idx: int, batch_idx: int):
        return {name: torch.tensor(index / (1 + batch_idx)) for index, name in enumerate(self.names)}

    def evaluate_batch(self, batch):
        return {"error": 1.0}
