"""Seeded cases of `.detignore` and a tree, and git's own verdict on them."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Flavour = Literal["common", "directed", "edge"]

FLAVOURS: tuple[Flavour, ...] = ("common", "directed", "edge")


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree, and several `.detignore` files to be tried on it.

    Attributes:
        flavour: What kind of case it is.
        paths: Relative paths; a directory's ends in ``/``, a symlink is ``name -> target``.
        ignores: The files' contents.
    """

    flavour: Flavour
    paths: tuple[bytes, ...]
    ignores: tuple[bytes, ...]


class Git:
    """git as the reference: an empty repository in another directory, one exclude file, and no settings of the user."""

    def __init__(self, scratch: Path) -> None:
        self._directory = scratch / "git"
        self._environment = {"PATH": os.environ["PATH"], "HOME": str(scratch), "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C"}
        subprocess.run(["git", "init", "-q", "--bare", str(self._directory)], check=True, env=self._environment)

    def ships(self, root: Path) -> set[bytes]:
        """Return what git would list under ``root`` with its `.detignore`; byte code and files of that name never."""
        always = [part for pattern in ("*.py[co]", "*$py.class", "__pycache__/", ".detignore") for part in ("-x", pattern)]
        listing = ["ls-files", "-z", "--others", "-X", str(root / ".detignore"), *always]
        where = ["--git-dir", str(self._directory), "--work-tree", str(root), "-c", "core.excludesFile=/dev/null"]
        done = subprocess.run(["git", *where, *listing], cwd=root, env=self._environment, capture_output=True, check=True)
        return set(done.stdout.split(b"\0")[:-1])


def trees(seed: int, ignores: int) -> Iterator[Tree]:
    """Yield trees endlessly, in all flavors in turn, each with a number of `.detignore` files."""
    choose = random.Random(seed)
    while True:
        for flavour in FLAVOURS:
            yield _MAKERS[flavour](choose, ignores)


def build(root: Path, tree: Tree) -> None:
    """Create the tree under ``root``; a path that conflicts with another one is left out."""
    top = os.fsencode(root)
    os.makedirs(top)  # noqa: PTH103 -- names are bytes
    for given in tree.paths:
        path, _, target = given.partition(b" -> ")
        place = top + b"/" + path
        try:
            os.makedirs(place if path.endswith(b"/") else os.path.dirname(place), exist_ok=True)  # noqa: PTH103, PTH120
            if target:
                os.symlink(target, place)  # noqa: PTH211
            elif not path.endswith(b"/"):
                os.close(os.open(place, os.O_CREAT | os.O_WRONLY))
        except OSError:  # a file where a directory should be, or the other way round
            continue


_DIRECTORIES = ("src", "data", "build", "docs", "src/nets", "data/raw", "src/data", "out.d", "a", "a/b", "a/b/c", "tests/data", "lib/src")
_FILES = (
    *("a.py", "b.py", "model_def.py", "x.csv", "keep.txt", "notes.md", "log.txt", "README", "data", "build", ".hidden", "x.tar.gz", "src"),
    *(
        "a",
        "b",
        "Thumbs.db",
        "x.pyc",
        "y.pyo",
        "#notes",
        " #notes",
        "!odd",
        "with space",
        "trailing ",
        "UPPER.TXT",
        "daten-ü.csv",
        "a.txt~",
        "1.log",
    ),
)
_COMMON = (
    *("*", "*.py", "!*.py", "*/", "!*/", "data/", "data", "!data/", "!data", "/data", "/data/", "build", "/build/", "*.csv", "!x.csv"),
    *("!keep.txt", "data/**", "data/*", "!data/keep.txt", "**/data", "src/**/x.csv", "/*", "!/src", "!/src/", "# comment", "src/nets/"),
    *("*.t?t", "[ab].py", "![a].py", "**", "!**/", "!**/*.py", "src", "!src", "*.tar.gz", "out.*", ".*", "!.hidden", "docs/*.md", "log*"),
    *("**/raw/**", "src/*/", "nets/*.py", "a/**/b", "!/data/raw/", "data/**/", "", "  ", "*~", "Thumbs.db", "*.[lL][oO][gG]", "a/**/c"),
    *("/src/**", "!/src/nets/", "/*/data", "**/src/", "a/b/", "!*.pyc", "!__pycache__/", "\\#notes", "\\!odd", "with space", "*.PY"),
    *(
        "trailing\\ ",
        "trailing   ",
        " #notes",
        "  # notes",
        "/data/raw/*.csv",
        "tests/**/x.csv",
        "*a*",
        "?",
        "??",
        "*.*",
        "!*.*",
        "!/*.py",
        "dat?",
        "[!a]*",
    ),
)

