"""Writes a run as one HTML file with its interactive charts, which any browser opens without a server."""

from __future__ import annotations

import base64
import gzip
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from detjupyter.errors import ExportError
from detjupyter.next_step import worded
from detjupyter.protocol.messages import PROTOCOL_VERSION, PatchHeader, Snapshot
from detjupyter.protocol.records import FloatArray, RunRecord, SessionRecord
from detjupyter.protocol.states import Group
from detjupyter.protocol.wire import to_json
from detjupyter.store.base import BatchArray
from detjupyter.store.run_values import flat
from detjupyter.store.series import decimate
from detjupyter.text import one_line

if TYPE_CHECKING:
    from detjupyter.store.base import Store

_VIEW = Path(__file__).parents[2] / "widgets" / "static" / "live.js"
_PAGE = Path(__file__).with_name("page.html")
_MOST_POINTS = 100_000
_MOST_EVENTS = 1000
_LOG_LINES = 2000

Curve = tuple[Group, str, BatchArray, FloatArray]


def write_page(store: Store, run_id: str, path: Path) -> None:
    """Write the page. It contains the live view of the notebook, with the run as it is now.

    The values of a metric are float32 there, and a curve of more than 100,000 points is reduced to about as many, with all extremes.

    Raises:
        ExportError: The browser side was not built (a fresh checkout).
        RunNotFoundError: There is no such run.
    """
    try:
        view = _VIEW.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ExportError(f"{_VIEW} is missing: the browser side was not built.", hint="Run `make build` in the checkout.") from None
    record = store.run(run_id)
    curves = [(group, name, *_reduced(*store.series(run_id, group, name))) for group, name in store.series_names(run_id)]
    headers = tuple(PatchHeader(group, name, 0, len(batches)) for group, name, batches, _ in curves)
    log = tuple(store.log(run_id, last=_LOG_LINES)[1])
    page = Markup(_PAGE.read_text(encoding="utf-8")).format(
        title=one_line(f"{record.entrypoint} · {record.id}"),
        snapshot=_script(to_json(Snapshot(PROTOCOL_VERSION, _ended(record), headers, log))),
        view=_script(json.dumps(view)),
        curves=base64.b64encode(_packed(curves)).decode(),
        facts=_rows(_facts(record)),
        hyperparameters=_rows((one_line(name), one_line(repr(value))) for name, value in flat(record.hyperparameters)),
        events=_rows(_events(store.events(run_id))),
    )
    path.write_text(page, encoding="utf-8")


def _reduced(batches: BatchArray, values: FloatArray) -> tuple[BatchArray, FloatArray]:
    if len(batches) <= _MOST_POINTS:
        return batches, values
    kept, reduced = decimate(batches.astype(np.float64), values, _MOST_POINTS)
    return kept.astype(np.int64), reduced


def _packed(curves: list[Curve]) -> bytes:
    """Return the curves one after the other, compressed: the distances of the batches as float64, then the values as float32."""
    with np.errstate(over="ignore"):  # beyond float32 is infinity
        columns = (
            column for _, _, batches, values in curves for column in (np.diff(batches, prepend=0).astype("<f8"), values.astype("<f4"))
        )
        return gzip.compress(b"".join(column.tobytes() for column in columns), mtime=0)


def _ended(record: RunRecord) -> SessionRecord:
    """Return the session as the page shows it: without commands, which nothing would obey."""
    session = record.session or SessionRecord(
        record.id, record.id, record.entrypoint, record.definition, record.definition_root, record.framework, record.device
    )
    batches = max(session.batches_trained, record.batches_trained)
    return replace(session, state=record.state, batches_trained=batches, allowed=(), stuck=None, slowed=False)


def _script(text: str) -> Markup:
    """Return JSON for an element ``script``, which ends at the first ``</script``, wherever it is."""
    return Markup(text.replace("<", "\\u003c"))


def _rows(rows: Iterator[tuple[str, ...]]) -> Markup:
    return Markup("\n").join(
        Markup("<tr><th>{}</th>{}</tr>").format(first, Markup().join(Markup("<td>{}</td>").format(cell) for cell in rest))
        for first, *rest in rows
    )


def _facts(record: RunRecord) -> Iterator[tuple[str, str]]:
    yield "run", one_line(record.id)
    yield "definition", one_line(record.definition)
    yield "framework", one_line(f"{record.framework} on {record.device}")
    yield "seed", str(record.seed)
    yield "started", time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(record.created_at))
    yield from ((one_line(package), one_line(version)) for package, version in record.versions.items())


def _events(events: list[dict[str, Any]]) -> Iterator[tuple[str, str, str]]:
    for event in events[:_MOST_EVENTS]:
        at = time.strftime("%H:%M:%S", time.localtime(float(event.get("at", 0.0))))
        checkpoint = event.get("checkpoint")  # of a restore its id only, None for one of Determined's
        batches = event.get("batches_trained", checkpoint.get("batches_trained", "") if isinstance(checkpoint, Mapping) else "")
        yield at, str(batches), one_line(_description(event))
    if len(events) > _MOST_EVENTS:
        yield "", "", f"and {len(events) - _MOST_EVENTS:,} more"


def _description(event: Mapping[str, Any]) -> str:
    kind = str(event.get("kind", "event"))
    match kind:
        case "state":
            return str(event.get("state"))
        case "command":
            return f"{event.get('command')}: {event.get('outcome', '')}"
        case "validation":
            numbers = (f"{name} {value:.4g}" for name, value in event.get("metrics", {}).items() if isinstance(value, (int, float)))
            return f"validation: {', '.join(numbers)}"
        case "checkpoint":
            return f"checkpoint {event.get('checkpoint', {}).get('id', '')}"
        case "moved":
            return f"restored {event.get('checkpoint') or 'a checkpoint'}"
        case "loaded" | "code":
            return "reloaded" if kind == "loaded" else "continued with edited code"
        case "error":
            return f"failed: {event.get('error', {}).get('message', '')}"
        case "warning":
            return f"warning: {worded(str(event.get('text', '')))}"
        case _:
            return kind
