"""A training that was killed and goes on in another process is the training that was not, to the bit.

Three processes, each a Python of its own with its own hash seed: one trains the first halves and is killed with SIGKILL, one restores and
trains the second halves, one trains everything at once.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from integration.continuation import CASES, MORE_AFTER_A_KILL, READY, Case

SCRIPT = Path(__file__).with_name("continuation.py")
LIMIT_S = 240


@dataclass(frozen=True)
class Trainings:
    """What came of every case in each process."""

    killed: dict[str, Any]
    restored: dict[str, Any]
    whole: dict[str, Any]

    def of(self, name: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """Return the three results of a case; one that failed fails the test."""
        results = self.killed.get(name, {}), self.restored[name], self.whole[name]
        for role, result in zip(("killed", "restored", "whole"), results, strict=True):
            assert "error" not in result, f"{role}: {result['error']}"
        return results


@pytest.fixture(scope="module")
def trainings(tmp_path_factory: pytest.TempPathFactory) -> Trainings:
    """Run the three processes, one after the other."""
    directory = tmp_path_factory.mktemp("continuation")
    _kill_when_ready(directory)
    for role, home in (("restored", "killed"), ("whole", "whole")):
        subprocess.run([sys.executable, SCRIPT, role, directory], env=_environment(directory / home), check=True, timeout=LIMIT_S)
    results = [json.loads((directory / f"{role}.json").read_text(encoding="utf-8")) for role in ("killed", "restored", "whole")]
    return Trainings(*results)


def _kill_when_ready(directory: Path) -> None:
    command = [sys.executable, SCRIPT, "killed", directory]
    with subprocess.Popen(command, env=_environment(directory / "killed"), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        limit = threading.Timer(LIMIT_S, process.kill)
        limit.start()
        try:
            said = process.stdout.readline().strip()
        finally:
            limit.cancel()
            process.send_signal(signal.SIGKILL)
        assert said == READY
        assert process.wait(30) == -signal.SIGKILL


def _environment(home: Path) -> dict[str, str]:
    # One thread: the sums of a kernel that is split over threads depend on how many there are.
    return os.environ | {"DETJUPYTER_HOME": str(home), "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "random"}


@pytest.mark.timeout(3 * LIMIT_S)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_goes_on_as_if_it_had_not_been_killed(trainings: Trainings, case: Case) -> None:
    """The losses of both halves are those of the whole, and so are weights, buffers, optimizers and schedulers at the end."""
    killed, restored, whole = trainings.of(case.name)
    total = case.before + case.after
    assert [int(batch) for batch in whole["losses"]] == list(range(1, total + 1))
    assert [int(batch) for batch in killed["losses"]] == list(range(1, case.before + 1))
    assert [int(batch) for batch in restored["losses"]] == list(range(case.before + 1, total + 1))
    assert killed["losses"] | restored["losses"] == whole["losses"]
    assert len(set(whole["losses"].values())) == total, "no batch was like another"
    assert restored["digests"] == whole["digests"]


@pytest.mark.timeout(3 * LIMIT_S)
def test_a_process_killed_at_any_moment_goes_on_from_its_last_checkpoint(trainings: Trainings) -> None:
    """Checkpoints every three batches, killed in between: the newest in the history is complete, and the rest is trained as it was."""
    _, restored, whole = trainings.of("the newest of many")
    before = restored["before"]
    assert before >= 18
    assert before % 3 == 0 or before % 4 == 0, "every three batches, and after a validation that was the best so far"
    assert [int(batch) for batch in restored["losses"]] == list(range(before + 1, before + MORE_AFTER_A_KILL + 1))
    assert restored["losses"].items() <= whole["losses"].items()
    assert restored["kept"].items() <= whole["losses"].items(), "what the history kept of the killed training is true"
    assert restored["digests"] == whole["digests"]
