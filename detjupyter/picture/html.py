"""HTML for cell outputs: escaped, self-contained, in JupyterLab's colors with fallbacks for front ends that lack them."""

from __future__ import annotations

import hashlib
from typing import Any

from markupsafe import Markup

from detjupyter.text import printable

_STYLE = """\
.{id}{{font-family:var(--jp-ui-font-family,system-ui,sans-serif);font-size:13px;line-height:1.45;color:var(--jp-ui-font-color1,inherit);\
border:1px solid var(--jp-border-color2,rgba(128,128,128,.35));border-radius:6px;padding:12px;overflow-wrap:anywhere}}
.{id} code,.{id} .m{{font-family:var(--jp-code-font-family,ui-monospace,Menlo,Consolas,monospace);font-size:12px}}
.{id} code{{background:none;padding:0;color:inherit}}
.{id} .f{{color:var(--jp-ui-font-color2,inherit);opacity:.85}}
.{id} .h{{display:flex;flex-wrap:wrap;gap:2px 10px;align-items:baseline;margin-bottom:8px}}
.{id} .h b{{font-size:14px}}
.{id} summary{{cursor:pointer}}
"""


class Html(Markup):
    """Text that is HTML. Everything formatted into it, added to it or joined by it is escaped, unless it is `Html` too.

    Escaping also spells out control characters and marks of direction (see :func:`detjupyter.text.printable`).

    Examples:
        >>> Html("<b>{}</b>").format("a < b")
        Html('<b>a &lt; b</b>')
    """

    __slots__ = ()

    @classmethod
    def escape(cls, s: Any, /) -> Html:  # Any: any value that can be formatted
        """Return ``s`` as HTML."""
        return super().escape(s if hasattr(s, "__html__") else printable(str(s)))


NOTHING = Html()


def with_code(sentence: str) -> Html:
    """Return a sentence as HTML, with the text between backquotes as code."""
    parts = sentence.split("`")
    if len(parts) % 2 == 0:  # an unpaired backquote from a file name or the user's text
        return Html.escape(sentence)
    return NOTHING.join(Html("<code>{}</code>").format(part) if index % 2 else part for index, part in enumerate(parts))


def output(body: Html, text: str, style: str = "") -> dict[str, str]:
    """Return an output: ``text/html`` with ``body`` in its own frame, and ``text/plain``.

    The frame has the common CSS rules and those of ``style``, in which ``{id}`` is its class.
    The class is a hash of the rules, so that an output saved by an older version keeps its own rules. Each rule names it twice, which
    takes precedence over JupyterLab's rules for tables, lists and code in outputs.
    """
    frame = f"dj-{hashlib.sha256((_STYLE + style).encode()).hexdigest()[:8]}"
    rules = (_STYLE + style).format(id=f"{frame}.{frame}")
    html = Html('<style>\n{}</style>\n<div class="{}">\n{}\n</div>').format(Html(rules), frame, body)
    return {"text/html": str(html), "text/plain": printable(text)}
