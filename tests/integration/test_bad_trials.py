"""Mistakes in a trial: one clear error each, and a session that is usable afterwards."""

from __future__ import annotations

import multiprocessing
import os
import signal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from support.waiting import wait_until
from support.warned import warned

from detjupyter.errors import CheckpointError, DetJupyterError, LengthError, TrialError
from detjupyter.protocol.lengths import Epoch

if TYPE_CHECKING:
    from support.definition import Definition

RETURN = 'return {"loss": loss}'


def fails(session: Any, words: str, **length: int) -> None:
    """Train until the error; it has the expected words and no frame of detjupyter, and the session can still be used."""
    with pytest.raises(DetJupyterError, match=words) as raised:
        session.train(**(length or {"batches": 4}), wait=True)
    assert f"{os.sep}detjupyter{os.sep}pytorch" not in str(raised.value)
    assert session.state == "failed"
    assert session.error is not None


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        ("return 'good'", "must return the loss or a dict of metrics"),
        ("return [loss]", "must return the loss or a dict of metrics"),
        ("return None", "must return the loss or a dict of metrics"),
    ],
)
def test_what_is_no_metrics_is_named(line: Definition, returned: str, words: str) -> None:
    """The error names the type; after the fix the training continues."""
    line.edit(RETURN, returned)
    session = line.load()
    fails(session, words)
    line.edit(returned, RETURN)
    session.reload()
    session.train(batches=2, wait=True)
    assert session.state == "finished"


def test_metrics_that_are_no_numbers_do_no_harm(line: Definition) -> None:
    """Text and None are left out, and arrays count by their mean, regardless of earlier batches."""
    line.edit(RETURN, 'return {"loss": loss, "name": "text", "none": None, "many": torch.ones(2, 3), "ragged": [[1], [2, 3]], "t": True}')
    session = line.load()
    session.train(batches=3, wait=True)
    assert session.run is not None
    assert sorted(session.run.metric_names()) == ["loss", "many", "t"]
    assert session.metrics("many")[1].tolist() == [1, 1, 1]


@pytest.mark.parametrize("value", ["float('nan')", "float('inf')"])
def test_a_loss_that_is_no_number_is_kept_as_it_is(line: Definition, value: str) -> None:
    """It is drawn at its batch, and nothing stops."""
    line.edit(RETURN, f'return {{"loss": loss * {value} if batch_idx == 2 else loss}}')
    session = line.load()
    session.train(batches=5, wait=True)
    assert session.state == "finished"
    assert np.isfinite(session.metrics("loss")[1]).tolist() == [True, True, False, True, True]


@pytest.mark.parametrize(("loader", "words"), [("training", "no training batches"), ("validation", "no validation batches")])
def test_an_empty_loader_is_named(line: Definition, loader: str, words: str) -> None:
    """Also where drop_last leaves nothing."""
    size = "batch_size=4" if loader == "training" else "batch_size=20"
    line.edit(size, f"{size.replace('4', '64').replace('20', '64')}, drop_last=True")
    fails(line.load(), words)


@pytest.mark.parametrize("length", [{"batches": 3}, {"epochs": 1}, {"records": 8}, {"batches": 3, "validate_every": Epoch(1)}])
@pytest.mark.parametrize("loader", ["ours", "torch's", "a list"])
def test_empty_training_data_is_named_for_each_length(length: dict[str, Any], loader: str, line: Definition) -> None:
    """In batches, epochs and records, and a period in epochs; the session can be used afterwards."""
    line.edit("batch_size=4", "batch_size=64, drop_last=True")
    if loader != "ours":
        line.edit("self.context = context", "self.context = context\n        context.experimental.disable_dataset_reproducibility_checks()")
        line.edit("import DataLoader, PyTorchTrial", "import PyTorchTrial\nfrom torch.utils.data import DataLoader")
    if loader == "a list":
        given = "(TensorDataset(inputs, targets), batch_size=64, drop_last=True, shuffle="
        line.edit(f"return DataLoader{given}", "return [] and dict(shuffle=")
    session = line.load()
    unknown = "records" in length and loader == "a list"
    with pytest.raises((TrialError, LengthError), match="no batch_size" if unknown else "no training batches"):
        session.train(**length, wait=True)
    assert session.validate()["error"] >= 0


