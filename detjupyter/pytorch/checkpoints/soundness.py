"""Refuses a damaged state before anything of it is restored: a trial must not be left with a part of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch

from detjupyter.engine.checkpoints.manifest import is_count
from detjupyter.errors import CheckpointError, DetJupyterError
from detjupyter.pytorch.checkpoints.trial_state import OUR_KEY
from detjupyter.pytorch.data.generators import Generator, require_settable
from detjupyter.pytorch.data.training_data import require_position
from detjupyter.pytorch.randomness import RandomStates


def require_sound(
    state: Mapping[str, Any], path: str, *, of_the_trial: Mapping[str, Generator], of_the_data: Mapping[str, Generator]
) -> None:
    """Refuse a state with a part that cannot be restored. Whether the objects' states fit the objects only their loading shows.

    Args:
        state: A state from a checkpoint, in the present layout.
        path: The checkpoint, for the error message.
        of_the_trial: The generators that the trial keeps as attributes; they are not changed.
        of_the_data: The generators that its dataset keeps as attributes; empty before the data is built.

    Raises:
        CheckpointError: A part is damaged, or does not fit.
        UnsupportedError: The random states are those of other generators.
    """
    ours: Any = state[OUR_KEY]
    parts: list[tuple[str, Callable[[], object]]] = [
        *((name, partial(_require_states, state[name])) for name in _STATES if name in state),
        ("scaler_state_dict", lambda: dict(state.get("scaler_state_dict") or {})),
        ("callbacks", lambda: dict(state.get("callbacks", {}))),
        ("rng_state", lambda: "rng_state" not in state or RandomStates.from_checkpoint(state["rng_state"]).require_sound()),
        (OUR_KEY, lambda: _require_count(ours)),
        ("gradients", lambda: _require_gradients(ours["gradients"]) if ours.get("gradients") else None),
        ("modes", lambda: _require_modes(ours["modes"], len(state["models_state_dict"])) if "modes" in ours else None),
        ("trial_generators", lambda: require_settable(ours.get("trial_generators", {}), of_the_trial)),
        ("data", lambda: require_position(ours["data"], of_the_data) if ours.get("data") is not None else None),
    ]
    for name, check in parts:
        try:
            check()
        except DetJupyterError:
            raise
        except Exception as error:  # a damaged state can contain any object
            raise CheckpointError(
                f"The state in the checkpoint is damaged or does not fit: its {name} cannot be read: {type(error).__name__}: {error}.",
                path=path,
                hint="Restore another one of its run.",
            ) from None


_STATES = ("models_state_dict", "optimizers_state_dict", "lr_schedulers_state_dict")


def _require_states(states: Any) -> None:
    if not isinstance(states, (list, tuple)) or not all(isinstance(one, Mapping) for one in states):
        raise TypeError("it is not a list of dicts")


def _require_count(ours: Any) -> None:
    if not is_count(ours.get("batches_trained", 0)):
        raise ValueError("batches_trained is not a number of batches")


def _require_gradients(gradients: Any) -> None:
    _require_states(gradients)
    if not all(isinstance(gradient, torch.Tensor) for one in gradients for gradient in one.values()):
        raise TypeError("a gradient is not a tensor")


def _require_modes(modes: Any, models: int) -> None:
    if len(modes) != models or not all(isinstance(name, str) for of_model in modes for name in of_model):
        raise TypeError("it is not a list of names for each model")
