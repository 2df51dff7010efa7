"""A trial that draws from every random state in every batch, with loaders of which some draw too."""

import torch
from determined.pytorch import PyTorchTrial, PyTorchTrialContext
from sources import draw, source
from torch import nn


class SourcesTrial(PyTorchTrial):
    def __init__(self, context: PyTorchTrialContext) -> None:
        self.context = context
        context.experimental.disable_dataset_reproducibility_checks()
        self.model = context.wrap_model(nn.Sequential(nn.Linear(1, 8), nn.Dropout(0.3), nn.Linear(8, 1)))
        self.optimizer = context.wrap_optimizer(torch.optim.SGD(self.model.parameters(), lr=context.get_hparam("learning_rate")))

    def build_training_data_loader(self):
        asked = self.context.get_hparams()
        return source(asked["source"], asked["moment"], asked["states"])

    def build_validation_data_loader(self):
        return source("stream", "always", "all")

    def train_batch(self, batch, epoch_idx, batch_idx):
        x, y = batch
        loss = nn.functional.smooth_l1_loss(self.model(x + 0.1 * draw("torch")), y)
        self.context.backward(loss)
        self.context.step_optimizer(self.optimizer)
        drawn = draw("python, one of two normals") + draw("numpy, one of two normals") + draw("torch, one of two normals")
        return {"loss": loss, "drawn": drawn, "data": x.double().sum()}

    def evaluate_batch(self, batch):
        x, y = batch
        return {"error": nn.functional.smooth_l1_loss(self.model(x), y) + draw("all")}
