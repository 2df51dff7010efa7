"""Mixed precision by the switch: forwards in 16 bits, gradients scaled, nothing to write in train_batch."""

import torch
from determined.pytorch import DataLoader, PyTorchTrial, PyTorchTrialContext
from problem import Regression
from torch import nn


class AMPTrial(PyTorchTrial):
    def __init__(self, context: PyTorchTrialContext) -> None:
        self.context = context
        self.context.experimental.use_amp()
        self.model = self.context.wrap_model(nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Dropout(0.1), nn.Linear(32, 1)))
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
        outputs = self.model(inputs)
        loss = nn.functional.mse_loss(outputs, targets)
        self.context.backward(loss)
        clip_norm = self.context.get_hparam("clip_norm")
        self.context.step_optimizer(self.optimizer, clip_grads=lambda params: nn.utils.clip_grad_norm_(params, clip_norm))
        return {"loss": loss, "is_float32": float(outputs.dtype == torch.float32)}

    def evaluate_batch(self, batch):
        inputs, targets = batch
        return {"loss": nn.functional.mse_loss(self.model(inputs), targets)}
