"""Signals of 16 values, changed at random every time they are drawn, with whichever generator was at hand."""

import random

import numpy as np
import torch
from torch.utils.data import Dataset


class Signals(Dataset):
    def __init__(self, records: int, seed: int, *, augment: bool) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.kinds = torch.arange(records) % 3
        time = torch.linspace(0, 1, 16)
        self.signals = torch.sin(6.28 * (self.kinds.unsqueeze(1) + 1) * time) + 0.1 * torch.randn(records, 16, generator=generator)
        self.augment = augment

    def __len__(self) -> int:
        return len(self.kinds)

    def __getitem__(self, index):
        signal = self.signals[index]
        if self.augment:
            if random.random() < 0.5:
                signal = signal.flip(0)
            signal = signal * float(np.random.uniform(0.7, 1.3))
            signal = signal + 0.2 * torch.randn(16)
            signal = signal.roll(random.randint(0, 3))
        return signal, self.kinds[index]
