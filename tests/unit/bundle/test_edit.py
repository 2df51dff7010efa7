from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from detjupyter.bundle import Proposal, apply, explain, propose, scan, undo
from detjupyter.errors import DefinitionError


def make(root: Path, *paths: str, ignore: str | bytes | None = None) -> Path:
    """Create files that hold their own path, and a `.detignore`."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)
    if ignore is not None:
        (root / ".detignore").write_bytes(ignore.encode() if isinstance(ignore, str) else ignore)
    return root


def shipped(root: Path) -> list[str]:
    """Return what ships."""
    return [entry.path for entry in scan(root).included]


def added(proposal: Proposal) -> list[str]:
    """Return the text of the lines that would be added."""
    return [line.text for line in proposal.added]


def removed(proposal: Proposal) -> list[tuple[int, str]]:
    """Return number and text of the lines that would go."""
    return [(line.number, line.text) for line in proposal.removed]


TREE = ("a.py", "data/big.csv", "data/keep.txt", "data/raw/x.csv", "pkg/data/y.csv", "pkg/m.py")


@pytest.mark.parametrize(
    ("path", "lines", "left_out"),
    [
        ("a.py", ["/a.py"], ["a.py"]),
        ("data", ["/data/"], ["data/big.csv", "data/keep.txt", "data/raw/x.csv"]),
        ("data/raw/", ["/data/raw/"], ["data/raw/x.csv"]),
        ("data/big.csv", ["/data/big.csv"], ["data/big.csv"]),
    ],
)
def test_excluding_writes_one_line_that_names_exactly_that(tmp_path: Path, path: str, lines: list[str], left_out: list[str]) -> None:
    """The line is anchored to the root, and its effect is reported before anything is written."""
    root = make(tmp_path, *TREE)
    before = shipped(root)
    proposal = propose(root, path, include=False)
    assert added(proposal) == lines
    assert proposal.effect.names == tuple(left_out)
    assert (proposal.effect.newly_left_out, proposal.effect.newly_left_out_bytes) == (len(left_out), sum(map(len, left_out)))
    assert proposal.effect.newly_shipped == 0
    assert not (root / ".detignore").exists()
    apply(root, proposal)
    assert shipped(root) == [name for name in before if name not in left_out]


@pytest.mark.parametrize(
    ("ignore", "path", "lines", "gone", "ships"),
    [
        ("*.csv\n", "data/big.csv", ["!/data/big.csv"], [], ["data/big.csv"]),
        ("*.py\n/a.py\n", "a.py", ["!/a.py"], [], ["a.py"]),
        ("#\n/a.py\n", "a.py", [], [(2, "/a.py")], ["a.py"]),
        ("data/raw/\n", "data/raw", [], [(1, "data/raw/")], ["data/raw/x.csv"]),
        ("data/\n", "data/keep.txt", ["!/data/", "/data/*", "!/data/keep.txt"], [], ["data/keep.txt"]),
        (
            "data\n",
            "data/raw/x.csv",
            ["!/data/", "/data/*", "!/data/raw/", "/data/raw/*", "!/data/raw/x.csv"],
            [],
            ["data/raw/x.csv"],
        ),
        ("data/\n", "data/raw/", ["!/data/", "/data/*", "!/data/raw/"], [], ["data/raw/x.csv"]),
        ("/data/*\n", "data/keep.txt", ["!/data/keep.txt"], [], ["data/keep.txt"]),
        ("*.csv\n", "data/raw/x.csv", ["!/data/raw/x.csv"], [], ["data/raw/x.csv"]),
    ],
)
def test_including_ships_that_path_and_nothing_beside_it(
    tmp_path: Path, ignore: str, path: str, lines: list[str], gone: list[tuple[int, str]], ships: list[str]
) -> None:
    """The line that excludes only it goes; else it is taken back; below a directory that stays the way to it is opened."""
    root = make(tmp_path, *TREE, ignore=ignore)
    before = shipped(root)
    proposal = propose(root, path, include=True)
    assert (added(proposal), removed(proposal)) == (lines, gone)
    assert proposal.effect.names == tuple(ships)
    assert (proposal.effect.newly_shipped, proposal.effect.newly_shipped_bytes) == (len(ships), sum(map(len, ships)))
    apply(root, proposal)
    assert shipped(root) == sorted([*before, *ships])


def test_excluding_what_was_taken_back_removes_that_line(tmp_path: Path) -> None:
    """The way in and the way out are the same line; the opened directory stays open for others."""
    root = make(tmp_path, *TREE, ignore="data/\n")
    apply(root, propose(root, "data/keep.txt", include=True))
    proposal = propose(root, "data/keep.txt", include=False)
    assert (added(proposal), removed(proposal)) == ([], [(4, "!/data/keep.txt")])
    apply(root, proposal)
    assert "data/keep.txt" not in shipped(root)
    assert added(propose(root, "data/big.csv", include=True)) == ["!/data/big.csv"]


def test_a_line_is_not_removed_when_it_says_more(tmp_path: Path) -> None:
    """`data/` also matches pkg/data, so it is kept, and only the one directory is re-included."""
    root = make(tmp_path, *TREE, ignore="data/\n")
    proposal = propose(root, "data/", include=True)
    assert (added(proposal), removed(proposal)) == (["!/data/"], [])
    apply(root, proposal)
    assert "pkg/data/y.csv" not in shipped(root)


def test_a_default_rule_is_taken_back_and_one_that_always_holds_is_not(tmp_path: Path) -> None:
    """`.venv/` yields to a negation; byte code, files named .detignore and broken links yield to nothing."""
    root = make(tmp_path, ".venv/lib/a.py", "pkg/a.pyc", "__pycache__/b", "pkg/.detignore", ignore="")
    (root / "gone").symlink_to("nowhere")
    assert added(propose(root, ".venv/lib/a.py", include=True))[:2] == ["!/.venv/", "/.venv/*"]
    for path in ("pkg/a.pyc", "__pycache__/b", "__pycache__", "pkg/.detignore", ".detignore", "gone"):
        with pytest.raises(DefinitionError, match="cannot ship, whatever") as caught:
            propose(root, path, include=True)
        assert caught.value.hint


def test_nothing_is_proposed_for_what_is_so_already(tmp_path: Path) -> None:
    """No lines, no effect; applying it writes nothing."""
    root = make(tmp_path, "a.py", "b.csv", ignore="*.csv\n")
    for path, include in (("a.py", True), ("b.csv", False)):
        proposal = propose(root, path, include=include)
        assert not proposal.changes
        undo(root, apply(root, proposal))
        assert (root / ".detignore").read_bytes() == b"*.csv\n"
    bare = make(tmp_path / "bare", "a.py")
    undo(bare, apply(bare, propose(bare, "a.py", include=True)))
    assert not (bare / ".detignore").exists()


@pytest.mark.parametrize(
    ("ignore", "new"),
    [
        (b"", b"/a.py\n"),
        (b"x", b"x\n/a.py\n"),
        (b"x\r\ny\r\n", b"x\r\ny\r\n/a.py\r\n"),
        (b"x\r\ny", b"x\r\ny\r\n/a.py\r\n"),
        (b"\xef\xbb\xbfx\n", b"\xef\xbb\xbfx\n/a.py\n"),
        (b"\xef\xbb\xbf", b"\xef\xbb\xbf/a.py\n"),
        (b"caf\xe9\n\n", b"caf\xe9\n\n/a.py\n"),
    ],
)
def test_the_file_keeps_its_manners(tmp_path: Path, ignore: bytes, new: bytes) -> None:
    """Line ends, a byte order mark and bytes that are not text are kept; a last line without a line end gets one."""
    root = make(tmp_path, "a.py", ignore=ignore)
    proposal = propose(root, "a.py", include=False)
    assert proposal.new == new
    (line,) = proposal.added
    assert new.split(b"\n")[line.number - 1].strip().removeprefix(b"\xef\xbb\xbf") == b"/a.py"
    apply(root, proposal)
    assert (root / ".detignore").read_bytes() == new


@pytest.mark.parametrize(
    "name",
    [
        "a*b",
        "a?b",
        "[a]",
        "a\\b",
        "!a",
        "#a",
        " a",
        "a ",
        "a  ",
        "a\t",
        "a\r",
        "é",
        "**",
        "[!a",
        "a]",
        "-",
        "\\",
        "a\u00a0",
        os.fsdecode(b"\xff\xe9"),
    ],
)
def test_odd_names_are_written_so_that_they_mean_themselves(tmp_path: Path, name: str) -> None:
    """Excluded and included again, as a file and as a directory, without affecting similar names."""
    root = make(tmp_path, "file", "aXb", "a", "[", "folder/x")
    for path in (name, f"d/{name}/x", f"d/{name}"):
        place = root / path
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text("x")
        before = shipped(root)
        apply(root, propose(root, path, include=False))
        assert not explain(root, path).included
        assert {entry for entry in before if not (entry == path or entry.startswith(f"{path}/"))} <= set(shipped(root))
        apply(root, propose(root, path, include=True))
        assert shipped(root) == before


def test_a_name_with_a_line_break_is_refused(tmp_path: Path) -> None:
    """No line can hold it."""
    make(tmp_path, "a\nb")
    with pytest.raises(DefinitionError, match="No line of") as caught:
        propose(tmp_path, "a\nb", include=False)
    assert "line break" in str(caught.value)


def test_whatever_the_lines_are_a_proposal_gives_the_verdict_asked_for(tmp_path: Path) -> None:
    """Repeated random edits of one tree: the reported effect is always the real effect."""
    choose = random.Random(3)
    parts = (
        "*.csv",
        "data/",
        "!data/keep.txt",
        "/data/*",
        "!*/",
        "*",
        "!/pkg/",
        "**/x.csv",
        "!a.py",
        "raw",
        "# x",
        "",
        "[ab].py",
        "pkg/**",
    )
    for case in range(40):
        root = make(tmp_path / str(case), *TREE, ignore="\n".join(choose.choices(parts, k=choose.randint(0, 6))))
        for _ in range(6):
            path, include = choose.choice((*TREE, "data/", "data/raw/", "pkg/", "new/file.bin")), choose.random() < 0.5
            before = set(shipped(root))
            proposal = propose(root, path, include=include)
            step = apply(root, proposal)
            after = set(shipped(root))
            assert explain(root, path).included is include
            assert (proposal.effect.newly_shipped, proposal.effect.newly_left_out) == (len(after - before), len(before - after))
            if choose.random() < 0.3:
                undo(root, step)
                assert set(shipped(root)) == before


def test_undo_brings_back_every_byte_or_no_file(tmp_path: Path) -> None:
    """Also when there was no `.detignore`."""
    root = make(tmp_path, "a.py")
    step = apply(root, propose(root, "a.py", include=False))
    assert (root / ".detignore").read_bytes() == b"/a.py\n"
    undo(root, step)
    assert not (root / ".detignore").exists()
    (root / ".detignore").write_bytes(b"x\r\n")
    undo(root, apply(root, propose(root, "a.py", include=False)))
    assert (root / ".detignore").read_bytes() == b"x\r\n"


def test_a_file_that_somebody_else_changed_is_left_alone(tmp_path: Path) -> None:
    """Neither apply nor undo overwrites an edit that it does not know of, nor a file that appeared or went."""
    root = make(tmp_path, "a.py", ignore="x\n")
    late = propose(root, "a.py", include=False)
    step = apply(root, propose(root, "a.py", include=False))
    (root / ".detignore").write_text("mine\n")
    for attempt in (lambda: apply(root, late), lambda: undo(root, step)):
        with pytest.raises(DefinitionError, match="changed by something else") as caught:
            attempt()
        assert caught.value.hint
        assert (root / ".detignore").read_text() == "mine\n"
    (root / ".detignore").unlink()
    with pytest.raises(DefinitionError, match="changed by something else"):
        undo(root, step)


def test_the_files_mode_and_a_link_to_it_are_kept(tmp_path: Path) -> None:
    """A `.detignore` that is a link stays one, and what it points to is written with the mode it had; no draft is left behind."""
    root = make(tmp_path / "root", "a.py")
    shared = tmp_path / "shared"
    shared.write_text("x\n")
    shared.chmod(0o640)
    (root / ".detignore").symlink_to(shared)
    step = apply(root, propose(root, "a.py", include=False))
    assert (root / ".detignore").is_symlink()
    assert shared.read_text() == "x\n/a.py\n"
    assert shared.stat().st_mode & 0o777 == 0o640
    undo(root, step)
    assert shared.read_text() == "x\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["root", "shared"]
    assert sorted(path.name for path in root.iterdir()) == [".detignore", "a.py"]


def test_a_new_file_has_the_mode_of_any_new_file(tmp_path: Path) -> None:
    """Not the private one of a temporary file."""
    root = make(tmp_path, "a.py")
    apply(root, propose(root, "a.py", include=False))
    assert (root / ".detignore").stat().st_mode == (root / "a.py").stat().st_mode


def test_a_file_that_cannot_be_written_is_said_and_stays(tmp_path: Path) -> None:
    """A link into nowhere has no place for the draft: what, where and what next, and nothing half done."""
    root = make(tmp_path, "a.py")
    (root / ".detignore").symlink_to("missing/folder/file")
    with pytest.raises(DefinitionError, match="cannot be written") as caught:
        apply(root, propose(root, "a.py", include=False))
    assert caught.value.hint
    assert (root / ".detignore").is_symlink()


def test_paths_outside_and_definitions_of_one_file_are_refused(tmp_path: Path) -> None:
    """There is no line for them."""
    root = make(tmp_path, "a.py")
    with pytest.raises(DefinitionError, match="not a path inside"):
        propose(root, "../x", include=False)
    with pytest.raises(DefinitionError, match="whole model definition"):
        propose(root / "a.py", "a.py", include=False)
