"""A callback that keeps what it is given."""

from __future__ import annotations

from support.definition import Definition

PERIODS = """
from detjupyter.pytorch import PyTorchCallback


class Periods(PyTorchCallback):
    def __init__(self):
        self.averages, self.batches, self.saved = [], [], []

    def on_training_workload_end(self, avg_metrics, batch_metrics):
        self.averages.append(avg_metrics)
        self.batches.append(batch_metrics)

    def on_checkpoint_upload_end(self, uuid):
        self.saved.append(uuid)

    MORE = None
"""


def listening(line: Definition) -> Definition:
    """Give the line a callback, `trial.periods`, that records the metrics of each reporting period and the ids of checkpoints."""
    line.write(periods=PERIODS)
    line.edit("from detjupyter", "from periods import Periods\nfrom detjupyter")
    line.edit(
        "\n    def train_batch",
        "\n    def build_callbacks(self):\n        self.periods = Periods()\n"
        "        self.periods.context = self.context\n        return {'periods': self.periods}\n"
        "\n    def train_batch",
    )
    return line


def in_constructor(line: Definition, statement: str) -> None:
    """Add a statement to the end of the trial's constructor."""
    line.edit("\n    def build_training", f"        {statement}\n\n    def build_training")
