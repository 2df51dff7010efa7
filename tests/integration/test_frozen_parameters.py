"""Parameters that training freezes or unfreezes, groups that it adds or removes, and modules that it sets to eval."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from support.definition import fitting
from support.trained import losses
from support.waiting import LIMIT_S
from torch.nn.utils import prune as pruning

from detjupyter.errors import StateMismatchError, TrialError
from detjupyter.protocol.commands import MakeCheckpoint, Validate

if TYPE_CHECKING:
    from support.definition import Definition

UNFREEZING = fitting(
    "UnfreezingTrial",
    """
mode = context.get_hparam("mode")
self.body, self.norm, self.head = nn.Linear(1, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)
self.model = context.wrap_model(nn.Sequential(self.body, self.norm, self.head))
for parameter in self.body.parameters():
    parameter.requires_grad = False
groups = {
    "all in one": [{"params": [*self.model.parameters()]}],
    "adds a group": [{"params": [*self.head.parameters()]}],
    "removes a group": [{"params": [*self.body.parameters()], "lr": 0.02}, {"params": [*self.head.parameters()]}],
}[mode]
self.optimizer = context.wrap_optimizer(torch.optim.Adam(groups, lr=0.01))
self.unfreeze = Unfreeze(self, mode)
""",
    top="""
from torch.nn.utils import prune as pruning


class Unfreeze(pytorch.PyTorchCallback):
    def __init__(self, trial, mode):
        self.trial, self.mode = trial, mode

    def on_training_epoch_start(self, epoch_idx):
        if epoch_idx == 1:
            for parameter in self.trial.body.parameters():
                parameter.requires_grad = True
            self.trial.norm.eval()
            if self.mode == "adds a group":
                self.trial.optimizer.add_param_group({"params": [*self.trial.body.parameters()], "lr": 0.003, "note": "body"})
            if self.mode == "removes a group":
                del self.trial.optimizer.param_groups[1]
""",
    methods="""
def build_callbacks(self):
    return {"unfreeze": self.unfreeze}
