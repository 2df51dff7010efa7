"""Suggestions for a name that does not exist."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

_LISTED = 8


def candidates_hint(wanted: str, candidates: Sequence[str]) -> str | None:
    """Return a sentence that suggests the most similar candidate, or lists all; None if there are none.

    Examples:
        >>> candidates_hint("model_def:DigitTrial", ["model_def:DigitsTrial"])
        'Did you mean model_def:DigitsTrial?'
        >>> candidates_hint("zzz", ["model_def:DigitsTrial", "other:X"])
        'There is: model_def:DigitsTrial, other:X.'
    """
    if not candidates:
        return None
    lower = {candidate.lower(): candidate for candidate in candidates}
    near = difflib.get_close_matches(wanted.lower(), list(lower), n=1, cutoff=0.6)
    if not near:  # a bare class name is not similar to `module:Class` as text
        near = [key for key in lower if wanted and key.rpartition(":")[2] == wanted.lower()]
    if near or len(candidates) == 1:
        return f"Did you mean {lower[near[0]] if near else candidates[0]}?"
    return f"There is: {listing(candidates)}."


def listing(names: Sequence[str]) -> str:
    """Join names for a sentence; a long list is cut and ends with the number of further names."""
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")
