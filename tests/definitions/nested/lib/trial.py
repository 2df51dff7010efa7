"""A trial class that is an attribute of an attribute, in a module of a sub-package."""

import lib.parts
import torch
from determined.pytorch import DataLoader, PyTorchTrial, PyTorchTrialContext
from torch.utils.data import TensorDataset

from .parts import make_network


def planes(records: int, seed: int) -> TensorDataset:
    inputs = torch.rand(records, 3, generator=torch.Generator().manual_seed(seed)) - 0.5
    return TensorDataset(inputs, inputs.prod(1, keepdim=True) + inputs.sum(1, keepdim=True))


class trials:  # noqa: N801
    class Nested(PyTorchTrial):
        def __init__(self, context: PyTorchTrialContext) -> None:
            assert lib.parts.make_network is make_network
            self.context = context
            hparams = context.get_hparams()
            network = make_network(hparams["hidden"], hparams["activation"], **hparams["model"])
            self.model = context.wrap_model(network)
            self.optimizer = context.wrap_optimizer(
                torch.optim.AdamW(network.parameters(), lr=hparams["learning_rate"], weight_decay=hparams["weight_decay"])
            )

        def build_training_data_loader(self):
            return DataLoader(planes(64, seed=1), batch_size=self.context.get_per_slot_batch_size())

        def build_validation_data_loader(self):
            return DataLoader(planes(32, seed=2), batch_size=self.context.get_per_slot_batch_size())

        def train_batch(self, batch, epoch_idx, batch_idx):
            inputs, targets = batch
            loss = (self.model(inputs) - targets).square().mean()
            self.context.backward(loss)
            self.context.step_optimizer(self.optimizer)
            return {"loss": loss}

        def evaluate_batch(self, batch):
            inputs, targets = batch
            return {"error": (self.model(inputs) - targets).abs().mean()}
