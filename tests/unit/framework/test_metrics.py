"""What a metric's value and its name tell."""

from __future__ import annotations

import numpy as np
import pytest

from detjupyter.framework.metrics import improves_to, scalars


def test_single_numbers_are_found_and_nothing_else() -> None:
    """Arrays of one element, numpy numbers and booleans count; text, vectors and oddities do not."""
    ragged = [[1, 2], [3]]
    metrics = {
        "a": 1,
        "b": np.float32(2.5),
        "c": np.array([[3.0]]),
        "d": True,
        "e": "x",
        "f": [1, 2],
        "g": None,
        "h": ragged,
        "i": b"x",
        "j": object(),
        "k": np.array([]),
    }
    assert scalars(metrics) == {"a": 1.0, "b": 2.5, "c": 3.0, "d": 1.0}


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("loss", "smaller"),
        ("val_loss", "smaller"),
        ("accuracy", "larger"),
        ("val-acc", "larger"),
        ("F1", "larger"),
        ("mAP_50", "larger"),
        ("mape", "smaller"),
        ("dice_loss", "smaller"),
        ("top1_error", "smaller"),
        ("perplexity", "smaller"),
        ("something", "smaller"),
    ],
)
def test_names_tell_which_way_is_better(name: str, way: str) -> None:
    """A loss of something good is still a loss."""
    assert improves_to(name) == way
