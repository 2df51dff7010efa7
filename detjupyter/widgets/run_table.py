"""The table of runs: the answer of ``%det_runs`` and ``%det_status``."""

from __future__ import annotations

import time
from collections.abc import Sequence

from detjupyter.protocol.records import RunRecord
from detjupyter.protocol.states import State
from detjupyter.widgets._figures import format_count, format_duration, format_value
from detjupyter.widgets._html import escape, framed

_COLUMNS = ("run", "state", "entrypoint", "batches", "best", "duration", "started")
_TONES = {
    State.RUNNING: "#008e6e",
    State.PAUSED: "#d68a00",
    State.FINISHED: "#1976d2",
    State.FAILED: "#d32f2f",
    State.INTERRUPTED: "#d32f2f",
}
_STYLE = """\
.{id}{{overflow-x:auto}}
.{id} table{{border-collapse:collapse;font-size:12px;margin:0}}
.{id} th{{text-align:left;font-weight:600;white-space:nowrap;padding:2px 18px 4px 0;\
border-bottom:1px solid var(--jp-border-color2,rgba(128,128,128,.35))}}
.{id} td{{text-align:left;white-space:nowrap;padding:3px 18px 3px 0;font-variant-numeric:tabular-nums}}
.{id} tr{{background:none!important}}
.{id} td.l{{max-width:28em;overflow:hidden;text-overflow:ellipsis}}
.{id} i{{display:inline-block;width:8px;height:8px;border-radius:50%;margin-right:6px;background:#808080}}
"""


def runs_bundle(runs: Sequence[RunRecord]) -> dict[str, str]:
    """Return ``text/html`` and ``text/plain`` of the runs, in the order given."""
    if not runs:
        text = "There are no runs yet: `%det_load` a trial, then `%det_train`."
        return {"text/html": framed(escape(text)), "text/plain": text}
    rows = [_row(run) for run in runs]
    return {"text/html": framed(_table(runs, rows), _STYLE), "text/plain": _text(rows)}


def _row(run: RunRecord) -> tuple[str, ...]:
    best = "–" if run.best is None else f"{run.best.name} {format_value(run.best.value)}"
    return (
        run.id,
        run.state.value,
        run.entrypoint,
        format_count(run.batches_trained),
        best,
        format_duration(_duration_s(run)),
        time.strftime("%Y-%m-%d %H:%M", time.localtime(run.created_at)),
    )


def _duration_s(run: RunRecord) -> float:
    """Return how long the run trained; runs that never wrote a session count from their beginning to their last sign of life."""
    return run.session.elapsed_s if run.session is not None else (run.ended_at or run.updated_at) - run.created_at


def _table(runs: Sequence[RunRecord], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{name}</th>" for name in _COLUMNS)
    body = []
    for run, (run_id, state, entrypoint, *rest) in zip(runs, rows, strict=True):
        tone = f' style="background:{_TONES[run.state]}"' if run.state in _TONES else ""
        cells = f'<td class="m">{escape(run_id)}</td><td><i{tone}></i>{escape(state)}</td>'
        cells += f'<td class="m l" title="{escape(entrypoint)}">{escape(entrypoint)}</td>'
        body.append(f"<tr>{cells}{''.join(f'<td>{escape(cell)}</td>' for cell in rest)}</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def _text(rows: Sequence[Sequence[str]]) -> str:
    table = [_COLUMNS, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(_COLUMNS))]
    return "\n".join("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in table)
