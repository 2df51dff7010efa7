"""A picture as a list of strokes, for two writers: :mod:`._svg` writes text, :mod:`._png` pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Point = tuple[float, float]
Anchor = Literal["start", "middle", "end"]


@dataclass(frozen=True, slots=True)
class Line:
    """A polyline through ``points``; ``dashed`` tells it from another one of the same color."""

    points: Sequence[Point]
    color: str
    width: float = 1.0
    opacity: float = 1.0
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Area:
    """A filled polygon with the corners ``points``."""

    points: Sequence[Point]
    color: str
    opacity: float


@dataclass(frozen=True, slots=True)
class Dots:
    """Marks of ``size`` pixels at ``points``: round, or triangles whose base is at the point."""

    points: Sequence[Point]
    color: str
    size: float
    triangle: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """One line of text; ``at`` is on its baseline."""

    at: Point
    text: str
    color: str
    size: float
    anchor: Anchor = "start"
    bold: bool = False


@dataclass(slots=True)
class Picture:
    """Strokes on a transparent background of ``width`` by ``height`` pixels, y downwards; ``title`` describes the picture."""

    width: float
    height: float
    title: str
    strokes: list[Line | Area | Dots | Text] = field(default_factory=list)
