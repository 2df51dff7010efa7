"""From `%det_load` to the first batch in a warm kernel, and how much of that is the user's own.

    python benchmarks/first_batch.py [--rounds 7]

One real kernel that has trained before. The user's part is measured in the same kernel: importing the same files, building the loader, the
network and its optimizer by hand, and one batch. Wall time.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from kernel import Kernel, kernel_environment
from report import print_machine, print_table, spread

HERE = Path(__file__).parent
DEFINITION = HERE / "definitions" / "tiny_mlp"
SETUP = f"""
import sys, time, torch
%load_ext detjupyter
def by_hand():
    began = time.perf_counter_ns()
    sys.path.insert(0, {str(DEFINITION)!r})
    try:
        import data, network
        loader = data.make_loader()
        model = network.Network()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        records, classes = next(iter(loader))
        torch.nn.functional.cross_entropy(model(records), classes).backward()
        optimizer.step()
    finally:
        sys.path.pop(0)
        for name in ("data", "network", "stopwatch"):
            sys.modules.pop(name, None)
    return (time.perf_counter_ns() - began) / 1e9
def with_detjupyter():
    began = time.perf_counter_ns()
    session = get_ipython().run_line_magic("det_load", "--name bench --path {DEFINITION}")
    get_ipython().run_line_magic("det_train", "--batches 1")
    session.wait()
    first = session.trial.model.stopwatch.readings[0][0]
    return (first - began) / 1e9
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    print_machine("torch", "ipykernel", "sqlalchemy")
    mine: list[float] = []
    theirs: list[float] = []
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch,
        Kernel(Path(scratch), kernel_environment(Path(scratch))) as kernel,
    ):
        kernel.run(SETUP)
        kernel.run("by_hand(); with_detjupyter()")  # imports, the store's file, the first optimizer of the process
        for _ in range(rounds):
            theirs.append(kernel.run("", "by_hand()"))
            mine.append(kernel.run("", "with_detjupyter()"))
    added = [one - other for one, other in zip(mine, theirs, strict=True)]
    rows = [
        ("the user's own part, by hand", *spread(theirs, 3)),
        ("`%det_load` to the first forward pass", *spread(mine, 3)),
        ("**added**", *spread(added, 3)),
    ]
    print_table(("wall s", "median", "min–max"), rows)
    print(f"Target: 0.3 s at most added; {statistics.median(added):.3f} s here.")


if __name__ == "__main__":
    main()
