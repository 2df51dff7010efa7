"""Fits a sine. Written for Determined 0.12: modules of the definition imported as a package's, and as siblings, too."""

import settings
import torch
from determined.pytorch import DataLoader, PyTorchTrial, reset_parameters

import determined as det

from . import data
from .network import Curve


class SineTrial(PyTorchTrial):
    def __init__(self, context: det.TrialContext):
        self.context = context

    def build_model(self):
        model = Curve(self.context.get_hparam("hidden"))
        reset_parameters(model)
        return model

    def optimizer(self, model):
        return torch.optim.Adam(model.parameters(), lr=self.context.get_hparam("learning_rate"))

    def build_training_data_loader(self):
        return DataLoader(data.SineDataset(settings.RECORDS), batch_size=self.context.get_per_slot_batch_size())

    def build_validation_data_loader(self):
        return DataLoader(data.SineDataset(30, phase=0.05), batch_size=self.context.get_per_slot_batch_size())

    def train_batch(self, batch, model, epoch_idx, batch_idx):
        inputs, targets = batch
        return torch.nn.functional.mse_loss(model(inputs), targets)

    def evaluate_full_dataset(self, data_loader, model):
        squares = []
        for inputs, targets in data_loader:
            squares.append((model(inputs.to(next(model.parameters()).device)).cpu() - targets) ** 2)
        squares = torch.cat(squares)
        return {"mean_squared_error": squares.mean(), "largest_error": squares.max().sqrt(), "records": len(squares)}
