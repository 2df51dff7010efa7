"""What a trial keeps in attributes, outside of wrapped objects and callbacks: in checkpoints, restores and reloads."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from support.definition import fitting
from support.trained import losses
from support.warned import warned

from detjupyter import load_checkpoint

if TYPE_CHECKING:
    from support.definition import Definition

KEEPING = fitting(
    "KeepingTrial",
    """
self.kind = context.get_hparam("kind")
self.model = context.wrap_model(Model())
self.alphas = [torch.ones(1, requires_grad=True)]
self.optimizer = context.wrap_optimizer(torch.optim.Adam([*self.model.parameters(), *self.alphas], lr=0.01))
self.teacher = copy.deepcopy(self.model)
self.hidden = None
self.results = {}
self.meters = [Meter()]
self.slots = Slots()
self.factor = 1.0
self.array = np.zeros(3)
self.recent = collections.deque(maxlen=3)
self.unchanged = torch.ones(1 << 20)
self.raw, self.left = [1.0], None
self.table = self.index = [[1.0]]
self.options = {"inner": {"value": 1.0}}
self.inner = self.options["inner"]
self.first = self.second = None
self.warmup = 2.0
self.priorities, self.order = [1.0] * 20_000, torch.arange(300_000.0).reshape(-1, 3)
self.label = np.str_("warm-up")
self.side = nn.Parameter(torch.zeros(1))
self.by_hand = torch.optim.Adam([self.side], lr=0.1)
self.rate = torch.optim.lr_scheduler.StepLR(self.by_hand, 2, 0.7)
self.plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(self.optimizer, patience=0, factor=0.9)
""",
    top="""
import collections
import copy
import numpy as np


class Meter:
    def __init__(self):
        self.total, self.count = 0.0, 0

    def add(self, value):
        self.total += value
        self.count += 1


class Slots:
    __slots__ = ("count",)

    def __init__(self):
        self.count = 0


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear, self.scale = nn.Linear(1, 1), 1.0
        self.register_buffer("seen", torch.zeros(1), persistent=False)

    def state_dict(self):
        return super().state_dict()

    def forward(self, x):
        self.seen += 1
        return self.linear(x) * self.scale
""",
    methods="""
def a_hidden_state_that_begins_as_none(self, x):
    if self.hidden is None:
        self.hidden = (torch.zeros(4, 1), [torch.zeros(1)])
    self.hidden = ((self.hidden[0] + x).detach(), [self.hidden[1][0] + x.sum()])
    return self.hidden[0] + self.hidden[1][0]

def an_attribute_that_init_does_not_set(self, x):
    self.late = getattr(self, "late", 0.0) + float(x.sum())
    return self.late

def the_best_so_far(self, x):
    self.results["best"] = max(self.results.get("best", -9.0), float(x.max()))
    return self.results["best"]

def a_count_that_begins_with_the_data(self, x):
    self.since_the_data += 1
    return self.since_the_data / self.records

def two_names_that_the_data_gives_one_object(self, x):
    self.left.mul_(0.9)
    return self.right.clone()

def an_attribute_of_the_data_that_training_deletes(self, x):
    self.count = getattr(self, "count", 0) + 1
    if self.count == 3:
        del self.since_the_data
    return getattr(self, "since_the_data", 1.0)

def a_meter(self, x):
    self.meters[0].add(float(x.mean()))
    return self.meters[0].total / self.meters[0].count

def an_object_with_slots(self, x):
    self.slots.count += 1
    return self.slots.count / 10

def an_array_and_a_deque(self, x):
    self.array += float(x.sum())
    self.recent.append(np.float32(x.min()))
    return torch.tensor(self.array).float().mean() + sum(self.recent)

def a_parameter_of_no_module(self, x):
    return self.alphas[0] * x

def a_number_in_a_module(self, x):
    self.model.scale *= 0.99
    return self.model.seen / 100

