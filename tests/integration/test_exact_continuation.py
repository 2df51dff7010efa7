"""A training that is killed and continues in another process gives bit for bit the results of an uninterrupted one.

Three Python processes, each with its own hash seed: one trains the first halves and is killed with SIGKILL, one restores and
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
import torch
from support import continuation
from support.continuation import CASES, MORE_AFTER_A_KILL, READY, Case

SCRIPT = Path(continuation.__file__)
LIMIT_S = 240
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


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


@pytest.fixture(scope="module", params=DEVICES)
def trainings(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Trainings:
    """Run the three processes, one after the other."""
    device = request.param
    directory = tmp_path_factory.mktemp("continuation")
    _kill_when_ready(directory, device)
    for role, home in (("restored", "killed"), ("whole", "whole")):
        subprocess.run([sys.executable, SCRIPT, role, directory, device], env=_environment(directory / home), check=True, timeout=LIMIT_S)
    results = [json.loads((directory / f"{role}.json").read_text(encoding="utf-8")) for role in ("killed", "restored", "whole")]
    return Trainings(*results)


def _kill_when_ready(directory: Path, device: str) -> None:
    command = [sys.executable, SCRIPT, "killed", directory, device]
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
    # One thread: the sums of a kernel that is split over threads depend on how many there are. cuBLAS is repeatable with such a workspace.
    ours = {"DETJUPYTER_HOME": str(home), "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "random", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    return os.environ | ours


@pytest.mark.timeout(3 * LIMIT_S)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_goes_on_as_if_it_had_not_been_killed(trainings: Trainings, case: Case) -> None:
    """The losses of both halves are those of the whole, and so are weights, buffers, optimizers and schedulers at the end."""
    killed, restored, whole = trainings.of(case.name)
    total = case.before + case.after
    halves, ones = (killed["metrics"], restored["metrics"]), whole["metrics"]
    assert list(ones["loss"]) == _numbers(1, total)
    assert list(halves[0]["loss"]) == _numbers(1, case.before)
    assert list(halves[1]["loss"]) == _numbers(case.before + 1, total)
    assert {name: halves[0][name] | halves[1][name] for name in ones} == ones
    assert len(set(ones["loss"].values())) == total, "no batch was like another"
    assert restored["digests"] == whole["digests"]


@pytest.mark.timeout(3 * LIMIT_S)
def test_a_process_killed_at_any_moment_goes_on_from_its_last_checkpoint(trainings: Trainings) -> None:
    """Saved every three batches, killed in between: the history has a complete one and all up to it; the rest is trained again."""
    _, restored, whole = trainings.of("the newest of many")
    before = restored["before"]
    total = before + MORE_AFTER_A_KILL
    ones = whole["metrics"]
    assert before >= 3, "the newest ones may have been on their way to the disk"
    assert before % 3 == 0 or before % 4 == 0, "every three batches, and after a validation that was the best so far"
    assert len(restored["unknown"]) <= 1, "the history knows the checkpoints on disk, but for one that was just written"
    for name in ones:
        assert _part(restored["kept"][name], 1, before) == _part(ones[name], 1, before)
        assert restored["metrics"][name] == _part(ones[name], before + 1, total)
    assert restored["digests"] == whole["digests"]


def _numbers(first: int, last: int) -> list[str]:
    return [str(number) for number in range(first, last + 1)]


def _part(metric: dict[str, str], first: int, last: int) -> dict[str, str]:
    return {batch: value for batch, value in metric.items() if first <= int(batch) <= last}
