r"""Interprets what a progress bar prints to redraw itself: ``\r``, and the escape sequences that move the cursor up and erase lines.

A log has no cursor. Nested bars of tqdm print a line, the bar below it, and a sequence that moves the cursor up again; rich erases the
lines that it has printed. The log gets the lines as a terminal would show them in the end. Other escape sequences are text, and views
spell them out.
"""

from __future__ import annotations

import re

MAX_REACH = 50
"""How many lines the cursor moves up at most."""

_UNFINISHED = re.compile(r"\x1b(?:\[\??[0-9;:]*)?")
_MAX_SEQUENCE = 64
_CONTROL = re.compile(r"[\r\n]|\x1b\[(?:\?25[hl]|[01]?G|[0-2]?K|0?J|\d{0,4}[ABEF])|\x1b\[[0-9;:]*m")


class _Rows:
    """The last rows of a terminal, as far as they can still change.

    Attributes:
        reach: How far the cursor has moved up so far: a row further from the end than that has ended.
    """

    def __init__(self) -> None:
        self.reach = 0
        self._rows = [""]
        self._added: list[str] = []  # to the present row; adding each text to a string would copy a long row each time
        self._row = 0
        self._above = 0  # how far the cursor is above the first row: those rows have ended
        self._is_at_start = False  # the next text replaces the row: a bar is never shorter than what it replaces

    def draw(self, text: str) -> _Rows:
        """Print ``text``."""
        end = 0
        for control in _CONTROL.finditer(text):
            self._print(text[end : control.start()])
            self._obey(control[0])
            end = control.end()
        self._print(text[end:])
        self._join()
        return self

    def shown(self) -> list[str]:
        """Return all rows."""
        return [row.rstrip() for row in self._rows]

    def split(self, max_line: int) -> tuple[list[str], str]:
        """Return the rows that have ended, and the text that draws the other ones, the cursor and the reach again."""
        ended = max(len(self._rows) - 1 - self.reach, 0)
        below = len(self._rows) - 1 - self._row
        rest = "\n".join(row[-max_line:] for row in self._rows[ended:])
        moves = (f"\x1b[{below}A" if below else "") + ("\r" if self._is_at_start and self._rows[self._row] else "")
        return self.shown()[:ended], (f"\x1b[{self.reach}A\r" if self.reach else "") + rest + moves

    def _print(self, text: str) -> None:
        if text:
            if self._is_at_start:
                self._clear()
            self._added.append(text)
            self._is_at_start = False

    def _clear(self) -> None:
        self._rows[self._row] = ""
        self._added.clear()

    def _join(self) -> None:
        if self._added:
            self._rows[self._row] += "".join(self._added)
            self._added.clear()

    def _obey(self, control: str) -> None:
        final, count = control[-1], int(control[2:-1] or 1) if control[2:-1].isdecimal() or not control[2:-1] else 0
        if final in "\nABEF":  # the row changes
            self._join()
        if final == "\n":
            self._row += 1
            if self._row == len(self._rows):
                self._rows.append("")
            self._is_at_start = True
        elif final == "K" and (control[2:-1] in ("1", "2") or self._is_at_start):
            self._clear()
        elif final == "J":
            del self._rows[self._row + 1 :]
            if self._is_at_start:
                self._clear()
        elif final in "AF":  # tqdm repeats a move by one row
            self._above = min(self._above + max(count - self._row, 0), MAX_REACH)
            self._row = max(self._row - count, 0)
            self.reach = min(max(self.reach, len(self._rows) - 1 - self._row + self._above), MAX_REACH)
        elif final in "BE":
            self._row = min(self._row + count, len(self._rows) - 1)
        if final not in "AF":
            self._above = 0
        if final in "\rEFG":
            self._is_at_start = True


def split_lines(text: str, max_line: int) -> tuple[list[str], str]:
    r"""Return the lines that have ended, as a terminal shows them, and the text that has to precede what is printed next.

    >>> split_lines("10%\r20%\nepoch 1", 80)
    (['20%'], 'epoch 1')
    >>> split_lines("\x1b[1Aepochs 0/2\n\rbatches 1/9\x1b[A\repochs 1/2\n\rbatches 2/9\n", 80)
    (['epochs 1/2'], '\x1b[1A\rbatches 2/9\n')
    """
    if "\x1b" in text:
        start = text.rfind("\x1b", max(len(text) - _MAX_SEQUENCE, 0))  # a sequence whose end is in the next piece of output
        end = start if start >= 0 and _UNFINISHED.fullmatch(text, start) else len(text)
        ended, rest = _Rows().draw(text[:end]).split(max_line)
        return ended, rest + text[end:]
    *ended, rest = text.split("\n")
    return [_after_return(line) for line in ended], rest[-max_line:]


def shown_lines(text: str) -> list[str]:
    """Return all lines of ``text`` as a terminal shows them, with an empty last one after a newline at the end."""
    return _Rows().draw(text).shown() if "\x1b" in text else [_after_return(line) for line in text.split("\n")]


def _after_return(line: str) -> str:
    return line.rstrip("\r").rsplit("\r", 1)[-1]
