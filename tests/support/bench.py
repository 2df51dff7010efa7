"""A trial of a framework that needs nothing installed: small, real, and in the test's hands."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from detjupyter.definition.config import Config
from detjupyter.definition.entrypoint import Entrypoint
from detjupyter.definition.isolation.imports import DefinitionScope
from detjupyter.definition.model_definition import ModelDefinition
from detjupyter.definition.opened_files import watch_usage
from detjupyter.definition.resolution import LoadedClass
from detjupyter.definition.trial import Trial
from detjupyter.engine.engine import Engine, Publish
from detjupyter.engine.loaded import LoadedTrial
from detjupyter.engine.local import LocalEngine
from detjupyter.engine.loopback import LoopbackEngine
from detjupyter.errors import CheckpointError, StoreError, TrialError
from detjupyter.framework.adapter import TrialAdapter
from detjupyter.protocol.commands import AtBatch, CommandMessage
from detjupyter.protocol.events import CommandAnswered, Event
from detjupyter.protocol.recipe import LoadRecipe
from detjupyter.protocol.records import FloatArray
from detjupyter.session.registry import registry
from detjupyter.session.session import Session
from detjupyter.store.base import Store
from detjupyter.store.memory import MemoryStore
from support.waiting import LIMIT_S, wait_until

LONG = 1_000_000_000
"""More batches than any test trains."""


class ToyTrial(Trial):
    """What a toy definition would define."""

    framework = "toy"

    def __init__(self) -> None:
        self.weight = 0.0


class ToySnapshot:
    """A weight as it was."""

    def __init__(self, weight: float, adapter: ToyAdapter) -> None:
        self.weight = weight
        self.adapter = adapter
        self.needs_driver = adapter.needs_driver

    def write(self, directory: Path) -> None:
        """Write the weight."""
        (directory / "weight.json").write_text(json.dumps(self.weight), encoding="utf-8")
        self.adapter.on_save(directory)
        self.adapter.calls.append("save")


class ToyAdapter(TrialAdapter):
    """Each batch adds 1 to the weight, and its loss is 1 over that.

    Attributes:
        gate: While it is clear, the next batch waits.
        on_batch: Called at each training batch with its index; may raise, print, or return metrics.
        on_validation_batch: Called at each validation batch with its index.
        calls: What the loop asked for, in order.
    """

    device = "toy"
    records_per_batch: int | None = 4
    per_epoch: int | None = 10
    validation_batches = 3
    stop_requested = False
    needs_driver = False

    def __init__(self) -> None:
        self.trial = ToyTrial()
        self.context = None
        self.gate = threading.Event()
        self.gate.set()
        self.on_batch: Callable[[int], Mapping[str, Any] | None] = lambda _: None
        self.on_validation_batch: Callable[[int], object] = lambda _: None
        self.on_data: Callable[[], object] = lambda: None
        self.on_save: Callable[[Path], object] = lambda _: None
        self.of_periods: Callable[[int], Mapping[str, Any]] = lambda _: {}
        self.calls: list[str] = []
        self.validation_metrics: dict[str, Any] | None = None
        self._moved = threading.Condition()
        self._waiting = 0

    @property
    def batches_per_epoch(self) -> int | None:
        """Return ``per_epoch``."""
        self.on_data()
        return self.per_epoch

    def train_batch(self, batch_idx: int) -> tuple[Mapping[str, Any], int]:
        """Wait for the gate, then train."""
        if not self.gate.is_set():
            with self._moved:
                self._waiting += 1
                self._moved.notify_all()
            assert self.gate.wait(LIMIT_S), "the test never opened the gate"
        metrics = self.on_batch(batch_idx)
        self.trial.weight += 1
        self.calls.append(f"batch {batch_idx}")
        return metrics or {"loss": 1 / self.trial.weight}, 4

    def fetch(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, FloatArray]:
        """Return the columns of ``rows``."""
        names = dict.fromkeys(name for row in rows for name in row)
        return {name: np.array([row.get(name, np.nan) for row in rows], dtype=np.float64) for name in names}

    def validate(self) -> Generator[tuple[int, int | None], None, Mapping[str, Any]]:
        """Validate on ``validation_batches`` batches."""
        self.calls.append("validate")
        try:
            for index in range(self.validation_batches):
                self.on_validation_batch(index)
                yield index + 1, self.validation_batches
        finally:
            self.calls.append("validation over")
        return self.validation_metrics or {"error": 1 / (1 + self.trial.weight)}

    def end_report_period(self, batches_trained: int) -> Mapping[str, Any]:
        """Return what the test says."""
        return self.of_periods(batches_trained)

    def snapshot(self, batches_trained: int) -> ToySnapshot:  # noqa: ARG002
        """Copy the weight."""
        return ToySnapshot(self.trial.weight, self)

    def checkpointed(self, checkpoint_id: str) -> None:
        """Note that a checkpoint is complete."""
        self.calls.append(f"checkpointed {checkpoint_id}")

    def restore(self, directory: Path, *, trust: bool = False) -> None:  # noqa: ARG002
        """Read the weight."""
        try:
            self.trial.weight = json.loads((directory / "weight.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"weight.json cannot be read: {error}", path=str(directory)) from None

    def adopt(self, other: TrialAdapter) -> None:
        """Take the weight of ``other``."""
        self.trial.weight = other.trial.weight

    def discard_batch(self) -> None:
        """Note that it was called."""
        self.calls.append("discard batch")

    def release(self) -> None:
        """Note that it was called."""
        self.calls.append("release")

    def wait_at_gate(self) -> None:
        """Return when the thread waits at the closed gate."""
        with self._moved:
            assert self._moved.wait_for(lambda: self._waiting, LIMIT_S), "no batch came to the gate"
            self._waiting = 0


class FallibleStore(MemoryStore):
    """A store whose medium can be taken away and given back."""

    broken = False

    def transaction(self, *, wait_s: float | None = None) -> Any:
        """Fail while it is broken."""
        if self.broken:
            raise StoreError("The disk with the history is full.")
        return super().transaction(wait_s=wait_s)


def load_toy(root: Path, config: Config, adapter: ToyAdapter) -> LoadedTrial:
    """Return the toy as an engine's ``build`` does."""
    trial_class = LoadedClass(ToyTrial, Entrypoint.parse("toy:ToyTrial"), root / "toy.py", 1, DefinitionScope(root))
    recipe = LoadRecipe("toy:ToyTrial", str(root), config=config.raw, seed=1)
    return LoadedTrial(recipe, ModelDefinition(root), trial_class, config, adapter, watch_usage(root))


