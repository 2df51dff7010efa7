"""Write a picture as PNG with matplotlib's Agg backend. The same picture gives the same bytes.

Every property of every artist is set explicitly, so that matplotlib's global state (the user's style and ``rcParams``, pyplot's figures)
is neither read nor changed: the picture is drawn in the engine's thread while cells may be plotting.
"""

from __future__ import annotations

import io
from typing import Any, Literal

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import Polygon
from matplotlib.text import Text as TextArtist
from PIL import Image

from detjupyter.picture.strokes import Area, Dots, Line, Picture, Text
from detjupyter.text import printable

_SCALE = 1.0
_DPI = 100
_POINTS_PER_PIXEL = 72 / _DPI
_COLORS = 32
_ALIGNMENT: dict[str, Literal["left", "center", "right"]] = {"start": "left", "middle": "center", "end": "right"}


def to_png(picture: Picture) -> bytes:
    """Return the picture as a PNG with a palette and a transparent background."""
    size = (picture.width / _DPI, picture.height / _DPI)
    figure = Figure(figsize=size, dpi=_DPI * _SCALE, facecolor="none", edgecolor="none", linewidth=0)
    figure.set_layout_engine("none")
    canvas: Any = FigureCanvasAgg(figure)  # Any: two of its methods have no types
    for stroke in picture.strokes:
        artist = _artist(stroke, picture)
        artist.set_sketch_params(None)
        artist.set_path_effects([])
        artist.set_transform(figure.transFigure)
        figure.add_artist(artist)
    canvas.draw()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())).quantize(colors=_COLORS, method=Image.Quantize.FASTOCTREE)
    file = io.BytesIO()
    image.save(file, format="PNG", optimize=True)
    return file.getvalue()


def _artist(stroke: Line | Area | Dots | Text, picture: Picture) -> Artist:
    if isinstance(stroke, Text):
        return _text(stroke, picture)
    xs = [x / picture.width for x, _ in stroke.points]
    if isinstance(stroke, Area):
        corners = [(x, 1 - y / picture.height) for x, (_, y) in zip(xs, stroke.points, strict=True)]
        return Polygon(corners, closed=True, facecolor=stroke.color, edgecolor="none", linewidth=0, alpha=stroke.opacity, antialiased=True)
    if isinstance(stroke, Line):
        return Line2D(
            xs,
            [1 - y / picture.height for _, y in stroke.points],
            color=stroke.color,
            linewidth=stroke.width * _POINTS_PER_PIXEL,
            linestyle=(0, (5, 3)) if stroke.dashed else "-",
            marker="",
            alpha=stroke.opacity,
            antialiased=True,
            solid_capstyle="butt",
            solid_joinstyle="round",
        )
    lift = stroke.size / 2 if stroke.triangle else 0
    return Line2D(
        xs,
        [1 - (y - lift) / picture.height for _, y in stroke.points],
        color=stroke.color,
        linestyle="",
        marker="^" if stroke.triangle else "o",
        markersize=stroke.size * _POINTS_PER_PIXEL,
        markerfacecolor=stroke.color,
        markeredgewidth=0,
        fillstyle="full",
        antialiased=True,
    )


def _text(stroke: Text, picture: Picture) -> TextArtist:
    x, y = stroke.at
    return TextArtist(
        x / picture.width,
        1 - y / picture.height,
        printable(stroke.text),
        color=stroke.color,
        horizontalalignment=_ALIGNMENT[stroke.anchor],
        verticalalignment="baseline",
        fontproperties=FontProperties(
            family="DejaVu Sans",  # the font that matplotlib includes
            style="normal",
            variant="normal",
            weight="bold" if stroke.bold else "normal",
            stretch="normal",
            size=stroke.size * _POINTS_PER_PIXEL,
            math_fontfamily="dejavusans",
        ),
        usetex=False,
        parse_math=False,
        antialiased=True,
    )
