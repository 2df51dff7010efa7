"""The cells of a page of the documentation: blocks of Python, each with the output that the page shows below it."""

from __future__ import annotations

import doctest
import re
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class DocumentedCell:
    """A block of code of a page.

    Attributes:
        line: Where it is on the page, from 1.
        code: Its text.
        output: The block of text that follows it; None if there is none. ``...`` is any text, as in a doctest.
    """

    line: int
    code: str
    output: str | None

    def shows(self, text: str) -> bool:
        """Return whether ``text``, all that the cell shows, is the documented output; spaces at the ends of lines do not count."""
        if self.output is None:
            return True
        return doctest.OutputChecker().check_output(_tidy(self.output), _tidy(text), doctest.ELLIPSIS)


def cells_of(page: Path) -> list[DocumentedCell]:
    """Return the cells of a page, in their order.

    A block ```` ```python ```` is a cell. A block ```` ```text ```` is the output of the cell before it, if only blank lines are between
    the two.
    """
    text = page.read_text(encoding="utf-8")
    cells: list[DocumentedCell] = []
    end = 0
    for block in _BLOCK.finditer(text):
        if block[1] == "python":
            cells.append(DocumentedCell(text.count("\n", 0, block.start()) + 1, block[2], None))
        elif block[1] == "text" and cells and cells[-1].output is None and not text[end : block.start()].strip():
            cells[-1] = DocumentedCell(cells[-1].line, cells[-1].code, block[2])
        end = block.end()
    return cells


def _tidy(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines()) + "\n"