class Bench:
    """A session on a toy trial, and what it is made of.

    Args:
        root: The directory of the definition.
        config: What the trial is configured with.
        behind_bytes: Whether every command, answer and event travels as bytes.

    Attributes:
        emitted: The events as the engine emitted them, oldest first.
        published: The events as the session got them.
        open_store: Opens the session's history.
        reloaded: Makes the trial of a reload.
    """

    def __init__(self, root: Path, config: Config, *, behind_bytes: bool = False) -> None:
        self.root = root
        self.config = config
        self.store = FallibleStore(root / "history")
        self.adapter = ToyAdapter()
        self.reloaded: Callable[[], ToyAdapter] = ToyAdapter
        self.behind_bytes = behind_bytes
        self.emitted: list[Event] = []
        self.published: list[Event] = []
        self.open_store: Callable[[], Store] = lambda: self.store
        self.session = Session(ModelDefinition(root), self._open_engine, session_id="toy", open_store=lambda: self.open_store())
        self.session.wait_until_loaded()
        registry.add(self.session)

    def _open_engine(self, publish: Publish) -> Engine:
        def keep(event: Event) -> None:
            self.published.append(event)
            publish(event)

        self.engine: Engine = LoopbackEngine(self._open_local, keep) if self.behind_bytes else self._open_local(keep)
        return self.engine

    def _open_local(self, publish: Publish) -> LocalEngine:
        def keep(event: Event) -> None:
            self.emitted.append(event)
            publish(event)

        self._local = LocalEngine(
            "toy", self.root, keep, lambda: self._load(self.adapter), load_again=lambda _: self._load(self.reloaded())
        )
        return self._local

    def _load(self, adapter: ToyAdapter) -> LoadedTrial:
        self.loaded_in = threading.get_ident()
        return load_toy(self.root, self.config, adapter)

    @property
    def thread(self) -> threading.Thread | None:
        """The engine's thread, None when it has ended."""
        return next((thread for thread in threading.enumerate() if thread.name == "detjupyter toy" and thread.is_alive()), None)

    @property
    def trial(self) -> ToyTrial:
        """The live trial, also where the session cannot reach it."""
        trial: ToyTrial = self._local.trial
        return trial

    def between_batches(self, function: Callable[[ToyTrial], Any] = lambda _: None) -> Any:
        """Call ``function(trial)`` between two batches and return its result, also where the session cannot send it."""
        return self._local.send(CommandMessage(AtBatch("a function of the test", function))).result(LIMIT_S)

    def settle_record(self) -> None:
        """Return when everything so far is in the history, also if that is a history that has just been mended."""
        wait_until(lambda: self.session._keeper.recorder.settle(LIMIT_S), "what is unwritten")

    def train_to_gate(self) -> None:
        """Begin a long training and return while its first batch waits at the closed gate."""
        self.adapter.gate.clear()
        self.session.train(batches=LONG)
        self.adapter.wait_at_gate()

    def bring_to(self, state: str) -> None:
        """Bring the session to ``state`` with the gate open; a running one trains for as long as the test may take."""
        session = self.session
        if state in ("running", "paused", "stopped"):
            session.train(batches=LONG)
            self.between_batches()
        if state == "paused":
            session.pause()
        elif state == "stopped":
            session.stop()
        elif state == "finished":
            session.train(batches=2, wait=True)
        elif state == "failed":
            self.adapter.on_batch = _fail
            session.train(batches=2)
            with suppress(TrialError):
                session.wait(LIMIT_S)
            self.adapter.on_batch = lambda _: None
        assert session.state == state

    def answers(self) -> list[CommandAnswered]:
        """Return the events about answers, oldest first."""
        return [event for event in self.published if isinstance(event, CommandAnswered)]

    def events(self, kind: str) -> list[dict[str, Any]]:
        """Return the events of that kind which the history has."""
        run = self.session.run
        return [] if run is None else [event for event in run.events() if event["kind"] == kind]

    def states(self) -> list[str]:
        """Return the states in the history, in order."""
        return [event["state"] for event in self.events("state")]

    def log(self) -> list[str]:
        """Return the text of the log, as the views see it."""
        return [line.text for line in self.session.channel.log(0)[1]]


def make_bench(root: Path, *, behind_bytes: bool) -> Bench:
    """Make a session on a toy trial in a new directory."""
    root.mkdir()
    return Bench(root, Config(), behind_bytes=behind_bytes)


def open_engine(root: Path, publish: Publish, *, behind_bytes: bool, build: Callable[[], LoadedTrial] | None = None) -> Engine:
    """Open an engine without a session."""

    def open_local(publish: Publish) -> LocalEngine:
        return LocalEngine("toy", root, publish, build or (lambda: load_toy(root, Config(), ToyAdapter())))

    return LoopbackEngine(open_local, publish) if behind_bytes else open_local(publish)


class Held:
    """A place in the trial's code that holds the engine's thread until the test lets it go."""

    def __init__(self) -> None:
        self.reached, self.may_continue = threading.Event(), threading.Event()

    def __call__(self, *_: Any) -> None:
        """Hold."""
        self.reached.set()
        assert self.may_continue.wait(LIMIT_S), "the test never let it go"

    def wait(self) -> None:
        """Return when the thread waits."""
        assert self.reached.wait(LIMIT_S), "nothing came here"


def _fail(_: int) -> None:
    raise ValueError("a bad batch")