def the_weights_of_a_teacher(self, x):
    with torch.no_grad():
        for mine, theirs in zip(self.teacher.parameters(), self.model.parameters()):
            mine.data.mul_(0.9).add_(theirs.data, alpha=0.1)
        return self.teacher(x)

def an_object_that_another_one_contains(self, x):
    self.inner["value"] *= 0.9
    return self.options["inner"]["value"]

def two_names_that_training_gives_one_object(self, x):
    if self.first is None:
        self.first = self.second = torch.ones(1)
    self.first.mul_(0.9)
    return self.second.clone()

def a_parameter_that_training_replaces_under_two_names(self, x):
    self.first = self.teacher.linear.weight = nn.Parameter(self.teacher.linear.weight.detach() * 0.9)
    return self.first.detach().clone()

def an_attribute_that_training_deletes(self, x):
    self.count = getattr(self, "count", 0) + 1
    if self.count == 6:
        del self.warmup
    return getattr(self, "warmup", 0.0)

def large_values_whose_length_and_sum_stay(self, x):
    self.priorities[0] *= 0.9
    self.order = torch.roll(self.order, 1, 0)
    return self.priorities[0] + self.order[0, 0] / 1e6

def optimizers_and_schedulers_that_are_not_wrapped(self, x):
    self.by_hand.zero_grad()
    ((x - self.side) ** 2).mean().backward()
    self.by_hand.step()
    self.rate.step()
    self.plateau.step(float(x.sum()))
    return self.side.detach().clone()

def empty_text_of_numpy(self, x):
    self.label = np.str_("")
    return len(self.label) + x
""",
    before_data="""
self.records, self.since_the_data = len(inputs), 0
self.left = self.right = self.raw[0] * torch.ones(1)
self.table = self.index = 7
del self.raw
""",
    loss="""
