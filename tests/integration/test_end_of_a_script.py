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


# Native pools of threads that call into Python, or that Python's end finds at work: intra-op and inter-op threads of torch, those of the
# linear algebra, autograd's, and a loader's worker.
POOLS = """
import torch
from torch.utils.data import TensorDataset
from detjupyter.pytorch import DataLoader, PyTorchTrial


@torch.jit.script
def branch(x, w):
    return torch.relu(x @ w)


@torch.jit.script
def forked(x, w):
    first = torch.jit.fork(branch, x, w)
    second = torch.jit.fork(branch, x, w)
    return torch.jit.wait(first) + torch.jit.wait(second)


class Python(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient.clone()


class Pools(PyTorchTrial):
    def __init__(self, context):
        self.context = context
        self.model = context.wrap_model(torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.Flatten(), torch.nn.Linear(4 * 26 * 26, 64)))
        self.model.register_parameter("extra", torch.nn.Parameter(torch.randn(64, 64)))
        self.optimizer = context.wrap_optimizer(torch.optim.SGD(self.model.parameters(), 1e-4))

    def build_training_data_loader(self):
        return DataLoader(TensorDataset(torch.randn(128, 1, 28, 28)), batch_size=32, num_workers=1)

    build_validation_data_loader = build_training_data_loader

    def train_batch(self, batch, epoch_idx, batch_idx):
        values = torch.linalg.svdvals(torch.randn(100, 100)).sum()
        loss = (forked(Python.apply(self.model(batch[0])), self.model.extra) ** 2).mean() + 0 * values
        self.context.backward(loss)
        self.context.step_optimizer(self.optimizer)
        return {"loss": loss}

    def evaluate_batch(self, batch):
        return {"mean": float(self.model(batch[0]).mean())}
"""
ENDINGS = {
    "closed": "session.train(batches=6, wait=True)\nsession.close()\n",
    "left open": "session.train(batches=6, wait=True)\n",
    "at work": "session.train(batches=10**9)\nwhile session.batches_trained < 3: time.sleep(0.01)\n",
    "after an exception": "session.train(batches=10**9)\nwhile session.batches_trained < 3: time.sleep(0.01)\nraise SystemExit(0)\n",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_native_threads_do_not_abort_the_process_at_its_end(ending: str, tmp_path: Path) -> None:
    """A trial whose layers use several pools of threads, trained in the background: the exit status is 0."""
    (tmp_path / "pools.py").write_text(POOLS)
    script = f"import time\nimport detjupyter as dj\nsession = dj.load('pools:Pools', device='cpu')\n{ENDINGS[ending]}"
    ran = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "terminate called" not in ran.stderr