""",
    records=32,
)
MODES = ["all in one", "adds a group", "removes a group"]


@pytest.fixture
def unfreezing(define: Callable[..., Definition]) -> Definition:
    """Write a definition whose body is frozen for the first epoch of eight batches."""
    return define("unfreezing", model_def=UNFREEZING)


def facts(session: Any) -> Any:
    """Return what no ``state_dict`` contains."""
    trial = session.trial
    groups = [(len(group["params"]), group["lr"], group.get("note")) for group in trial.optimizer.param_groups]
    return [each.requires_grad for each in trial.model.parameters()], groups, [each.training for each in trial.model.modules()]


@pytest.mark.parametrize("mode", MODES)
class TestTheTrainingIsTheSame:
    """A training that unfreezes its body after an epoch."""

    def test_after_a_restore_in_another_session(self, unfreezing: Definition, mode: str) -> None:
        """Losses are equal bit for bit."""
        given: dict[str, Any] = {"hparams": {"mode": mode}}
        session = unfreezing.load(**given)
        session.train(batches=12, wait=True)
        saved = session.checkpoint()
        session.train(batches=8, wait=True)
        other = unfreezing.load(**given)
        other.restore(saved.path)
        other.train(batches=8, wait=True)
        assert facts(other) == facts(session)
        assert losses(other)[-8:] == losses(session)[-8:]

    def test_after_a_reload(self, unfreezing: Definition, mode: str) -> None:
        """Losses are equal bit for bit, also after an edit of something else."""
        given: dict[str, Any] = {"hparams": {"mode": mode}}
        whole = unfreezing.load(**given)
        whole.train(batches=24, wait=True)
        session = unfreezing.load(**given)
        session.train(batches=12, wait=True)
        session.reload()
        session.train(batches=8, wait=True)
        unfreezing.edit('return {"loss": loss}', 'return {"loss": loss, "new": 1.0}')
        session.reload()
        session.train(batches=4, wait=True)
        assert facts(session) == facts(whole)
        assert losses(session) == losses(whole)

    def test_back_in_time(self, unfreezing: Definition, mode: str) -> None:
        """A checkpoint from before the unfreezing freezes again and restores the groups."""
        session = unfreezing.load(hparams={"mode": mode})
        session.train(batches=4, wait=True)
        saved, before = session.checkpoint(), facts(session)
        session.train(batches=8, wait=True)
        assert facts(session) != before
        first = losses(session)[4:]
        session.restore(saved.path)
        assert facts(session) == before
        session.train(batches=8, wait=True)
        assert losses(session)[4:] == first


def test_an_edit_of_a_group_or_of_requires_grad_takes_effect(unfreezing: Definition) -> None:
    """The new value of the code counts; a group that training added is kept."""
    session = unfreezing.load(hparams={"mode": "adds a group"})
    session.train(batches=12, wait=True)
    unfreezing.edit("lr=0.01", "lr=0.02")
    unfreezing.edit("self.optimizer = ", "self.head.bias.requires_grad = False\n        self.optimizer = ")
    session.reload()
    assert [group["lr"] for group in session.trial.optimizer.param_groups] == [0.02, 0.003]
    assert not session.trial.head.bias.requires_grad
    assert session.trial.body.weight.requires_grad


def test_groups_that_both_training_and_an_edit_changed_are_refused(unfreezing: Definition) -> None:
    """The message says what to do, and the old trial continues; with the groups that training made, the code is accepted."""
    session = unfreezing.load(hparams={"mode": "adds a group"})
    session.train(batches=12, wait=True)
    unfreezing.edit('"adds a group": [{"params": [*self.head.parameters()]}]', '"adds a group": [{"params": [*self.model.parameters()]}]')
    before = facts(session)
    with pytest.raises(StateMismatchError, match="optimizer 0 does not fit: the code creates other parameter groups") as caught:
        session.reload()
    assert "Undo the edit of the groups" in str(caught.value.hint)
    assert "(2 + 2 parameters)" in str(caught.value.hint)
    assert facts(session) == before
    unfreezing.edit(
        '"adds a group": [{"params": [*self.model.parameters()]}]',
        '"adds a group": [{"params": [*self.head.parameters()]}, {"params": [*self.body.parameters()]}]',
    )
    session.reload()
    assert facts(session) == before


def test_an_edited_order_of_parameters_is_refused(unfreezing: Definition) -> None:
    """Optimizers match states by position, which would give the parameters the moments of others."""
    session = unfreezing.load(hparams={"mode": "all in one"})
    session.train(batches=2, wait=True)
    unfreezing.edit("[*self.model.parameters()]", "[*self.model.parameters()][::-1]")
    with pytest.raises(StateMismatchError, match="optimizer 0 does not fit"):
        session.reload()


def test_an_edit_that_freezes_counts_in_a_restore(unfreezing: Definition) -> None:
    """As for a fine-tuning: the new code freezes a layer, and a checkpoint of the old code does not undo that."""
    session = unfreezing.load(hparams={"mode": "all in one"})
    session.train(batches=12, wait=True)
    saved = session.checkpoint()
    unfreezing.edit("self.optimizer = ", "self.head.bias.requires_grad = False\n        self.optimizer = ")
    other = unfreezing.load(hparams={"mode": "all in one"}, name="other")
    other.restore(saved.path)
    assert not other.trial.head.bias.requires_grad
    assert other.trial.body.weight.requires_grad


def test_a_group_of_unknown_parameters_is_refused(unfreezing: Definition) -> None:
    """The message names a parameter and says what to do; the trial keeps its state."""
    session = unfreezing.load(hparams={"mode": "all in one"})
    session.at_batch(lambda trial: trial.optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(2))]}))
    session.train(batches=2, wait=True)
    saved = session.checkpoint()
    other = unfreezing.load(hparams={"mode": "all in one"})
    before = facts(other)
    with pytest.raises(StateMismatchError, match=r"the trial has no 'parameter 0 outside of the wrapped models'") as caught:
        other.restore(saved.path)
    assert "Create the parameters of all groups in __init__" in str(caught.value.hint)
    assert facts(other) == before


def parametrize(trial: Any) -> None:
    """Replace a weight by two parameters."""
    torch.nn.utils.parametrizations.weight_norm(trial.body)


def prune(trial: Any) -> None:
    """Add a mask to a weight."""
    pruning.l1_unstructured(trial.body, "weight", amount=0.5)


def wrap(trial: Any) -> None:
    """Put a layer into another one, with parameters of its own and a group for them, as adapters of low rank do."""
    trial.model[2] = torch.nn.Sequential(trial.head, torch.nn.Linear(1, 1))
    trial.optimizer.add_param_group({"params": [*trial.model[2][1].parameters()], "lr": 0.5})


def wrap_another(trial: Any) -> None:
    """Replace the optimizer by another one, wrapped."""
    trial.optimizer = trial.context.wrap_optimizer(torch.optim.SGD(trial.model.parameters(), lr=0.5))


@pytest.mark.parametrize(
    ("change", "words", "hint"),
    [
        (parametrize, "parametrizations", "add them in __init__"),
        (prune, "weight_mask", "add them in __init__"),
        (wrap, r"2\.1\.weight", "add them in __init__"),
        (wrap_another, "The state has 2 optimizers, the trial has 1", "Create and wrap each optimizer in __init__"),
    ],
)
@pytest.mark.parametrize("when", ["restore", "reload"])
def test_what_training_adds_to_the_model_is_refused_by_name(
    unfreezing: Definition, when: str, change: Callable[[Any], None], words: str, hint: str
) -> None:
    """A new trial lacks it. The message names it and says what to do, and nothing changes."""
    session = unfreezing.load(hparams={"mode": "all in one"})
    session.at_batch(change)
    session.train(batches=2, wait=True)
    saved = session.checkpoint()
    other = unfreezing.load(hparams={"mode": "all in one"}, name="other")
    refused: Callable[[], Any] = session.reload if when == "reload" else lambda: other.restore(saved.path)
    with pytest.raises(StateMismatchError, match=words) as caught:
        refused()
    assert hint in str(caught.value.hint)
    session.train(batches=2, wait=True)
    assert session.batches_trained == 4
    assert other.batches_trained == 0


ADAPTED = """
    def on_training_start(self):
        self.adapt()

    def on_checkpoint_load_start(self, checkpoint):
        self.adapt()

    def adapt(self):
        trial = self.trial
        if not isinstance(trial.model[2], nn.Sequential):
            trial.model[2] = nn.Sequential(trial.head, nn.Linear(1, 1))
            trial.optimizer.add_param_group({"params": [*trial.model[2][1].parameters()], "lr": 0.5})

    def on_training_epoch_start"""


def test_a_callback_can_add_modules_before_a_state_is_loaded(unfreezing: Definition) -> None:
    """As the hint says: with them, and their group, the losses continue bit for bit."""
    unfreezing.edit("\n    def on_training_epoch_start", ADAPTED)
    session = unfreezing.load(hparams={"mode": "all in one"})
    session.train(batches=12, wait=True)
    saved = session.checkpoint()
    session.train(batches=8, wait=True)
    other = unfreezing.load(hparams={"mode": "all in one"}, name="other")
    other.restore(saved.path)
    other.train(batches=8, wait=True)
    assert facts(other) == facts(session)
    assert losses(other) == losses(session)[-8:]


def test_an_optimizer_that_is_not_wrapped_is_refused(unfreezing: Definition) -> None:
    """When it is stepped, before any state is lost."""
    session = unfreezing.load(hparams={"mode": "all in one"})
    session.at_batch(lambda trial: setattr(trial, "optimizer", torch.optim.SGD(trial.model.parameters(), lr=0.5)))
    with pytest.raises(TrialError, match="not wrapped"):
        session.train(batches=2, wait=True)


SLOW_VALIDATION = """
    def evaluate_batch(self, batch):
        STARTED.set()
        GO_ON.wait(60)"""
MODE_OF_A_VALIDATION = """
    def on_validation_start(self):
        self.trial.norm.train()

    def on_training_epoch_start"""


def test_a_checkpoint_during_a_validation_has_the_modes_of_the_training(unfreezing: Definition) -> None:
    """The validation sets all modules to eval, and its callback sets one to train."""
    unfreezing.edit("\n    def on_training_epoch_start", MODE_OF_A_VALIDATION)
    unfreezing.edit("import torch\n", "import threading\nimport torch\nGO_ON, STARTED = threading.Event(), threading.Event()\n")
    unfreezing.edit("\n    def evaluate_batch(self, batch):", SLOW_VALIDATION)
    session = unfreezing.load(hparams={"mode": "all in one"})
    session.step(12)
    before = facts(session)
    of_the_module = session.trial.evaluate_batch.__globals__
    validation = session.send(Validate())
    assert of_the_module["STARTED"].wait(LIMIT_S)
    checkpoint = session.send(MakeCheckpoint())
    of_the_module["GO_ON"].set()
    validation.result(LIMIT_S)
    other = unfreezing.load(hparams={"mode": "all in one"}, name="other")
    other.restore(checkpoint.result(LIMIT_S).path)
    assert facts(session) == before
    assert facts(other) == before


def test_a_checkpoint_without_these_facts_is_read(unfreezing: Definition) -> None:
    """As written by earlier versions: the trial keeps its own."""
    session = unfreezing.load(hparams={"mode": "all in one"})
    session.train(batches=4, wait=True)
    saved = Path(session.checkpoint().path)
    file = saved / "state_dict.pth"
    state = torch.load(file, weights_only=True)
    for name in ("parameters", "modes"):
        del state["detjupyter"][name]
    torch.save(state, file)
    (saved / "detjupyter.json").unlink()
    (saved / "metadata.json").write_text('{"steps_completed": 4}')
    session.train(batches=8, wait=True)
    unfrozen = facts(session)
    session.restore(saved)
    assert facts(session) == unfrozen
    assert session.batches_trained == 4
