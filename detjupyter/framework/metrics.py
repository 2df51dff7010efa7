"""Converts the values of metrics to numbers, and guesses from a metric's name whether smaller values are better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

_SMALLER_IS_BETTER = ("err", "loss", "mae", "mape", "mse", "nll", "perplexity", "rmse")
_LARGER_IS_BETTER = (
    *("acc", "auc", "f1", "map", "precision", "r2", "recall", "reward", "score"),
    *("bleu", "dice", "iou", "psnr", "rouge", "ssim"),
)


def scalars(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the metrics that are single numbers, as floats; booleans become 0 and 1."""
    found = {}
    for name, value in metrics.items():
        try:
            array = np.asarray(value)
        except (TypeError, ValueError, RuntimeError):  # ragged, or an object that numpy cannot read
            continue
        if array.size == 1 and array.dtype.kind in "fiub":
            found[name] = float(array.reshape(()))
    return found


def improves_to(name: str) -> Literal["smaller", "larger"]:
    """Guess from a metric's name whether it improves to smaller or to larger values. An unknown name is treated as a loss.

    Examples:
        >>> improves_to("val_accuracy"), improves_to("dice_loss"), improves_to("surprise")
        ('larger', 'smaller', 'smaller')
    """
    words = name.lower().replace("-", "_").split("_")
    if any(word.startswith(known) for word in words for known in _SMALLER_IS_BETTER):
        return "smaller"
    return "larger" if any(word.startswith(known) for word in words for known in _LARGER_IS_BETTER) else "smaller"
