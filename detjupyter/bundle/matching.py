"""Apply the rules to the names in one directory, and find the rules for the directories below it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from detjupyter.bundle.patterns import Node
from detjupyter.bundle.tables import NameTable

_NOTHING = NameTable(())


class Matcher:
    """All patterns of a list of rules.

    Args:
        nodes: The first nodes of the chains of all patterns.
        file_names: Further nodes that match only files, at any depth.
    """

    def __init__(self, nodes: Iterable[Node], file_names: Iterable[Node] = ()) -> None:
        at_any_depth: list[Node] = []
        from_the_top: list[Node] = []
        for node in nodes:
            (at_any_depth if node.waits and node.following is None else from_the_top).append(node)
        self.files = NameTable((node.rule, node.glob) for node in (*at_any_depth, *file_names) if not node.directories_only)
        self.directories = NameTable((node.rule, node.glob) for node in at_any_depth)
        self._levels: dict[frozenset[Node], Level] = {}
        self.top = self.level(frozenset(from_the_top))

    def level(self, nodes: frozenset[Node]) -> Level:
        """Return the level with these pending nodes; most directories of a tree share one level."""
        level = self._levels.get(nodes)
        if level is None:
            level = self._levels[nodes] = Level(self, nodes)
        return level


class Level:
    """The rules for one directory: the patterns for any depth, and those whose earlier components matched the path of the directory."""

    def __init__(self, matcher: Matcher, nodes: frozenset[Node]) -> None:
        self._matcher = matcher
        ending = [node for node in nodes if node.following is None]
        self._files = NameTable((node.rule, node.glob) for node in ending if not node.directories_only) if ending else _NOTHING
        self._directories = NameTable((node.rule, node.glob) for node in ending) if ending else _NOTHING
        self._waiting = [node for node in nodes if node.waits]
        self._named: dict[bytes, list[Node]] = {}
        self._searching: list[tuple[Node, Node]] = []
        for node in nodes:
            if node.following is not None:
                text = node.glob.text
                if text is None:
                    self._searching.append((node, node.following))
                else:
                    self._named.setdefault(text, []).append(node.following)
        self._below: Level | None = None

    def files(self, names: Sequence[bytes]) -> tuple[int, dict[bytes, int]]:
        """Decide about the names of files in this directory.

        Returns:
            The number of the rule that matches every name (-1: none), and the number of each name that a later rule matches.
        """
        return _decide(self._matcher.files, self._files, names)

    def directory(self, name: bytes) -> int:
        """Return the number of the rule that decides about a directory in this one, or -1."""
        return max(self._matcher.directories.best(name), self._directories.best(name))

    def file(self, name: bytes) -> int:
        """Return the number of the rule that decides about a file in this directory, or -1."""
        return max(self._matcher.files.best(name), self._files.best(name))

    def below(self, name: bytes) -> Level:
        """Return the level of a directory in this one."""
        moved = self._named.get(name)
        found = [following for node, following in self._searching if node.glob.matches(name)] if self._searching else None
        if not moved and not found:  # fast path: most directories, whose level is that of their siblings
            if self._below is None:
                self._below = self._matcher.level(frozenset(self._waiting))
            return self._below
        return self._matcher.level(frozenset([*self._waiting, *(moved or ()), *(found or ())]))


def _decide(anywhere: NameTable, here: NameTable, names: Sequence[bytes]) -> tuple[int, dict[bytes, int]]:
    matched = anywhere.matching(names)
    if not here:
        return anywhere.floor, matched
    own = here.matching(names)
    floor = max(anywhere.floor, here.floor)
    if matched:
        for name, number in matched.items():
            if number > own.get(name, floor):
                own[name] = number
    return floor, {name: number for name, number in own.items() if number > floor}
