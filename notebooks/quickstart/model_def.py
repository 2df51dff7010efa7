"""Handwritten digits: a small convolutional network on scikit-learn's 1,797 images of 8 × 8 pixels."""

import torch
from data import DigitsDataset, load_digits_split
from network import DigitsNet
from torch import nn

from detjupyter.pytorch import DataLoader, PyTorchTrial, PyTorchTrialContext


class DigitsTrial(PyTorchTrial):
    def __init__(self, context: PyTorchTrialContext) -> None:
        self.context = context
        self.batch_size = context.get_per_slot_batch_size()
        self.model = context.wrap_model(
            DigitsNet(
                channels=context.get_hparam("channels"),
                hidden=context.get_hparam("hidden"),
                dropout=context.get_hparam("dropout"),
            )
        )
        self.optimizer = context.wrap_optimizer(torch.optim.AdamW(self.model.parameters(), lr=context.get_hparam("learning_rate")))
        self.loss = nn.CrossEntropyLoss()
        self.train_split, self.test_split = load_digits_split(context.get_data_config()["test_fraction"])

    def build_training_data_loader(self) -> DataLoader:
        dataset = DigitsDataset(*self.train_split, shift=self.context.get_data_config()["shift"])
        return DataLoader(dataset, batch_size=self.batch_size, shuffle=True)

    def build_validation_data_loader(self) -> DataLoader:
        return DataLoader(DigitsDataset(*self.test_split), batch_size=512)

    def train_batch(self, batch, epoch_idx: int, batch_idx: int):
        images, digits = batch
        scores = self.model(images)
        loss = self.loss(scores, digits)
        self.context.backward(loss)
        self.context.step_optimizer(self.optimizer)
        return {"loss": loss, "accuracy": (scores.argmax(1) == digits).float().mean()}

    def evaluate_batch(self, batch):
        images, digits = batch
        scores = self.model(images)
        return {"loss": self.loss(scores, digits), "accuracy": (scores.argmax(1) == digits).float().mean()}
