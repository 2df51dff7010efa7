"""A small convolutional network; gradients of four batches make one step, clipped by norm."""

from typing import Any, Dict, Sequence, cast

import torch
from determined.pytorch import DataLoader, LRScheduler, PyTorchTrial, PyTorchTrialContext
from shapes import KINDS, ShapesDataset
from torch import nn

TorchData = Dict[str, torch.Tensor] | Sequence[torch.Tensor] | torch.Tensor


class ShapesTrial(PyTorchTrial):
    def __init__(self, context: PyTorchTrialContext) -> None:
        self.context = context
        channels = context.get_hparam("channels")
        self.model = self.context.wrap_model(
            nn.Sequential(
                nn.Conv2d(1, channels, 3, padding=1),
                nn.BatchNorm2d(channels),
                nn.ReLU(),
                nn.MaxPool2d(2),
                nn.Dropout2d(context.get_hparam("dropout")),
                nn.Flatten(),
                nn.Linear(25 * channels, len(KINDS)),
            )
        )
        self.optimizer = self.context.wrap_optimizer(
            torch.optim.SGD(self.model.parameters(), lr=context.get_hparam("learning_rate"), momentum=0.9, nesterov=True)
        )
        self.lr_sch = self.context.wrap_lr_scheduler(
            torch.optim.lr_scheduler.StepLR(self.optimizer, 1, gamma=0.5), step_mode=LRScheduler.StepMode.STEP_EVERY_EPOCH
        )
        self.loss = nn.CrossEntropyLoss()

    def build_training_data_loader(self) -> DataLoader:
        return DataLoader(
            ShapesDataset(160, seed=1),
            batch_size=self.context.get_per_slot_batch_size(),
            shuffle=self.context.get_hparam("shuffle"),
            num_workers=self.context.get_hparams().get("workers", 0),
        )

    def build_validation_data_loader(self) -> DataLoader:
        return DataLoader(ShapesDataset(80, seed=2), batch_size=self.context.get_per_slot_batch_size())

    def train_batch(self, batch: TorchData, epoch_idx: int, batch_idx: int) -> Dict[str, torch.Tensor]:
        batch = cast("Sequence[torch.Tensor]", batch)
        pictures, kinds = batch
        loss = self.loss(self.model(pictures), kinds)
        self.context.backward(loss)
        self.context.step_optimizer(
            self.optimizer,
            clip_grads=lambda params: torch.nn.utils.clip_grad_norm_(params, self.context.get_hparam("clip_norm")),
        )
        return {"loss": loss, "lr": self.lr_sch.get_last_lr()[0]}

    def evaluate_batch(self, batch: TorchData) -> Dict[str, Any]:
        pictures, kinds = cast("Sequence[torch.Tensor]", batch)
        scores = self.model(pictures)
        return {"loss": self.loss(scores, kinds), "accuracy": (scores.argmax(1) == kinds).float().mean().item()}
