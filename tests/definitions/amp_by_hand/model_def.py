"""Mixed precision by hand: the user's own GradScaler, wrapped so that it is saved, passed to step_optimizer."""

import torch
from determined.pytorch import DataLoader, PyTorchTrial, PyTorchTrialContext
from problem import Regression
from torch import nn


class ScaledTrial(PyTorchTrial):
    def __init__(self, context: PyTorchTrialContext) -> None:
        self.context = context
        self.kind = context.device.type
        self.scaler = self.context.wrap_scaler(
            torch.amp.GradScaler(self.kind, init_scale=2.0**10, growth_interval=context.get_hparam("growth_interval"))
        )
        self.model = self.context.wrap_model(nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Linear(32, 1)))
        self.optimizer = self.context.wrap_optimizer(
            torch.optim.SGD(self.model.parameters(), lr=self.context.get_hparam("learning_rate"), momentum=0.9)
        )

    def build_training_data_loader(self) -> DataLoader:
        return DataLoader(
            Regression(96, seed=5),
            batch_size=self.context.get_per_slot_batch_size(),
            shuffle=self.context.get_hparams().get("shuffle", False),
            num_workers=self.context.get_hparams().get("workers", 0),
        )

    def build_validation_data_loader(self) -> DataLoader:
        return DataLoader(Regression(32, seed=6), batch_size=self.context.get_per_slot_batch_size())

    def train_batch(self, batch, epoch_idx, batch_idx):
        inputs, targets = batch
        with torch.autocast(self.kind, dtype=torch.bfloat16):
            loss = nn.functional.mse_loss(self.model(inputs), targets)
        self.context.backward(self.scaler.scale(loss))
        self.context.step_optimizer(self.optimizer, scaler=self.scaler)
        if (batch_idx + 1) % 2 == 0:
            self.scaler.update()
        return {"loss": loss, "scale": self.scaler.get_scale()}

    def evaluate_batch(self, batch):
        inputs, targets = batch
        with torch.autocast(self.kind, dtype=torch.bfloat16):
            return {"loss": nn.functional.mse_loss(self.model(inputs), targets)}
