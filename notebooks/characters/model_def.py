"""A transformer that learns to write Python's manual, one character after the other."""

import math

import torch
from data import Alphabet, Excerpts, read_text
from determined.pytorch import DataLoader, LRScheduler, PyTorchTrial, PyTorchTrialContext
from network import CharacterModel
from torch.nn import functional


class CharactersTrial(PyTorchTrial):
    def __init__(self, context: PyTorchTrialContext) -> None:
        self.context = context
        self.text = read_text()
        self.alphabet = Alphabet(self.text)
        self.length = context.get_hparam("context")
        self.model = context.wrap_model(
            CharacterModel(
                alphabet=len(self.alphabet),
                context=self.length,
                width=context.get_hparam("width"),
                heads=context.get_hparam("heads"),
                layers=context.get_hparam("layers"),
                dropout=context.get_hparam("dropout"),
            )
        )
        self.optimizer = context.wrap_optimizer(torch.optim.AdamW(self.model.parameters(), lr=context.get_hparam("learning_rate")))
        warmup = context.get_hparam("warmup_batches")
        self.scheduler = context.wrap_lr_scheduler(
            torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda batch: min((batch + 1) / warmup, 1.0)),
            LRScheduler.StepMode.STEP_EVERY_BATCH,
        )
        codes = self.alphabet.encode(self.text)
        held_out = int(len(codes) * context.get_data_config()["validation_fraction"])
        self.training_codes, self.validation_codes = codes[:-held_out], codes[-held_out:]

    def build_training_data_loader(self) -> DataLoader:
        excerpts = Excerpts(self.training_codes, self.length, shift=True)
        return DataLoader(excerpts, batch_size=self.context.get_per_slot_batch_size(), shuffle=True, drop_last=True)

    def build_validation_data_loader(self) -> DataLoader:
        return DataLoader(Excerpts(self.validation_codes, self.length, shift=False), batch_size=128)

    def train_batch(self, batch, epoch_idx: int, batch_idx: int):
        loss = self.loss(batch)
        self.context.backward(loss)
        self.context.step_optimizer(self.optimizer, clip_grads=lambda parameters: torch.nn.utils.clip_grad_norm_(parameters, 1.0))
        return {"bits_per_character": loss.detach() / math.log(2)}

    def evaluate_batch(self, batch):
        return {"bits_per_character": self.loss(batch) / math.log(2)}

    def loss(self, batch):
        codes, following = batch
        return functional.cross_entropy(self.model(codes).flatten(0, 1), following.flatten())

    @torch.no_grad()
    def write(self, prompt: str, length: int = 300, temperature: float = 0.6, seed: int = 0) -> str:
        """Return ``prompt`` continued by ``length`` characters; the same every time for the same weights and seed."""
        generator = torch.Generator().manual_seed(seed)  # of its own: a training that goes on meanwhile draws as it would have
        training = self.model.training
        self.model.eval()
        codes = self.alphabet.encode(prompt)
        for _ in range(length):
            scores = self.model(codes[-self.length :].unsqueeze(0).to(self.context.device))[0, -1].cpu()
            following = torch.multinomial(torch.softmax(scores / temperature, 0), 1, generator=generator)
            codes = torch.cat([codes, following])
        self.model.train(training)
        return self.alphabet.decode(codes)
