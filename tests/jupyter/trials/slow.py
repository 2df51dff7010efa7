"""A trial that takes its time and talks: every batch sleeps and prints."""

import time

import torch
from torch import nn
from torch.utils.data import TensorDataset

from detjupyter.pytorch import DataLoader, PyTorchTrial, PyTorchTrialContext


class SlowTrial(PyTorchTrial):
    def __init__(self, context: PyTorchTrialContext) -> None:
        self.context = context
        self.model = context.wrap_model(nn.Linear(4, 1))
        self.optimizer = context.wrap_optimizer(torch.optim.SGD(self.model.parameters(), lr=0.01))
        self.batch_s = float(context.get_hparam("batch_s"))

    def build_training_data_loader(self) -> DataLoader:
        return DataLoader(TensorDataset(torch.randn(64, 4)), batch_size=4)

    def build_validation_data_loader(self) -> DataLoader:
        return DataLoader(TensorDataset(torch.randn(8, 4)), batch_size=4)

    def train_batch(self, batch, epoch_idx: int, batch_idx: int):
        print(f"the trial trains batch {batch_idx}")
        time.sleep(self.batch_s)
        loss = self.model(batch[0]).square().mean()
        self.context.backward(loss)
        self.context.step_optimizer(self.optimizer)
        return {"loss": loss}

    def evaluate_batch(self, batch):
        time.sleep(self.batch_s)
        return {"loss": self.model(batch[0]).square().mean()}
