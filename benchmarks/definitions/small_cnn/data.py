"""The data: ready-made random batches, so that nothing is spent on drawing and collating samples."""

import torch
from torch.utils.data import DataLoader, Dataset

BATCH_SIZE = 64
READY_MADE = 64
BATCHES_PER_EPOCH = 1000

Batch = tuple[torch.Tensor, torch.Tensor]


def make_batches() -> list[Batch]:
    """Return the same batches every time: records (64, 1, 28, 28), classes (64,)."""
    generator = torch.Generator().manual_seed(0)
    records = torch.randn(READY_MADE, BATCH_SIZE, 1, 28, 28, generator=generator)
    classes = torch.randint(0, 10, (READY_MADE, BATCH_SIZE), generator=generator)
    return [(one.clone(), other.clone()) for one, other in zip(records, classes, strict=True)]


class ReadyMade(Dataset):
    """Whole batches as items, over and over up to ``length`` of them."""

    def __init__(self, length: int) -> None:
        self.batches = make_batches()
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Batch:
        return self.batches[index % READY_MADE]


def make_loader(length: int = BATCHES_PER_EPOCH) -> DataLoader:
    """Return torch's loader over ready-made batches, an epoch of ``length`` of them."""
    return DataLoader(ReadyMade(length), batch_size=None)
