"""The picture that stays in the notebook after a training: its curves as PNG and SVG, and the facts as text."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from detjupyter.picture.panels import MetricCurves, pair
from detjupyter.picture.plot import GREY, PANEL_HEIGHT, curves_of, draw_panel, panel_columns, shorten
from detjupyter.picture.strokes import Picture, Text
from detjupyter.picture.summary import best_line, headline, session_text, warning_lines
from detjupyter.picture.svg import to_svg
from detjupyter.protocol.records import ErrorRecord, SeriesPatch, SessionRecord
from detjupyter.text import printable

_WIDTH = 760
_GAP = 28
_HEAD = 22
_LINE = 16
_MOST_PANELS = 6
_MOST_PANELS_AS_PNG = 3  # one row: PNG is for front ends that show no SVG, and costs most of the bytes
_POINTS_IN_ALL = 700
_ERROR = "#d9534f"
_WARNING = "#d68a00"
_CHARACTERS = 105
_MOST_FRAME_LINES = 14
_MOST_MESSAGE_LINES = 6
_MOST_WARNING_LINES = 3


def static_picture(record: SessionRecord, patches: Sequence[SeriesPatch]) -> dict[str, str | bytes]:
    """Return ``image/png`` (bytes), ``image/svg+xml`` and ``text/plain`` of a training.

    The background is transparent and the colors are readable on light and dark. PNG (in base64) and SVG together stay below 40 kB for any
    length of run and number of metrics; the PNG has fewer of many metrics. The same arguments give the same bytes.

    Args:
        record: The session when it ended.
        patches: Its whole curves (``start`` 0).
    """
    from detjupyter.picture.png import to_png  # matplotlib is slow to import, and only a training that has ended needs it

    text = session_text(record)
    metrics = pair(patches)
    png = to_png(_draw(record, metrics, text, _MOST_PANELS_AS_PNG))
    return {"image/png": png, "image/svg+xml": to_svg(_draw(record, metrics, text, _MOST_PANELS)), "text/plain": text}


def _draw(record: SessionRecord, metrics: Sequence[MetricCurves], text: str, most_panels: int) -> Picture:
    shown = metrics[:most_panels]
    columns = panel_columns(len(shown))
    rows = -(-len(shown) // columns)
    lines = _head_lines(record, len(metrics) - len(shown))
    top = _HEAD + _LINE * len(lines) + 8
    picture = Picture(_WIDTH, top + rows * PANEL_HEIGHT + 4, text)
    picture.strokes.append(Text((0, 14), shorten(record.entrypoint, _WIDTH, 13), GREY, 13, bold=True))
    for index, (line, color) in enumerate(lines):
        picture.strokes.append(Text((0, _HEAD + 10 + _LINE * index), shorten(line, _WIDTH, 11), color, 11))
    curves = [patch for metric in shown for patch in metric.curves.values() if len(patch.batches)]
    if not curves:
        return picture
    extent = (min(float(patch.batches[0]) for patch in curves), max(float(patch.batches[-1]) for patch in curves))
    points = max(50, min(600, _POINTS_IN_ALL // len(curves)))
    width = (_WIDTH - _GAP * (columns - 1)) / columns
    for index, metric in enumerate(shown):
        left = (index % columns) * (width + _GAP)
        draw_panel(picture, metric.name, curves_of(metric), (left, top + index // columns * PANEL_HEIGHT, width), extent, points)
    return picture


def _head_lines(record: SessionRecord, hidden: int) -> list[tuple[str, str]]:
    best = best_line(record)
    lines = [(" · ".join([headline(record), best] if best else [headline(record)]), GREY)]
    for line in warning_lines(record):
        wrapped = textwrap.wrap(line, _CHARACTERS, subsequent_indent="    ", drop_whitespace=True)
        lines += [(part.replace("  ", "\u00a0\u00a0"), _WARNING) for part in wrapped[:_MOST_WARNING_LINES]]
    if record.error is not None:
        lines += _error_lines(record.error, record.definition_root)
    if hidden:
        lines.append((f"{hidden} more metrics are not shown.", GREY))
    return lines


def _error_lines(error: ErrorRecord, root: str) -> list[tuple[str, str]]:
    """Return the user's frames, the exception and the hint: a saved notebook shows them nowhere else."""
    # Paths are relative to the definition. The marks under a line are left out: they need a monospaced font.
    traceback = printable(error.traceback.replace(f"{root}/", ""))
    frames = [line for line in traceback.splitlines() if line.strip(" ^~")]
    if len(frames) > _MOST_FRAME_LINES:
        frames = [frames[0], "  …", *frames[2 - _MOST_FRAME_LINES :]]
    message = [part for line in printable(error.message).splitlines() for part in textwrap.wrap(line, _CHARACTERS) or [""]]
    hint = textwrap.wrap(f"→ {printable(error.hint)}", _CHARACTERS) if error.hint else []
    # SVG drops spaces at the start of a line unless they are non-breaking.
    return [
        *((line.replace("  ", "\u00a0\u00a0"), GREY) for line in frames),
        *((line, _ERROR) for line in message[:_MOST_MESSAGE_LINES]),
        *((line, GREY) for line in hint),
    ]
