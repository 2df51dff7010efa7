"""What a plain script shows and leaves when it ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from detjupyter.protocol.states import State
from detjupyter.store import open_store

TESTS = Path(__file__).parents[1]
SCRIPT = """
import sys, pathlib
sys.path.append(sys.argv[2])
from support.bench import Bench
from detjupyter.definition.config import Config
from detjupyter.session.registry import registry
from detjupyter.store import open_store
root = pathlib.Path(sys.argv[1]).parent / "toy"
root.mkdir()
bench = Bench(root, Config())
bench.open_store = lambda: open_store(pathlib.Path(sys.argv[1]))
registry.add(bench.session)
"""
WAITS = "bench.session.train(batches=50)\nbench.session.wait()\n"
FORGETS = "bench.session.train(batches=10**9)\nbench.session.at_batch(lambda _: None)\n"


@pytest.mark.parametrize(("ending", "state", "lines"), [(WAITS, State.FINISHED, 0), (FORGETS, State.INTERRUPTED, 1)], ids=["waits", "ends"])
def test_a_script_that_ends_before_its_training_says_so(tmp_path: Path, ending: str, state: State, lines: int) -> None:
    """One line on stderr names the session, the batch and the call that waits; a script that waited prints nothing."""
    path = tmp_path / "runs.sqlite"
    code = [sys.executable, "-c", SCRIPT + ending, str(path), str(TESTS)]
    ran = subprocess.run(code, capture_output=True, text=True, timeout=100, check=False)
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stderr.splitlines()) == lines, ran.stderr
    assert all("session.wait() waits for its end" in line for line in ran.stderr.splitlines())
    store = open_store(path)
    (run,) = store.runs()
    assert run.state is state
    store.close()
