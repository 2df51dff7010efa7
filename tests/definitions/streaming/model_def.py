"""Data that comes as a stream: no length, no index, a plain loader of torch."""

import torch
from determined.pytorch import PyTorchTrial, PyTorchTrialContext
from torch import nn
from torch.utils.data import DataLoader, IterableDataset


class Readings(IterableDataset):
    """What a sensor said: 73 readings a pass, made one after the other."""

    def __init__(self, count: int, offset: float) -> None:
        self.count = count
        self.offset = offset

    def __iter__(self):
        value = self.offset
        for _ in range(self.count):
            value = (value * 1.7 + 0.31) % 1.0
            yield torch.tensor([value, value * value]), torch.tensor([3 * value - 0.5])


class StreamingTrial(PyTorchTrial):
    def __init__(self, context: PyTorchTrialContext) -> None:
        self.context = context
        context.experimental.disable_dataset_reproducibility_checks()
        self.model = context.wrap_model(nn.Linear(2, 1))
        self.optimizer = context.wrap_optimizer(torch.optim.SGD(self.model.parameters(), lr=context.get_hparam("learning_rate")))
        self.lengths = []

    def build_training_data_loader(self):
        return DataLoader(Readings(73, 0.2), batch_size=self.context.get_per_slot_batch_size())

    def build_validation_data_loader(self):
        return DataLoader(Readings(20, 0.9), batch_size=self.context.get_per_slot_batch_size())

    def train_batch(self, batch, epoch_idx, batch_idx):
        inputs, targets = batch
        self.lengths.append((epoch_idx, len(inputs)))
        loss = nn.functional.mse_loss(self.model(inputs), targets)
        self.context.backward(loss)
        self.context.step_optimizer(self.optimizer)
        return loss

    def evaluate_batch(self, batch):
        inputs, targets = batch
        return {"loss": nn.functional.mse_loss(self.model(inputs), targets)}
