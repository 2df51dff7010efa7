"""Magics of the training, without a kernel."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from detjupyter.errors import TrialError
from detjupyter.magics import training


def test_a_training_that_fails_at_once_raises_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that only says `failed` would hide the reason, because the live view is in another cell."""
    session = SimpleNamespace(resume=lambda: None, error=TrialError("no attribute 'nett'"))
    monkeypatch.setattr(training, "_current", lambda: session)
    monkeypatch.setattr(training, "_say", lambda: None)

    with pytest.raises(TrialError, match="nett"):
        training.TrainingMagics(None).det_resume("")
