"""Match one name against one component of a pattern: ``*``, ``?``, classes and escapes as git's wildmatch reads them, on bytes.

A component is split at its stars into pieces of fixed length. The first piece must match at the start of the name, the last at its end.
Each of the others matches at the leftmost position, which leaves the most room for the next pieces. So the matcher never backtracks, and
the time is bounded by length of name × length of pattern for every pattern.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import product

_MOST_ALTERNATIVES = 16

#: The bytes that ``?`` matches. A file name contains neither NUL nor ``/``.
ANY_BYTE = bytes(byte for byte in range(1, 256) if byte != ord("/"))


def _bytes_where(*ranges: tuple[int, int]) -> bytes:
    return bytes(byte for low, high in ranges for byte in range(low, high + 1))


_CLASSES = {
    b"alnum": _bytes_where((48, 57), (65, 90), (97, 122)),
    b"alpha": _bytes_where((65, 90), (97, 122)),
    b"blank": b"\t ",
    b"cntrl": _bytes_where((1, 31), (127, 127)),
    b"digit": _bytes_where((48, 57)),
    b"graph": _bytes_where((33, 126)),
    b"lower": _bytes_where((97, 122)),
    b"print": _bytes_where((32, 126)),
    b"punct": _bytes_where((33, 47), (58, 64), (91, 96), (123, 126)),
    b"space": b"\t\n\r ",  # git's own character table: vertical tab and form feed do not count as space
    b"upper": _bytes_where((65, 90)),
    b"xdigit": _bytes_where((48, 57), (65, 70), (97, 102)),
}


class NeverMatchesError(ValueError):
    """Git accepts the pattern, but it can match nothing; the message says why."""


class Glob:
    """One component of a pattern.

    Attributes:
        stars: Whether it contains a ``*``.
        pieces: The parts between the stars, each a sequence of the bytes allowed at a position; one more than there are runs of stars.
    """

    __slots__ = ("_first", "_last", "_least", "_middle", "pieces", "stars")

    def __init__(self, pieces: Sequence[Sequence[bytes]]) -> None:
        self.stars = len(pieces) > 1
        self.pieces = pieces
        self._least = -1  # the other fields are set when the first name is matched

    @property
    def is_any(self) -> bool:
        """Whether every name matches."""
        return self.stars and not any(self.pieces)

    @property
    def text(self) -> bytes | None:
        """The only name that matches, or None if several names may match."""
        return None if self.stars or any(len(allowed) > 1 for allowed in self.pieces[0]) else b"".join(self.pieces[0])

    def literals(self, piece: Sequence[bytes]) -> list[bytes] | None:
        """Return the strings that a piece matches, or None if they are too many to list."""
        count = 1
        for allowed in piece:
            count *= len(allowed)
            if count > _MOST_ALTERNATIVES:
                return None
        return [bytes(choice) for choice in product(*piece)]

    def matches(self, name: bytes) -> bool:
        """Return whether the whole name matches."""
        if self._least < 0:
            self._prepare()
        if len(name) < self._least:
            return False
        if not self.stars:
            return len(name) == self._least and _matches_at(self._first, name, 0)
        start, end = len(self.pieces[0]), len(name) - len(self.pieces[-1])
        if not (_matches_at(self._first, name, 0) and _matches_at(self._last, name, end)):
            return False
        for piece, length in self._middle:
            if isinstance(piece, bytes):
                place = name.find(piece, start, end)
            else:
                found = piece.search(name, start, end)
                place = found.start() if found else -1
            if place < 0:
                return False
            start = place + length
        return True

    def _prepare(self) -> None:
        self._first = _searchable(self.pieces[0])
        self._last = _searchable(self.pieces[-1])
        self._middle = [(_searchable(piece), len(piece)) for piece in self.pieces[1:-1]]
        self._least = sum(len(piece) for piece in self.pieces)


def _searchable(piece: Sequence[bytes]) -> bytes | re.Pattern[bytes]:
    """Return a piece as a string or, if a position allows several bytes, as an expression of fixed length, which cannot backtrack."""
    if all(len(allowed) == 1 for allowed in piece):
        return b"".join(piece)
    parts = (b"." if allowed is ANY_BYTE else b"[" + b"".join(b"\\x%02x" % byte for byte in allowed) + b"]" for allowed in piece)
    return re.compile(b"".join(parts), re.DOTALL)


def _matches_at(piece: bytes | re.Pattern[bytes], name: bytes, place: int) -> bool:
    return name.startswith(piece, place) if isinstance(piece, bytes) else piece.match(name, place) is not None


def read_class(pattern: bytes, start: int, remarks: list[str]) -> tuple[bytes, int]:
    """Read a bracket expression.

    Args:
        pattern: The pattern.
        start: The position after the ``[``.
        remarks: Phrases are added here about parts that git reads differently from how they look.

    Returns:
        The bytes that it allows (never ``/``), and the position after its ``]``.

    Raises:
        NeverMatchesError: It does not end, names an unknown class, or allows nothing.
    """
    place = start
    negated = pattern[place : place + 1] in (b"!", b"^")
    place += negated
    allowed: set[int] = set()
    previous = 0  # the byte that a range may start from; 0 after a range and after a class
    first = True
    while first or pattern[place : place + 1] != b"]":
        first = False
        if place >= len(pattern):
            raise NeverMatchesError("the [ has no ]")
        byte = pattern[place]
        if byte == ord("\\"):
            byte, place = _escaped(pattern, place)
            allowed.add(byte)
        elif byte == ord("-") and previous and pattern[place + 1 : place + 2] not in (b"", b"]"):
            place += 1
            end = pattern[place]
            if end == ord("\\"):
                end, place = _escaped(pattern, place)
            if end < previous:
                remarks.append(f"the range {pattern[place - 2 : place + 1].decode('utf-8', 'replace')} is reversed and matches nothing")
            allowed.update(range(previous, end + 1))
            byte = 0
        elif byte == ord("[") and pattern[place + 1 : place + 2] == b":":
            close = pattern.find(b"]", place + 2)
            if close < 0:
                raise NeverMatchesError("the [ has no ]")
            if close - place >= 3 and pattern[close - 1] == ord(":"):
                name = pattern[place + 2 : close - 1]
                if name not in _CLASSES:
                    raise NeverMatchesError(f"there is no class [:{name.decode('utf-8', 'replace')}:]")
                allowed.update(_CLASSES[name])
                place, byte = close, 0
            else:
                allowed.add(byte)
        else:
            allowed.add(byte)
        previous = byte
        place += 1
    members = bytes(byte for byte in ANY_BYTE if (byte in allowed) != negated)
    if not members:
        raise NeverMatchesError("a bracket expression in it matches nothing")
    return members, place + 1


def _escaped(pattern: bytes, place: int) -> tuple[int, int]:
    """Return the byte after the backslash at ``place``, and its position."""
    if place + 1 >= len(pattern):
        raise NeverMatchesError("the [ has no ]")
    return pattern[place + 1], place + 1
