"""The data: scikit-learn's copy of the handwritten digits of the UCI repository, split once and for all."""

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch.utils.data import Dataset

Split = tuple[torch.Tensor, torch.Tensor]


def load_digits_split(test_fraction: float) -> tuple[Split, Split]:
    """Return (images, digits) for training and for testing; images are (N, 1, 8, 8) in 0..1."""
    bunch = load_digits()
    images = torch.from_numpy(bunch.images.astype(np.float32) / 16).unsqueeze(1)
    digits = torch.from_numpy(bunch.target).long()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    test = order[: int(len(images) * test_fraction)]
    train = order[len(test) :]
    return (images[train], digits[train]), (images[test], digits[test])


class DigitsDataset(Dataset):
    """Digits, each moved by up to ``shift`` pixels every time it is drawn."""

    def __init__(self, images: torch.Tensor, digits: torch.Tensor, shift: int = 0) -> None:
        self.images = images
        self.digits = digits
        self.shift = shift

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image = self.images[index]
        if self.shift:
            down, right = torch.randint(-self.shift, self.shift + 1, (2,)).tolist()
            image = image.roll((down, right), (1, 2))
        return image, self.digits[index]
