"""Metrics that no average over batches gives: a confusion matrix, and the share of records of a rare class."""

from typing import Any, List

import numpy as np
import torch
from determined.pytorch import DataLoader, MetricReducer, PyTorchTrial, PyTorchTrialContext
from torch import nn
from torch.utils.data import TensorDataset

CLASSES = 3


class ConfusionMatrix(MetricReducer):
    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self.reset()

    def reset(self) -> None:
        self.counts = np.zeros((CLASSES, CLASSES), dtype=np.int64)

    def update(self, truths: torch.Tensor, predictions: torch.Tensor) -> None:
        np.add.at(self.counts, (truths.cpu().numpy(), predictions.cpu().numpy()), 1)

    def per_slot_reduce(self) -> Any:
        return self.counts

    def cross_slot_reduce(self, per_slot_metrics: List[Any]) -> Any:
        counts = np.sum(per_slot_metrics, axis=0)
        recall = counts.diagonal() / np.maximum(counts.sum(axis=1), 1)
        return {
            self.prefix + "accuracy": counts.diagonal().sum() / counts.sum(),
            self.prefix + "balanced_accuracy": recall.mean(),
            self.prefix + "records": int(counts.sum()),
        }


def share_of_rare(parts: List[List[int]]) -> float:
    labels = [label for part in parts for label in part]
    return sum(label == CLASSES - 1 for label in labels) / len(labels)


def make_data(records: int, seed: int) -> TensorDataset:
    """Return three clouds of points; the last one is rare."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.multinomial(torch.tensor([0.5, 0.4, 0.1]), records, replacement=True, generator=generator)
    centres = torch.tensor([[0.0, 0.0], [1.5, 0.0], [0.0, 1.5]])
    return TensorDataset(centres[labels] + 0.7 * torch.randn(records, 2, generator=generator), labels)


class ConfusionTrial(PyTorchTrial):
    def __init__(self, context: PyTorchTrialContext) -> None:
        self.context = context
        self.model = context.wrap_model(nn.Linear(2, CLASSES))
        self.optimizer = context.wrap_optimizer(torch.optim.SGD(self.model.parameters(), lr=context.get_hparam("learning_rate")))
        self.in_training = context.wrap_reducer(ConfusionMatrix("train_"), for_validation=False)
        self.in_validation = context.wrap_reducer(ConfusionMatrix(), for_training=False)
        self.rare = context.wrap_reducer(share_of_rare, name="rare", for_training=True, for_validation=True)

    def build_training_data_loader(self):
        return DataLoader(make_data(110, seed=1), batch_size=self.context.get_per_slot_batch_size())

    def build_validation_data_loader(self):
        return DataLoader(make_data(70, seed=2), batch_size=self.context.get_per_slot_batch_size())

    def train_batch(self, batch, epoch_idx, batch_idx):
        points, labels = batch
        scores = self.model(points)
        loss = nn.functional.cross_entropy(scores, labels)
        self.context.backward(loss)
        self.context.step_optimizer(self.optimizer)
        self.in_training.update(labels, scores.argmax(1))
        self.rare.update(labels.tolist())
        return {"loss": loss}

    def evaluate_batch(self, batch):
        points, labels = batch
        scores = self.model(points)
        self.in_validation.update(labels, scores.argmax(1))
        self.rare.update(labels.tolist())
        return {"loss": nn.functional.cross_entropy(scores, labels)}
