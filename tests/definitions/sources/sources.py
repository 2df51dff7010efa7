"""Training data from loaders of every kind, which draw random numbers at chosen moments."""

import random

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

BATCHES = 9
SIZE = 4


def draw(states):
    """Return a number from 0 to 1, drawn from Python's, numpy's or torch's random state by one of their methods, or from all of them."""
    draws = {
        "python": random.random,
        "python, one of two normals": lambda: random.gauss(0, 1),
        "python, many": lambda: sum(random.random() for _ in range(312)),  # whole turns of its 624 words
        "python, seeded": lambda: random.seed(3) or random.random(),
        "numpy": np.random.rand,
        "numpy, one of two normals": np.random.randn,
        "numpy, many": lambda: np.random.rand(312).sum(),
        "numpy, seeded": lambda: np.random.seed(3) or np.random.randn(),
        "torch": lambda: torch.rand(()),
        "torch, one of two normals": lambda: torch.empty((), dtype=torch.float64).normal_(),
        "torch, seeded": lambda: torch.manual_seed(3).initial_seed() and torch.rand(()),
    }
    chosen = [draws[states]] if states != "all" else [one for name, one in draws.items() if "seeded" not in name]
    return float(sum(one() for one in chosen)) % 1.0


class Drawing:
    """Makes batches, and draws for them at its moment."""

    def __init__(self, moment, states):
        self.moment = moment
        self.states = states
        self.passes = 0

    def begin(self):
        """Begin a pass; return what all its batches are moved by."""
        self.passes += 1
        return draw(self.states) if self.moment == "at the start" else 0.0

    def move(self, index, offset=0.0):
        """Return the batch of that number."""
        due = {
            "first batch": index == 0,
            "every second batch": index % 2 == 1,
            "seventh batch": index == 6,
            "second pass": self.passes == 2,
            "always": True,
        }
        moved = draw(self.states) if due.get(self.moment, False) else 0.0
        x = torch.linspace(-1, 1, SIZE).reshape(-1, 1) + index / BATCHES + offset + moved
        return x, 2 * x + 1

    def end(self):
        """End a pass."""
        if self.moment == "at the end":
            draw(self.states)


class WithGenerator(Drawing):
    """A class whose passes are generators."""

    def __iter__(self):
        offset = self.begin()
        for index in range(BATCHES):
            yield self.move(index, offset)
        self.end()


class WithLength(WithGenerator):
    """One that tells how long a pass is."""

    def __len__(self):
        return BATCHES


class WithIterator(Drawing):
    """A class that is its own iterator."""

    def __iter__(self):
        self.offset, self.index = self.begin(), 0
        return self

    def __next__(self):
        self.index += 1
        if self.index > BATCHES:
            self.end()
            raise StopIteration
        return self.move(self.index - 1, self.offset)


class Cleaning(WithGenerator):
    """One that draws when a pass is over or abandoned."""

    def __iter__(self):
        try:
            yield from super().__iter__()
        finally:
            draw(self.states)


class Stream(WithGenerator, IterableDataset):
    """A dataset without a length."""


class Items(Dataset):
    """A dataset of whole batches, or of parts of them."""

    def __init__(self, drawing, count=BATCHES):
        self.drawing = drawing
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        x, y = self.drawing.move(index * BATCHES // self.count)
        return (x, y) if self.count == BATCHES else (x[index % SIZE], y[index % SIZE])


class Noisy(DataLoader):
    """A loader that draws in this process, in any thread."""

    def __init__(self, drawing, *given, **options):
        super().__init__(*given, **options)
        self.drawing = drawing

    def __iter__(self):
        for index, (x, y) in enumerate(super().__iter__()):
            moved, _ = self.drawing.move(index)
            yield x + moved, y


class Collate:
    """Draws while records become a batch."""

    def __init__(self, drawing):
        self.drawing = drawing

    def __call__(self, records):
        x, y = (torch.stack(column) for column in zip(*records))
        moved, _ = self.drawing.move(int(y[0] * 100) % BATCHES)
        return x + moved, y


def source(kind, moment, states):
    """Return a loader of that kind."""
    drawing = WithGenerator(moment, states)
    return {
        "list": lambda: [drawing.move(index) for index in range(BATCHES)],
        "generator": lambda: drawing,
        "generator with a length": lambda: WithLength(moment, states),
        "iterator": lambda: WithIterator(moment, states),
        "cleaning up": lambda: Cleaning(moment, states),
        "stream": lambda: DataLoader(Stream(moment, states), batch_size=None),
        "stream, workers": lambda: DataLoader(Stream(moment, states), batch_size=None, num_workers=1),
        "noisy stream, workers": lambda: Noisy(drawing, Stream("never", states), batch_size=None, num_workers=1),
        "noisy": lambda: Noisy(drawing, Items(drawing), batch_size=None, shuffle=True),
        "noisy, workers": lambda: Noisy(drawing, Items(drawing), batch_size=None, shuffle=True, num_workers=1),
        "items": lambda: DataLoader(Items(drawing, BATCHES * SIZE), batch_size=SIZE, shuffle=True),
        "items, workers": lambda: DataLoader(Items(drawing, BATCHES * SIZE), batch_size=SIZE, shuffle=True, num_workers=1),
        "items are batches": lambda: DataLoader(Items(drawing), batch_size=None, shuffle=True),
        "items are batches, workers": lambda: DataLoader(Items(drawing), batch_size=None, shuffle=True, num_workers=1),
        "collated": lambda: DataLoader(
            Items(WithGenerator("never", states), BATCHES * SIZE), batch_size=SIZE, shuffle=True, collate_fn=Collate(drawing)
        ),
        "collated, workers": lambda: DataLoader(
            Items(WithGenerator("never", states), BATCHES * SIZE), batch_size=SIZE, shuffle=True, collate_fn=Collate(drawing), num_workers=1
        ),
        "collated stream": lambda: DataLoader(Stream(moment, states), batch_size=2, collate_fn=lambda pairs: pairs[0]),
    }[kind]()
