"""What detjupyter adds to a batch: CPU time per batch of the whole kernel process, against the bare loop beside it.

    python benchmarks/batch_overhead.py [--model tiny_mlp] [--rounds 10] [--batches 4000]
    python benchmarks/batch_overhead.py --model small_cnn --rounds 5 --batches 500

One real kernel runs every loop of ``loops.py``, and detjupyter without and with the live view, each between two runs of the bare loop. A
ratio is a run's CPU time by the mean of its two neighbours', so that a machine that others use, too, disturbs it little. Peers that are
not installed are left out.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from kernel import TIMEOUT_S, Kernel, Page, kernel_environment
from report import print_machine, print_table, spread

HERE = Path(__file__).parent
SKIPPED = 8  # one in so many batches at the start of a run does not count
SETUP = f"""
import gc, sys, time
sys.path.append({str(HERE)!r})
import loops
%load_ext detjupyter
"""
LOAD = f"""
gc.collect()
session = get_ipython().run_line_magic("det_load", "--name bench --path {HERE / "definitions"}/" + loops.DEFINITION.name)
"""
CHECK = """
batches, losses = session.metrics("loss")
assert session.state == "finished" and len(batches) == COUNT and (losses == losses).all(), (session.state, len(batches))
"""
STOPWATCH = "(*session.trial.model.stopwatch.per_batch_us(SKIP), time.process_time_ns() - session.trial.model.stopwatch.readings[-1][1])"
LABELS = {
    "bare_item": "bare + `.item()` + append",
    "bare_loader": "bare + torch's DataLoader",
    "ignite": "ignite, every loss kept",
    "skorch": "skorch, every loss kept",
    "recorded": "**detjupyter**, every loss in the store",
    "live": "**detjupyter**, the same and the live view",
}


@dataclass
class Figures:
    """Measurements of one loop, one for each round."""

    cpu_us: list[float] = field(default_factory=list)
    bare_cpu_us: list[float] = field(default_factory=list)
    cpu_ratio: list[float] = field(default_factory=list)
    wall_ratio: list[float] = field(default_factory=list)


@dataclass
class Live:
    """What the page received, and what the end of a training cost, one for each round."""

    updates_per_s: list[float] = field(default_factory=list)
    kilobytes_per_1000: list[float] = field(default_factory=list)
    end_ms: list[float] = field(default_factory=list)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=["tiny_mlp", "small_cnn"], default="tiny_mlp")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--batches", type=int, default=4000, help="length of every run")
    arguments = parser.parse_args()
    print_machine("torch", "ipykernel", "anywidget", "sqlalchemy", "pytorch-ignite", "skorch")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        environment = {**kernel_environment(Path(scratch)), "DETJUPYTER_BENCH_MODEL": arguments.model}
        with Kernel(Path(scratch), environment) as kernel, Page(kernel) as page:
            measure(kernel, page, arguments.rounds, arguments.batches)


def measure(kernel: Kernel, page: Page, rounds: int, count: int) -> None:
    """Run all loops ``rounds`` times and print the tables."""
    peers = kernel.run(SETUP, "loops.PEERS")
    names = ["bare_item", "bare_loader", *peers, "recorded", "live"]
    figures, live = {name: Figures() for name in names}, Live()
    for name in ["bare", *names]:
        run(kernel, page, name, count // 4, Live())  # imports, caches
    for _ in range(rounds):
        before = run(kernel, page, "bare", count, live)
        for name in names:
            mine = run(kernel, page, name, count, live)
            after = run(kernel, page, "bare", count, live)
            figures[name].cpu_us.append(mine[1])
            figures[name].bare_cpu_us += [before[1], after[1]]
            figures[name].wall_ratio.append(2 * mine[0] / (before[0] + after[0]))
            figures[name].cpu_ratio.append(2 * mine[1] / (before[1] + after[1]))
            before = after
    print_results(figures, live, rounds, count)


def run(kernel: Kernel, page: Page, name: str, count: int, live: Live) -> tuple[float, float]:
    """Run one loop; return microseconds of wall and of CPU per batch."""
    if name == "recorded":
        kernel.run(f"{LOAD}\nsession.train(batches={count}, wait=True)")
    elif name == "live":
        return run_live(kernel, page, count, live)
    else:
        wall_us, cpu_us = kernel.run("", f"loops.measure({name!r}, {count}, {count // SKIPPED})")
        return wall_us, cpu_us
    wall_us, cpu_us, _ = kernel.run("", STOPWATCH.replace("SKIP", str(count // SKIPPED)))
    kernel.run(CHECK.replace("COUNT", str(count)))
    return wall_us, cpu_us


def run_live(kernel: Kernel, page: Page, count: int, live: Live) -> tuple[float, float]:
    """Train with the live view, as a person does: the cell returns at once and the kernel is idle while it trains."""
    kernel.run(LOAD)
    page.forget()
    kernel.run(f"%det_train --batches {count}")
    if not page.closed.wait(TIMEOUT_S):
        raise TimeoutError("The live view did not end.")
    time.sleep(0.2)
    wall_us, cpu_us, end_ns = kernel.run("", STOPWATCH.replace("SKIP", str(count // SKIPPED)))
    kernel.run(CHECK.replace("COUNT", str(count)))
    if page.newest_batch != count or len(page.updates) < 2:
        raise RuntimeError(f"The page saw {len(page.updates)} messages, up to batch {page.newest_batch} of {count}.")
    live.updates_per_s.append((len(page.updates) - 1) / (page.updates[-1] - page.updates[0]))
    live.kilobytes_per_1000.append(page.bytes_received / count)
    live.end_ms.append(end_ns / 1e6)
    return wall_us, cpu_us


def print_results(figures: dict[str, Figures], live: Live, rounds: int, count: int) -> None:
    """Print both tables."""
    bare_us = [value for one in figures.values() for value in one.bare_cpu_us]
    median, extent = spread(bare_us, 0)
    runs = f"{rounds} rounds of {count:,} batches, the first {count // SKIPPED} not counted"
    print(f"Bare loop: {median} µs of CPU per batch ({extent}); {runs}.\n")
    rows = []
    for name, one in figures.items():
        added = statistics.median([mine - mine / ratio for mine, ratio in zip(one.cpu_us, one.cpu_ratio, strict=True)])
        rows.append((LABELS[name], spread(one.cpu_us, 0)[0], *spread(one.cpu_ratio, 3), f"{added:+.0f}", spread(one.wall_ratio, 3)[0]))
    print_table(("loop", "CPU µs/batch", "× bare", "min–max", "CPU µs added", "× bare (wall)"), rows)
    print_table(
        ("live view", "median", "min–max"),
        (
            ("messages with curves per second", *spread(live.updates_per_s, 1)),
            ("kB of curves per 1,000 batches", *spread(live.kilobytes_per_1000, 1)),
            ("CPU ms once, at the end (validation, checkpoint, picture)", *spread(live.end_ms, 0)),
        ),
    )


if __name__ == "__main__":
    main()
