"""What listing the history costs: `dj.runs` with all runs, a page, a filter, a condition, the state of each run, and the best of all.

    python benchmarks/run_listing.py [--rounds 5] [--runs 1000 20000]

The histories are created in a temporary directory. Each row is compared with reading the ids and states of the same runs by bare SQLite.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from report import print_machine, print_table, spread


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, nargs="+", default=[1_000, 20_000])
    asked = parser.parse_args()
    print_machine("sqlalchemy")
    rows = []
    for runs in asked.runs:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
            os.environ["DETJUPYTER_HOME"] = scratch
            fill(runs)
            rows += measured(Path(scratch) / "runs.sqlite", runs, asked.rounds)
    print_table(("runs", "call", "CPU ms", "min–max", "× bare SQLite"), rows)


def fill(count: int) -> None:
    """Create finished runs, with twenty hyperparameters each."""
    from detjupyter.protocol.records import BestRecord, RunRecord, SessionRecord
    from detjupyter.protocol.states import State
    from detjupyter.store import open_store

    values = {"lr": 0.1, **{f"hyperparameter_{number}": number / 7 for number in range(19)}}
    session = SessionRecord("s", "", "model_def:Trial", "d", "/d", "pytorch", "cpu", state=State.FINISHED, elapsed_s=60.0)
    run = RunRecord(
        id="", state=State.FINISHED, entrypoint="model_def:Trial", definition="d", definition_root="/d", framework="pytorch", device="cpu",
        seed=1, hyperparameters=values, config={"hyperparameters": values}, bundle_hash="ab", kernel_id=None, host="here", pid=1,
        created_at=0.0, updated_at=1.0, ended_at=1.0, batches_trained=9, best=None, session=None,
    )  # fmt: skip
    store = open_store()
    with store.transaction():
        for number in range(count):
            state = State.FAILED if number % 10 == 0 else State.FINISHED
            lr, accuracy = 10.0 ** -(1 + number % 5), number % 1000 / 1000
            latest = {"training": {"loss": 1 - accuracy}, "validation": {"loss": 1 - accuracy, "accuracy": accuracy}}
            best = BestRecord("accuracy", accuracy, 9, smaller_is_better=False)
            mine = replace(session, run_id=f"run{number}", latest=latest, best=best)
            hyperparameters = values | {"lr": lr}
            store.create_run(
                replace(
                    run, id=f"run{number}", created_at=float(number), state=state, hyperparameters=hyperparameters,
                    config={"hyperparameters": hyperparameters}, session=mine, best=best,
                )
            )  # fmt: skip
    store.close()


def measured(file: Path, count: int, rounds: int) -> list[tuple[str, ...]]:
    """Return the rows of one history."""
    import detjupyter as dj

    def bare() -> object:
        with sqlite3.connect(file) as connection:
            return connection.execute("SELECT id, state FROM runs ORDER BY created_at DESC, number DESC").fetchall()

    calls: dict[str, Callable[[], object]] = {
        "dj.runs(None)": lambda: dj.runs(None),
        "[run.state for run in dj.runs(None)]": lambda: [run.state for run in dj.runs(None)],
        'dj.runs(None, state="failed")': lambda: dj.runs(None, state="failed"),
        "dj.runs(100)": lambda: dj.runs(100),
        'dj.runs(None, where="lr < 1e-3 and accuracy > 0.9")': lambda: dj.runs(None, where="lr < 1e-3 and accuracy > 0.9"),
        'dj.compare("best", "run0")': lambda: dj.compare("best", "run0"),
    }
    least = min(timed(bare) for _ in range(rounds))
    rows = []
    for name, call in calls.items():
        call()  # SQLAlchemy compiles the statement
        taken = [timed(call) for _ in range(rounds)]
        rows.append((f"{count:,}", f"`{name}`", *spread([1000 * seconds for seconds in taken], 1), f"{min(taken) / least:.1f}"))
    return rows


def timed(call: Callable[[], object]) -> float:
    """Return the CPU time of a call, in seconds: other load on the machine affects it less than wall time."""
    began = time.process_time()
    call()
    return time.process_time() - began


if __name__ == "__main__":
    main()
