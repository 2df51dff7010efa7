"""The pen that writes SVG. The same picture gives the same text."""

from __future__ import annotations

from xml.sax.saxutils import escape

from detjupyter.widgets._strokes import Dots, Line, Picture, Text, printable

_FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"


def to_svg(picture: Picture) -> str:
    """Return the picture as an SVG document with its text as text."""
    width, height = _number(picture.width), _number(picture.height)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img" font-family="{_FONT}" fill="none" stroke-linejoin="round">',
        f"<title>{escape(printable(picture.title))}</title>",
    ]
    parts += [_element(stroke) for stroke in picture.strokes]
    return "\n".join([*parts, "</svg>"])


def _element(stroke: Line | Dots | Text) -> str:
    if isinstance(stroke, Text):
        x, y = stroke.at
        extra = ' font-weight="600"' if stroke.bold else ""
        extra += "" if stroke.anchor == "start" else f' text-anchor="{stroke.anchor}"'
        body = escape(printable(stroke.text))
        return f'<text x="{_number(x)}" y="{_number(y)}" font-size="{_number(stroke.size)}" fill="{stroke.colour}"{extra}>{body}</text>'
    if isinstance(stroke, Line):
        points = " ".join(f"{_number(x)},{_number(y)}" for x, y in stroke.points)
        opacity = "" if stroke.opacity == 1 else f' stroke-opacity="{_number(stroke.opacity, 2)}"'
        return f'<polyline points="{points}" stroke="{stroke.colour}" stroke-width="{_number(stroke.width, 2)}"{opacity}/>'
    half = stroke.size / 2
    if stroke.triangle:
        shape = "".join(
            f"M{_number(x - half)} {_number(y)}h{_number(stroke.size)}l{_number(-half)} {_number(-stroke.size)}z" for x, y in stroke.points
        )
    else:
        arc = f"a{_number(half)} {_number(half)} 0 1 0 "
        shape = "".join(
            f"M{_number(x - half)} {_number(y)}{arc}{_number(stroke.size)} 0{arc}{_number(-stroke.size)} 0" for x, y in stroke.points
        )
    return f'<path d="{shape}" fill="{stroke.colour}"/>'


def _number(x: float, decimals: int = 1) -> str:
    text = f"{x:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
