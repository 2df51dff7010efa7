"""What a test reads from a session that has trained."""

from __future__ import annotations

from typing import Any


def losses(session: Any) -> list[float]:
    """Return all losses of a session."""
    found: list[float] = session.metrics("loss")[1].tolist()
    return found


def weights(session: Any) -> list[list[float]]:
    """Return the weights of the trial's model, to the bit."""
    return [parameter.detach().flatten().tolist() for parameter in session.trial.model.parameters()]


def validations(session: Any) -> list[int]:
    """Return the numbers of batches after which the trial was validated."""
    return list(session.metrics("error", "validation")[0])


def checkpoints(session: Any) -> list[int]:
    """Return the numbers of batches after which checkpoints were written, deleted ones included."""
    return sorted({event["checkpoint"]["batches_trained"] for event in session.run.events() if event["kind"] == "checkpoint"})
