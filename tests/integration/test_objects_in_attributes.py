"""Objects in a trial's attributes that are not plain data: kept by a checkpoint or named in the log, and reset by a restore."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from support.trained import losses
from support.warned import warned

from detjupyter.errors import StateMismatchError
from detjupyter.pytorch.checkpoints.initial_values import Identity
from detjupyter.pytorch.checkpoints.plain_data import decode

if TYPE_CHECKING:
    from support.definition import Definition

IMPORTS = """
import collections
import dataclasses
import enum
import http
import itertools
import threading
import types
import torch
from sklearn.linear_model import SGDRegressor
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader as TorchLoader
from detjupyter import pytorch


class Phase(enum.Enum):
    EARLY = 1
    LATE = 2


class Flags(enum.Flag):
    ONE = 1
    TWO = 2


class Counting:
    __slots__ = ("count",)

    def __init__(self):
        self.count = 0.0


@dataclasses.dataclass(frozen=True)
class Frozen:
    count: float = 0.0

    def add(self, value):
        object.__setattr__(self, "count", self.count + value)
        return self.count


def counter():
    count = 0

    def add():
        nonlocal count
        count += 1
        return count

    return add


class Estimator:
    def __init__(self):
        self.counter = collections.UserDict(total=0.0)

    def add(self, value):
        self.counter["total"] += value
        return self.counter["total"]

    def state_dict(self):
        return dict(self.counter)

    def load_state_dict(self, state):
        self.counter = collections.UserDict(state)
"""

#: What __init__ sets, and what each batch does; ``extra`` is added to the input, so that the losses depend on it.
KEPT = {
    "an enumeration": ("self.phase = Phase.EARLY", "self.phase = Phase.LATE if batch_idx == 2 else self.phase; extra = self.phase.value"),
    "an enumeration in containers": (
        "self.phases = collections.defaultdict(int)",
        "self.phases[Phase.LATE if batch_idx % 2 else Phase.EARLY] += 1; extra = self.phases[Phase.LATE] / 5",
    ),
    "an enumeration of a library": (
        "self.status = http.HTTPStatus.OK",
        "extra = self.status.value / 100; self.status = http.HTTPStatus.ACCEPTED",
    ),
    "combined flags": ("self.flags = Flags.ONE", "extra = self.flags.value; self.flags = Flags.ONE | Flags.TWO"),
    "an object with slots": ("self.slots = [Counting()]", "self.slots[0].count += 0.1; extra = self.slots[0].count"),
    "objects in containers in containers": (
        "self.agents = {'a': [[Counting()], (Counting(), torch.nn.Linear(1, 1))]}",
        "agents = self.agents['a']; agents[1][0].count += 0.1; agents[1][1].weight.data.add_(0.1); "
        "extra = agents[1][0].count + agents[1][1].weight.data[0]",
    ),
    "a frozen dataclass": ("self.frozen = Frozen()", "extra = self.frozen.add(0.1)"),
    "bytes that change": ("self.bytes = bytearray(2)", "self.bytes[0] += 1; extra = self.bytes[0] / 10"),
    "optimizers in a list": (
        "self.side = torch.nn.Parameter(torch.zeros(1)); self.others = [torch.optim.Adam([self.side], lr=0.1)]",
        "self.others[0].zero_grad(); ((x - self.side) ** 2).mean().backward(); self.others[0].step(); extra = self.side.detach().clone()",
    ),
    "a schedule in a dict": (
        "self.other = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0); "
        "self.rates = {'a': torch.optim.lr_scheduler.StepLR(self.other, 3, 0.5)}",
        "self.other.step(); self.rates['a'].step(); extra = self.rates['a'].get_last_lr()[0]",
    ),
    "modules in a dict": (
        "self.averages = {'a': AveragedModel(self.model)}",
        "self.averages['a'].update_parameters(self.model); extra = self.averages['a'](x).detach()",
    ),
    "an own class with a state_dict": ("self.estimator = Estimator()", "extra = self.estimator.add(0.1)"),
    "a private number in a module": (
        "self.model[0]._calls = 0",
        "self.model[0]._calls += 1; extra = self.model[0]._calls / 10",
    ),
    "another optimizer of the trial": (
        "self.slow, self.now = context.wrap_optimizer(torch.optim.SGD(self.model.parameters(), lr=0.001)), None",
        "self.now = self.slow if batch_idx == 2 else self.now; extra = float(self.now is self.slow)",
    ),
    "a name for an object of another attribute": (
        "self.pair = [Counting(), Counting()]; self.first, self.best = self.pair[0], None",
        "self.best = self.first if batch_idx == 2 else self.best or self.pair[1]; self.best.count += 0.1; extra = self.first.count",
    ),
    "an item of an attribute that does not change": (
        "self.options, self.chosen = {'inner': torch.zeros(1), 'same': 1.0}, None",
        "batch_idx == 2 and setattr(self, 'chosen', self.options['inner']); "
        "batch_idx > 5 and self.chosen.add_(1.0); extra = self.options['inner'].clone()",
    ),
    "objects in a list that on_training_start sets again": (
        "self.meters = [Estimator()]",
        "extra = self.meters[0].add(0.1) if batch_idx > 4 else 0.0",
    ),
    "what __init__ sets, on_training_start replaces, and training sets again": (
        "self.total = 0.25",
        "self.total = 0.25 if batch_idx == 2 else self.total; extra = self.total",
    ),
    "what on_training_start sets": ("self.total = None", "self.total += 0.1; self.started += 0.1; extra = self.total + self.started"),
}
METERS = """
class Meter:
    def __init__(self):
        self.total, self.opened = 0.0, iter([1])

    def add(self, value):
        self.total += value

    def state_dict(self):
        return {"total": self.total}

    def load_state_dict(self, state):
        self.total = state["total"]


