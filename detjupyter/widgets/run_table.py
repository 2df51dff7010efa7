"""The table of runs: the output of ``%det_runs`` and ``%det_status``."""

from __future__ import annotations

import time
from collections.abc import Sequence

from detjupyter.protocol.records import RunRecord
from detjupyter.protocol.states import State
from detjupyter.text import one_line
from detjupyter.widgets._html import NOTHING, Html, output
from detjupyter.widgets._numbers import format_count, format_duration, format_value

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
        return output(Html.escape(text), text)
    rows = [_row(run) for run in runs]
    return output(_table(runs, rows), _text(rows), _STYLE)


def _row(run: RunRecord) -> tuple[str, ...]:
    best = "–" if run.best is None else f"{one_line(run.best.name)} {format_value(run.best.value)}"
    return (
        run.id,
        run.state.value,
        one_line(run.entrypoint),
        format_count(run.batches_trained),
        best,
        format_duration(_duration_s(run)),
        time.strftime("%Y-%m-%d %H:%M", time.localtime(run.created_at)),
    )


def _duration_s(run: RunRecord) -> float:
    """Return how long the run trained; for runs without a session record, the time from their start to their last heartbeat."""
    return run.session.elapsed_s if run.session is not None else (run.ended_at or run.updated_at) - run.created_at


def _table(runs: Sequence[RunRecord], rows: Sequence[Sequence[str]]) -> Html:
    head = NOTHING.join(Html("<th>{}</th>").format(name) for name in _COLUMNS)
    body = []
    for run, (run_id, state, entrypoint, *rest) in zip(runs, rows, strict=True):
        tone = Html(' style="background:{}"').format(_TONES[run.state]) if run.state in _TONES else NOTHING
        cells = Html('<td class="m">{}</td><td><i{}></i>{}</td>').format(run_id, tone, state)
        cells += Html('<td class="m l" title="{0}">{0}</td>').format(entrypoint)
        cells += NOTHING.join(Html("<td>{}</td>").format(cell) for cell in rest)
        body.append(Html("<tr>{}</tr>").format(cells))
    return Html("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>").format(head, NOTHING.join(body))


def _text(rows: Sequence[Sequence[str]]) -> str:
    table = [_COLUMNS, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(_COLUMNS))]
    return "\n".join("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in table)
