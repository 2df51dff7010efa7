"""The learning rate falls when the validation loss does not: a scheduler that a callback steps."""

from typing import Any, Dict

import torch
from determined.pytorch import DataLoader, LRScheduler, PyTorchCallback, PyTorchTrial, PyTorchTrialContext
from torch import nn
from torch.utils.data import TensorDataset


class ReduceOnPlateau(PyTorchCallback):
    def __init__(self, scheduler: torch.optim.lr_scheduler.ReduceLROnPlateau, metric: str) -> None:
        self.scheduler = scheduler
        self.metric = metric

    def on_validation_end(self, metrics: Dict[str, Any]) -> None:
        self.scheduler.step(metrics[self.metric])


class PlateauTrial(PyTorchTrial):
    def __init__(self, context: PyTorchTrialContext) -> None:
        self.context = context
        self.model = context.wrap_model(nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1)))
        self.optimizer = context.wrap_optimizer(torch.optim.SGD(self.model.parameters(), lr=context.get_hparam("learning_rate")))
        self.scheduler = context.wrap_lr_scheduler(
            torch.optim.lr_scheduler.ReduceLROnPlateau(self.optimizer, factor=0.25, patience=0), LRScheduler.StepMode.MANUAL_STEP
        )

    def build_callbacks(self) -> Dict[str, PyTorchCallback]:
        return {"reduce_on_plateau": ReduceOnPlateau(self.scheduler, "validation_loss")}

    def build_training_data_loader(self):
        x = torch.linspace(-2, 2, 50).unsqueeze(1)
        order = torch.randperm(50, generator=torch.Generator().manual_seed(0))
        return DataLoader(TensorDataset(x[order], x[order] ** 2), batch_size=self.context.get_per_slot_batch_size())

    def build_validation_data_loader(self):
        x = torch.linspace(-1.9, 1.9, 20).unsqueeze(1)
        return DataLoader(TensorDataset(x, x**2), batch_size=20)

    def train_batch(self, batch, epoch_idx, batch_idx):
        inputs, targets = batch
        loss = nn.functional.mse_loss(self.model(inputs), targets)
        self.context.backward(loss)
        self.context.step_optimizer(self.optimizer)
        return {"loss": loss, "learning_rate": self.optimizer.param_groups[0]["lr"]}

    def evaluate_batch(self, batch, batch_idx):
        inputs, targets = batch
        return {"validation_loss": nn.functional.mse_loss(self.model(inputs), targets)}
