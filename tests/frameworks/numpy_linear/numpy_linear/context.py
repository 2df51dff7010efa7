"""The first argument of a trial's constructor."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from detjupyter.definition.config import Config
from detjupyter.errors import TrialUsageError
from detjupyter.framework.context import TrialContext


class LinearTrialContext(TrialContext):
    """What a trial wraps its weights with, and updates them through.

    Attributes:
        weights: The wrapped weights (F,), changed in place; None before they are wrapped.
        velocity: The moving sum of the updates, of the same shape.
    """

    def __init__(self, config: Config, *, seed: int) -> None:
        super().__init__(config, seed=seed)
        self.weights: npt.NDArray[np.float64] | None = None
        self.velocity: npt.NDArray[np.float64] | None = None

    def wrap_weights(self, weights: Any) -> npt.NDArray[np.float64]:
        """Have the weights saved in checkpoints; return the array to compute with."""
        self.weights = np.array(weights, dtype=np.float64)
        self.velocity = np.zeros_like(self.weights)
        return self.weights

    def step(self, gradient: npt.NDArray[np.float64]) -> None:
        """Update the weights by gradient descent, with the hyperparameters ``lr`` and ``momentum``."""
        if self.weights is None or self.velocity is None:
            raise TrialUsageError("step() comes after wrap_weights().", "No weights are wrapped.", "Wrap them in __init__.")
        self.velocity *= self.get_hparams().get("momentum", 0.0)
        self.velocity -= self.get_hparams().get("lr", 0.1) * gradient
        self.weights += self.velocity
