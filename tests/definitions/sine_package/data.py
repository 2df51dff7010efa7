import numpy as np
import torch
from torch.utils.data import Dataset


class SineDataset(Dataset):
    """One period of a sine; its items are numpy, which the loader collates."""

    def __init__(self, records, phase=0.0):
        self.inputs = np.linspace(-np.pi, np.pi, records, dtype=np.float32) + np.float32(phase)
        self.order = np.random.RandomState(3).permutation(records)

    def __len__(self):
        return len(self.inputs)

    def __getitem__(self, index):
        x = self.inputs[self.order[index]]
        return torch.tensor([x]), np.sin(x, dtype=np.float32)