# Lines that match the same names in different ways, so that their order matters.
_RIVALS = (
    *("*.py", "!*.py", "a.py", "!a.py", "b*", "!b*", "*", "!*", "x.csv", "!x.csv", "*.csv", "!*.csv", "*e*", "!*e*", "k*", "!keep.txt"),
    *("/x.csv", "!/a.py", "data", "!data/", "d*/", "!d*", "/data/*", "!data/*", "/*", "!/*", "*.txt", "!**/*.txt", "a/b", "!a/*", "*[py]"),
)


def _common(choose: random.Random, ignores: int) -> Tree:
    paths = [f"{choose.choice(('', *(f'{name}/' for name in _DIRECTORIES)))}{choose.choice(_FILES)}".encode() for _ in range(14)]
    paths += [f"{name}/".encode() for name in choose.sample(_DIRECTORIES, 2)]
    if choose.random() < 0.2:
        paths.append(choose.choice((b"src/__pycache__/a.pyc", b"data -> src", b"data/link -> ../a.py", b"pkg/.detignore", b"build -> .")))
    contents = []
    for _ in range(ignores):
        end = choose.choices((b"\n", b"\r\n"), (9, 1))[0]
        lines = [line.encode() for line in choose.choices(choose.choice((_COMMON, _COMMON, _RIVALS)), k=choose.randint(1, 6))]
        contents.append(choose.choices((b"", b"\xef\xbb\xbf"), (19, 1))[0] + end.join(lines) + choose.choice((b"", end)))
    return Tree("common", tuple(paths), tuple(contents))


#: The names of git's character classes.
CLASS_NAMES = ("alnum", "alpha", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "xdigit")
_LETTERS = (*b"abcxyz", *b"aab", *b"019", *b".-_ ~!#$]^[", *b"\\*?", *b"AZ", 0xC3, 0xA9, 0xFF, 9, 10, 13, 0x7F)


_CLASS_ODDITIES = (b"]", b"-", b"\\]", b"\\-", b"\\\\", b"/", b"[:", b"[:a", b"a-\\c", b"--0", b"[.a.]", b"[=a=]", b"\\a-c")
_BETWEEN = {b"/": 12, b"/**/": 4, b"**/": 2, b"\\/": 1, b"//": 1, b"/***/": 1, b"**\\/": 1, b"/**\\/": 1}
_AFTER = {b"": 14, b"/": 4, b"/**": 2, b"/*": 1, b"**": 1, b" ": 1, b"\\ ": 1, b"  ": 1, b"\t": 1, b"\\": 1, b"/**/": 1, b"\r": 1}


def _weighted(choose: random.Random, weights: dict[bytes, int]) -> bytes:
    return choose.choices(tuple(weights), tuple(weights.values()))[0]


def _letter(choose: random.Random) -> bytes:
    return bytes((choose.choice(_LETTERS),))


def _class(choose: random.Random) -> bytes:
    parts = [choose.choices((b"", b"!", b"^"), (6, 3, 1))[0]]
    for _ in range(choose.randint(1, 3)):
        kind = choose.randrange(10)
        if kind < 4:
            parts.append(_letter(choose))
        elif kind < 6:
            parts.append(_letter(choose) + b"-" + _letter(choose))
        elif kind < 8:
            parts.append(f"[:{choose.choice((*CLASS_NAMES, 'word', 'Alpha'))}:]".encode())
        else:
            parts.append(choose.choice(_CLASS_ODDITIES))
    return b"[" + b"".join(parts) + choose.choices((b"]", b""), (15, 1))[0]


def _component(choose: random.Random) -> bytes:
    if choose.random() < 0.15:  # many stars between few letters: where a matcher that takes the wrong place is found out
        return b"".join(choose.choices((b"*", b"*", b"a", b"a", b"b", b"?", b"[ab]", b"[[:digit:]-b]"), k=choose.randint(3, 7)))
    parts = []
    for _ in range(choose.choice((1, 1, 2, 2, 3, 4))):
        kind = choose.randrange(20)
        if kind < 10:
            parts.append(choose.choice((b"a", b"b", b"c", b"ab", b"foo", b"x.y", b".", b"\xc3\xa9", b" ", b"-")))
        elif kind < 13:
            parts.append(b"*")
        elif kind < 15:
            parts.append(b"?")
        elif kind < 17:
            parts.append(_class(choose))
        elif kind < 18:
            parts.append(b"\\" + _letter(choose))
        elif kind < 19:
            parts.append(choose.choice((b"**", b"***")))
        else:
            parts.append(_letter(choose))
    return b"".join(parts)


def _pattern(choose: random.Random) -> bytes:
    parts = [choose.choices((b"", b"!"), (3, 1))[0], choose.choices((b"", b"/", b"**/"), (5, 2, 1))[0]]
    for place in range(choose.choice((1, 1, 1, 2, 2, 3))):
        if place:
            parts.append(_weighted(choose, _BETWEEN))
        parts.append(_component(choose))
    parts.append(_weighted(choose, _AFTER))
    return b"".join(parts).replace(b"\n", b"")


