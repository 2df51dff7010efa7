# ruff: noqa: ARG002, D101, D102  written the way users write them
"""A small convolutional network on random numbers: a batch takes some ten milliseconds, as most that people train take longer still."""

import torch
from data import make_loader, make_source
from network import Network
from torch.nn import functional

from detjupyter.pytorch import PyTorchTrial, PyTorchTrialContext


class SmallCNNTrial(PyTorchTrial):
    def __init__(self, context: PyTorchTrialContext) -> None:
        self.context = context
        context.experimental.disable_dataset_reproducibility_checks()
        self.model = context.wrap_model(Network())
        self.optimizer = context.wrap_optimizer(torch.optim.SGD(self.model.parameters(), lr=context.get_hparam("learning_rate")))

    def build_training_data_loader(self):
        return make_source(self.context.get_hparams().get("loader", "torch"))

    def build_validation_data_loader(self):
        return make_loader(1)

    def train_batch(self, batch, epoch_idx: int, batch_idx: int):
        records, classes = batch
        loss = functional.cross_entropy(self.model(records), classes)
        self.context.backward(loss)
        self.context.step_optimizer(self.optimizer)
        return {"loss": loss}

    def evaluate_batch(self, batch):
        records, classes = batch
        return {"loss": functional.cross_entropy(self.model(records), classes)}
