"""How fast a session trains while a cell computes, and how fast that cell is, in a real kernel.

    python benchmarks/busy_cell.py [--rounds 3] [--seconds 2] [--switch-interval-us 10]

The training and the cell share one interpreter lock. The tiny network of `definitions/tiny_mlp` trains in a session, and a cell of the same
kernel sleeps, counts in pure Python, fills a dictionary or multiplies numpy matrices, which releases the lock. Each figure is a ratio
within one round: batches a second by those with an idle cell, and turns of the cell's loop by those with no training. The second table is
20 trainings of one batch each, with validation and checkpoint, in a cell that waits for each, with and without a thread that counts.

Measure on a quiet machine (load below 0.5) with at least two cores: on a busy one the scheduler takes the computing cell from its core,
and the training gets the lock more often than it otherwise would. `--switch-interval-us 5000` shows Python's default.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from kernel import Kernel, kernel_environment
from report import print_machine, print_table, spread

DEFINITION = Path(__file__).parent / "definitions" / "tiny_mlp"
CELLS = {
    "idle": "idle",
    "counts in pure Python": "count",
    "fills a dictionary": "fill",
    "multiplies numpy matrices": "multiply",
}
TRAININGS = 20
IDLE_TARGET, CELL_TARGET = 0.28, 0.6
SETUP = f"""
import sys, threading, time
import numpy as np
import detjupyter as dj

matrix = np.random.default_rng(0).random((300, 300))
session = dj.load(path={str(DEFINITION)!r}, name="bench")
session.train(batches=1, wait=True)  # imports, the store's file, the first optimizer of the process

def idle(end):
    while (left := end - time.perf_counter()) > 0:
        time.sleep(left)
    return 1

def count(end):
    turns = 0
    while time.perf_counter() < end:
        sum(range(100))
        turns += 1
    return turns

def fill(end):
    turns, seen = 0, {{}}
    while time.perf_counter() < end:
        seen[turns % 100_000] = str(turns)
        turns += 1
    return turns

def multiply(end):
    turns = 0
    while time.perf_counter() < end:
        matrix @ matrix
        turns += 1
    return turns

def measure(cell, seconds):
    "Return the cell's turns and the session's batches, both a second."
    began, trained = time.perf_counter(), session.batches_trained
    turns = cell(began + seconds)
    took = time.perf_counter() - began
    return turns / took, (session.batches_trained - trained) / took

def train_often(times, limit):
    "Return the seconds that so many trainings of one batch take; after `limit` seconds what is left is extrapolated."
    began = time.perf_counter()
    for done in range(1, times + 1):
        session.train(batches=1, wait=True)
        if time.perf_counter() - began > limit:
            break
    return (time.perf_counter() - began) / done * times

def train_often_beside_a_thread(times, limit):
    "Return the same while another thread counts."
    stop = threading.Event()
    thread = threading.Thread(target=lambda: [count(time.perf_counter() + 0.01) for _ in iter(stop.is_set, True)])
    thread.start()
    try:
        return train_often(times, limit)
    finally:
        stop.set()
        thread.join()
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each cell runs")
    parser.add_argument("--switch-interval-us", type=float, help="instead of detjupyter's own while it trains")
    options = parser.parse_args()
    print_machine("torch", "ipykernel", "numpy")
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch,
        Kernel(Path(scratch), kernel_environment(Path(scratch))) as kernel,
    ):
        if options.switch_interval_us is not None:
            kernel.run(f"import detjupyter.engine.switch_interval as own; own.TRAINING_INTERVAL_S = {options.switch_interval_us / 1e6}")
        kernel.run(SETUP)
        _measure_cells(kernel, options.rounds, options.seconds)
        _measure_short_trainings(kernel, options.rounds)


def _measure_cells(kernel: Kernel, rounds: int, seconds: float) -> None:
    training: dict[str, list[float]] = {cell: [] for cell in CELLS}
    cells: dict[str, list[float]] = {cell: [] for cell in CELLS}
    batches: list[float] = []
    interval = 0.0
    for _ in range(rounds):
        alone = {cell: kernel.run("", f"measure({name}, {seconds})")[0] for cell, name in CELLS.items()}
        kernel.run("session.train(batches=10**9)\nwhile session.batches_trained % 10**9 < 500: time.sleep(0.05)")
        interval = kernel.run("", "sys.getswitchinterval()")
        together = {cell: kernel.run("", f"measure({name}, {seconds})") for cell, name in CELLS.items()}
        kernel.run("session.stop()")
        batches.append(together["idle"][1])
        for cell, (turns, trained) in together.items():
            cells[cell].append(turns / alone[cell])
            training[cell].append(trained / together["idle"][1])
    print(f"Idle cell: {statistics.median(batches):,.0f} batches/s; switch interval while training {interval * 1e6:,.0f} µs.\n")
    rows = [(cell, *spread(training[cell], 4), *(spread(cells[cell], 2) if cell != "idle" else ("–", "–"))) for cell in CELLS]
    print_table(("the cell", "training × idle", "min–max", "cell × alone", "min–max"), rows)
    print(f"Targets with a pure Python cell: training {IDLE_TARGET}, cell {CELL_TARGET}.\n")


def _measure_short_trainings(kernel: Kernel, rounds: int) -> None:
    limit = 30
    quiet = [kernel.run("", f"train_often({TRAININGS}, {limit})") for _ in range(rounds)]
    alongside = [kernel.run("", f"train_often_beside_a_thread({TRAININGS}, {limit})") for _ in range(rounds)]
    rows = [("nothing", *spread(quiet, 2)), ("a thread that counts", *spread(alongside, 2))]
    print_table((f"{TRAININGS} trainings of one batch, while this runs", "s", "min–max"), rows)


if __name__ == "__main__":
    main()