@pytest.mark.parametrize("claimed", [3, 20, 10])
@pytest.mark.parametrize("workers", [0, 1])
def test_a_wrong_length_of_the_data_is_named_once(claimed: int, workers: int, line: Definition) -> None:
    """A sampler whose ``__len__`` is not what it yields."""
    line.edit(
        "class LineTrial",
        "from torch.utils.data import BatchSampler, SequentialSampler\n\n\n"
        f"class Wrong(BatchSampler):\n    def __len__(self):\n        return {claimed}\n\n\nclass LineTrial",
    )
    line.edit("batch_size=4, shuffle=", f"batch_sampler=Wrong(SequentialSampler(inputs), 4, False), num_workers={workers}); dict(a=")
    session = line.load()
    session.train(batches=35, wait=True)
    named = warned(session, "length of the training data")
    assert len(named) == (claimed != 10)
    assert all(f"is {claimed}, but an epoch had 10 batches" in one for one in named)


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [
        ("self.context.step_optimizer(self.optimizer)", "pass", "does train_batch() call context.step_optimizer()"),
        ("self.context.backward(loss)", "pass", "does train_batch() call context.backward(loss)"),
        (
            "loss = ((self.model(x) - y) ** 2).mean()",
            "loss = torch.ones((), requires_grad=True) * 2",
            "a loss that depends on the wrapped models",
        ),
    ],
)
def test_a_training_that_changes_no_parameter_is_named_once(old: str, new: str, cause: str, line: Definition) -> None:
    """With the likely cause."""
    line.edit(old, new)
    session = line.load()
    for _ in range(5):
        session.step(10)
    (named,) = warned(session, "No parameter changed")
    assert cause in named
    assert session.record().warnings == (named,)
    line.edit(new, old)
    session.reload()
    session.step(10)
    assert session.record().warnings == ()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LineTrial", "LineTrial"),
        ("self.context.step_optimizer(self.optimizer)", "[p.data.sub_(0.01 * p.grad) for p in self.model.parameters()]"),
        ("self.context.step_optimizer(self.optimizer)", "batch_idx >= 9 and self.context.step_optimizer(self.optimizer)"),
        ("self.context.backward(loss)", "[p.requires_grad_(False) for p in self.model.parameters()]; return {'loss': loss}"),
    ],
    ids=["an ordinary one", "through .data", "after a while", "nothing to train"],
)
def test_a_training_that_does_change_parameters_is_not_named(old: str, new: str, line: Definition) -> None:
    """Also by an optimizer that torch does not see, after a warm-up, and where all is frozen."""
    line.edit(old, new)
    session = line.load()
    for _ in range(4):
        session.step(10)
    assert not warned(session, "No parameter changed")


def test_a_loader_shorter_than_a_step_is_gone_through_again(line: Definition) -> None:
    """A step of many batches, and an update gathered over more batches than an epoch has."""
    session = line.load(config={"optimizations": {"aggregation_frequency": 16}})
    before = [parameter.clone() for parameter in session.trial.model.parameters()]
    session.step(15)
    assert all(torch.equal(one, two) for one, two in zip(before, session.trial.model.parameters(), strict=True))
    session.step(10)
    assert session.batches_trained == 25
    assert not torch.equal(before[0], next(session.trial.model.parameters()))


def test_an_optimizer_of_other_parameters_is_refused(line: Definition) -> None:
    """Its updates would change nothing; the message counts them."""
    line.edit("Adam(self.model.parameters()", "Adam(nn.Linear(2, 2).parameters()")
    with pytest.raises(TrialError, match=r"Optimizer 0 \(Adam\) has 2 parameters, but none of a wrapped model"):
        line.load()


def test_reducers_that_do_not_fit_name_both_sides(line: Definition) -> None:
    """The metrics, and what there are reducers for."""
    line.edit("    def evaluate_batch", "    def evaluation_reducer(self):\n        return {'wrong': 1}\n\n    def evaluate_batch")
    session = line.load()
    with pytest.raises(TrialError, match=r"\['wrong'\], the metrics are \['error'\]"):
        session.validate()


def test_a_callback_that_raises_is_the_users_own_error(line: Definition) -> None:
    """With its frame."""
    line.edit("from detjupyter.pytorch import", "from detjupyter.pytorch import PyTorchCallback,")
    line.edit(
        "class LineTrial",
        "class Bad(PyTorchCallback):\n    def on_validation_end(self, metrics):\n        metrics['no']\n\n\nclass LineTrial",
    )
    line.edit("    def evaluate_batch", "    def build_callbacks(self):\n        return {'bad': Bad()}\n\n    def evaluate_batch")
    session = line.load()
    with pytest.raises(TrialError, match="KeyError: 'no'") as raised:
        session.validate()
    assert "metrics['no']" in raised.value.user_traceback
    session.step()
    assert session.batches_trained == 1


def test_a_batch_that_cannot_move_says_why(line: Definition) -> None:
    """The error shows the exception of the batch's own method, with its line."""
    stuck = "class Stuck:\n    def to(self, device):\n        raise RuntimeError('nailed to the floor')\n\n\n"
    line.edit("class LineTrial", f"{stuck}def collate(records):\n    return Stuck()\n\n\nclass LineTrial")
    line.edit("batch_size=4,", "batch_size=4, collate_fn=collate,")
    fails(line.load(), "nailed to the floor")


def test_a_state_of_other_shapes_names_the_tensors(line: Definition) -> None:
    """With both shapes; the trial stays as it was."""
    session = line.load()
    session.step(3)
    saved = session.checkpoint()
    line.edit("nn.Linear(1, 8), dropout, nn.Linear(8, 1)", "nn.Linear(1, 5), dropout, nn.Linear(5, 1)")
    other = line.load()
    before = [parameter.clone() for parameter in other.trial.model.parameters()]
    with pytest.raises(CheckpointError, match=r"0\.weight is \(8, 1\) in the state and \(5, 1\) in the model"):
        other.restore(saved)
    assert all(torch.equal(one, two) for one, two in zip(before, other.trial.model.parameters(), strict=True))


