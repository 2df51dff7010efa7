"""What a checkpoint costs the training: how long batches wait for the copy of the state, and how much slower they are while it is written.

    python benchmarks/checkpoint_cost.py [--megabytes 1000] [--rounds 5] [--device cpu]

One process: a trial with that many megabytes of weights trains small batches; in turns a checkpoint is saved through the session, and the
same weights by a plain ``torch.save`` in the place of it. The first checkpoint of a training is separate, since it needs memory that
later ones use again. Only the ratios of one run are worth quoting.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from report import print_machine, print_table, spread

if TYPE_CHECKING:
    from detjupyter import Session

LONG = 1_000_000_000
WARM_UP_S = 4.0
SETTLE_S = 0.5
DEFINITION = """
import time

import torch
from torch import nn
from torch.utils.data import TensorDataset

from detjupyter.pytorch import DataLoader, PyTorchTrial


class HeavyTrial(PyTorchTrial):
    '''A small network that is trained, and large tables that only have to be saved.'''

    def __init__(self, context):
        self.context = context
        tables = [nn.Embedding(16_000, 1_000) for _ in range(max(context.get_hparam("megabytes") // 64, 1))]
        self.model = context.wrap_model(nn.ModuleDict({"small": nn.Linear(256, 256), "tables": nn.ModuleList(tables)}))
        self.optimizer = context.wrap_optimizer(torch.optim.SGD(self.model["small"].parameters(), lr=0.01))
        self.ends = []

    def build_training_data_loader(self):
        return DataLoader(TensorDataset(torch.randn(6400, 256)), batch_size=64)

    def build_validation_data_loader(self):
        return DataLoader(TensorDataset(torch.randn(64, 256)), batch_size=64)

    def train_batch(self, batch, epoch_idx, batch_idx):
        loss = (self.model["small"](batch[0]) ** 2).mean()
        self.context.backward(loss)
        self.context.step_optimizer(self.optimizer)
        self.ends.append(time.perf_counter())
        return {"loss": loss}

    def evaluate_batch(self, batch):
        return {"loss": (self.model["small"](batch[0]) ** 2).mean()}
"""


@dataclass
class Figures:
    """Measurements, one for each round."""

    save_s: list[float] = field(default_factory=list)
    blocked_s: list[float] = field(default_factory=list)
    written_s: list[float] = field(default_factory=list)
    slowdown: list[float] = field(default_factory=list)

    def ratios(self) -> list[float]:
        """Return how long the training was blocked, by the plain save of the same round."""
        return [blocked / save for blocked, save in zip(self.blocked_s, self.save_s, strict=True)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    print_machine("torch")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        os.environ["DETJUPYTER_HOME"] = str(Path(scratch) / "home")
        import torch

        torch.set_num_threads(1)  # as the other benchmarks; the copy of the state is single-threaded then, too
        first, later = measure(Path(scratch), arguments.megabytes, arguments.rounds, arguments.device)
    header = ["checkpoint", "plain save s", "blocked s", "blocked / save", "min–max", "written after s", "batches while writing, × quiet"]
    rows = []
    for name, figures in (("the first of a training", first), ("the next ones", later)):
        ratio, span = spread(figures.ratios(), 3)
        texts = [statistics.median(values) for values in (figures.save_s, figures.blocked_s)]
        rows.append(
            [
                name,
                *(f"{value:.3f}" for value in texts),
                ratio,
                span,
                f"{statistics.median(figures.written_s):.2f}",
                f"{statistics.median(figures.slowdown):.2f}",
            ]
        )
    print_table(header, rows)


def measure(scratch: Path, megabytes: int, rounds: int, device: str) -> tuple[Figures, Figures]:
    """Return the figures of first checkpoints, and those of the others; each round is a new session with two more checkpoints."""
    import detjupyter as dj

    definition = scratch / "heavy"
    definition.mkdir()
    (definition / "model_def.py").write_text(DEFINITION)
    first, later = Figures(), Figures()
    for _ in range(rounds):
        session = dj.load(path=definition, hparams={"megabytes": megabytes}, device=device, seed=1, name="heavy")
        session.train(batches=LONG)
        time.sleep(WARM_UP_S)
        for figures in (first, later, later):
            checkpoint(session, figures)
            plain_save(session, scratch / "plain.pth", figures)
        session.stop()
        session.close()
        del session
    return first, later


def checkpoint(session: Session, figures: Figures) -> None:
    """Save one checkpoint while the training runs."""
    time.sleep(SETTLE_S)
    began = time.perf_counter()
    session.checkpoint()
    ended = time.perf_counter()
    ends = [at for at in session.trial.ends if at >= began - SETTLE_S]
    batches = [(end, end - start) for start, end in itertools.pairwise(ends)]
    quiet = statistics.median(took for at, took in batches if at < began)
    during = [took for at, took in batches if began <= at <= ended]
    blocked = max(during)
    figures.blocked_s.append(blocked - quiet)
    figures.written_s.append(ended - began)
    figures.slowdown.append(statistics.fmean(took for took in during if took < blocked) / quiet if len(during) > 1 else 1.0)


def plain_save(session: Session, target: Path, figures: Figures) -> None:
    """Save the same weights between two batches, as people do; to the page cache, as ``torch.save`` leaves them."""
    import torch

    def save(trial: Any) -> float:
        began = time.perf_counter()
        torch.save({"model": trial.model.state_dict(), "optimizer": trial.optimizer.state_dict()}, target)
        return time.perf_counter() - began

    figures.save_s.append(session.at_batch(save))
    target.unlink()


if __name__ == "__main__":
    main()
