"""The output of a run in a cell: a reference that our JupyterLab extension draws from the server; elsewhere a picture and text."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from detjupyter.picture.training import static_picture
from detjupyter.protocol.outputs import REFERENCE_VERSION, RUN_MIME_TYPE, EndedTraining, RunReference
from detjupyter.protocol.records import RunRecord, SeriesPatch, SessionRecord
from detjupyter.protocol.wire import to_json

if TYPE_CHECKING:
    from detjupyter.store.base import Store

Bundle = dict[str, Any]
"""Data by MIME type, as in the messages of Jupyter: PNG in base64, JSON as values."""


def reference(run_id: str | None, ended: SessionRecord | None = None) -> Bundle:
    """Return the part of a bundle that refers to a run; empty if there is no run.

    Args:
        run_id: The run, None for a training that is not in the history.
        ended: The session when the cell's training ended; None if the output shows the run as it is.
    """
    if run_id is None:
        return {}
    end = None if ended is None else EndedTraining(**{field.name: getattr(ended, field.name) for field in fields(EndedTraining)})
    return {RUN_MIME_TYPE: json.loads(to_json(RunReference(REFERENCE_VERSION, run_id, end)))}


def ended_bundle(session: SessionRecord, patches: Sequence[SeriesPatch]) -> Bundle:
    """Return the output of a training that has ended: the reference, the picture and the text.

    Args:
        session: The session when the training ended.
        patches: Its whole curves (``start`` 0).
    """
    return {**reference(session.run_id, session), **_encoded(static_picture(session, patches))}


def run_bundle(store: Store, run: RunRecord, *, ends: bool = False) -> Bundle:
    """Return the output of a run of the history as it is now.

    Args:
        store: The history.
        run: The run.
        ends: Whether the output shows the training that has ended, as :func:`ended_bundle` does; else it shows the run, with what follows.

    Raises:
        RunNotFoundError: The run was deleted.
    """
    from detjupyter.store.lineage import whole_curves

    session = run.session
    if session is None:  # its first report has not been written yet
        session = SessionRecord(run.id, run.id, run.entrypoint, run.definition, run.definition_root, run.framework, run.device)
    shown = replace(session, run_id=run.id, state=run.state, best=run.best)
    patches = whole_curves(store, run.id).patches({})
    return ended_bundle(shown, patches) if ends else {**reference(run.id), **_encoded(static_picture(shown, patches))}


def _encoded(picture: dict[str, str | bytes]) -> Bundle:
    return {mime: base64.b64encode(data).decode("ascii") if isinstance(data, bytes) else data for mime, data in picture.items()}