def test_a_checkpoint_of_another_class_is_refused(line: Definition) -> None:
    """Both are named."""
    session = line.load()
    session.step()
    saved = session.checkpoint()
    line.edit("LineTrial", "CurveTrial")
    with pytest.raises(CheckpointError, match="checkpoint of LineTrial, but CurveTrial is loaded"):
        line.load().restore(saved)


def test_a_worker_that_is_killed_ends_the_training_and_not_the_session(line: Definition, request: pytest.FixtureRequest) -> None:
    """The error names the worker; the next training continues where this one stopped."""
    line.edit("batch_size=4,", "batch_size=4, num_workers=1,")
    line.edit("x, y = batch\n        loss", "x, y = batch\n        import time\n        time.sleep(0.01)\n        loss")
    session = line.load()
    # If this thread has used workers before, a handler of torch raises here, too, when any worker of the process is killed.
    handler = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    request.addfinalizer(lambda: signal.signal(signal.SIGCHLD, handler))
    session.train(batches=100_000)
    wait_until(lambda: session.batches_trained >= 3)
    (worker,) = multiprocessing.active_children()
    os.kill(worker.pid or 0, signal.SIGKILL)
    with pytest.raises(TrialError, match="DataLoader worker"):
        session.wait()
    reached = session.batches_trained
    session.train(batches=2, wait=True)
    assert session.batches_trained == reached + 2


def test_a_state_outside_of_checkpoints_is_spoken_of_where_it_is_missed(line: Definition) -> None:
    """A function that a trial sets at its first batch is not there after a restore: the hint says what a checkpoint contains."""
    line.edit(
        "        x, y = batch\n        loss",
        "        x, y = batch\n        if batch_idx == 0:\n            self.hidden = lambda: 1\n        loss",
    )
    line.edit(RETURN, 'return {"loss": loss * self.hidden()}')
    session = line.load()
    session.step(3)
    saved = session.checkpoint()
    session.train(batches=1, wait=True)
    fresh = line.load()
    fresh.restore(saved)
    with pytest.raises(TrialError, match="no attribute 'hidden'") as raised:
        fresh.train(batches=1, wait=True)
    assert f"restored from the checkpoint {saved.id}" in str(raised.value.hint)
    assert "self.hidden" in str(raised.value.hint)


def test_a_scheduler_of_an_older_torch_is_explained(line: Definition) -> None:
    """Its argument ``verbose`` is gone."""
    scheduler = "torch.optim.lr_scheduler.ReduceLROnPlateau(self.optimizer, verbose=True)"
    line.edit("    def build_training", f"        self.scheduler = {scheduler}\n\n    def build_training")
    with pytest.raises(TrialError, match="verbose") as raised:
        line.load()
    assert "omit it" in str(raised.value.hint)


def test_a_metric_of_the_config_that_is_not_there_is_spoken_of_once(line: Definition) -> None:
    """With those that are."""
    session = line.load(config={"searcher": {"metric": "eror"}})
    session.train(batches=4, validate_every=2, wait=True)
    assert session.run is not None
    said = [one.text for one in session.run.log() if "eror" in one.text]
    assert said == ["The config's metric 'eror' is not a validation metric (available: error). Ranking by the first one."]


def test_environment_variables_of_the_config_are_asked_for(line: Definition, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment belongs to the user: the card lists the variables that differ from the config."""
    config = {"environment": {"environment_variables": ["LINE_DATA=/data", "LINE_MODE=fast"]}}
    monkeypatch.setenv("LINE_MODE", "fast")
    (note,) = [note for note in line.load(config=config).card().notes if "environment variables" in note]
    assert "LINE_DATA" in note
    assert '`os.environ["LINE_DATA"] = "/data"`' in note
    assert "LINE_MODE" not in note


class TestOtherArguments:
    """Of ``__init__``, besides the context."""

    def test_hyperparameters_are_given_to_who_wants_them(self, line: Definition) -> None:
        """As scripts with a Trainer do."""
        line.edit("def __init__(self, context):", "def __init__(self, context, hparams, *, extra=3):")
        line.edit("        self.context = context", "        self.context, self.seen = context, (hparams, extra)")
        assert line.load(hparams={"lr": 0.5}).trial.seen == ({"lr": 0.5}, 3)

    def test_others_are_asked_for(self, line: Definition) -> None:
        """By name, with the two ways out."""
        line.edit("def __init__(self, context):", "def __init__(self, context, hparams, depth):")
        with pytest.raises(TrialError, match=r"LineTrial\.__init__ also requires hparams, depth") as raised:
            line.load()
        assert "default" in str(raised.value.hint)


@pytest.mark.parametrize("length", [{"batches": 0}, {"epochs": -1}, {"batches": 1, "epochs": 1}])
def test_a_length_that_makes_no_sense_is_refused_before_anything_happens(line: Definition, length: dict[str, int]) -> None:
    """The session stays ready."""
    session = line.load()
    with pytest.raises(LengthError):
        session.train(**length)
    assert session.state == "ready"
