"""The table of runs: the output of ``%det_runs`` and ``dj.runs()``."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from detjupyter.picture.html import NOTHING, Html, output
from detjupyter.picture.numbers import format_count, format_duration, format_value
from detjupyter.protocol.states import State
from detjupyter.store.run_values import hyperparameters_of
from detjupyter.store.summary import RunSummary
from detjupyter.text import one_line, shortened

_FIRST_COLUMNS = ("run", "state", "entrypoint")
_LAST_COLUMNS = ("batches", "best", "duration", "started")
_MOST_HYPERPARAMETERS = 8
_MOST_RUNS = 500
"""A notebook with more rows is slow to save and to open."""
_MOST_CHARACTERS = 80
"""Of a note, in a cell."""

_ADDED: dict[str, Callable[[RunSummary], str]] = {
    "name": lambda run: " ".join(filter(None, ["★" if run.starred else "", run.name])),
    "tags": lambda run: ", ".join(["archived"] * run.archived + list(run.tags)),
    "note": lambda run: shortened(" ".join(run.note.split()), _MOST_CHARACTERS),
}
"""The columns of what the user has added; a table has those that are not empty."""

_TONES = {  # those of the live view
    State.RUNNING: "#1976d2",
    State.PAUSED: "#d68a00",
    State.FINISHED: "#388e3c",
    State.FAILED: "#d32f2f",
    State.INTERRUPTED: "#d68a00",
}
_STYLE = """\
.{id}{{overflow-x:auto}}
.{id} table{{border-collapse:collapse;font-size:12px;margin:0}}
.{id} th{{text-align:left;font-weight:600;white-space:nowrap;padding:2px 18px 4px 0;\
border-bottom:1px solid var(--jp-border-color2,rgba(128,128,128,.35))}}
.{id} td{{text-align:left;white-space:nowrap;padding:3px 18px 3px 0;font-variant-numeric:tabular-nums}}
.{id} tr{{background:none!important}}
.{id} p{{font-size:12px;margin:4px 0 0}}
.{id} td.l{{max-width:28em;overflow:hidden;text-overflow:ellipsis}}
.{id} i{{display:inline-block;width:8px;height:8px;border-radius:50%;margin-right:6px;background:#808080}}
"""


def runs_bundle(runs: Sequence[RunSummary], *, are_chosen: bool = False) -> dict[str, str]:
    """Return ``text/html`` and ``text/plain`` of the runs, in the order given.

    Args:
        runs: The runs.
        are_chosen: Whether a condition has chosen them, so that there can be others.
    """
    if not runs:
        text = "No run matches." if are_chosen else "There are no runs yet: `%det_load` a trial, then `%det_train`."
        return output(Html.escape(text), text)
    names = differing_hyperparameters(runs)
    shown = runs[:_MOST_RUNS]
    added = [column for column in _ADDED if any(map(_ADDED[column], shown))]
    columns = (*_FIRST_COLUMNS, *map(one_line, names[:_MOST_HYPERPARAMETERS]), *_LAST_COLUMNS, *added)
    rows = [(*_row(run, names[:_MOST_HYPERPARAMETERS]), *(one_line(_ADDED[column](run)) for column in added)) for run in shown]
    hidden = names[_MOST_HYPERPARAMETERS:]
    notes = [f"Also different: {', '.join(map(one_line, hidden))}."] if hidden else []
    notes += [f"{len(runs) - len(shown):,} more runs are not shown."] if len(runs) > len(shown) else []
    note = " ".join(notes)
    return output(_table(shown, columns, rows, note), "\n".join(filter(None, [_text([columns, *rows]), note])), _STYLE)


def differing_hyperparameters(runs: Sequence[RunSummary]) -> list[str]:
    """Return the names of the hyperparameters that do not have the same value in all runs, in the order in which they appear."""
    values = [hyperparameters_of(run) for run in runs]
    names = dict.fromkeys(name for row in values for name in row)
    return [name for name in names if len({repr(row.get(name)) for row in values}) > 1]


def _row(run: RunSummary, hyperparameters: Sequence[str]) -> tuple[str, ...]:
    values = hyperparameters_of(run)
    best = "–" if run.best is None else f"{one_line(run.best.name)} {format_value(run.best.value)}"
    return (
        run.id,
        run.state.value,
        one_line(run.entrypoint),
        *(_value(values[name]) if name in values else "–" for name in hyperparameters),
        format_count(run.batches_trained),
        best,
        format_duration(run.seconds),
        time.strftime("%Y-%m-%d %H:%M", time.localtime(run.created_at)),
    )


def _value(value: Any) -> str:  # Any: any value that YAML can hold
    return one_line(format_value(value) if isinstance(value, float) else str(value))


def _table(runs: Sequence[RunSummary], columns: Sequence[str], rows: Sequence[Sequence[str]], note: str) -> Html:
    head = NOTHING.join(Html("<th>{}</th>").format(name) for name in columns)
    body = []
    for run, (run_id, state, entrypoint, *rest) in zip(runs, rows, strict=True):
        tone = Html(' style="background:{}"').format(_TONES[run.state]) if run.state in _TONES else NOTHING
        cells = Html('<td class="m">{}</td><td><i{}></i>{}</td>').format(run_id, tone, state)
        cells += Html('<td class="m l" title="{0}">{0}</td>').format(entrypoint)
        cells += NOTHING.join(Html('<td class="l" title="{0}">{0}</td>').format(cell) for cell in rest)
        body.append(Html("<tr>{}</tr>").format(cells))
    table = Html("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>").format(head, NOTHING.join(body))
    return table + Html("<p>{}</p>").format(note) if note else table


def _text(table: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in table)
