"""Tells questions from statements; a batch is a dict of strings and tensors."""

import torch
from determined.pytorch import DataLoader, PyTorchTrial, PyTorchTrialContext
from sentences import Sentences, collate
from torch import nn


class BagOfCharacters(nn.Module):
    def __init__(self, embedding: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(128, embedding, padding_idx=0)
        self.score = nn.Linear(embedding, 2)

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        lengths = (codes > 0).sum(1, keepdim=True)
        return self.score(self.embed(codes).sum(1) / lengths)


class SentencesTrial(PyTorchTrial):
    def __init__(self, context: PyTorchTrialContext) -> None:
        self.context = context
        self.model = context.wrap_model(BagOfCharacters(context.get_hparam("embedding")))
        self.optimizer = context.wrap_optimizer(torch.optim.Adagrad(self.model.parameters(), lr=context.get_hparam("learning_rate")))
        self.seen = []

    def build_training_data_loader(self):
        return DataLoader(Sentences(0, 1), batch_size=self.context.get_per_slot_batch_size(), collate_fn=collate)

    def build_validation_data_loader(self):
        return DataLoader(Sentences(0, 3), batch_size=self.context.get_per_slot_batch_size(), collate_fn=collate)

    def get_batch_length(self, batch):
        return len(batch["text"])

    def train_batch(self, batch, epoch_idx, batch_idx):
        self.seen.append((batch["text"][0], batch["source"]["name"][0]))
        loss = nn.functional.cross_entropy(self.model(batch["codes"]), batch["label"])
        self.context.backward(loss)
        self.context.step_optimizer(self.optimizer)
        return {"loss": loss, "first": batch["text"][0]}

    def evaluate_batch(self, batch):
        said = self.model(batch["codes"]).argmax(1).tolist()
        right = [answer == text.endswith("?") for answer, text in zip(said, batch["text"])]
        return {"accuracy": sum(right) / len(right)}
