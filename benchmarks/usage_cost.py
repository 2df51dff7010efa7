"""What the record of opened files costs a training: CPU time with and without the audit hook.

    python benchmarks/usage_cost.py [--rounds 60] [--batches 150]

The hook cannot be removed from a process, so each run is a fork of this process, which has none. A run with the hook is between two runs
without it. A ratio is its CPU time (including its DataLoader workers) divided by the mean of these two runs. There are many short runs,
because the difference is less than the noise of one run. The last column but one is the same ratio for runs without the hook: the noise.
The last column is what the hook adds to an open of a known file, measured separately, times the opens of a batch; in a training, where
the caches of the processor hold other data, an open costs about twice that.
"""

from __future__ import annotations

import argparse
import os
import pickle
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from report import print_machine, print_table, spread
from torch.utils.data import DataLoader, Dataset

from detjupyter.definition.usage import watch_usage

BATCH_SIZE = 32
FILES = 1024
OPENS = 20_000


class Images(Dataset[Any]):
    """Images of 28 × 28, one file each, opened for every item; nothing is decoded, so that the open has the largest share."""

    def __init__(self, root: Path, length: int) -> None:
        self.paths = sorted(root.glob("*.npy"))
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(np.load(self.paths[index % FILES])).float().div_(255).flatten()


class Photos(Images):
    """Photos of 96 × 96, one JPEG each, decoded and resized for every item: still little work, compared with usual data sets."""

    def __getitem__(self, index: int) -> torch.Tensor:
        with Image.open(self.paths[index % FILES].with_suffix(".jpg")) as photo:
            return torch.from_numpy(np.array(photo.convert("L").resize((28, 28)))).float().div_(255).flatten()


class Ready(Dataset[Any]):
    """The first ones, in memory."""

    def __init__(self, root: Path, length: int) -> None:
        images = Images(root, FILES)
        self.records = torch.stack([images[index] for index in range(FILES)])
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.records[index % FILES]


TRAININGS: dict[str, tuple[Callable[[Path, int], Dataset[Any]], int, int]] = {
    "a photo for each item": (Photos, 0, BATCH_SIZE),
    "a photo for each item, two workers": (Photos, 2, BATCH_SIZE),
    "784 bytes for each item": (Images, 0, BATCH_SIZE),
    "784 bytes for each item, two workers": (Images, 2, BATCH_SIZE),
    "no files": (Ready, 0, 0),
}


def train(dataset: Dataset[Any], workers: int) -> None:
    """Train a small network on 28 × 28 images."""
    network = torch.nn.Sequential(torch.nn.Linear(784, 32), torch.nn.ReLU(), torch.nn.Linear(32, 784))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    loader = DataLoader(dataset, BATCH_SIZE, num_workers=workers)
    for records in loader:
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(network(records), records).backward()
        optimizer.step()


def open_many(paths: list[str], times: int) -> float:
    """Return the microseconds of CPU that an open (and close) takes."""
    start = time.process_time()
    for index in range(times):
        open(paths[index % FILES], "rb").close()  # noqa: PTH123 -- the plainest there is
    return (time.process_time() - start) / times * 1e6


def cpu_s() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    return sum(use.ru_utime + use.ru_stime for use in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


def forked(measure: Callable[[], Any]) -> Any:
    """Return what ``measure`` returns in a fork of this process."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with os.fdopen(writing, "wb") as pipe:
                pickle.dump(measure(), pipe)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pickle.load(pipe)
    os.waitpid(child, 0)
    return answer


def measured(kind: str, root: Path, batches: int, *, watched: bool) -> tuple[float, int]:
    """Return microseconds of CPU per batch, and how many files the watch saw."""
    watch = watch_usage(root.parent) if watched else None
    make, workers, _ = TRAININGS[kind]
    with watch.active() if watch else nullcontext():
        dataset = make(root, batches * BATCH_SIZE)
        for index in range(FILES):  # the first open of a file costs more, and is in the other table
            dataset[index]
        start = cpu_s()
        train(dataset, workers)
        used = cpu_s() - start
    seen = len(watch.opened()) if watch else 0
    if watch:
        watch.close()
    return used / batches * 1e6, seen


def cost_of_an_open(root: Path, *, watched: bool) -> tuple[float, float]:
    """Return microseconds of CPU for the first open of a file, and for a later one."""
    paths = [str(path) for path in sorted(root.glob("*.npy"))]
    watch = watch_usage(root.parent) if watched else None
    with watch.active() if watch else nullcontext():
        costs = open_many(paths, FILES), open_many(paths, OPENS)
    if watch:
        watch.close()
    return costs


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--batches", type=int, default=150, help="length of every run")
    arguments = parser.parse_args()
    print_machine("torch", "numpy", "pillow")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory) / "data"
        root.mkdir()
        random = np.random.default_rng(0)
        for number in range(FILES):
            np.save(root / f"{number:04d}.npy", random.integers(0, 256, (28, 28), dtype=np.uint8))
            Image.fromarray(random.integers(0, 256, (96, 96, 3), dtype=np.uint8)).save(root / f"{number:04d}.jpg")
            for suffix in ("npy", "jpg"):
                os.utime(root / f"{number:04d}.{suffix}", (1e9, 1e9))
        train(Images(root, 3 * BATCH_SIZE), 0)  # exclude what torch imports at the first step
        measure(root, arguments.rounds, arguments.batches)


def measure(root: Path, rounds: int, batches: int) -> None:
    """Run everything ``rounds`` times and print the tables."""
    plain_opens = [forked(lambda: cost_of_an_open(root, watched=False)) for _ in range(rounds)]
    opens = [forked(lambda: cost_of_an_open(root, watched=True)) for _ in range(rounds)]
    added_us = statistics.median(again for _, again in opens) - statistics.median(again for _, again in plain_opens)
    rows = []
    for kind, (_, _, opens_per_batch) in TRAININGS.items():
        plain, ratios, seen = [forked(lambda: measured(kind, root, batches, watched=False))[0]], [], set()  # noqa: B023 -- runs at once
        for _ in range(rounds):
            mine, files = forked(lambda: measured(kind, root, batches, watched=True))  # noqa: B023
            plain.append(forked(lambda: measured(kind, root, batches, watched=False))[0])  # noqa: B023
            ratios.append(2 * mine / (plain[-2] + plain[-1]))
            seen.add(files)
        same = [2 * one / (before + after) for before, one, after in zip(plain, plain[1:], plain[2:], strict=False)]
        share = added_us * opens_per_batch / statistics.median(plain)
        rows.append(
            (
                kind,
                spread(plain, 0)[0],
                str(opens_per_batch),
                "/".join(map(str, seen)),
                *spread(ratios, 4),
                spread(same, 4)[0],
                f"{share:.2%}",
            )
        )
    print(f"{rounds} rounds of {batches:,} batches of {BATCH_SIZE} records.\n")
    columns = ("training", "CPU µs/batch", "opens/batch", "files seen", "× without", "min–max", "without × without", "open × opens")
    print_table(columns, rows)
    print_table(
        ("one open and close", "CPU µs", "min–max"),
        (
            ("without the hook, the first of a file", *spread([first for first, _ in plain_opens], 2)),
            ("watched, the first of a file", *spread([first for first, _ in opens], 2)),
            ("without the hook, a later one", *spread([again for _, again in plain_opens], 2)),
            ("watched, a later one", *spread([again for _, again in opens], 2)),
        ),
    )


if __name__ == "__main__":
    main()
