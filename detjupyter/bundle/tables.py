"""Match many patterns against a whole listing at once, so that a hundred lines cost no more than one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from detjupyter.bundle.glob import Glob

#: Up to this many suffixes (or prefixes), one call of ``endswith`` with all of them is faster than slicing each name.
_FEW = 12


class NameTable:
    """Patterns for one name, each with the number of its rule; the highest number of all matching patterns counts.

    Args:
        patterns: Pairs of the number of a rule and the glob that a name has to match.

    Attributes:
        floor: The highest number whose pattern matches every name, or -1. Patterns with lower numbers are dropped.
    """

    def __init__(self, patterns: Iterable[tuple[int, Glob]]) -> None:
        given = list(patterns)
        self.floor = max((number for number, glob in given if glob.is_any), default=-1)
        self._exact: dict[bytes, int] = {}
        self._endings: dict[bytes, int] = {}
        self._beginnings: dict[bytes, int] = {}
        self._by_first: dict[int, list[tuple[int, Glob]]] = {}
        self._by_last: dict[int, list[tuple[int, Glob]]] = {}
        self._other: list[tuple[int, Glob]] = []
        for number, glob in sorted(given, key=lambda pair: -pair[0]):
            if number > self.floor:
                self._add(number, glob)
        # Most suffixes are extensions: one split at the last dot finds all of them.
        self._extensions = {ending[1:]: number for ending, number in self._endings.items() if ending.rfind(b".") == 0}
        self._tail_lengths = sorted({len(ending) for ending in self._endings if ending.rfind(b".") != 0})
        self._few_endings = tuple(self._endings) if len(self._endings) <= _FEW else ()
        self._beginning_lengths = sorted({len(beginning) for beginning in self._beginnings})
        self._few_beginnings = tuple(self._beginnings) if len(self._beginnings) <= _FEW else ()

    def __bool__(self) -> bool:
        return bool(self.floor >= 0 or self._exact or self._endings or self._beginnings or self._by_first or self._by_last or self._other)

    def _add(self, number: int, glob: Glob) -> None:
        """Index one pattern by the part that its names share. Higher numbers are added first, so the first entry is kept."""
        pieces = glob.pieces
        place, piece = None, pieces[0]
        if not glob.stars:
            place = self._exact
        elif len(pieces) == 2 and not pieces[0]:
            place, piece = self._endings, pieces[1]
        elif len(pieces) == 2 and not pieces[1]:
            place = self._beginnings
        texts = glob.literals(piece) if place is not None else None
        if place is not None and texts is not None:
            for text in texts:
                place.setdefault(text, number)
        elif pieces[0] and len(pieces[0][0]) == 1:
            self._by_first.setdefault(pieces[0][0][0], []).append((number, glob))
        elif pieces[-1] and len(pieces[-1][-1]) == 1:
            self._by_last.setdefault(pieces[-1][-1][0], []).append((number, glob))
        else:
            self._other.append((number, glob))

    def best(self, name: bytes) -> int:
        """Return the highest number whose pattern matches, or -1."""
        return self.matching((name,)).get(name, self.floor)

    def matching(self, names: Sequence[bytes]) -> dict[bytes, int]:
        """Return the names that a pattern above ``floor`` matches, each with the highest number."""
        found = self._with_an_ending(names) if self._endings else {}
        if self._exact:
            for name in self._exact.keys() & names:
                found[name] = max(self._exact[name], found.get(name, -1))
        if self._beginnings:
            self._add_beginnings(names, found)
        if self._by_first or self._by_last or self._other:
            self._add_searched(names, found)
        return found

    def _with_an_ending(self, names: Sequence[bytes]) -> dict[bytes, int]:
        if self._few_endings:
            endings = self._few_endings
            return {name: self._ending(name) for name in names if name.endswith(endings)}
        extensions = self._extensions
        found = {name: extensions[cut] for name in names if (cut := name.rpartition(b".")[2]) in extensions}
        for name in found.keys() & extensions.keys():  # names without a dot: the whole name was looked up as an extension
            del found[name]
        for length in self._tail_lengths:
            for name in [name for name in names if name[-length:] in self._endings]:
                found[name] = self._ending(name)
        return found

    def _ending(self, name: bytes) -> int:
        """Return the highest number of the suffixes that the name has, or -1."""
        _, dot, extension = name.rpartition(b".")
        best = self._extensions.get(extension, -1) if dot else -1
        for length in self._tail_lengths:
            best = max(best, self._endings.get(name[-length:], -1))
        return best

    def _add_beginnings(self, names: Sequence[bytes], found: dict[bytes, int]) -> None:
        beginnings = self._beginnings
        if self._few_beginnings:
            few = self._few_beginnings
            names = [name for name in names if name.startswith(few)]
        for length in self._beginning_lengths:
            for name in [name for name in names if name[:length] in beginnings]:
                found[name] = max(beginnings[name[:length]], found.get(name, -1))

    def _add_searched(self, names: Sequence[bytes], found: dict[bytes, int]) -> None:
        """Match the patterns that are in no table, only those whose first or last byte is that of the name."""
        first, last = self._by_first, self._by_last
        if not self._other:
            names = [name for name in names if name[0] in first or name[-1] in last]
        for name in names:
            best = found.get(name, -1)
            for candidates in (first.get(name[0], ()), last.get(name[-1], ()), self._other):
                for number, glob in candidates:
                    if number <= best:
                        break
                    if glob.matches(name):
                        best = found[name] = number
                        break
