"""What detjupyter adds to a batch: CPU and wall time per batch of the whole kernel process, compared with the bare loop.

    python benchmarks/batch_overhead.py [--model tiny_mlp] [--rounds 5] [--batches 2000] [--loader context list generator torch …]
    python benchmarks/batch_overhead.py --model small_cnn --rounds 5 --batches 500 --threads 1 --loader torch

One real kernel runs every loop of ``loops.py``, and detjupyter without and with the live view on loaders of several kinds, each between two
runs of the bare loop. A ratio is a run's time divided by the mean of the runs before and after it, so that other load on the machine
has little effect. Everything is measured with one torch thread, and in another kernel with torch's default number. Peers that are not
installed are left out.
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
CHECK = """
batches, losses = session.metrics("loss")
assert session.state == "finished" and len(batches) == COUNT and (losses == losses).all(), (session.state, len(batches))
"""
STOPWATCH = "(*session.trial.model.stopwatch.per_batch_us(SKIP), time.process_time_ns() - session.trial.model.stopwatch.readings[-1][1])"
LOADERS = {
    "context": ("the context's `DataLoader`", "bare"),
    "list": ("a list", "bare"),
    "generator": ("a class with a generator", "bare"),
    "torch": ("torch's `DataLoader`", "bare"),
    "torch, workers": ("torch's `DataLoader`, 2 workers", "bare_workers"),
    "stream": ("torch's, `IterableDataset`", "bare_stream"),
}
"""What a row calls each kind of loader, and its bare loop: on a list, or on the same loader where that itself costs much."""

PEERS = {
    "bare_item": "bare + `.item()` + append",
    "bare_loader": "bare + torch's DataLoader",
    "ignite": "ignite, every loss kept",
    "skorch": "skorch, every loss kept",
}


@dataclass(frozen=True)
class Loop:
    """One row: a peer's loop, or detjupyter on a loader, recorded or with the live view, too."""

    name: str
    label: str
    bare: str = "bare"
    loader: str | None = None


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
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, default=2000, help="length of every run")
    parser.add_argument("--loader", nargs="+", choices=list(LOADERS), default=list(LOADERS), help="kinds of loaders; by default all")
    parser.add_argument("--threads", choices=["1", "default", "both"], default="both", help="of torch")
    arguments = parser.parse_args()
    print_machine("torch", "ipykernel", "anywidget", "sqlalchemy", "pytorch-ignite", "skorch")
    for threads in ("1", "default") if arguments.threads == "both" else (arguments.threads,):
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
            environment = {
                **kernel_environment(Path(scratch)),
                "DETJUPYTER_BENCH_MODEL": arguments.model,
                "DETJUPYTER_BENCH_THREADS": threads,
            }
            if threads == "default":
                for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
                    environment.pop(name)
            with Kernel(Path(scratch), environment) as kernel, Page(kernel) as page:
                measure(kernel, page, arguments.loader, arguments.rounds, arguments.batches)


def measure(kernel: Kernel, page: Page, loaders: list[str], rounds: int, count: int) -> None:
    """Run all loops ``rounds`` times and print the tables."""
    kernel.run(SETUP)
    loops = [Loop(name, PEERS[name]) for name in ("bare_item", "bare_loader", *kernel.run("", "loops.PEERS"))]
    for loader in loaders:
        label, bare = LOADERS[loader]
        loops += [Loop("recorded", f"**recorded**, {label}", bare, loader), Loop("live", f"**with live view**, {label}", bare, loader)]
    figures, live, nothing = [Figures() for _ in loops], Live(), Live()
    for loop in [Loop(bare, "") for bare in {loop.bare for loop in loops}] + loops:
        run(kernel, page, loop, max(count // 4, 400), nothing)  # imports, caches
    for _ in range(rounds):
        before, bare = (0.0, 0.0), ""
        for loop, mine in zip(loops, figures, strict=True):
            if loop.bare != bare:
                bare, before = loop.bare, run(kernel, page, Loop(loop.bare, ""), count, nothing)
            wall_us, cpu_us = run(kernel, page, loop, count, live)
            after = run(kernel, page, Loop(loop.bare, ""), count, nothing)
            mine.cpu_us.append(cpu_us)
            mine.bare_cpu_us += [before[1], after[1]]
            mine.wall_ratio.append(2 * wall_us / (before[0] + after[0]))
            mine.cpu_ratio.append(2 * cpu_us / (before[1] + after[1]))
            before = after
    print_results(kernel.run("", "loops.torch.get_num_threads()"), loops, figures, live, f"{rounds} rounds of {count:,} batches")


def load(loader: str) -> str:
    """Return the code of a cell that loads the definition with a loader of that kind."""
    options = f"--name bench --hparam 'loader={loader}' --path {HERE / 'definitions'}/"
    return f"gc.collect()\nsession = get_ipython().run_line_magic('det_load', {options!r} + loops.DEFINITION.name)"


def run(kernel: Kernel, page: Page, loop: Loop, count: int, live: Live) -> tuple[float, float]:
    """Run one loop; return microseconds of wall and of CPU per batch."""
    if loop.name == "live":
        return run_live(kernel, page, str(loop.loader), count, live)
    if loop.name != "recorded":
        wall_us, cpu_us = kernel.run("", f"loops.measure({loop.name!r}, {count}, {count // SKIPPED})")
        return wall_us, cpu_us
    kernel.run(f"{load(str(loop.loader))}\nsession.train(batches={count}, wait=True)")
    wall_us, cpu_us, _ = kernel.run("", STOPWATCH.replace("SKIP", str(count // SKIPPED)))
    kernel.run(CHECK.replace("COUNT", str(count)))
    return wall_us, cpu_us


def run_live(kernel: Kernel, page: Page, loader: str, count: int, live: Live) -> tuple[float, float]:
    """Train with the live view, as a user does: the cell returns at once and the kernel is idle while it trains."""
    kernel.run(load(loader))
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


def print_results(threads: int, loops: list[Loop], figures: list[Figures], live: Live, runs: str) -> None:
    """Print both tables."""
    print(f"**{threads} torch thread{'s' * (threads > 1)}**, {runs}, the first in {SKIPPED} not counted. Bare loops, CPU µs per batch:")
    for bare in dict.fromkeys(loop.bare for loop in loops):
        values = [value for loop, one in zip(loops, figures, strict=True) if loop.bare == bare for value in one.bare_cpu_us]
        median, extent = spread(values, 0)
        print(f"{bare} {median} ({extent})")
    print()
    rows = []
    for loop, one in zip(loops, figures, strict=True):
        added = statistics.median([mine - mine / ratio for mine, ratio in zip(one.cpu_us, one.cpu_ratio, strict=True)])
        figure = spread(one.cpu_us, 0)[0], *spread(one.cpu_ratio, 3), f"{added:+.0f}", *spread(one.wall_ratio, 3)
        rows.append((loop.label, *figure))
    print_table(("loop", "CPU µs/batch", "CPU × bare", "min–max", "CPU µs added", "wall × bare", "min–max"), rows)
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
