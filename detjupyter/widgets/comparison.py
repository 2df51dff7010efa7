"""The output of a comparison of runs: their curves in the same charts, and a table of what differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

import numpy as np

from detjupyter.picture.event_rows import event_rows
from detjupyter.picture.html import NOTHING, Html, output
from detjupyter.picture.numbers import format_count, format_duration, format_value
from detjupyter.picture.plot import PANEL_HEIGHT, Curve, draw_panel, panel_columns
from detjupyter.picture.strokes import Picture
from detjupyter.picture.summary import best_text
from detjupyter.picture.svg import to_svg
from detjupyter.protocol.palette import RUN_COLORS
from detjupyter.protocol.records import SeriesPatch
from detjupyter.protocol.states import Group
from detjupyter.store.comparison import ComparedMetric, Comparison, by_importance
from detjupyter.text import one_line, shortened

_WIDTH, _GAP = 980, 28
_MOST_PANELS = 9
_MOST_METRICS = 30
_MOST_SETTINGS = 200
_MOST_CHARACTERS = 200
_MOST_TEXT = 60
_MOST_DIFF_LINES = 300
_POINTS_IN_ALL = 6000
_MEAN = "#808080"
_FEWEST_SEEDS = 3
_MOST_BAND_POINTS = 200
_ABSENT = "–"
_STYLE = """\
.{id}{{overflow-x:auto}}
.{id} svg{{max-width:100%;height:auto;display:block}}
.{id} table{{border-collapse:collapse;font-size:12px;margin:4px 0 0}}
.{id} th{{text-align:left;font-weight:600;white-space:nowrap;padding:2px 18px 4px 0}}
.{id} thead th{{border-bottom:1px solid var(--jp-border-color2,rgba(128,128,128,.35))}}
.{id} tbody th{{font-weight:400;opacity:.75}}
.{id} td{{text-align:left;white-space:nowrap;padding:3px 18px 3px 0;font-variant-numeric:tabular-nums;\
max-width:22em;overflow:hidden;text-overflow:ellipsis}}
.{id} tr{{background:none!important}}
.{id} i{{display:inline-block;width:14px;border-top:3px solid;margin:0 6px 3px 0}}
.{id} i.d{{border-top-style:dashed}}
.{id} tr.s th,.{id} tr.s td{{padding-top:10px}}
.{id} details{{margin-top:8px;font-size:12px}}
.{id} pre{{font-size:12px;line-height:1.35;margin:4px 0 0}}
.{id} p{{margin:4px 0 0}}
"""

Row = tuple[str, Sequence[str]]


def comparison_bundle(comparison: Comparison) -> dict[str, str]:
    """Return ``text/html`` and ``text/plain`` of a comparison."""
    sections = [_facts(comparison), _settings(comparison), _metrics(comparison.metrics, has_band=_has_band(comparison))]
    code = _code(comparison)
    events, left_out = _events(comparison)
    text = _text(comparison, sections)
    html = Html(to_svg(_picture(comparison))) if any(any(metric.curves) for metric in comparison.metrics) else NOTHING
    html += _table(comparison, sections)
    if events:
        note = Html("<p>{}</p>").format(left_out) if left_out else NOTHING
        html += Html("<details><summary>Events, by batch</summary>{}{}</details>").format(_table(comparison, [events]), note)
    if code:
        html += Html("<details><summary>{}</summary><pre>{}</pre></details>").format(_code_title(comparison), code)
    event_text = "\n".join(filter(None, [_text(comparison, [_cut(events)]), left_out])) if events else ""
    return output(html, "\n\n".join(filter(None, [text, event_text, code])), _STYLE)


def _picture(comparison: Comparison) -> Picture:
    metrics = [metric for metric in by_importance(comparison.metrics) if any(metric.curves)][:_MOST_PANELS]
    columns = panel_columns(len(metrics))
    rows = -(-len(metrics) // columns)
    picture = Picture(_WIDTH, rows * PANEL_HEIGHT + 4, f"The curves of {len(comparison.records)} runs")
    panels = [_seed_curves(metric) if _has_band(comparison) else _curves(metric) for metric in metrics]
    patches = [curve.patch for curves in panels for curve in curves]
    extent = (min(float(patch.batches[0]) for patch in patches), max(float(patch.batches[-1]) for patch in patches))
    points = max(40, min(400, _POINTS_IN_ALL // len(patches)))
    width = (_WIDTH - _GAP * (columns - 1)) / columns
    for index, (metric, curves) in enumerate(zip(metrics, panels, strict=True)):
        place = ((index % columns) * (width + _GAP), index // columns * PANEL_HEIGHT, width)
        draw_panel(picture, f"{_cell(metric.name)} ({metric.group.value})", curves, place, extent, points)
    return picture


def _look(index: int) -> tuple[str, bool]:
    """Return the color of a run, and whether its curves are dashed: there are more runs than colors that can be distinguished."""
    return RUN_COLORS[index % len(RUN_COLORS)].both, index >= len(RUN_COLORS)


def _curves(metric: ComparedMetric) -> list[Curve]:
    looks = map(_look, range(len(metric.curves)))
    return [
        Curve(patch, color, has_dots=metric.group is Group.VALIDATION, dashed=dashed)
        for patch, (color, dashed) in zip(metric.curves, looks, strict=True)
        if patch is not None
    ]


def _has_band(comparison: Comparison) -> bool:
    return comparison.is_of_seeds and len(comparison.records) >= _FEWEST_SEEDS


def _seed_curves(metric: ComparedMetric) -> list[Curve]:
    """Return the curves of repetitions: each faint, and their mean with a band of one standard deviation."""
    each = [replace(curve, opacity=0.35, has_dots=False) for curve in _curves(metric)]
    batches, mean, spread = metric.over_runs()
    kept = np.unique(np.linspace(0, len(batches) - 1, min(len(batches), _MOST_BAND_POINTS)).astype(int))
    patch = SeriesPatch(metric.group, metric.name, 0, batches[kept], mean[kept])
    band = Curve(patch, _MEAN, f"mean ± std of {len(each)} seeds:", has_dots=metric.group is Group.VALIDATION, spread=spread[kept])
    return [*each, band] if len(batches) else each


def _facts(comparison: Comparison) -> list[Row]:
    records = comparison.records
    return [
        ("state", [record.state.value for record in records]),
        ("batches", [format_count(record.batches_trained) for record in records]),
        ("duration", [_ABSENT if record.session is None else format_duration(record.session.elapsed_s) for record in records]),
        ("best", [_ABSENT if record.best is None else best_text(record.best) for record in records]),
    ]


def _settings(comparison: Comparison) -> list[Row]:
    shown = islice(comparison.settings.items(), _MOST_SETTINGS)
    rows: list[Row] = [(_cell(name), [_ABSENT if value is None else _cell(value) for value in values]) for name, values in shown]
    more = len(comparison.settings) - _MOST_SETTINGS
    return [*rows, (f"and {format_count(more)} more", [""] * len(comparison.records))] if more > 0 else rows


def _cell(text: str) -> str:
    return shortened(one_line(text), _MOST_CHARACTERS)


def _mean(metric: ComparedMetric) -> str:
    _, mean, spread = metric.over_runs()
    return f": {format_value(float(mean[-1]))} ± {format_value(float(spread[-1]))}" if len(mean) else ""


def _metrics(metrics: Sequence[ComparedMetric], *, has_band: bool) -> list[Row]:
    return [
        (
            _cell(f"{metric.group.value}/{metric.name}{_mean(metric) if has_band else ''}"),
            [_ABSENT if value is None else format_value(value) for value in metric.newest()],
        )
        for metric in by_importance(metrics)[:_MOST_METRICS]
    ]


def _events(comparison: Comparison) -> tuple[list[Row], str]:
    """Return a row for each batch after which something happened in a run, and a note on what is left out."""
    rows, left_out = event_rows(comparison.events)
    return [(f"batch {format_count(row.batch)}", [*map(_cell, row.texts)]) for row in rows], left_out


def _cut(rows: Sequence[Row]) -> list[Row]:
    """Return rows that plain text has room for."""
    return [(name, [shortened(value, _MOST_TEXT) for value in values]) for name, values in rows]


def _code(comparison: Comparison) -> str:
    if comparison.code is None or not comparison.code.files:
        return ""
    lines = comparison.code.files.split("\n")
    more = len(lines) - _MOST_DIFF_LINES
    return "\n".join([*lines[:_MOST_DIFF_LINES], *([f"and {format_count(more)} more lines"] if more > 0 else [])])


def _code_title(comparison: Comparison) -> str:
    assert comparison.code is not None
    kinds = (("added", comparison.code.added), ("removed", comparison.code.removed), ("changed", comparison.code.changed))
    counts = [f"{format_count(len(paths))} {what}" for what, paths in kinds if paths]
    return f"Files: {', '.join(counts)}" if counts else "Code"


def _table(comparison: Comparison, sections: Sequence[Sequence[Row]]) -> Html:
    looks = map(_look, range(len(comparison.records)))
    names = [
        Html('<th><i class="{}" style="color:{}"></i>{}</th>').format("d" if dashed else "", color, record.id)
        for (color, dashed), record in zip(looks, comparison.records, strict=True)
    ]
    body = [
        Html('<tr class="{}"><th>{}</th>{}</tr>').format(
            "" if index else "s", name, NOTHING.join(Html('<td title="{0}">{0}</td>').format(value) for value in values)
        )
        for section in sections
        for index, (name, values) in enumerate(section)
    ]
    head = NOTHING.join([Html("<th></th>"), *names])
    return Html("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>").format(head, NOTHING.join(body))


def _text(comparison: Comparison, sections: Sequence[Sequence[Row]]) -> str:
    head: Row = ("", [record.id for record in comparison.records])
    rows = [head, *(row for section in sections for row in section)]
    widths = [max(map(len, column)) for column in zip(*((name, *values) for name, values in rows), strict=True)]
    lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip((name, *values), widths, strict=True)).rstrip() for name, values in rows]
    return "\n".join(lines)
