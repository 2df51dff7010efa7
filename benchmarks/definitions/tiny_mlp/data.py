"""The data: ready-made random batches, so that nothing is spent on drawing and collating samples."""

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

BATCH_SIZE = 64
READY_MADE = 64
BATCHES_PER_EPOCH = 1000

Batch = tuple[torch.Tensor, torch.Tensor]


def make_batches() -> list[Batch]:
    """Return the same batches every time: records (64, 784), classes (64,)."""
    generator = torch.Generator().manual_seed(0)
    records = torch.randn(READY_MADE, BATCH_SIZE, 784, generator=generator)
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


class Generated:
    """A class of the user's own, whose passes are generators."""

    def __init__(self, length: int) -> None:
        self.batches = ReadyMade(length)

    def __iter__(self) -> Iterator[Batch]:
        for index in range(len(self.batches)):
            yield self.batches[index]


class Stream(Generated, IterableDataset):
    """The same as a dataset without an index."""


def make_source(kind: str, length: int = BATCHES_PER_EPOCH) -> Any:
    """Return the same batches from a loader of that kind, an epoch of ``length`` of them."""
    if kind == "context":
        from detjupyter.pytorch import DataLoader as OurLoader

        return OurLoader(ReadyMade(length), collate_fn=_only)
    if kind == "list":
        ready = ReadyMade(length)
        return [ready[index] for index in range(length)]
    if kind == "generator":
        return Generated(length)
    if kind.startswith("stream"):
        return DataLoader(Stream(length), batch_size=None, num_workers=2 * kind.endswith("workers"))
    return DataLoader(ReadyMade(length), batch_size=None, num_workers=2 * kind.endswith("workers"))


def _only(batches: list[Batch]) -> Batch:
    return batches[0]
