"""A picture as a list of strokes, for two pens: :mod:`._svg` writes text, :mod:`._png` pixels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Point = tuple[float, float]
Anchor = Literal["start", "middle", "end"]

_ILLEGAL_IN_XML = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Line:
    """A polyline through ``points``."""

    points: Sequence[Point]
    colour: str
    width: float = 1.0
    opacity: float = 1.0


@dataclass(frozen=True, slots=True)
class Dots:
    """Marks of ``size`` pixels at ``points``: round, or triangles whose base is at the point."""

    points: Sequence[Point]
    colour: str
    size: float
    triangle: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """One line of text; ``at`` is on its baseline."""

    at: Point
    text: str
    colour: str
    size: float
    anchor: Anchor = "start"
    bold: bool = False


@dataclass(slots=True)
class Picture:
    """Strokes on a transparent ground of ``width`` by ``height`` pixels, y downwards; ``title`` says what is seen."""

    width: float
    height: float
    title: str
    strokes: list[Line | Dots | Text] = field(default_factory=list)


def printable(text: str) -> str:
    """Return ``text`` without terminal colours and the control characters that neither XML nor a font knows."""
    return _ILLEGAL_IN_XML.sub("", text)
