"""Parse one line of an exclude file as git does (gitignore(5), and dir.c and wildmatch.c of git 2.39 where the manual is silent).

A line becomes chains of nodes, one node for each component of the path. A walk keeps the nodes that the next names have to match, so that
it never matches a whole path. ``**/`` is a node that waits: it remains pending at every level below.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass

from detjupyter.bundle.glob import ANY_BYTE, Glob, NeverMatchesError, read_class

_SPECIAL = re.compile(rb"[*?\[\\]")
_MORE_OF_THE_SAME = re.compile(rb"\A(?:\*\*+/)+")
_BYTE = tuple(bytes((value,)) for value in range(256))
_ANY_NAME = Glob(((), ()))


@dataclass(frozen=True, slots=True, eq=False)  # compared by identity: sets of nodes are the keys of levels
class Node:
    """A component of a pattern that a name has to match.

    Attributes:
        glob: The glob that the name has to match.
        waits: Whether any number of directories may come before it.
        following: The node that the rest of the path has to match; None at the end of the pattern.
        rule: The number of the rule; of all matching rules the highest number wins.
        directories_only: Whether the pattern matches only directories.
    """

    glob: Glob
    waits: bool
    following: Node | None
    rule: int
    directories_only: bool


@dataclass(frozen=True, slots=True)
class Pattern:
    """A line that contains a pattern.

    Attributes:
        negated: Whether it re-includes paths that an earlier line left out.
        nodes: The first nodes of its chains, one for each way to read it (only `a**/b` has several).
        obstacle: Why it can match nothing, or None.
        remarks: Phrases about parts that git reads differently from how they look.
    """

    negated: bool
    nodes: tuple[Node, ...]
    obstacle: str | None = None
    remarks: tuple[str, ...] = ()


def trimmed(line: bytes) -> bytes:
    """Return the part of a line (without its end) that git reads: nothing after a NUL, no comment, no trailing spaces unless escaped."""
    if line[:1] == b"#":
        return b""
    text = line.partition(b"\0")[0]
    stripped = text.rstrip(b" ")
    if stripped is text or len(stripped) == len(text):
        return text
    backslashes = len(stripped) - len(stripped.rstrip(b"\\"))
    return stripped + b" " if backslashes % 2 else stripped


def read_pattern(text: bytes, rule: int) -> Pattern:
    """Read a line that is neither blank nor a comment.

    Args:
        text: The line after `trimmed`.
        rule: The number of the rule.
    """
    negated = text[:1] == b"!"
    body = text[1:] if negated else text
    remarks: list[str] = []
    directories_only = body[-1:] == b"/"
    if directories_only:
        body = body[:-1]
    try:
        if b"/" not in body:  # a slash anchors the pattern to the root, even inside brackets
            if not body:
                raise NeverMatchesError("the pattern is empty")
            chains = [_read_name(body, remarks)]
        else:
            if body[:1] == b"/":
                body = body[1:]
            special = _SPECIAL.search(body)
            chains = _read_path(body, special.start() if special else len(body), remarks)
    except NeverMatchesError as obstacle:
        return Pattern(negated, (), str(obstacle))
    chains = [chain for chain in chains if not any(glob.text in (b".", b"..") for _, glob in chain)]
    if not chains:
        return Pattern(negated, (), "a path starts at the root, without . and ..")
    nodes = []
    for chain in chains:
        node: Node | None = None
        for waits, glob in reversed(chain):
            node = Node(glob, waits, node, rule, directories_only)
        if node is not None:
            nodes.append(node)
    return Pattern(negated, tuple(nodes), remarks=tuple(remarks))


_Chain = list[tuple[bool, Glob]]


def _read_name(body: bytes, remarks: list[str]) -> _Chain:
    """Read a pattern without a slash: it matches a name at any depth."""
    if _SPECIAL.search(body) is None:
        return [(True, Glob((_plain(body),)))]
    if body[:1] == b"*" and _SPECIAL.search(body, 1) is None:
        return [(True, Glob(((), _plain(body[1:]))))]
    components = _components(body, -1, remarks)
    return [(True, glob) for _, glob in components]


def _read_path(body: bytes, lead: int, remarks: list[str]) -> list[_Chain]:
    """Read a pattern anchored to the root, without its first slash.

    git compares the part before the first special character as plain text and drops it, so that a ``**`` right after it counts as being
    at the start: ``foo**/bar`` matches ``foobar`` as well as ``foo*/**/bar``. ``lead`` is the position of that start.
    """
    end = lead
    while body[end : end + 1] == b"*":
        end += 1
    joined = end - lead >= 2 and lead > 0 and body[lead - 1] != ord("/")
    if not joined or (body[end : end + 1] not in (b"", b"/") and body[end : end + 2] != b"\\/"):
        chains = [_components(body, lead, remarks)]
    else:
        prefix, rest = body[:lead], body[end:]
        if not rest:
            chains = [_components(prefix + b"*", -1, remarks), _components(prefix + b"*/**", -1, remarks)]
        else:
            after = rest[1:] if rest[:1] == b"/" else rest[2:]
            if rest[:1] == b"/":
                after = _MORE_OF_THE_SAME.sub(b"", after)
            chains = [_components(prefix + b"*/**/" + after, -1, remarks)]
            if rest[:1] == b"/":
                with suppress(NeverMatchesError):
                    chains += _read_path(prefix + after, lead, [])
    whole = [chain for chain in chains if all(glob.stars or glob.pieces[0] for _, glob in chain)]
    if not whole:
        raise NeverMatchesError("no path has an empty component")
    return whole


def _components(body: bytes, lead: int, remarks: list[str]) -> _Chain:
    """Split a pattern into components, each with whether ``**/`` precedes it."""
    chain: _Chain = []
    waits = False
    pieces: list[list[bytes]] = [[]]
    place = 0
    ended = False
    while place < len(body):
        byte = body[place]
        if byte == ord("/") or body[place : place + 2] == b"\\/":
            place += 1 if byte == ord("/") else 2
            chain.append((waits, Glob(pieces)))
            waits, pieces = False, [[]]
        elif byte == ord("*"):
            start = place
            while body[place : place + 1] == b"*":
                place += 1
            at_start = start in (0, lead) or body[start - 1] == ord("/")
            if place - start >= 2 and at_start and body[place : place + 1] == b"/":
                place += 1
                waits = True
            elif place - start >= 2 and at_start and body[place : place + 2] == b"\\/":
                # An escaped slash is required: it matches at least one directory.
                place += 2
                chain.append((waits, _ANY_NAME))
                waits = True
            elif place - start >= 2 and at_start and place == len(body):
                chain.append((True, _ANY_NAME))
                ended = True
            else:
                pieces.append([])
        elif byte == ord("?"):
            pieces[-1].append(ANY_BYTE)
            place += 1
        elif byte == ord("["):
            allowed, place = read_class(body, place + 1, remarks)
            pieces[-1].append(allowed)
        else:
            if byte == ord("\\"):
                place += 1
                if place == len(body):
                    raise NeverMatchesError("the last backslash escapes nothing")
            pieces[-1].append(_BYTE[body[place]])
            place += 1
    if not ended:
        chain.append((waits, Glob(pieces)))
    return chain


def _plain(text: bytes) -> tuple[bytes, ...]:
    return tuple([_BYTE[value] for value in text])
