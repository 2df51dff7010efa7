"""What a cell leaves behind when it ends while a session trains."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support.cells import Cells
from support.waiting import wait_until

SLOW = Path(__file__).parent / "trials/slow.py"
COUNT = "len(os.listdir('/proc/self/task')) - threading.active_count()"


@pytest.mark.skipif(sys.platform != "linux", reason="only torch for Linux comes with GNU's OpenMP")
def test_a_cell_that_has_computed_with_torch_leaves_no_worker_threads(cells: Cells) -> None:
    """They would slow the training down until the kernel ends; without a training they stay, and the next cell begins at once."""
    cells.ok("import os, threading, torch\ntorch.set_num_threads(2)")
    cells.ok(f"%det_load :SlowTrial --path {SLOW} --hparam batch_s=0.01")
    compute = f"torch.arange(1_000_000.0).sqrt().sum(); in_cell = {COUNT}"
    cells.ok(compute)
    assert cells.value(f"{COUNT} == in_cell") == "True"
    cells.ok("%det_train --batches 100000")
    cells.ok(compute)
    wait_until(lambda: cells.value(f"{COUNT} == in_cell - 1") == "True")
