"""How long the server takes to answer a zoom: a range of a run of a million batches, exact points of every curve.

    python benchmarks/chart_range.py [--batches 1000000] [--metrics 1 4] [--rounds 5]

A real Jupyter server on a history in a temporary directory; the time is that of the whole request, as the browser sends it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import numpy as np
from report import print_machine, print_table, spread

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "tests"))

from support.environments import Lab, LabProcess  # noqa: E402  the tests' own
from support.runs import ready_run  # noqa: E402

POINTS = 4000  # as the charts ask
AS_RECORDED = 5000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=1_000_000)
    parser.add_argument("--metrics", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    print_machine("jupyter_server", "sqlalchemy")
    batches = asked.batches
    ranges = [("all", 0, batches), ("the last half", batches // 2, batches), ("1,000 in the middle", batches // 2, batches // 2 + 1000)]
    rows = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        home, work = Path(scratch) / "home", Path(scratch) / "work"
        work.mkdir()
        process = LabProcess(home, work)
        for metrics in asked.metrics:
            fill(home, f"run{metrics}", metrics, batches)
        with process as lab:
            for metrics in asked.metrics:
                ask(lab, f"run{metrics}", 0, 10)  # the first request imports
                for name, first, last in ranges:
                    took = [ask(lab, f"run{metrics}", first, last) for _ in range(asked.rounds)]
                    rows.append((f"{metrics}", name, *spread([1000 * s for s in took], 0)))
    print_table(("metrics", "range", "ms", "min–max"), rows)


def fill(home: Path, run_id: str, metrics: int, batches: int) -> None:
    """Write a run as a training does: its points in pieces of half a second."""
    from detjupyter.protocol.states import Group
    from detjupyter.store import open_store
    from detjupyter.store.base import SeriesPoints

    store = open_store(home / "detjupyter/runs.sqlite")
    store.create_run(ready_run(run_id))
    generator = np.random.default_rng(0)
    with store.transaction():
        for first in range(1, batches + 1, AS_RECORDED):
            piece = np.arange(first, min(first + AS_RECORDED, batches + 1), dtype=np.int64)
            curves = [SeriesPoints(Group.TRAINING, f"m{index}", piece, generator.random(len(piece))) for index in range(metrics)]
            store.append_points(run_id, curves)
    store.close()


def ask(lab: Lab, run_id: str, first: int, last: int) -> float:
    """Return the seconds that the server takes for the range."""
    url = f"{lab.url}/detjupyter/api/runs/{run_id}/series?points={POINTS}&from={first}&to={last}&token={lab.token}"
    began = time.perf_counter()
    with urllib.request.urlopen(url, timeout=60) as answer:
        answer.read()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
