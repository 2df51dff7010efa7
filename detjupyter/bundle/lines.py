"""The lines of a `.detignore` that would include or exclude one path, with the line ends that the file uses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from detjupyter.bundle.explanation import Explanation
from detjupyter.bundle.ignore import BYTE_ORDER_MARK, shown
from detjupyter.bundle.patterns import trimmed
from detjupyter.bundle.rules import IGNORE_FILE_NAME


@dataclass(frozen=True, slots=True)
class Line:
    """A line of `.detignore`: its number in the file, from 1, and its text."""

    number: int
    text: str


#: The new content, the lines added (numbered as in the new content) and the lines removed (numbered as in the old).
Edit = tuple[bytes, tuple[Line, ...], tuple[Line, ...]]


class IgnoreText:
    """The text of a `.detignore`, and the edits that may include or exclude a path, the simplest first."""

    def __init__(self, content: bytes) -> None:
        self._mark = BYTE_ORDER_MARK if content.startswith(BYTE_ORDER_MARK) else b""
        self._lines = content.removeprefix(BYTE_ORDER_MARK).split(b"\n")
        ended = self._lines[:-1]
        self._end = b"\r\n" if ended and 2 * sum(line.endswith(b"\r") for line in ended) > len(ended) else b"\n"

    def edits(self, now: Explanation, *, include: bool) -> Iterator[Edit]:
        """Yield candidate edits, for a path whose current verdict is the opposite of the requested one."""
        path = os.fsencode(now.path)
        if b"\n" in path:
            return
        own = now.rule.line if now.rule is not None and now.rule.source == IGNORE_FILE_NAME and now.decided_at == now.path else None
        if own is not None and _matches_only(trimmed(self._lines[own - 1].removesuffix(b"\r")), path):
            yield self._without(own)
        if not include:
            yield self._with([b"/" + quoted(path)])
            return
        yield self._with([b"!/" + quoted(path)])
        opened = os.fsencode(now.decided_at)
        if opened != path and opened.endswith(b"/"):
            lines = []
            while opened != path:
                lines += [b"!/" + quoted(opened), b"/" + quoted(opened) + b"*"]
                following = path.find(b"/", len(opened))
                opened = path if following < 0 else path[: following + 1]
            yield self._with([*lines, b"!/" + quoted(path)])

    def _without(self, number: int) -> Edit:
        removed = Line(number, shown(self._lines[number - 1].removesuffix(b"\r")))
        lines = self._lines[: number - 1] + self._lines[number:]
        return self._mark + b"\n".join(lines), (), (removed,)

    def _with(self, texts: list[bytes]) -> Edit:
        content = self._mark + b"\n".join(self._lines)
        if self._lines[-1]:
            content += self._end
        first = len(self._lines) + bool(self._lines[-1])
        added = tuple(Line(number, shown(text)) for number, text in enumerate(texts, start=first))
        return content + b"".join(text + self._end for text in texts), added, ()


def _matches_only(line: bytes, path: bytes) -> bool:
    """Return whether a line, without its negation, matches this path and can match no other."""
    body = line.removeprefix(b"!")
    text = quoted(path)
    forms = {text, text.removesuffix(b"/")}
    return body.removeprefix(b"/") in forms and (body.startswith(b"/") or b"/" in body.removesuffix(b"/"))


def quoted(path: bytes) -> bytes:
    """Return a pattern that matches exactly this path."""
    text = path
    for special in (b"\\", b"*", b"?", b"["):
        text = text.replace(special, b"\\" + special)
    if text.endswith(b" "):
        return text[:-1] + b"\\ "
    # A CR at the end of a line would be read as part of the line end.
    return text[:-1] + b"[\r]" if text.endswith(b"\r") else text