extra = getattr(self, self.kind)(x)
loss = ((self.model(x) + extra - y) ** 2).mean()
""",
)
KINDS = [
    "a_hidden_state_that_begins_as_none",
    "an_attribute_that_init_does_not_set",
    "the_best_so_far",
    "a_count_that_begins_with_the_data",
    "two_names_that_the_data_gives_one_object",
    "an_attribute_of_the_data_that_training_deletes",
    "a_meter",
    "an_object_with_slots",
    "an_array_and_a_deque",
    "a_parameter_of_no_module",
    "a_number_in_a_module",
    "the_weights_of_a_teacher",
    "an_object_that_another_one_contains",
    "two_names_that_training_gives_one_object",
    "a_parameter_that_training_replaces_under_two_names",
    "an_attribute_that_training_deletes",
    "empty_text_of_numpy",
    "optimizers_and_schedulers_that_are_not_wrapped",
]


@pytest.fixture
def keeping(define: Callable[..., Definition]) -> Definition:
    """Write a definition whose losses depend on what the trial keeps."""
    return define("keeping", model_def=KEEPING)


@pytest.mark.parametrize("kind", KINDS)
class TestATrainingWithSuchAnAttribute:
    """The losses depend on it."""

    def test_is_restored_in_another_session(self, keeping: Definition, kind: str) -> None:
        """Losses are equal bit for bit."""
        session = keeping.load(hparams={"kind": kind})
        session.step(7)
        saved = session.checkpoint()
        session.step(7)
        other = keeping.load(hparams={"kind": kind}, name="other")
        other.restore(saved.path)
        other.step(7)
        assert losses(other) == losses(session)[-7:]

    def test_is_reloaded(self, keeping: Definition, kind: str) -> None:
        """Losses are equal bit for bit."""
        whole, session = keeping.load(hparams={"kind": kind}), keeping.load(hparams={"kind": kind}, name="reloaded")
        whole.step(12)
        session.step(5)
        session.reload()
        session.step(3)
        keeping.edit('return {"loss": loss}', 'return {"loss": loss, "new": 1.0}')
        session.reload()
        session.step(4)
        assert losses(session) == losses(whole)

    def test_goes_back(self, keeping: Definition, kind: str) -> None:
        """To a checkpoint from before the first batch, and to a later one, in the same session."""
        session = keeping.load(hparams={"kind": kind})
        first = session.checkpoint()
        session.step(5)
        second = session.checkpoint()
        session.step(5)
        whole = losses(session)
        session.restore(first.path)
        session.step(3)
        assert losses(session) == whole[:3]
        session.restore(second.path)
        session.step(5)
        assert losses(session)[-5:] == whole[-5:]


def test_large_values_whose_length_and_sum_stay_are_kept(keeping: Definition) -> None:
    """A long list that changes in place, and a table whose rows move."""
    given: dict[str, Any] = {"hparams": {"kind": "large_values_whose_length_and_sum_stay"}}
    session, other = keeping.load(**given), keeping.load(**given, name="other")
    session.step(5)
    saved = session.checkpoint()
    session.step(5)
    other.restore(saved.path)
    other.step(2)
    other.reload()
    other.step(3)
    assert losses(other)[-5:] == losses(session)[-5:]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("self.context.step_optimizer(self.optimizer)", "(batch_idx + 1) % 4 or self.context.step_optimizer(self.optimizer)"),
        (
            "self.context.step_optimizer(self.optimizer)",
            "self.context.step_optimizer(self.optimizer, auto_zero_grads=batch_idx % 4 == 3)",
        ),
        ("[*self.model.parameters(), *self.alphas]", "[*self.model.linear.parameters(), *self.alphas][1:]"),
    ],
    ids=["steps at every fourth batch", "zeroes at every fourth batch", "a group that training adds"],
)
def test_gradients_that_the_code_accumulates_are_kept(keeping: Definition, before: str, after: str) -> None:
    """For parameters of models and others, also for those that are in no optimizer yet."""
    keeping.edit(before, after)
    if "[1:]" in after:
        adds = "self.optimizer.add_param_group({'params': self.model.linear.weight})"
        keeping.edit("x, y = batch\n        extra", f"x, y = batch\n        batch_idx == 6 and {adds}\n        extra")
    given: dict[str, Any] = {"hparams": {"kind": "a_parameter_of_no_module"}}
    session, other = keeping.load(**given), keeping.load(**given, name="other")
    session.step(5)
    saved = session.checkpoint()
    session.step(8)
    other.restore(saved.path)
    other.step(2)
    other.reload()
    other.step(6)
    assert losses(other)[-8:] == losses(session)[-8:]


def test_only_changed_attributes_are_in_a_checkpoint(keeping: Definition) -> None:
    """A large one that training does not change costs no space."""
    session = keeping.load(hparams={"kind": KINDS[0]})
    session.step(2)
    assert session.checkpoint().size_bytes < 1 << 20


def test_an_edit_counts_in_a_reload_and_in_a_restore(keeping: Definition) -> None:
    """A value that training has not changed comes from the code, and so does one that both changed in a reload."""
    session = keeping.load(hparams={"kind": "a_number_in_a_module"})
    session.step(2)
    session.at_batch(lambda trial: setattr(trial, "factor", 3.0))
    session.reload()
    assert session.trial.factor == 3.0
    keeping.edit("self.factor = 1.0", "self.factor = 2.0")
    session.reload()
    assert session.trial.factor == 2.0
    saved = session.checkpoint()
    keeping.edit("self.factor = 2.0", "self.factor = 5.0")
    other = keeping.load(hparams={"kind": "a_number_in_a_module"}, name="other")
    other.restore(saved.path)
    assert other.trial.factor == 5.0
    assert other.trial.model.scale == session.trial.model.scale != 1.0


def test_what_cannot_be_kept_is_named_once(keeping: Definition) -> None:
    """An iterator and an object; not a loader, and not what a callback returns."""
    keeping.edit(
        "        extra = getattr(self, self.kind)(x)",
        """        if batch_idx == 0:
            self.batches, self.student = iter([1]), copy.deepcopy(self.model)
            self.raw = [1.0]
            self.loader = self.build_training_data_loader()
            self.in_callback = {Phase()}
        extra = 0""",
    )
    keeping.edit(
        "class KeepingTrial",
        """class Phase:
    pass


