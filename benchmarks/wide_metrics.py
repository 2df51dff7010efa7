"""What recording costs: very many metrics a batch, and a history that another process keeps locked.

    python benchmarks/wide_metrics.py [--rounds 3] [--batches 300] [--metrics 100 1000 10000] [--locked-s 10]

The first table compares a training that records so many metrics of every batch with a bare loop that makes and fetches the same values.
The second one compares the speed of a training while another process holds the history's lock with that before, and says how long
``pause()`` and ``resume()`` take; what was recorded is counted at the end.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from report import print_machine, print_table, spread

DEFINITIONS = Path(__file__).parent / "definitions"
HOLD_LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.readline()
connection.execute("ROLLBACK")
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, default=300)
    parser.add_argument("--metrics", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--locked-s", type=float, default=10.0)
    asked = parser.parse_args()
    print_machine("torch", "sqlalchemy")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        os.environ["DETJUPYTER_HOME"] = scratch
        rows = []
        for metrics in asked.metrics:
            batches = max(asked.batches * 1000 // max(metrics, 1000), 30)
            rounds = [(bare(metrics, batches), recorded(metrics, batches)) for _ in range(asked.rounds)]
            wall = spread([own.wall_s / least.wall_s for least, own in rounds], 2)
            cpu = spread([own.cpu_s / least.cpu_s for least, own in rounds], 2)
            per_value_us = min(own.cpu_s for _, own in rounds) / batches / metrics * 1e6
            rows.append((f"{metrics:,}", f"{batches:,}", *wall, *cpu, f"{per_value_us:.2f}"))
        heads = ("metrics a batch", "batches", "wall, recorded : bare", "min–max", "CPU, recorded : bare", "min–max", "CPU µs a value")
        print_table(heads, rows)
        locked(Path(scratch), asked.locked_s)


class Cost(NamedTuple):
    """What a training took: on the clock, and of the processor, all threads together."""

    wall_s: float
    cpu_s: float


def cost_of(work: Callable[[], object]) -> Cost:
    """Do ``work`` and return what it took."""
    began, used = time.perf_counter(), time.process_time()
    work()
    return Cost(time.perf_counter() - began, time.process_time() - used)


def bare(metrics: int, batches: int) -> Cost:
    """Make and fetch the values that the trial reports."""
    import torch

    names = [f"layer_{index}/norm" for index in range(metrics)]
    kept: dict[str, list[float]] = {name: [] for name in names}

    def train() -> None:
        for batch in range(batches):
            values = {name: torch.tensor(index / (1 + batch)) for index, name in enumerate(names)}
            for name, value in values.items():
                kept[name].append(value.item())

    return cost_of(train)


def recorded(metrics: int, batches: int) -> Cost:
    """Train and record, until the history has everything."""
    import detjupyter as dj

    session = dj.load(path=DEFINITIONS / "wide", hparams={"metrics": metrics}, name="wide")
    session.step()  # what a first batch costs does not count

    def train() -> None:
        session.train(batches=batches, wait=True)
        session._keeper.recorder.settle(60)

    cost = cost_of(train)
    run = session.run
    assert run is not None
    if len(run.metrics(f"layer_{metrics - 1}/norm")[0]) != batches + 1:
        raise RuntimeError("The history does not hold every batch.")
    session.close()
    return cost


def locked(home: Path, seconds: float) -> None:
    """Train while another process holds the history's lock, and print what becomes of speed, answers and data."""
    import detjupyter as dj

    session = dj.load(path=DEFINITIONS / "nothing", name="locked")
    session.train(batches=10**9)
    session.at_batch(lambda _: None)
    before = _speed(session, seconds)
    with _lock(home / "runs.sqlite"):
        during = _speed(session, seconds)
        answers = []
        for _ in range(3):
            for ask in (session.pause, session.resume):
                began = time.perf_counter()
                ask()
                answers.append(time.perf_counter() - began)
    session.stop()
    session._keeper.recorder.close(60)
    count = session.batches_trained
    there = len(session.metrics("loss")[0])
    rows = [(f"{before:.0f}", f"{during:.0f}", f"{during / before:.2f}", f"{max(answers):.2f}", f"{there:,} of {count:,}")]
    print_table(("batches a second", "locked", "ratio", "slowest answer s", "in the history"), rows)
    print("\n".join(line.text for line in session.channel.log(0)[1] if line.stream == "detjupyter"))
    session.close()


def _speed(session: Any, seconds: float) -> float:
    first, began = session.batches_trained, time.perf_counter()
    time.sleep(seconds)
    return float((session.batches_trained - first) / (time.perf_counter() - began))


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    holder = subprocess.Popen([sys.executable, "-c", HOLD_LOCK, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    try:
        yield
    finally:
        holder.communicate(b"\n")


if __name__ == "__main__":
    main()