class Broken(Meter):
    def state_dict(self):
        raise RuntimeError("not yet")
"""
START = """
class Start(pytorch.PyTorchCallback):
    def __init__(self, trial):
        self.trial = trial

    def on_trial_startup(self, first_batch_idx, checkpoint_uuid):
        self.trial.lock = threading.Lock()
        self.trial.startup = 1.0

    def on_training_start(self):
        self.trial.total = self.trial.started = 0.5
        self.trial.opened = iter([1])
        if hasattr(self.trial, "meters"):
            self.trial.meters = [type(meter)() for meter in self.trial.meters]


class LineTrial"""


@pytest.fixture
def write(line: Definition) -> Callable[[str, str], Definition]:
    """Return a function that adds a line to ``__init__`` and one to ``train_batch`` of the definition."""

    def write(init: str, batch: str) -> Definition:
        line.edit("import torch\n", IMPORTS)
        line.edit("class LineTrial", START)
        line.edit(
            "    def build_training", "    def build_callbacks(self):\n        return {'start': Start(self)}\n\n    def build_training"
        )
        line.edit("    def build_training", f"    def prepare(self, context):\n        {init}\n\n    def build_training")
        line.edit("\n    def build_callbacks", "        self.prepare(context)\n\n    def build_callbacks")
        line.edit("        x, y = batch\n        loss", f"        x, y = batch\n        extra = 0.0\n        {batch}\n        loss")
        line.edit("(self.model(x) - y) ** 2).mean()\n        self", "(self.model(x + extra) - y) ** 2).mean()\n        self")
        return line

    return write


@pytest.mark.parametrize(("init", "batch"), KEPT.values(), ids=KEPT)
class TestATrainingWithSuchAnObject:
    """The losses depend on it."""

    def test_is_restored_in_another_session(self, write: Callable[..., Definition], init: str, batch: str) -> None:
        """Losses are equal bit for bit."""
        definition = write(init, batch)
        session = definition.load()
        session.step(5)
        saved = session.checkpoint()
        session.step(4)
        other = definition.load(name="other")
        other.restore(saved.path)
        other.step(4)
        assert losses(other) == losses(session)[-4:]

    def test_is_reloaded(self, write: Callable[..., Definition], init: str, batch: str) -> None:
        """Losses are equal bit for bit, also after an edit of something else."""
        definition = write(init, batch)
        whole, session = definition.load(), definition.load(name="reloaded")
        whole.step(9)
        session.step(4)
        session.reload()
        session.step(2)
        definition.edit('return {"loss": loss}', 'return {"loss": loss, "new": 1.0}')
        session.reload()
        session.step(3)
        assert losses(session) == losses(whole)

    def test_goes_back(self, write: Callable[..., Definition], init: str, batch: str) -> None:
        """To a checkpoint from before the first batch, and to a later one, in the same session."""
        session = write(init, batch).load()
        first = session.checkpoint()
        session.step(5)
        second = session.checkpoint()
        session.step(4)
        whole = losses(session)
        session.restore(first.path)
        session.step(3)
        assert losses(session) == whole[:3]
        session.restore(second.path)
        session.step(4)
        assert losses(session)[-4:] == whole[-4:]


#: What __init__ sets, what each batch does, and the name and the class in the warning.
NAMED = {
    "an estimator": ("self.regressor = SGDRegressor()", "self.regressor.partial_fit(x, y.ravel())", "self.regressor (SGDRegressor)"),
    "a namespace": ("self.args = types.SimpleNamespace(rate=1.0)", "self.args.rate *= 0.9", "self.args (SimpleNamespace)"),
    "a private attribute": ("self.chain = collections.UserList([1])", "self.chain._seen = batch_idx", "self.chain (UserList)"),
    "an object in a list": ("self.all = [types.SimpleNamespace(n=0)]", "self.all[0].n += 1", "self.all (list)"),
    "a dict that gets an object": ("self.found = {}", "self.found['a'] = types.SimpleNamespace()", "self.found (dict)"),
    "a list that gets an optimizer": (
        "self.opts = []",
        "self.opts.append(torch.optim.SGD([torch.nn.Parameter(x.clone())], lr=0.1))",
        "self.opts (list)",
    ),
    "a dict that contains itself": ("self.node = None", "self.node = {}; self.node['self'] = self.node", "self.node (dict)"),
    "an array inside": (
        "self.inside = types.SimpleNamespace(deep=types.SimpleNamespace(table=torch.zeros(300_000)))",
        "self.inside.deep.table += 1",
        "self.inside (SimpleNamespace)",
    ),
    "objects in a long list": ("self.many = [Counting() for _ in range(100)]", "self.many[70].count += 1", "self.many (list)"),
    "an iterator": ("self.numbers = itertools.count()", "next(self.numbers)", "self.numbers (count)"),
    "an iterator of a list": ("self.numbers = enumerate([1, 2, 3, 4])", "next(self.numbers)", "self.numbers (enumerate)"),
    "a generator": ("self.numbers = (number for number in itertools.count())", "next(self.numbers)", "self.numbers (generator)"),
    "a function with a variable": ("self.add = counter()", "self.add()", "self.add (function add)"),
    "new objects of an own class": ("self.frozen = Frozen()", "self.frozen = Frozen(self.frozen.count + 1)", "self.frozen (Frozen)"),
    "another loss function": (
        "self.criterion = torch.nn.functional.mse_loss",
        "self.criterion = torch.nn.functional.l1_loss",
        "self.criterion (function l1_loss)",
    ),
}


@pytest.mark.parametrize(("init", "batch", "named"), NAMED.values(), ids=NAMED)
def test_a_changed_object_that_cannot_be_kept_is_named(write: Callable[..., Definition], init: str, batch: str, named: str) -> None:
    """Once, and with what to do; an equal one that does not change is not named. A restore in the same session says that it stays."""
    definition = write(f"self.equal, self.batches = types.SimpleNamespace(rate=[1.0]), iter([1]); {init}", batch)
    session = definition.load()
    first = session.checkpoint()
    assert not warned(session, "cannot contain")
    session.step(2)
    session.checkpoint()
    session.step(1)
    session.checkpoint()
    session.restore(first.path)
    (message,) = warned(session, "cannot contain")
    assert message in session.record().warnings
    assert message.partition("cannot contain: ")[2].partition(". After")[0] == named
    assert "state_dict()" in message
    name = named.partition(" ")[0]
    stays = warned(session, "stay as they are")
    assert bool(stays) is (name not in ("self.found", "self.opts", "self.node"))
    assert all(name in one for one in stays)
    if not stays:
        assert not getattr(session.trial, name.partition(".")[2])


def test_a_reload_names_what_it_loses(write: Callable[..., Definition]) -> None:
    """Also what on_training_start created, since that is not called again."""
    session = write("pass", "self.late = types.SimpleNamespace()").load()
    session.step(2)
    session.reload()
    session.step(1)
    session.reload()
    (message,) = warned(session, "cannot contain")
    assert message.partition("cannot contain: ")[2].partition(". After")[0] == "self.late (SimpleNamespace), self.opened (list_iterator)"


def test_a_reload_that_fails_names_nothing(write: Callable[..., Definition]) -> None:
    """It loses nothing; the next one, which succeeds, does."""
    definition = write("pass", "self.late = types.SimpleNamespace()")
    session = definition.load()
    session.step(1)
    for old, new, is_named in (("nn.Linear(8, 1)", "nn.Linear(8, 1, bias=False)", False), ("bias=False", "bias=True", True)):
        definition.edit(old, new)
        with nullcontext() if is_named else pytest.raises(StateMismatchError):
            session.reload()
        assert bool(warned(session, "self.late (SimpleNamespace)")) is is_named
        assert bool(session.record().warnings) is is_named


class TestARestoreInTheSameSession:
    """It ends in the same attributes as one in a new session."""

    LATER = (
        "self.module = self.none = None",
        """if batch_idx == 3:
            self.function, self.loader, self.namespace = len, TorchLoader([1]), types.SimpleNamespace()
            self.module, self.none, self.tensor = torch.nn.Linear(1, 1), TorchLoader([1]), torch.ones(17 << 20)""",
    )

    def test_deletes_what_training_created_later(self, write: Callable[..., Definition]) -> None:
        """Whatever its kind; an attribute that __init__ sets gets that value again."""
        session = write(*self.LATER).load()
        session.step(2)
        saved, names = session.checkpoint(), sorted(vars(session.trial))
        session.step(3)
        assert session.trial.module is not None
        session.restore(saved.path)
        assert sorted(vars(session.trial)) == names
        assert session.trial.module is session.trial.none is None

    def test_keeps_what_has_no_state_and_was_there(self, write: Callable[..., Definition]) -> None:
        """The objects that need a checkpoint are as ``__init__`` sets them, as the message says; a loader is the same."""
        session = write(*self.LATER).load()
        session.step(4)
        saved, loader = session.checkpoint(), session.trial.loader
        session.step(1)
        session.restore(saved.path)
        trial = session.trial
        assert (trial.loader, trial.function) == (loader, len)
        assert trial.module is None
        assert not hasattr(trial, "namespace")
        session.step(2)

    def test_keeps_what_the_callbacks_created_before_the_first_batch(self, write: Callable[..., Definition]) -> None:
        """They are not called again."""
        session = write("pass", "self.startup += 1").load()
        first = session.checkpoint()
        session.step(3)
        session.restore(first.path)
        trial = session.trial
        assert (trial.startup, trial.total) == (1.0, 0.5)
        assert trial.lock.acquire()
        assert next(trial.opened) == 1

    def test_resets_objects_in_a_list_of_a_callback_that_the_checkpoint_lacks(self, write: Callable[..., Definition]) -> None:
        """The checkpoint is of an earlier version of the callback, which is not called again."""
        definition = write("self.meters = []", "[meter.add(1.0) for meter in self.meters]")
        session = definition.load()
        session.step(2)
        saved = session.checkpoint()
        definition.edit("self.trial.opened = iter([1])", "self.trial.meters = [Meter()]")
        definition.edit("class Phase", METERS + "\n\nclass Phase")
        other = definition.load(name="other")
        other.restore(saved.path)
        other.step(2)
        assert other.trial.meters[0].total == 2.0
        other.restore(saved.path)
        assert other.trial.meters[0].total == 0.0

    def test_that_fails_keeps_all_objects(self, write: Callable[..., Definition]) -> None:
        """Those that a checkpoint cannot contain, too."""
        definition = write(*self.LATER)
        definition.edit(
            "    def on_trial_startup",
            "    def load_state_dict(self, state):\n        if self.trial.module is None:\n            raise ValueError('no')\n\n"
            "    def on_trial_startup",
        )
        session = definition.load()
        session.step(2)
        saved = session.checkpoint()
        session.step(3)
        before = dict(vars(session.trial))
        with pytest.raises(Exception, match="no"):
            session.restore(saved.path)
        assert all(vars(session.trial)[name] is value for name, value in before.items())


def test_an_object_of_another_package_is_kept_by_its_state_dict(
    write: Callable[..., Definition], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an attribute and in a list; a class whose ``state_dict()`` fails is only named."""
    (tmp_path / "detjupyter_test_meters.py").write_text(METERS, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    definition = write(
        "from detjupyter_test_meters import Broken, Meter; self.meter, self.many, self.broken = Meter(), [Meter(), Meter()], Broken()",
        "self.meter.add(0.1); self.many[1].add(0.2); self.broken.add(1.0); extra = self.meter.total + self.many[1].total",
    )
    session = definition.load()
    session.step(4)
    saved = session.checkpoint()
    session.step(3)
    other = definition.load(name="other")
    other.restore(saved.path)
    other.step(1)
    other.reload()
    other.step(2)
    assert losses(other) == losses(session)[-3:]
    assert warned(session, "cannot contain: self.broken (Broken). ")
    monkeypatch.delitem(sys.modules, "detjupyter_test_meters")


def test_what_replaces_an_object_of_a_callback_is_restored(write: Callable[..., Definition]) -> None:
    """In a new session, ``on_training_start`` sets the object again, after the restore."""
    definition = write("self.opened = 0.0", "self.opened = 0.1 if batch_idx == 0 else self.opened + 0.1; extra = self.opened")
    session = definition.load()
    session.step(3)
    saved = session.checkpoint()
    session.step(2)
    other = definition.load(name="other")
    other.restore(saved.path)
    other.step(2)
    assert losses(other) == losses(session)[-2:]


def test_an_edit_of_what_a_callback_sets_counts(write: Callable[..., Definition]) -> None:
    """As does one of ``__init__``: in a new session, ``on_training_start`` is called after the restore."""
    definition = write("pass", "self.total += 1; self.started += 1")
    session = definition.load()
    session.step(2)
    saved = session.checkpoint()
    definition.edit("self.trial.total = self.trial.started = 0.5", "self.trial.total, self.trial.started = 0.5, 7.5")
    other = definition.load(name="other")
    other.restore(saved.path)
    other.step(1)
    assert (other.trial.total, other.trial.started) == (3.5, 8.5)


def test_a_value_that_the_code_has_no_more_is_named(write: Callable[..., Definition]) -> None:
    """The attribute keeps the value of __init__."""
    definition = write("self.phase = Phase.EARLY", "self.phase = Phase.LATE")
    session = definition.load()
    session.step(2)
    definition.edit("    LATE = 2\n", "")
    definition.edit("self.phase = Phase.LATE", "pass")
    session.reload()
    assert warned(session, "self.phase: model_def:Phase has no 'LATE'")
    assert session.trial.phase.name == "EARLY"


@pytest.mark.parametrize(("name", "is_own"), [("side_effect:Phase", True), ("os:system", False), ("this:Phase", False)])
def test_a_checkpoint_chooses_no_code_to_run(write: Callable[..., Definition], name: str, *, is_own: bool) -> None:
    """The name of an enumeration imports no module, and finds nothing but enumerations."""
    definition = write("self.phase = Phase.EARLY", "self.phase = Phase.LATE")
    definition.write(side_effect="import enum\nclass Phase(enum.Enum):\n    LATE = 2\n")
    session = definition.load()
    session.step(1)
    device = torch.device("cpu")
    with pytest.raises(LookupError, match="there is no enumeration"):
        decode(("enum", name, "LATE", is_own), device, session.trial)
    assert "this" not in sys.modules
    assert decode(("enum", "model_def:Phase", "LATE", True), device, session.trial) is session.trial.phase


@pytest.mark.parametrize("make", [lambda: types.SimpleNamespace(), lambda: torch.zeros(1), list], ids=["object", "tensor", "list"])
def test_a_new_object_with_the_id_of_a_freed_one_is_another(make: Callable[[], object]) -> None:
    """Code that replaces an object in each batch gets the same address again and again."""
    first = make()
    identity, address = Identity(first, keep=True), id(first)
    assert identity.is_of(first)
    del first
    others = [make() for _ in range(100)]
    assert not any(identity.is_of(other) for other in others if id(other) == address)


def test_an_object_of_an_own_class_that_is_replaced_in_each_batch_is_not_the_first_one(
    write: Callable[..., Definition],
) -> None:
    """However often it was replaced: it is named, and a reload succeeds although the attributes of a frozen dataclass cannot be set."""
    definition = write("self.frozen = Frozen()", "self.frozen = Frozen(self.frozen.count + 1)")
    for batches in (1, 2, 3):
        session = definition.load()
        session.step(batches)
        session.reload()
        assert warned(session, "self.frozen (Frozen)")
        assert session.trial.frozen.count == 0
        session.close()