class Holder(pytorch.PyTorchCallback):
    def __init__(self, trial):
        self.trial = trial

    def state_dict(self):
        return {"kept": getattr(self.trial, "in_callback", None)}


class KeepingTrial""",
    )
    build_callbacks = "    def build_callbacks(self):\n        return {'holder': Holder(self)}\n\n"
    keeping.edit("    def build_training", f"{build_callbacks}    def build_training")
    session = keeping.load(hparams={"kind": KINDS[0]})
    session.step(1)
    session.checkpoint()
    session.step(1)
    session.checkpoint()
    (message,) = warned(session, "a checkpoint cannot contain")
    named = message.partition("cannot contain: ")[2].partition(". After")[0]
    assert named == "self.batches (list_iterator), self.student (Model)"
    assert "state_dict() of a callback" in message


def test_other_references_to_a_changed_object_see_the_restored_content(keeping: Definition) -> None:
    """A dict that two attributes share, and that training changes in place, is shared after a restore, too."""
    keeping.edit("self.results = {}", "self.results = self.shared = {}")
    session = keeping.load(hparams={"kind": "the_best_so_far"})
    session.step(3)
    saved = session.checkpoint()
    other = keeping.load(hparams={"kind": "the_best_so_far"}, name="other")
    other.restore(saved.path)
    assert other.trial.results is other.trial.shared
    assert other.trial.results == session.trial.results != {}


def test_a_trial_loaded_from_a_checkpoint_has_its_attributes(keeping: Definition) -> None:
    """Not only the wrapped models: a teacher's weights, too."""
    session = keeping.load(hparams={"kind": "the_weights_of_a_teacher"})
    session.step(3)
    loaded = load_checkpoint(session.checkpoint().path, device="cpu")
    assert loaded.teacher.linear.weight.item() == session.trial.teacher.linear.weight.item() != loaded.model.linear.weight.item()
    assert loaded.since_the_data == session.trial.since_the_data


LARGE = {
    "a dict of tensors": ("{'w': torch.zeros(1 << 19)}", "self.large['w'] = self.large['w'] + 1"),
    "a list of tensors": ("[torch.zeros(1 << 19)]", "self.large[0] += 1"),
    "a full deque": ("collections.deque(range(20_000), maxlen=20_000)", "self.large.append(-1)"),
    "an array": ("np.zeros(1 << 18)", "self.large[0] += 1"),
}


@pytest.mark.parametrize(("first", "change"), LARGE.values(), ids=LARGE)
def test_a_large_value_that_changes_inside_is_kept(keeping: Definition, first: str, change: str) -> None:
    """Also if it stays the same object with the same length, such as the averaged weights that many trials keep in a dict."""
    keeping.edit("self.hidden = None", f"self.hidden = None\n        self.large = {first}")
    keeping.edit("x, y = batch\n        extra", f"x, y = batch\n        {change}\n        extra")
    session = keeping.load(hparams={"kind": "the_best_so_far"})
    session.step(2)
    saved = session.checkpoint()
    other = keeping.load(hparams={"kind": "the_best_so_far"}, name="other")
    other.restore(saved.path)
    assert str(other.trial.large) == str(session.trial.large) != str(keeping.load(hparams={"kind": "a_meter"}, name="new").trial.large)


def test_a_container_too_large_for_a_checkpoint_is_named(keeping: Definition) -> None:
    """If training changes it."""
    keeping.edit(
        "self.hidden = None", "self.hidden = None\n        self.large = {'w': torch.zeros(17 << 20)}\n        self.same = dict(self.large)"
    )
    keeping.edit("x, y = batch\n        extra", "x, y = batch\n        self.large['w'] = self.large['w'] + 1\n        extra")
    session = keeping.load(hparams={"kind": "the_best_so_far"})
    session.step(1)
    session.checkpoint()
    text = "\n".join(line.text for line in session.run.log())
    assert "self.large (larger than 64 MiB)" in text
    assert "self.same" not in text
