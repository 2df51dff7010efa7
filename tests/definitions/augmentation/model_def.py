"""All that makes a training hard to repeat: shuffling, workers, augmentation, dropout, momentum, a scheduler that moves every batch."""

import random

import numpy as np
import torch
from augmentation import Signals
from determined.pytorch import DataLoader, LRScheduler, PyTorchTrial, PyTorchTrialContext
from torch import nn


class AugmentedTrial(PyTorchTrial):
    def __init__(self, context: PyTorchTrialContext) -> None:
        self.context = context
        self.model = context.wrap_model(
            nn.Sequential(nn.Linear(16, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Dropout(context.get_hparam("dropout")), nn.Linear(24, 3))
        )
        self.optimizer = context.wrap_optimizer(
            torch.optim.SGD(self.model.parameters(), lr=context.get_hparam("learning_rate"), momentum=0.9, weight_decay=1e-4)
        )
        self.scheduler = context.wrap_lr_scheduler(
            torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(self.optimizer, T_0=7, T_mult=2),
            LRScheduler.StepMode.STEP_EVERY_BATCH,
        )

    def build_training_data_loader(self):
        return DataLoader(
            Signals(self.context.get_data_config()["records"], seed=1, augment=True),
            batch_size=self.context.get_per_slot_batch_size(),
            shuffle=self.context.get_hparam("shuffle"),
            num_workers=self.context.get_hparam("workers"),
        )

    def build_validation_data_loader(self):
        return DataLoader(Signals(36, seed=2, augment=True), batch_size=12, shuffle=True)

    def train_batch(self, batch, epoch_idx, batch_idx):
        signals, kinds = batch
        # Drawn in this process, in addition to the dataset's random numbers: one of each generator.
        signals = signals * (1 + 0.1 * random.random()) + 0.1 * np.random.rand() + 0.01 * torch.randn_like(signals)
        loss = nn.functional.cross_entropy(self.model(signals), kinds)
        self.context.backward(loss)
        self.context.step_optimizer(self.optimizer)
        return {"loss": loss, "lr": self.scheduler.get_last_lr()[0]}

    def evaluate_batch(self, batch):
        signals, kinds = batch
        signals = signals + 0.1 * torch.randn_like(signals) * random.random() * np.random.rand()
        scores = self.model(signals)
        return {"loss": nn.functional.cross_entropy(scores, kinds), "accuracy": (scores.argmax(1) == kinds).float().mean()}
