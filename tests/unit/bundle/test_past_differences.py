"""Each case in which a library or Determined's uploader was seen to differ from git, with git's verdict written down."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from detjupyter.bundle import scan


def shipped(root: Path, ignore: bytes, paths: list[bytes]) -> list[bytes]:
    """Return what ships of a tree of empty files."""
    top = os.fsencode(root)
    for path in paths:
        os.makedirs(os.path.dirname(top + b"/" + path), exist_ok=True)  # noqa: PTH103, PTH120 -- names are bytes
        os.close(os.open(top + b"/" + path, os.O_CREAT | os.O_WRONLY))
    (root / ".detignore").write_bytes(ignore)
    return [os.fsencode(entry.path) for entry in scan(root, defaults=False).included]


_EVERYDAY = {
    "star, all directories, one kind": (b"*\n!*/\n!*.py\n", [b"a.py", b"a/a.py", b"a/b/c.py", b"d.txt"], [b"a.py", b"a/a.py", b"a/b/c.py"]),
    "only one directory": (b"/*\n!/src/\n", [b"a.py", b"src/b.py", b"src/c/d.py"], [b"src/b.py", b"src/c/d.py"]),
    "a name taken back as a directory": (b"src\n!src/\n", [b"src/a.py", b"lib/src"], [b"src/a.py"]),
    "two stars, all directories, one kind": (b"**\n!**/\n!**/*.py\n", [b"a.py", b"a/b.py", b"c.txt"], [b"a.py", b"a/b.py"]),
    "all of a directory but one": (b"data/**\n!data/keep.txt\n", [b"data/keep.txt", b"data/x"], [b"data/keep.txt"]),
    "a directory taken back has its own rules": (b"*.txt\n!data/\n", [b"data/x.txt", b"a.py"], [b"a.py"]),
    "byte code below a name taken back": (b"/*\n!/src\n", [b"src/__pycache__/a.pyc", b"src/a.py"], [b"src/a.py"]),
    "byte code taken back": (b"!*.pyc\n!__pycache__/\n", [b"a.pyc", b"__pycache__/b.pyc", b"c.py"], [b"c.py"]),
    "a byte order mark": (b"\xef\xbb\xbfdata/\n", [b"data/x", b"a.py"], [b"a.py"]),
    "only directories below": (b"data/**/\n", [b"data/x.csv", b"data/raw/y.csv"], [b"data/x.csv"]),
    "a POSIX class": (b"[[:alpha:]]*.csv\n", [b"ab.csv", b"1b.csv"], [b"1b.csv"]),
    "a re-included file in an excluded directory": (b"build\n!keep.log\n", [b"build/keep.log", b"a"], [b"a"]),
}

_LIBRARIES = {
    "everything, one name": (b"*\n!a\n", [b"a/a", b"b"], [b"a/a"]),
    "everything below, one kept": (b"a/**\n!a/keep\n", [b"a/keep", b"a/b"], [b"a/keep"]),
    "everything taken back": (b"!*\n", [b"__pycache__/a", b"b"], [b"b"]),
    "a directory taken back, its files not": (b"*z\n!x*\n", [b"xz/foo/0z", b"xz/foo/0"], [b"xz/foo/0"]),
    "one directory more, below": (b"a/**/\n", [b"a/a"], [b"a/a"]),
    "one directory more, anywhere": (b"*/**/\n", [b"a/a", b"a/b/c"], [b"a/a"]),
    "a digit": (b"x[[:digit:]]\n", [b"x5", b"xx"], [b"xx"]),
    "a quoted minus in brackets": (b"*[\\-c]\n", [b"a", b"b-", b"c"], [b"a"]),
    "a quoted end of a range": (b"x[a-\\c]\n", [b"xc", b"xd", b"x\\"], [b"x\\", b"xd"]),
    "a quoted bracket in brackets": (b"x[\\]\n", [b"x\\", b"x]"], [b"x\\", b"x]"]),
    "a negated class does not match a slash": (b"a[!a]\n", [b"a/a", b"ab"], [b"a/a"]),
    "a slash in brackets binds to the top": (b"**/[a/]ab\n", [b"aab", b"a/ab", b"d/aab"], [b"a/ab"]),
    "a line break in a name": (b"a\n", [b"\n/a", b"a\n"], [b"a\n"]),
    "a line break at the end of a name": (b"*b\n", [b"b\n", b"ab"], [b"b\n"]),
    "a question mark is one byte": (b"?\n", ["é".encode(), b"e"], ["é".encode()]),
    "a negated class is one byte": (b"[!a]\n", ["é".encode(), b"e", b"a"], [b"a", "é".encode()]),
    "a quoted slash": (b"a\\/*\n", [b"a/a", b"b/a"], [b"b/a"]),
    "two stars after a plain beginning": (
        b"foo**/bar\n",
        [b"foobar", b"foo/bar", b"foox/y/bar", b"fo/bar", b"x/foobar"],
        [b"fo/bar", b"x/foobar"],
    ),
    "two stars after a plain beginning, and a dot": (b"a-**/.\n", [b"a-.", b"a-b", b"a-c/d"], [b"a-b", b"a-c/d"]),
    "three stars": (b"***/x\n", [b"x", b"a/b/x", b"y"], [b"y"]),
    "two stars at the end of a name": (b"/foo**\n", [b"foo", b"foobar/x", b"a/foo"], [b"a/foo"]),
    "a tab at the end": (b"a\t\n", [b"a", b"a\t"], [b"a"]),
    "a no-break space at the end": ("a\u00a0\n".encode(), [b"a", "a\u00a0".encode()], [b"a"]),
    "a form feed": (b"\x0c\n", [b"a", b"\x0c"], [b"a"]),
    "spaces at the end": (b"a  \nb\\ \n", [b"a", b"b", b"b "], [b"b"]),
    "a lone exclamation mark": (b"!\n*.x\n", [b"a", b"b.x"], [b"a"]),
    "a lone backslash": (b"\\\n/\\\n*.x\n", [b"a", b"\\", b"b.x"], [b"\\", b"a"]),
    "a range that goes backwards": (b"[b-a]\n", [b"a", b"b"], [b"a"]),
    "a range to a quoted nothing": (b"[z-\\]\n", [b"z", b"]"], [b"]", b"z"]),
    "an unknown class": (b"[[:word:]]\n", [b"a", b"w"], [b"a", b"w"]),
    "an empty class": (b"[[::]\n[[::]]\n", [b":", b"["], [b":", b"["]),
    "vertical tab and form feed are no space": (b"[[:space:]]\n", [b"\x0b", b"\x0c", b" ", b"\t"], [b"\x0b", b"\x0c"]),
    "two carriage returns": (b"a\r\r\n", [b"a", b"a\r"], [b"a"]),
    "a NUL ends a line": (b"a\0b\n", [b"a", b"ab"], [b"ab"]),
    "no other line ends": (b"a\x0bb\na\x1cb\na\x85b\na\xe2\x80\xa8b\n", [b"a", b"b", b"a\x0bb", b"a\x85b"], [b"a", b"b"]),
    "case counts": (b"*.TXT\n", [b"a.txt", b"b.TXT"], [b"a.txt"]),
    "names that are not UTF-8": (b"caf\xe9*\n", [b"caf\xe9.txt", b"caf\xc3\xa9.txt"], [b"caf\xc3\xa9.txt"]),
    "a class of high bytes": (b"[\x80-\xff]\n", [b"\xe9", b"e"], [b"e"]),
}


@pytest.mark.parametrize(("ignore", "paths", "expected"), _EVERYDAY.values(), ids=_EVERYDAY)
def test_everyday_lines_that_determined_reads_otherwise_decide_as_in_git(
    tmp_path: Path, ignore: bytes, paths: list[bytes], expected: list[bytes]
) -> None:
    """The documentation promises git's meaning, and this is git's meaning."""
    assert shipped(tmp_path, ignore, paths) == expected


@pytest.mark.parametrize(("ignore", "paths", "expected"), _LIBRARIES.values(), ids=_LIBRARIES)
def test_lines_that_libraries_read_otherwise_decide_as_in_git(
    tmp_path: Path, ignore: bytes, paths: list[bytes], expected: list[bytes]
) -> None:
    """Each was a wrong verdict or a crash of a matcher in use; the expected one is git's."""
    assert sorted(shipped(tmp_path, ignore, paths)) == sorted(expected)