_FOR_STARS = (b"", b"a", b"ab", b"x", b"b.c", b"x/y", b"a/b/c", b"/")
_FOR_A_STAR = (b"", b"", b"a", b"ab", b"ba", b"x", b".", b"a/b", b"\xc3\xa9", b"b\n")


def _names_for(choose: random.Random, pattern: bytes) -> bytes:
    """Return a path that a right or a wrong reading of the pattern would match."""
    out = []
    place = 0
    body = pattern.removeprefix(b"!") if choose.random() < 0.95 else pattern
    while place < len(body):
        byte = body[place : place + 1]
        if byte == b"*":
            end = place
            while body[end : end + 1] == b"*":
                end += 1
            deep = end - place > 1
            place = end
            out.append(choose.choice(_FOR_STARS if deep else _FOR_A_STAR))
            if deep and body[place : place + 1] == b"/" and choose.random() < 0.4:
                place += 1
        elif byte == b"?":
            out.append(choose.choice((_letter(choose), b"a", b"\xc3\xa9", b"", b"/")))
            place += 1
        elif byte == b"[":
            end = body.find(b"]", place + 2)
            if body[place + 1 : place + 3] in (b"[:", b"![") and body.find(b":]]", place) > 0:
                end = body.find(b":]]", place) + 2
            inside = body[place + 1 : end if end > 0 else len(body)]
            out.append(choose.choice((_letter(choose), b"\x0b", *(inside[i : i + 1] for i in range(len(inside))), b"m", b"5", b"/", b"")))
            if choose.random() < 0.1:
                out.append(body[place : place + 1])
                place += 1
            else:
                place = end + 1 if end > 0 else len(body)
        elif byte == b"\\":
            if choose.random() < 0.15:
                out.append(byte)
            place += 1
        else:
            out.append(byte)
            place += 1
    path = b"".join(out)
    change = choose.random()
    if change < 0.15:
        path = choose.choice((b"a/", b"x/y/", b"foo/")) + path
    elif change < 0.3:
        path = path.rstrip(b"/") + choose.choice((b"/a", b"/x/keep", b"/foo"))
    elif change < 0.4:
        path += choose.choice((b"a", b" ", b"\n", b"b"))
    elif change < 0.45:
        path = path.swapcase()
    elif change < 0.5:
        path = path.rstrip(b" \t\r")
    return path


def _possible(path: bytes) -> bytes | None:
    """Return a path that a file system can contain and that git does not treat specially."""
    parts = [part[:40] for part in path.replace(b"\0", b"").split(b"/") if part not in (b"", b".", b"..")]
    if not parts or any(part.lower() in (b".git", b".detignore") for part in parts) or b" -> " in path:
        return None
    return b"/".join(parts) + (b"/" if path.endswith(b"/") else b"")


def _directed(choose: random.Random, ignores: int) -> Tree:
    contents, paths = [], []
    for _ in range(ignores):
        lines = [_pattern(choose) for _ in range(choose.choice((1, 1, 1, 2, 2, 3)))]
        contents.append(b"\n".join(lines) + b"\n")
        for line in lines:
            paths += [_names_for(choose, line) for _ in range(4)]
        paths.append(b"".join(choose.choices((b"a", b"a", b"b"), k=choose.randint(1, 6))))
    return Tree("directed", tuple(path for path in map(_possible, paths) if path), tuple(contents))


_ODD = (b"", b"a", b"a", b"b", b"c", b"/", b"/", b"*", b"*", b"**", b"?", b"[", b"]", b"!", b"^", b"-", b"\\", b"#", b" ", b".", b"\t")
_LINE_ENDS_TO_OTHERS = (b"\r", b"\0", b"\x0b", b"\x0c", b"\x1c", b"\x85", b"\xc2\xa0", b"\xe2\x80\xa8")
_ODDER = (*_ODD, *_LINE_ENDS_TO_OTHERS, b"\xff", b"[:alpha:]", b"**/", b"/**", b"\xef\xbb\xbf")


def _edge(choose: random.Random, ignores: int) -> Tree:
    contents = []
    for _ in range(ignores):
        lines = [b"".join(choose.choices(_ODDER, k=choose.randint(1, 6))) for _ in range(choose.randint(1, 3))]
        end = choose.choices((b"\n", b"\r\n", b"\r\r\n"), (8, 2, 1))[0]
        contents.append(choose.choices((b"", b"\xef\xbb\xbf"), (9, 1))[0] + end.join(lines) + choose.choice((b"", end)))
    paths = [b"".join(choose.choices(_ODDER, k=choose.randint(1, 5))) for _ in range(12)]
    paths += [b"a", b"b/a", b"b/c/a", b"c/", b"c/b"][choose.randrange(3) :]
    if choose.random() < 0.2:
        paths.append(b"s -> " + choose.choice((b"b", b"a", b".", b"nowhere", b"s")))
    possible = [path if b" -> " in path else _possible(path) for path in paths]
    return Tree("edge", tuple(path for path in possible if path), tuple(contents))


_MAKERS = {"common": _common, "directed": _directed, "edge": _edge}
