"""One panel of a picture: axes, curves (those of validations with their points), and values off the scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detjupyter.picture.numbers import format_count, format_value
from detjupyter.picture.panels import MetricCurves
from detjupyter.picture.strokes import Area, Dots, Line, Picture, Point, Text
from detjupyter.protocol.records import FloatArray, SeriesPatch
from detjupyter.protocol.states import Group
from detjupyter.store.series import decimate

GREY = "#808080"
PANEL_HEIGHT = 206

# Mid tones that differ for every kind of color vision, with a contrast of 3:1 on white and on JupyterLab's dark background.
_COLORS = {Group.TRAINING: "#2f8fd0", Group.VALIDATION: "#d9730d"}
_ALARM = "#d0479b"
_PLOT_TOP, _PLOT_BOTTOM = 44, 182
_TICK_SIZE = 10
_MOST_DOTS = 40
_LOGARITHMIC_FROM = 100


def shorten(text: str, width: float, size: float) -> str:
    """Return ``text`` cut to about ``width`` pixels in a font of ``size`` pixels; neither writer measures text before it draws."""
    most = max(4, int(width / (0.62 * size)))
    return text if len(text) <= most else f"{text[: most - 1]}…"


def panel_columns(panels: int) -> int:
    """Return how many panels are next to each other."""
    return {0: 1, 4: 2}.get(panels, min(3, panels))


@dataclass(frozen=True, slots=True)
class Curve:
    """One curve of a panel.

    Attributes:
        patch: All its points.
        color: Its color.
        label: Its name in the legend; empty if something else says it.
        has_dots: Whether each of its points is marked, if there are few.
        opacity: From 0 to 1; a curve behind another one is faint.
        dashed: Whether it is dashed, to tell it from another one of its color.
        spread: Half the height of the band around it at each point, (N,); such a curve is not reduced to fewer points.
    """

    patch: SeriesPatch
    color: str
    label: str = ""
    has_dots: bool = False
    opacity: float = 1.0
    dashed: bool = False
    spread: FloatArray | None = None


def curves_of(metric: MetricCurves) -> list[Curve]:
    """Return the curves of one metric of one run: the training curve and the validation curve."""
    return [
        Curve(patch, _COLORS[group], group.value, has_dots=group is Group.VALIDATION, dashed=group is Group.VALIDATION)
        for group, patch in sorted(metric.curves.items(), key=lambda item: item[0])
    ]


def draw_panel(
    picture: Picture, name: str, curves: Sequence[Curve], box: tuple[float, float, float], extent: tuple[float, float], points: int
) -> None:
    """Draw a panel at ``box`` (left, top, width in pixels), x from ``extent``, each curve reduced to about ``points`` points."""
    left, top, width = box
    drawn = [(curve, *_reduced(curve, points)) for curve in curves]
    axis = _Axis([values for _, _, values in drawn])
    title = f"{name} (log)" if axis.logarithmic else name
    note = _note(curves)
    picture.strokes.append(Text((left, top + 14), shorten(title, width - 6.5 * len(note), 12), GREY, 12, bold=True))
    picture.strokes.append(Text((left + width, top + 14), note, _ALARM, 11, anchor="end"))
    _legend(picture, curves, left, top + 30, width)
    labels = [axis.label(tick) for tick in axis.ticks]
    plot_left = left + 10 + 6.2 * max(map(len, labels), default=1)
    plot = _Plot(plot_left, left + width - 22, top + _PLOT_TOP, top + _PLOT_BOTTOM, extent, axis)
    _axes(picture, plot, labels)
    for curve, batches, values in drawn:
        _draw_band(picture, plot, curve, batches, values)
        _draw_curve(picture, plot, curve, batches, values)


def _reduced(curve: Curve, points: int) -> tuple[FloatArray, FloatArray]:
    batches, values = curve.patch.batches, curve.patch.values
    return decimate(batches, values, points) if curve.spread is None else (batches, values)


class _Axis:
    """The y axis: its range around the finite values, and its ticks. It is logarithmic when a few huge values would flatten all others."""

    def __init__(self, columns: Sequence[FloatArray]) -> None:
        values = np.concatenate(columns) if columns else np.empty(0)
        values = values[np.isfinite(values)]
        self.logarithmic = len(values) > 0 and values.min() > 0 and bool(values.max() > _LOGARITHMIC_FROM * np.median(values))
        if self.logarithmic:
            values = np.log10(values)
        low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
        pad = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
        self.high = high + pad
        self.low = low - pad if low < 0 or self.logarithmic else max(0.0, low - pad)
        self.ticks = nice_ticks(self.low, self.high, 5, smallest=1.0 if self.logarithmic else 0.0)
        step = self.ticks[1] - self.ticks[0] if len(self.ticks) > 1 else 1.0
        self._decimals = max(0, min(8, -math.floor(math.log10(step) + 1e-9))) + (1 if _has_quarter(step) else 0)

    def place(self, values: FloatArray) -> FloatArray:
        """Return the positions of the values between the lower end (0) and the upper end (1) of the axis; NaN for those off the axis."""
        with np.errstate(divide="ignore", invalid="ignore"):
            placed = (np.log10(values) if self.logarithmic else values) - self.low
            return np.asarray(np.where(np.isfinite(placed), placed / (self.high - self.low), np.nan))

    def label(self, tick: float) -> str:
        if self.logarithmic:
            return f"1e{tick:.0f}".replace("-", "−") if abs(tick) > 4 else f"{10.0**tick:g}"
        largest = max(abs(self.low), abs(self.high))
        if largest >= 1e5 or largest < 1e-3:
            return f"{tick:.3g}".replace("e-0", "e−").replace("e+0", "e").replace("-", "−")
        return f"{tick:.{self._decimals}f}".replace("-", "−")


class _Plot:
    """The rectangle of the curves in pixels, and the conversion of values to pixels."""

    def __init__(self, left: float, right: float, top: float, bottom: float, extent: tuple[float, float], axis: _Axis) -> None:
        self.left, self.right, self.top, self.bottom, self.axis = left, right, top, bottom, axis
        self.first, self.last = extent if extent[1] > extent[0] else (extent[0] - 1, extent[1] + 1)

    def x(self, batches: FloatArray) -> FloatArray:
        return self.left + (batches - self.first) / (self.last - self.first) * (self.right - self.left)

    def y(self, values: FloatArray) -> FloatArray:
        return self.bottom - self.axis.place(values) * (self.bottom - self.top)


def nice_ticks(low: float, high: float, most: int, *, smallest: float) -> list[float]:
    """Return at most ``most`` round numbers from ``low`` to ``high``; their distance is 1, 2, 2.5 or 5 times a power of ten."""
    rough = max((high - low) / most, smallest, 1e-300)
    power = 10.0 ** math.floor(math.log10(rough))
    steps = [factor * power for factor in (1, 2, 2.5, 5, 10) if not smallest or factor * power % smallest == 0]
    step = next(step for step in steps if step >= 0.85 * rough)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def _has_quarter(step: float) -> bool:
    leading = step / 10.0 ** math.floor(math.log10(step) + 1e-9)
    return math.isclose(leading, 2.5)


def _legend(picture: Picture, curves: Sequence[Curve], left: float, baseline: float, width: float) -> None:
    """Draw the names and the last values of the curves on one line, smaller if they would reach into the next panel."""
    texts = [
        (curve, f"{curve.label} {format_value(float(curve.patch.values[-1]))}")
        for curve in curves
        if curve.label and len(curve.patch.values)
    ]
    scale = min(1.0, width / max(1.0, sum(19 + 6.2 * len(text) + 12 for _, text in texts)))
    for curve, text in texts:
        picture.strokes.append(Line([(left, baseline - 4), (left + 14 * scale, baseline - 4)], curve.color, 2, 1, curve.dashed))
        if curve.has_dots:
            picture.strokes.append(Dots([(left + 7 * scale, baseline - 4)], curve.color, 6))
        picture.strokes.append(Text((left + 19 * scale, baseline), text, GREY, 11 * scale))
        left += scale * (19 + 6.2 * len(text) + 12)


def _note(curves: Sequence[Curve]) -> str:
    """Return the first value that could not be drawn and its batch; empty if all values were drawn."""
    found: list[tuple[float, float]] = []
    for patch in (curve.patch for curve in curves):
        where = np.flatnonzero(~np.isfinite(patch.values))
        if len(where):
            found.append((float(patch.batches[where[0]]), float(patch.values[where[0]])))
    if not found:
        return ""
    batch, value = min(found)
    return f"▲ {format_value(value)} at batch {format_count(batch)}"


def _axes(picture: Picture, plot: _Plot, labels: Sequence[str]) -> None:
    heights = plot.y(np.array([10.0**tick if plot.axis.logarithmic else tick for tick in plot.axis.ticks]))
    for y, label in zip(heights.tolist(), labels, strict=True):
        picture.strokes.append(Line([(plot.left, y), (plot.right, y)], GREY, 1, 0.25))
        picture.strokes.append(Text((plot.left - 5, y + 3.5), label, GREY, _TICK_SIZE, anchor="end"))
    most = max(2, int((plot.right - plot.left) / 70))
    batches = np.array(nice_ticks(plot.first, plot.last, most, smallest=1.0))
    for x, batch in zip(plot.x(batches).tolist(), batches.tolist(), strict=True):
        picture.strokes.append(Line([(x, plot.top), (x, plot.bottom)], GREY, 1, 0.25))
        picture.strokes.append(Text((x, plot.bottom + 14), format_count(batch), GREY, _TICK_SIZE, anchor="middle"))


def _draw_band(picture: Picture, plot: _Plot, curve: Curve, batches: FloatArray, values: FloatArray) -> None:
    if curve.spread is None:
        return
    lower, upper = plot.y(values - curve.spread), plot.y(values + curve.spread)
    drawable = np.isfinite(lower) & np.isfinite(upper)  # on a logarithmic axis the lower edge can have no place
    xs = plot.x(batches)[drawable].tolist()
    edge = list(zip(xs, upper[drawable].clip(plot.top, plot.bottom).tolist(), strict=True))
    edge += reversed(list(zip(xs, lower[drawable].clip(plot.top, plot.bottom).tolist(), strict=True)))
    if len(xs) > 1:
        picture.strokes.append(Area(edge, curve.color, 0.22))


def _draw_curve(picture: Picture, plot: _Plot, curve: Curve, batches: FloatArray, values: FloatArray) -> None:
    xs, ys = plot.x(batches), plot.y(values)
    drawable = np.isfinite(ys)
    dots: list[Point] = []
    breaks = np.flatnonzero(~drawable)
    for segment in np.split(np.arange(len(xs)), breaks):
        segment = segment[drawable[segment]]
        points = list(zip(xs[segment].tolist(), ys[segment].tolist(), strict=True))
        if len(points) > 1:
            picture.strokes.append(Line(points, curve.color, 1.8 if curve.has_dots else 1.2, curve.opacity, curve.dashed))
        elif points:
            dots += points
    if curve.has_dots and np.count_nonzero(drawable) <= _MOST_DOTS:
        dots = list(zip(xs[drawable].tolist(), ys[drawable].tolist(), strict=True))
    if dots:
        picture.strokes.append(Dots(dots, curve.color, 5))
    _alarms(picture, plot, xs[breaks], values[breaks])


def _alarms(picture: Picture, plot: _Plot, xs: FloatArray, values: FloatArray) -> None:
    """Mark the values off the axis: infinity at the upper edge, all others at the lower edge; marks that would overlap are merged."""
    size = 7.0
    for at_top, edge in ((True, plot.top + size), (False, plot.bottom)):
        points: list[Point] = []
        for x in xs[(values == math.inf) == at_top].tolist():
            if not points or x - points[-1][0] >= 1.5 * size:
                points.append((x, edge))
        if points:
            picture.strokes.append(Dots(points, _ALARM, size, triangle=True))
