"""Pictures of 10 × 10 pixels: a bar, a column, a cross or a frame, on noise."""

import numpy as np
import torch
from torch.utils.data import Dataset

KINDS = ("bar", "column", "cross", "frame")


def draw(kind: int, random_state: np.random.RandomState) -> np.ndarray:
    picture = 0.3 * random_state.rand(10, 10)
    row, column = random_state.randint(2, 8, size=2)
    if KINDS[kind] in ("bar", "cross"):
        picture[row, 1:9] = 1
    if KINDS[kind] in ("column", "cross"):
        picture[1:9, column] = 1
    if KINDS[kind] == "frame":
        picture[1, 1:9] = picture[8, 1:9] = picture[1:9, 1] = picture[1:9, 8] = 1
    return picture


class ShapesDataset(Dataset):
    def __init__(self, records: int, seed: int):
        random_state = np.random.RandomState(seed)
        self.kinds = random_state.randint(len(KINDS), size=records)
        self.pictures = np.stack([draw(kind, random_state) for kind in self.kinds]).astype(np.float32)

    def __len__(self):
        return len(self.kinds)

    def __getitem__(self, index):
        return torch.from_numpy(self.pictures[index]).unsqueeze(0), int(self.kinds[index])
