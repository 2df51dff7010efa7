"""The changes that writing a file would make, line by line: ``%%det_file``."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from detjupyter.picture.html import NOTHING, Html, output
from detjupyter.picture.numbers import format_count

_MOST_LINES = 300
_STYLE = """\
.{id}{{padding:8px 0}}
.{id} .h{{padding:0 12px;margin-bottom:4px}}
.{id} pre{{margin:0;padding:0;font-size:12px;line-height:1.45;white-space:pre-wrap;overflow-wrap:anywhere;background:none;color:inherit;\
font-family:var(--jp-code-font-family,ui-monospace,Menlo,Consolas,monospace)}}
.{id} pre span{{display:block;padding:0 12px;min-height:1.45em}}
.{id} .a{{background:rgba(46,160,67,.18)}}
.{id} .z{{background:rgba(248,81,73,.18)}}
.{id} .g{{opacity:.65;padding-top:4px!important}}
.{id} .q{{padding:4px 12px 0}}
"""
_CLASSES = {"+": "a", "-": "z", "@": "g", " ": "c"}


@dataclass(frozen=True, slots=True)
class TextChange:
    """The difference between two versions of a text file.

    Attributes:
        name: The file.
        lines: The lines of a unified diff, without the two that name the files.
        added: The number of added lines.
        removed: The number of removed lines.
    """

    name: str
    lines: tuple[str, ...]
    added: int
    removed: int

    @classmethod
    def between(cls, name: str, old: str, new: str) -> TextChange:
        """Compare two texts; a final line without a line end differs from one with it."""
        difference = list(difflib.unified_diff(_lines(old), _lines(new), n=3, lineterm=""))[2:]
        added = sum(line.startswith("+") for line in difference)
        return cls(name, tuple(difference), added, sum(line.startswith("-") for line in difference))

    @property
    def counts(self) -> str:
        """The numbers of added and removed lines: ``+3 −1``."""
        return f"+{self.added} −{self.removed}"


def diff_bundle(change: TextChange) -> dict[str, str]:
    """Return ``text/html`` and ``text/plain`` of a difference, at most its first 300 lines."""
    shown, more = change.lines[:_MOST_LINES], len(change.lines) - _MOST_LINES
    rest = f"and {format_count(more)} more lines" if more > 0 else ""
    text = [f"{change.name}: {change.counts}", *(f"  {line}" for line in shown), *([f"  {rest}"] if rest else [])]
    rows = NOTHING.join(Html('<span class="{}">{}</span>').format(_CLASSES.get(line[:1], "c"), line) for line in shown)
    head = Html('<div class="h"><b class="m">{}</b><span class="f">{}</span></div>').format(change.name, change.counts)
    tail = Html('<div class="q f">{}</div>').format(rest) if rest else NOTHING
    return output(Html("{}<pre>{}</pre>{}").format(head, rows, tail), "\n".join(text), _STYLE)


def _lines(text: str) -> Sequence[str]:
    lines = text.split("\n")
    if lines[-1] == "":
        return lines[:-1]
    return [*lines[:-1], f"{lines[-1]} (no line end)"]
