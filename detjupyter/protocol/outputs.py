"""What the output of a cell contains besides a picture and text: a reference to the run that it shows."""

from __future__ import annotations

from dataclasses import dataclass

from detjupyter.protocol.records import ErrorRecord
from detjupyter.protocol.states import State

RUN_MIME_TYPE = "application/vnd.detjupyter.run+json"
"""The MIME type of a :class:`RunReference`. The JupyterLab extension draws it from the server's history."""

REFERENCE_VERSION = 1


@dataclass(frozen=True, slots=True)
class EndedTraining:
    """The end of the training that a cell began: the fields of its session's record that later trainings of the run change."""

    trainings: int
    state: State
    batches_trained: int
    records_trained: int
    plan_start_batches: int | None
    plan_target_batches: int | None
    plan_elapsed_s: float
    elapsed_s: float
    error: ErrorRecord | None


@dataclass(frozen=True, slots=True)
class RunReference:
    """The run that an output shows; ``ended`` is null while its training is running, and if the output shows the run as it is now."""

    version: int
    run_id: str
    ended: EndedTraining | None
