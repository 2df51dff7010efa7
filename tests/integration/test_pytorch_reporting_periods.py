"""Reporting periods and validations, with all that takes part in them."""

from __future__ import annotations

import pytest
from support.definition import Definition
from support.warned import warned

from detjupyter.errors import TrialError

OLD_CALLBACK = """
from detjupyter.pytorch import PyTorchCallback


class Steps(PyTorchCallback):
    def __init__(self):
        self.calls = []

    def on_train_step_start(self, step_id):
        self.calls.append(("start", step_id))

    def on_train_step_end(self, step_id, metrics):
        self.calls.append(("end", step_id, len(metrics["batch_metrics"]), sorted(metrics["avg_metrics"])))

    def on_validation_step_start(self):
        self.calls.append(("validation",))
"""


def test_steps_call_the_names_of_0_12(line: Definition) -> None:
    """A step is a ``scheduling_unit``; a step cut by the end of a training continues in the next training."""
    line.write(steps=OLD_CALLBACK)
    line.edit("from detjupyter", "from steps import Steps\nfrom detjupyter")
    line.edit(
        "    def train_batch",
        "    def build_callbacks(self):\n        self.steps = Steps()\n        return {'steps': self.steps}\n\n    def train_batch",
    )
    session = line.load(config={"scheduling_unit": 4})
    session.train(batches=10, wait=True)
    names = ["batches", "epochs", "loss"]
    assert session.trial.steps.calls == [
        ("start", 1),
        ("end", 1, 4, names),
        ("start", 2),
        ("end", 2, 4, names),
        ("start", 3),
        ("end", 3, 2, names),
        ("validation",),
    ]


def test_a_reducer_of_both_does_not_mix_validation_into_training(line: Definition) -> None:
    """This holds if the validation comes between two reporting periods, and if the user requests it in the middle of one."""
    line.edit("    def build_training", "        self.count = context.wrap_reducer(len, name='count')\n\n    def build_training")
    line.edit('return {"loss"', 'self.count.update(1)\n        return {"loss"')
    line.edit('return {"error"', 'self.count.update(1)\n        return {"error"')
    session = line.load()
    session.train(batches=6, validate_every=3, wait=True)
    assert session.metrics("count")[1].tolist() == [3.0, 3.0]
    assert session.metrics("count", "validation")[1].tolist() == [2.0, 2.0]
    session.validate()
    session.train(batches=2, wait=True)
    assert session.metrics("count")[1].tolist() == [3.0, 3.0, 2.0]


@pytest.mark.parametrize("where", ["evaluate_batch", "evaluate_full_dataset", "a reducer"])
def test_bytes_are_left_out_of_a_validation(line: Definition, where: str) -> None:
    """With one warning, wherever they come from."""
    if where == "evaluate_batch":
        line.edit('return {"error"', 'return {"picture": b"PNG", "error"')
    elif where == "a reducer":
        line.edit("    def build_training", "        context.wrap_reducer(lambda _: b'PNG', name='picture')\n\n    def build_training")
    else:
        line.edit(
            "    def evaluate_batch(self, batch):",
            "    def evaluate_full_dataset(self, data_loader):\n"
            "        return {'picture': b'PNG', 'error': 1.0}\n\n"
            "    def unused(self, batch):",
        )
    session = line.load()
    for _ in range(2):
        assert list(session.validate()) == ["error"]
    assert warned(session, "") == ["Metrics that are bytes were left out: 'picture'."]


def test_a_metric_of_the_whole_data_is_not_none(line: Definition) -> None:
    """It is named."""
    line.edit(
        "    def evaluate_batch(self, batch):",
        "    def evaluate_full_dataset(self, data_loader):\n        return {'error': None}\n\n    def unused(self, batch):",
    )
    with pytest.raises(TrialError, match="'error' must have a value"):
        line.load().validate()


def test_a_person_sees_plain_numbers_and_a_callback_numpys(line: Definition) -> None:
    """The results of a validation are the same numbers, though."""
    line.edit(
        "class LineTrial",
        "from detjupyter.pytorch import PyTorchCallback\n\n\nclass Seeing(PyTorchCallback):\n    pass\n\n\nclass LineTrial",
    )
    line.edit(
        "    def train_batch",
        "    def build_callbacks(self):\n"
        "        self.seeing = Seeing()\n"
        "        self.seeing.on_validation_end = lambda metrics: setattr(self, 'seen', metrics['error'].item())\n"
        "        return {'seeing': self.seeing}\n\n"
        "    def train_batch",
    )
    session = line.load()
    metrics = session.validate()
    assert type(metrics["error"]) is float
    assert metrics["error"] == session.trial.seen
