"""Tells on which ring a point lies. Written for Determined 0.12.4."""

import data
import torch
import torch.nn as nn
import torch.nn.functional as F  # noqa: N812
from layers import Flatten, Swish

import determined as det
from determined.pytorch import DataLoader, LRScheduler, PyTorchTrial, Reducer


def error_rate(predictions: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the error rate based on dense predictions and dense labels."""
    return 1.0 - (predictions.argmax(dim=1) == labels).float().mean()


class RingsTrial(PyTorchTrial):
    def __init__(self, context: det.TrialContext) -> None:
        self.context = context

    def build_model(self) -> nn.Module:
        hidden = self.context.get_hparam("hidden")
        return nn.Sequential(
            Flatten(),
            nn.Linear(2, hidden),
            Swish(),
            nn.Dropout(self.context.get_hparam("dropout")),
            nn.Linear(hidden, hidden),
            Swish(),
            nn.Linear(hidden, data.RINGS),
            nn.LogSoftmax(dim=1),
        )

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.SGD(
            model.parameters(), lr=self.context.get_hparam("learning_rate"), momentum=self.context.get_hparam("momentum")
        )

    def create_lr_scheduler(self, optimizer: torch.optim.Optimizer) -> LRScheduler:
        self.scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.8)
        return LRScheduler(self.scheduler, step_mode=LRScheduler.StepMode.STEP_EVERY_EPOCH)

    def build_training_data_loader(self) -> DataLoader:
        dataset = data.get_dataset(self.context.get_data_config(), train=True)
        return DataLoader(
            dataset,
            batch_size=self.context.get_per_slot_batch_size(),
            shuffle=self.context.get_hparam("shuffle"),
            num_workers=self.context.get_hparams().get("workers", 0),
        )

    def build_validation_data_loader(self) -> DataLoader:
        dataset = data.get_dataset(self.context.get_data_config(), train=False)
        return DataLoader(dataset, batch_size=self.context.get_per_slot_batch_size())

    def train_batch(self, batch, model: nn.Module, epoch_idx: int, batch_idx: int):
        points, rings = batch
        output = model(points)
        loss = F.nll_loss(output, rings)
        return {"loss": loss, "train_error": error_rate(output, rings)}

    def evaluation_reducer(self):
        return {"validation_error": Reducer.AVG, "worst_error": Reducer.MAX, "records": Reducer.SUM}

    def evaluate_batch(self, batch, model: nn.Module):
        points, rings = batch
        error = error_rate(model(points), rings)
        return {"validation_error": error, "worst_error": error, "records": len(rings)}
