"""What a load or a failure leaves in memory: nothing, without ``gc.collect()`` by the user."""

from __future__ import annotations

import gc
import linecache
import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support.definition import LINE, Definition
from support.line_edits import PLAIN, TRAINING
from support.waiting import LIMIT_S, wait_until

import detjupyter as dj
from detjupyter.definition import opened_files
from detjupyter.definition.isolation import finding
from detjupyter.errors import TrialError
from detjupyter.protocol.commands import Command, Step, Validate

RERUNS = 5


HELD = LINE.replace(
    "        self.context = context\n",
    """        self.context = context
        self.method = self.train_batch  # a cycle of the trial's own
        HERE.append(self)  # and one through its module
""",
).replace("class LineTrial", "HERE = []\n\n\nclass LineTrial")


FAILING = LINE.replace(
    "        x, y = batch\n        loss", "        x, y = batch\n        if batch_idx == 3: raise ValueError('no')\n        loss"
)


WORKERS = LINE.replace("batch_size=4,", "batch_size=4, num_workers=1,")


pytestmark = pytest.mark.usefixtures("no_collector")


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Turn Python's own collector off: what it would find by chance must be released by us."""
    gc.disable()
    yield
    gc.enable()


class Alive:
    """Trials, models and optimizers by weak reference."""

    def __init__(self) -> None:
        self._trials: list[weakref.ref[Any]] = []
        self._parts: list[weakref.ref[Any]] = []

    def add(self, session: dj.Session) -> None:
        """Count the trial of ``session`` from now on."""
        trial = session.trial
        self._trials.append(weakref.ref(trial))
        self._parts.append(weakref.ref(trial.model))
        self._parts.append(weakref.ref(trial.optimizer))

    @property
    def trials(self) -> int:
        """How many trials are alive."""
        return _count(self._trials)

    @property
    def parts(self) -> int:
        """How many of their models and optimizers are alive."""
        return _count(self._parts)


def _count(references: list[weakref.ref[Any]]) -> int:
    return len({id(thing) for ref in references if (thing := ref()) is not None})


def train(session: dj.Session) -> None:
    """Train to the end, or to the trial's own error."""
    with suppress(dj.DetJupyterError):
        session.train(batches=6, wait=True)


def train_and_reload(session: dj.Session) -> None:
    """Train, load the code again, train."""
    train(session)
    session.reload()
    train(session)


def refused(session: dj.Session) -> None:
    """Ask for what the state does not take, and keep the error as IPython does."""
    train(session)
    for ask in (lambda: session.restore("nowhere"), lambda: session.at_batch(lambda _: 1 / 0)):
        try:
            ask()
        except Exception as error:
            sys.last_value = error
            sys.last_traceback = error.__traceback__


def checkpointed(session: dj.Session) -> None:
    """Save, restore and validate."""
    train(session)
    session.restore(session.checkpoint())
    session.validate()


def stopped_half_way(session: dj.Session) -> None:
    """Stop a paused training."""
    session.step(2)
    session.train(batches=1_000_000)
    session.stop()


@pytest.mark.parametrize(
    ("source", "use"),
    [
        (LINE, lambda _: None),
        (LINE, train),
        (HELD, train),
        (FAILING, train),
        (WORKERS, train),
        (LINE, train_and_reload),
        (HELD, train_and_reload),
        (LINE, refused),
        (LINE, checkpointed),
        (LINE, stopped_half_way),
    ],
    ids=["untrained", "trained", "own-cycles", "failed", "workers", "reload", "reload-cycles", "refused", "checkpoint", "stopped"],
)
@pytest.mark.parametrize("results_are_kept", [False, True], ids=["rebound", "kept"])
def test_a_name_that_is_loaded_again_releases_the_trial_before(
    define: Callable[..., Definition], source: str, use: Callable[[dj.Session], None], results_are_kept: bool
) -> None:
    """At most two trials are alive, and the models and optimizers of two; also where every session is kept, as in IPython's Out."""
    definition = define(model_def=source)
    alive, out = Alive(), []
    for _ in range(RERUNS):
        session = definition.load(name="line")
        alive.add(session)
        use(session)
        with suppress(dj.DetJupyterError):
            alive.add(session)
        if results_are_kept:
            out.append(session)
        assert alive.trials <= 2
        assert alive.parts <= 4
    session.close()
    # The error of `refused` holds the user's frames, no more.
    assert alive.trials <= 1 if use is refused else alive.trials == 0


PLAIN_BATCHES = "[[inputs[:4], targets[:4]], [inputs[4:8], targets[4:8]]]"
LOADERS = {
    "ours": TRAINING,
    "workers": TRAINING.replace("batch_size=4", "batch_size=4, num_workers=1"),
    "list": PLAIN_BATCHES,
    "generator": "Epochs()",
    "torch": f"torch.utils.data.{TRAINING}",
    "stream": "torch.utils.data.DataLoader(Stream(), batch_size=None)",
}
LOADERS_LINE = LINE.replace("        self.context = context\n", f"        self.context = context\n        {PLAIN}\n").replace(
    "class LineTrial",
    f"""class Epochs:
    def __iter__(self):
        yield from {PLAIN_BATCHES}


class Stream(Epochs, torch.utils.data.IterableDataset):
    pass


class LineTrial""",
)


