"""Write a picture as SVG. The same picture gives the same text."""

from __future__ import annotations

from detjupyter.picture.html import NOTHING, Html
from detjupyter.picture.strokes import Area, Dots, Line, Picture, Text

_FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"


def to_svg(picture: Picture) -> str:
    """Return the picture as an SVG document, with its text as text elements. It shrinks to the width of the page."""
    width, height = _number(picture.width), _number(picture.height)
    head = Html(
        '<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'style="max-width:100%;height:auto" role="img" font-family="{font}" fill="none" stroke-linejoin="round">\n<title>{title}</title>'
    ).format(width=width, height=height, font=Html(_FONT), title=picture.title)
    return str(Html("\n").join([head, *map(_element, picture.strokes), Html("</svg>")]))


def _element(stroke: Line | Area | Dots | Text) -> Html:
    if isinstance(stroke, Text):
        (x, y), size = stroke.at, _number(stroke.size)
        weight = Html(' font-weight="600"') if stroke.bold else NOTHING
        anchor = NOTHING if stroke.anchor == "start" else Html(' text-anchor="{}"').format(stroke.anchor)
        text = Html('<text x="{}" y="{}" font-size="{}" fill="{}"{}{}>{}</text>')
        return text.format(_number(x), _number(y), size, stroke.color, weight, anchor, stroke.text)
    if isinstance(stroke, Line):
        points = " ".join(f"{_number(x)},{_number(y)}" for x, y in stroke.points)
        opacity = NOTHING if stroke.opacity == 1 else Html(' stroke-opacity="{}"').format(_number(stroke.opacity, 2))
        dashes = Html(' stroke-dasharray="5 3"') if stroke.dashed else NOTHING
        line = Html('<polyline points="{}" stroke="{}" stroke-width="{}"{}{}/>')
        return line.format(points, stroke.color, _number(stroke.width, 2), opacity, dashes)
    if isinstance(stroke, Area):
        points = " ".join(f"{_number(x)},{_number(y)}" for x, y in stroke.points)
        return Html('<polygon points="{}" fill="{}" fill-opacity="{}"/>').format(points, stroke.color, _number(stroke.opacity, 2))
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
    return Html('<path d="{}" fill="{}"/>').format(shape, stroke.color)


def _number(x: float, decimals: int = 1) -> str:
    text = f"{x:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
