"""What a checkpoint holds: one file of JSON, in which Python keeps every bit of a number."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from detjupyter.errors import CheckpointError
from numpy_linear.context import LinearTrialContext

STATE = "state.json"


class StateSnapshot:
    """The state of a trial, copied."""

    needs_driver = False

    def __init__(self, state: dict[str, Any]) -> None:
        self._text = json.dumps(state)

    def write(self, directory: Path) -> None:
        """Write it."""
        (directory / STATE).write_text(self._text, encoding="utf-8")


def state_of(context: LinearTrialContext, batches_trained: int, random_states: list[Any]) -> dict[str, Any]:
    """Return everything that the next batch depends on."""
    assert context.weights is not None  # build() has seen to it
    assert context.velocity is not None
    return {
        "weights": context.weights.tolist(),
        "velocity": context.velocity.tolist(),
        "batches_trained": batches_trained,
        "random_states": random_states,
    }


def read_state(directory: Path) -> dict[str, Any]:
    """Return what a checkpoint holds.

    Raises:
        CheckpointError: It cannot be read.
    """
    try:
        state = json.loads((directory / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{STATE} cannot be read: {error}", path=str(directory)) from None
    if not isinstance(state, dict) or not state.keys() >= {"weights", "velocity", "batches_trained", "random_states"}:
        raise CheckpointError(f"{STATE} does not hold the state of a linear trial.", path=str(directory))
    return state


def load(context: LinearTrialContext, state: dict[str, Any], path: str | None) -> None:
    """Put the weights where ``state`` says.

    Raises:
        CheckpointError: They are of another shape; nothing is changed then.
    """
    weights, velocity = (np.array(state[name], dtype=np.float64) for name in ("weights", "velocity"))
    if context.weights is None or context.velocity is None or context.weights.shape != weights.shape:
        mine = None if context.weights is None else context.weights.shape
        raise CheckpointError(f"The weights in the state have the shape {weights.shape}, those of the trial {mine}.", path=path)
    context.weights[...], context.velocity[...] = weights, velocity


def first_difference(directory: Path, other: Path) -> str | None:
    """Return the first entry that differs between two states, None if there is none."""
    one, two = (json.loads((place / STATE).read_text(encoding="utf-8")) for place in (directory, other))
    return next((name for name in {**one, **two} if json.dumps(one.get(name)) != json.dumps(two.get(name))), None)
