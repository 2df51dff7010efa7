"""The complete state of a training, on which its next batch depends: gathered for a checkpoint, restored, or taken over in a reload."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any

from detjupyter.errors import CheckpointError
from detjupyter.pytorch.callbacks import Callbacks
from detjupyter.pytorch.checkpoints.initial_values import DATA, START, STARTUP
from detjupyter.pytorch.checkpoints.modes import Modes, ModulesInEval
from detjupyter.pytorch.checkpoints.own_attributes import OwnAttributes, put_back
from detjupyter.pytorch.checkpoints.soundness import require_sound
from detjupyter.pytorch.checkpoints.state import with_classes_of
from detjupyter.pytorch.checkpoints.trained_parameters import TrainedParameters
from detjupyter.pytorch.checkpoints.trial_state import OUR_KEY, WrittenOptions, copied_to_host, gather, load
from detjupyter.pytorch.context import PyTorchTrialContext
from detjupyter.pytorch.data.generators import find_generators, set_states, states_of
from detjupyter.pytorch.data.training_data import TrainingData
from detjupyter.pytorch.randomness import RandomStates, RandomStream
from detjupyter.pytorch.trial import PyTorchTrial


@dataclass(frozen=True, slots=True)
class RandomnessSnapshot:
    """The sources of a training's random numbers in this process, at one moment.

    Attributes:
        states: The random states.
        of_the_data: The states of the generators that the dataset keeps as attributes.
        of_the_trial: The states of the generators that the trial keeps as attributes.
    """

    states: RandomStates
    of_the_data: Mapping[str, Any]
    of_the_trial: Mapping[str, Any]


class TrainingState:
    """The state of one trial's training: its wrapped objects, its callbacks, its position in the data, and its random states.

    Args:
        trial: The user's trial.
        context: The context that the trial was built with.
        callbacks: The trial's callbacks.
        randomness: The random states that the trial draws from.
        data: The trial's training data.
    """

    def __init__(
        self, trial: PyTorchTrial, context: PyTorchTrialContext, callbacks: Callbacks, randomness: RandomStream, data: TrainingData
    ) -> None:
        self._trial = trial
        self._context = context
        self._callbacks = callbacks
        self._randomness = randomness
        self._data = data
        self._written = WrittenOptions.of(context)  # before any state is loaded; adopt() compares them with those of the new code
        self._parameters = TrainedParameters(context)
        self._attributes = OwnAttributes(trial, context, data.parts)
        self._begun: set[str] = set()  # the stages of the beginning whose effects are in the trial
        self.modes = Modes(context.models)
        """The modes of the modules. A new training begins with :meth:`Modes.begin` when its data is loaded."""
        self._kept: RandomnessSnapshot | None = None  # that of the training, while a validation draws
        self._kept_modes: ModulesInEval | None = None  # those of the training, while a validation sets others
        self._before_data: RandomStates | None = None  # the states with which a new trial builds its data; see build_data()

    def gather(self, batches_trained: int) -> dict[str, Any]:
        """Return the state in the layout of checkpoints. Its tensors are the trial's own, not copies."""
        randomness = self._kept or self._randomness_now()
        position = self._data.state(batches_trained) | {"dataset_generators": randomness.of_the_data}
        state = gather(self._context, self._callbacks, position, batches_trained)
        has_data = self._data.is_loaded or self._before_data is not None
        state[OUR_KEY] |= {"trial_generators": randomness.of_the_trial, "has_data": has_data}
        state[OUR_KEY]["begun"] = sorted(self._begun | ({DATA} if has_data else set()))
        modes = self.modes.state() if self._kept_modes is None else self._kept_modes
        state[OUR_KEY] |= {"parameters": self._parameters.state(), "modes": modes, "attributes": self._attributes.state()}
        state["rng_state"] = randomness.states.to_checkpoint()
        return state

    def warn_of_lost_attributes(self, state: Mapping[str, Any]) -> None:
        """Log which attributes of the trial a checkpoint of ``state`` lacks."""
        self._attributes.warn_of_others(state["callbacks"])

    def restore(self, state: Mapping[str, Any], path: str, batches_trained: int) -> None:
        """Restore ``state`` from a checkpoint.

        Args:
            state: A state that :meth:`gather` returned, or that Determined wrote.
            path: The checkpoint, for the error message.
            batches_trained: How many batches the trial has trained. If the state does not fit, the trial keeps its present state.

        Raises:
            CheckpointError: The state does not fit the trial.
        """
        before = copied_to_host(self.gather(batches_trained))  # a copy, because load() changes the trial's tensors in place
        references = self._attributes.references()
        try:
            try:
                self._load(state, path)
                self._restore_attributes(state)
            except CheckpointError:
                raise
            except Exception as error:  # torch's classes and the user's can raise any class for a damaged state
                raise CheckpointError(f"The state does not fit: {type(error).__name__}: {error}", path=path) from None
            try:
                self._callbacks.load_state_dict(state.get("callbacks", {}))
            except BaseException:
                with suppress(Exception):  # the first error is the one to report
                    self._callbacks.load_state_dict(before["callbacks"])
                raise
        except BaseException:
            self._load(before, None)  # some objects may have been changed before one failed
            self._restore_attributes(before)
            put_back(references)
            raise
        self._continue_from(state)

    def require_sound(self, state: Mapping[str, Any], path: str) -> None:
        """Refuse a state from a checkpoint that :meth:`restore` could not restore completely, before anything is changed.

        Raises:
            CheckpointError: A part of the state is damaged, or does not fit.
            UnsupportedError: The random states are those of other generators.
        """
        require_sound(state, path, of_the_trial=self._own_generators(), of_the_data=self._data.dataset_generators())

    def adopt(self, other: TrainingState, batches_trained: int) -> None:
        """Take over the state of an earlier version of the trial. Options that the user has edited keep their new values.

        Raises:
            CheckpointError: The state does not fit this version of the trial.
        """
        state = other.gather(batches_trained)
        of_callbacks = state["callbacks"]
        for part in ("optimizers_state_dict", "lr_schedulers_state_dict", "callbacks"):
            state[part] = with_classes_of(self._trial, state[part])
        if len(state["lr_schedulers_state_dict"]) != len(self._context.lr_schedulers):  # the user has edited the schedulers: restart them
            state["lr_schedulers_state_dict"] = [scheduler.state_dict() for scheduler in self._context.lr_schedulers]
        self._load(state, None)
        self._written.restore_edits(self._context, self._parameters, other._written)
        ours = state[OUR_KEY]
        self._attributes.restore(ours["attributes"], begun=begun_in(ours), before=other._attributes)
        self._begun |= begun_in(ours) - {DATA}
        self._callbacks.load_state_dict({name: mine for name, mine in state["callbacks"].items() if name in self._callbacks})
        self._continue_from(state)
        other._attributes.warn_of_others(of_callbacks, is_reload=True)

    @contextmanager
    def preserved_randomness(self) -> Iterator[None]:
        """Restore all random states at the end of the block.

        A state that is gathered inside the block contains the random states from its beginning, too.
        """
        self._kept, self._kept_modes = self._randomness_now(), self.modes.state()
        try:
            yield
        finally:
            kept, self._kept, self._kept_modes = self._kept, None, None
            self._randomness.replace(kept.states)
            self._data.set_generators(kept.of_the_data)
            set_states(self._own_generators(), kept.of_the_trial)

    @contextmanager
    def calling(self, hook: str) -> Iterator[None]:
        """Note what the callbacks change in the trial's attributes in the block, in which a hook of the beginning is called."""
        stage = {"on_trial_startup": STARTUP, "on_training_start": START}[hook]
        with self._attributes.beginning(stage) if self._callbacks.overrides(hook) else nullcontext():
            yield
        self._begun.add(stage)

    def build_data(self) -> None:
        """Build the training data. A restored trial builds it with the random states of a new trial, so that a random split is the same."""
        if self._before_data is None:
            with self._attributes.beginning(DATA):
                self._data.load()
            return
        now = self._randomness.capture()
        self._randomness.replace(self._before_data)
        try:
            with self._randomness.active(), self._attributes.beginning(DATA):
                self._data.load()
        finally:
            self._randomness.replace(now)

    def _load(self, state: Mapping[str, Any], path: str | None) -> None:
        """Load ``state`` with the parameter groups in it; Determined's, and those of earlier versions, do not contain them."""
        saved = state.get(OUR_KEY, {}).get("parameters")
        if saved is None:
            load(self._context, state, path)
            return
        load(self._context, state, path, load_groups=lambda: self._parameters.load_groups(saved, path))
        self._parameters.load_the_rest(saved)

    def _restore_attributes(self, state: Mapping[str, Any]) -> None:
        """Restore the trial's attributes from a state that has them; Determined's, and those of earlier versions, do not."""
        if "attributes" in state.get(OUR_KEY, {}):
            begun = begun_in(state[OUR_KEY])
            self._attributes.restore(state[OUR_KEY]["attributes"], begun=begun)
            self._begun |= begun - {DATA}

    def _randomness_now(self) -> RandomnessSnapshot:
        return RandomnessSnapshot(self._randomness.capture(), self._data.generators(), states_of(self._own_generators()))

    def _own_generators(self) -> dict[str, Any]:
        """Return the generators that the trial keeps as attributes."""
        return find_generators(self._trial, without=self._context)

    def _continue_from(self, state: Mapping[str, Any]) -> None:
        """Restore the random states and the position in the data from ``state``."""
        ours = state.get(OUR_KEY, {})
        if "rng_state" in state:
            had_data = ours.get("has_data", ours.get("batches_trained", 1) > 0)  # if so, the state's draws come after those of the data
            if had_data and not self._data.is_loaded and self._before_data is None:
                self._before_data = self._randomness.capture()
            self._randomness.replace(RandomStates.from_checkpoint(state["rng_state"]))
        set_states(self._own_generators(), ours.get("trial_generators", {}))
        if "modes" in ours:
            self.modes.restore(ours["modes"])
        position = ours.get("data")
        if position is not None:
            self._data.restore(position)
        else:
            self._data.drop()


def begun_in(ours: Mapping[str, Any]) -> Set[str]:
    """Return the stages of the beginning that had run before a state. States of earlier versions do not contain them."""
    if "begun" in ours:
        return set(ours["begun"])
    return {STARTUP, *([DATA] if ours.get("has_data", True) else ()), *([START] if ours.get("batches_trained", 1) else ())}
