"""`.detignore` decides as git does: generated cases, with git itself as the oracle."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from support.ignore_cases import CLASS_NAMES, FLAVOURS, Git, Tree, build, trees

from detjupyter.bundle import scan
from detjupyter.bundle.rules import SYMLINK_BROKEN, SYMLINK_OUTSIDE, SYMLINK_TO_DIRECTORY

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is the oracle")

# For git a symlink is a path like any other; here these never ship, whatever the lines say.
_LINKS = (SYMLINK_OUTSIDE, SYMLINK_BROKEN, SYMLINK_TO_DIRECTORY)
_IGNORES_A_TREE = 4


def let_in(root: Path) -> list[bytes]:
    """Return the paths that the lines of `.detignore` let in, in the order of the report."""
    return [os.fsencode(entry.path) for entry in scan(root, defaults=False) if entry.included or entry.rule in _LINKS]


def differing(git: Git, root: Path, cases: Iterator[Tree]) -> list[str]:
    """Return a description of each case in which git and the scan do not list the same paths."""
    found = []
    for number, tree in enumerate(cases):
        place = root / str(number)
        build(place, tree)
        for ignore in tree.ignores:
            (place / ".detignore").write_bytes(ignore)
            ours, theirs = set(let_in(place)), git.ships(place)
            if ours != theirs:
                found.append(f"{tree.flavour} {ignore!r}: only here {sorted(ours - theirs)}, only git {sorted(theirs - ours)}")
        shutil.rmtree(place)
    return found


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory where there is such a thing: thousands of small trees are made in it."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as directory:
        yield Path(directory)


@pytest.mark.parametrize("seed", range(10))
def test_a_thousand_generated_cases_agree_with_git(scratch: Path, seed: int) -> None:
    """With everyday, directed and odd patterns and names alike, the files that ship are git's to the last one."""
    cases = islice(trees(seed, _IGNORES_A_TREE), 1000 // _IGNORES_A_TREE)
    assert differing(Git(scratch), scratch, cases) == []


def test_every_byte_agrees_with_git_for_every_class(tmp_path: Path) -> None:
    """Each one-byte name falls into the same character classes and ranges as git's own table puts it in."""
    names = tuple(bytes((byte,)) for byte in range(1, 256) if byte not in b"./")
    classes = [f"[{negation}[:{name}:]]" for name in CLASS_NAMES for negation in ("", "!")]
    ranges = [
        "?",
        "[!-~]",
        "[^ -~]",
        "[+--]",
        "[]-a]",
        "[!]-a]",
        "[\\]-a]",
        "[a-\\z]",
        "[z-a]",
        "[[:digit:]-z]",
        "[a-c-e]",
        "[--0]",
        "[/-9]",
    ]
    ignores = [f"{pattern}\n".encode() for pattern in (*classes, *ranges)] + [b"[\x80-\xff]\n", b"[\xc3\xa9]\n", b"[!\x7f]\n"]
    assert differing(Git(tmp_path), tmp_path, iter([Tree("directed", names, tuple(ignores))])) == []


def test_the_generator_brings_up_what_matters() -> None:
    """A thousand cases have negations, classes, `**`, quoted characters, other line ends, marks, links and names that are not UTF-8."""
    found = list(islice(trees(0, _IGNORES_A_TREE), 250))
    assert {tree.flavour for tree in found} == set(FLAVOURS)
    lines = b"".join(ignore for tree in found for ignore in tree.ignores)
    for part in (b"\n!", b"[[:", b"**/", b"/**", b"\\ ", b"\r\n", b"\xef\xbb\xbf", b"\0", b"\n#", b"/\n", b"[!", b"\\/", b"***"):
        assert lines.count(part) > 10, part
    paths = [path for tree in found for path in tree.paths]
    assert any(b" -> " in path for path in paths)
    assert any(b"\n" in path for path in paths)
    assert any(path.decode("utf-8", "replace").encode() != path for path in paths)


def test_the_oracle_reads_one_file_and_no_other(tmp_path: Path) -> None:
    """Other files do not count: no nested `.detignore`, no `.gitignore`, and no settings of the user."""
    root = tmp_path / "tree"
    build(root, Tree("common", (b"a.py", b"b.txt", b"pkg/c.txt", b"pkg/d.pyc"), ()))
    (root / ".gitignore").write_text("a.py\n")
    (root / "pkg/.detignore").write_text("*\n")
    (root / ".detignore").write_text("b.txt\n!*.pyc\n")
    (tmp_path / ".config/git").mkdir(parents=True)
    (tmp_path / ".config/git/ignore").write_text("c.txt\n")
    git = Git(tmp_path)
    assert git.ships(root) == {b".gitignore", b"a.py", b"pkg/c.txt"}
    assert set(let_in(root)) == git.ships(root)


def test_a_difference_does_not_go_unnoticed(tmp_path: Path) -> None:
    """A tree on which the two are asked about different files is reported as differing."""

    class OtherFile(Git):
        def ships(self, root: Path) -> set[bytes]:
            return super().ships(root) - {b"a"}

    (description,) = differing(OtherFile(tmp_path), tmp_path, iter([Tree("edge", (b"a", b"b"), (b"c\n",))]))
    assert "only here [b'a']" in description