@pytest.mark.parametrize("use", [lambda _: None, train, checkpointed, stopped_half_way, train_and_reload])
@pytest.mark.parametrize("loader", LOADERS)
def test_a_trial_without_cycles_of_its_own_is_freed_without_a_collection(
    define: Callable[..., Definition], loader: str, use: Callable[[dj.Session], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A collection takes 0.2 s with torch loaded, and the next load waits for it."""
    from detjupyter.engine import memory

    monkeypatch.setattr(memory.gc, "collect", lambda: 0)
    definition, alive = define(model_def=LOADERS_LINE.replace(TRAINING, LOADERS[loader])), Alive()
    for _ in range(2):
        session = definition.load(name="line")
        alive.add(session)
        use(session)
        alive.add(session)
    session.close()
    del session
    assert alive.trials == 0


def test_a_script_that_loads_again_without_a_name_keeps_at_most_two_trials(define: Callable[..., Definition]) -> None:
    """Rebinding a variable releases the earlier session; its engine ends on its own."""
    definition, alive = define(), Alive()
    for _ in range(RERUNS):
        session = definition.load()
        alive.add(session)
        train(session)
        wait_until(lambda: alive.trials <= 2, "the trials before are released")
    assert dj.sessions()[-1] is session
    assert dj.current_session() is session


def test_a_session_without_a_name_stays_while_a_variable_holds_it(define: Callable[..., Definition]) -> None:
    """Two sessions of one definition, both in use: loading a third ends neither."""
    definition = define()
    first, second = definition.load(), definition.load()
    third = definition.load()
    for session in (first, second, third):
        session.train(batches=2, wait=True)
        assert session.state == "finished"
    assert dj.sessions() == [first, second, third]


def test_a_training_without_a_name_continues_though_no_variable_holds_it(define: Callable[..., Definition]) -> None:
    """``dj.load(…).train(…)`` in the background is not ended by a later load."""
    definition = define()
    definition.load().train(batches=1_000_000)
    definition.load()
    running = dj.sessions()[0]
    assert running.state == "running"
    running.close()


def test_a_load_that_fails_keeps_no_half_built_trial(define: Callable[..., Definition]) -> None:
    """The error is kept, as IPython keeps the last one; the model that was built before it is gone."""
    definition = define()
    definition.edit("self.context = context", "self.context = context; import builtins; builtins.note_of_test(self)")
    definition.edit("    def build_training", "        raise RuntimeError('out of memory')\n\n    def build_training")
    import builtins

    seen: list[weakref.ref[Any]] = []
    builtins.note_of_test = lambda trial: seen.append(weakref.ref(trial))  # type: ignore[attr-defined]
    try:
        errors = []
        for _ in range(RERUNS):
            with pytest.raises(TrialError) as caught:
                definition.load(name="line")
            errors.append(caught.value)
            assert [ref() for ref in seen] == [None] * len(seen)
        assert len(seen) == RERUNS
    finally:
        del builtins.note_of_test  # type: ignore[attr-defined]


def test_nothing_else_of_a_load_is_left(define: Callable[..., Definition]) -> None:
    """Modules, threads, open files, scratch files, published sources, watches and cached lines do not grow from the third load on."""
    definition = define()

    def count() -> dict[str, int]:
        own = Path("/proc/self/fd")
        descriptors = list(own.iterdir()) if own.exists() else []
        return {
            "modules": len([name for name in sys.modules if name.startswith("detjupyter.loaded")]),
            "threads": len([thread for thread in threading.enumerate() if "recorder" not in thread.name]),
            "descriptors": len(descriptors),
            "published": len(list(Path(os.environ[finding.VARIABLE]).iterdir())),
            "watches": len(opened_files._marked),
            "lines": len(linecache.cache),
        }

    counts = []
    for _ in range(RERUNS):
        session = definition.load(name="line")
        train_and_reload(session)
        session.run.metrics("loss")
        session.close()
        counts.append(count())

    def grown() -> dict[str, tuple[int, int]]:
        now = count()
        return {what: (before, now[what]) for what, before in counts[2].items() if now[what] > before}

    with suppress(AssertionError):
        wait_until(lambda: not grown(), limit_s=20)  # a thread that was asked to end may need a moment
    assert grown() == {}


class TestMemory:
    """After a failure nothing holds the batch."""

    @pytest.mark.parametrize("method", ["train_batch(self, batch, epoch_idx, batch_idx)", "evaluate_batch(self, batch)"])
    def test_no_tensor_of_the_failed_batch_survives(self, line: Definition, method: str) -> None:
        """Neither the batch, nor what was computed from it, nor the graph."""
        line.edit("import torch\n", "import torch, weakref\nkept = []\n")
        line.edit(
            f"def {method}:",
            f"def {method}:\n"
            "        h = self.model(batch[0])\n"
            "        kept[:] = [weakref.ref(batch[0]), weakref.ref(h)]\n"
            "        try:\n"
            "            raise KeyError('inner')\n"
            "        except KeyError as inner:\n"
            "            raise ValueError('outer') from inner\n",
        )
        session = line.load()
        command: Command = Step(1) if "train" in method else Validate()
        assert "outer" in str(session.send(command).exception(LIMIT_S))
        assert session.state == "failed"
        kept = sys.modules[type(session.trial).__module__].kept  # type: ignore[attr-defined]
        gc.collect()
        assert [reference() for reference in kept] == [None, None]
