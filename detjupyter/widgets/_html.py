"""Pieces of HTML for cell outputs: escaped, self-contained, in JupyterLab's colours with fallbacks for front ends that lack them."""

from __future__ import annotations

import hashlib
import html

from detjupyter.widgets._strokes import printable

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


def escape(text: object) -> str:
    """Return the text as HTML, without control characters."""
    return html.escape(printable(str(text)))


def with_code(sentence: str) -> str:
    """Return a sentence as HTML, what stands between backquotes as code."""
    parts = sentence.split("`")
    if len(parts) % 2 == 0:  # a backquote of a file's name or of the user's text
        return escape(sentence)
    return "".join(f"<code>{escape(part)}</code>" if index % 2 else escape(part) for index, part in enumerate(parts))


def framed(body: str, style: str = "") -> str:
    """Return ``body`` in a frame of its own, with the common rules and those of ``style``, in which ``{id}`` is the frame's class.

    The class is a hash of the rules: an output that an older version saved keeps those it was made with. It is named twice in each rule,
    which outranks what JupyterLab says of tables, lists and code in outputs.
    """
    frame = f"dj-{hashlib.sha256((_STYLE + style).encode()).hexdigest()[:8]}"
    rules = (_STYLE + style).format(id=f"{frame}.{frame}")
    return f'<style>\n{rules}</style>\n<div class="{frame}">\n{body}\n</div>'
