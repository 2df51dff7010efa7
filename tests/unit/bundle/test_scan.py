from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from detjupyter.bundle import LIMIT_BYTES, FileEntry, FileReport, scan


def make(root: Path, *paths: str) -> Path:
    """Create files that hold their own path."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)
    return root


def entry_at(report: FileReport, path: str) -> FileEntry:
    """Return the entry of one path."""
    return next(entry for entry in report if entry.path == path)


def reason(report: FileReport, path: str) -> str:
    """Return why a path that can never ship is left out."""
    entry = entry_at(report, path)
    assert not entry.included
    assert entry.rule is not None
    assert entry.rule.source == "always"
    return entry.rule.pattern


def test_entries_are_sorted_and_summed(tmp_path: Path) -> None:
    """The report lists paths in order, whatever the directory's order, and adds up what ships."""
    report = scan(make(tmp_path, "z.py", "a/b.py", "a.py", "m/__pycache__/x.pyc"))
    assert [entry.path for entry in report] == ["a.py", "a/b.py", "m/__pycache__/", "z.py"]
    assert [entry.path for entry in report.excluded] == ["m/__pycache__/"]
    assert report.total_bytes == len("z.py" + "a/b.py" + "a.py")
    assert report.limit_bytes == LIMIT_BYTES == 99_614_720
    assert len(report) == 4


def test_an_excluded_directory_is_one_entry_and_is_not_entered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its contents cost nothing: the walk never lists it."""
    make(tmp_path, "a.py", "data/x.csv", "data/deep/y.csv", ".detignore").joinpath(".detignore").write_text("data/\n")
    listed: list[str] = []
    real = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: (listed.append(str(path)), real(path))[1])
    report = scan(tmp_path)
    assert entry_at(report, "data/") == FileEntry("data/", "directory", 0, included=False, rule=entry_at(report, "data/").rule)
    assert listed == [str(tmp_path)]


def test_expand_lists_what_an_excluded_directory_holds(tmp_path: Path) -> None:
    """Each file in it is named with its size and the rule that left the directory out."""
    make(tmp_path, "data/x.csv", "data/deep/y.csv", ".detignore").joinpath(".detignore").write_text("data/\n")
    report = scan(tmp_path, expand=True)
    assert [entry.path for entry in report.excluded] == [".detignore", "data/", "data/deep/y.csv", "data/x.csv"]
    inside = entry_at(report, "data/deep/y.csv")
    assert (inside.size_bytes, inside.rule) == (len("data/deep/y.csv"), entry_at(report, "data/").rule)
    assert report.included == []


def test_a_symlink_to_a_file_inside_ships_as_its_content(tmp_path: Path) -> None:
    """The size is the target's, and so is what is hashed."""
    make(tmp_path, "pkg/real.txt")
    before = scan(tmp_path).hash
    (tmp_path / "link.txt").symlink_to("pkg/real.txt")
    report = scan(tmp_path)
    entry = entry_at(report, "link.txt")
    assert (entry.kind, entry.included, entry.size_bytes) == ("symlink", True, len("pkg/real.txt"))
    assert report.hash != before


def test_symlinks_that_cannot_ship_are_named(tmp_path: Path) -> None:
    """Links out of the definition, to directories, to nothing and to themselves are left out, each with its reason."""
    (tmp_path / "outside.txt").write_text("secret")
    root = make(tmp_path / "definition", "pkg/a.py")
    (root / "out").symlink_to(tmp_path / "outside.txt")
    (root / "dir").symlink_to("pkg")
    (root / "gone").symlink_to("nothing")
    (root / "loop").symlink_to("loop")
    (root / "pkg/up").symlink_to("..")
    report = scan(root)
    assert [entry.path for entry in report.included] == ["pkg/a.py"]
    assert "leaves the definition" in reason(report, "out")
    assert "directory" in reason(report, "dir")
    assert "directory" in reason(report, "pkg/up")
    assert "nothing" in reason(report, "gone")
    assert "nothing" in reason(report, "loop")


def test_a_directory_pattern_does_not_match_a_symlink(tmp_path: Path) -> None:
    """For git a link is not a directory, so `data/` says nothing of it, and `data` does."""
    make(tmp_path, "real.txt", ".detignore")
    (tmp_path / "data").symlink_to("real.txt")
    (tmp_path / ".detignore").write_text("data/\n")
    assert entry_at(scan(tmp_path), "data").included
    (tmp_path / ".detignore").write_text("data\n")
    assert not entry_at(scan(tmp_path), "data").included


def test_pipes_and_sockets_are_named_and_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening a pipe would block for ever; the scan and the hash do not."""
    make(tmp_path, "a.py")
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)  # the address of a socket is short, a temporary path may not be
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        report = scan(tmp_path)
        assert "regular file" in reason(report, "pipe")
        assert "regular file" in reason(report, "socket")
        assert len(report.hash) == 64


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A locked file and a locked directory are left out, and the rest is listed."""
    make(tmp_path, "a.py", "locked.txt", "closed/b.py")
    (tmp_path / "locked.txt").chmod(0)
    (tmp_path / "closed").chmod(0)
    report = scan(tmp_path)
    (tmp_path / "closed").chmod(0o755)
    assert [entry.path for entry in report.included] == ["a.py"]
    assert reason(report, "locked.txt") == reason(report, "closed/") == "cannot be read"


def test_a_single_file_is_the_whole_definition(tmp_path: Path) -> None:
    """Nothing beside it ships, and no `.detignore` is asked."""
    make(tmp_path, "model.py", "other.py", ".detignore").joinpath(".detignore").write_text("*\n")
    report = scan(tmp_path / "model.py")
    assert [(entry.path, entry.kind, entry.included) for entry in report] == [("model.py", "file", True)]
    assert len(report.hash) == 64


def test_the_hash_is_of_names_modes_and_contents_of_what_ships(tmp_path: Path) -> None:
    """It moves with each of the three, and with nothing else."""
    make(tmp_path, "a.py", "b.py", "x.pyc")
    first = scan(tmp_path).hash
    (tmp_path / "x.pyc").write_text("something else")
    os.utime(tmp_path / "a.py", (0, 0))
    (tmp_path / "empty").mkdir()
    assert scan(tmp_path).hash == first
    seen = {first}
    (tmp_path / "a.py").write_text("A.PY")
    seen.add(scan(tmp_path).hash)
    (tmp_path / "b.py").chmod((tmp_path / "b.py").stat().st_mode | stat.S_IXUSR)
    seen.add(scan(tmp_path).hash)
    (tmp_path / "a.py").rename(tmp_path / "c.py")
    seen.add(scan(tmp_path).hash)
    assert len(seen) == 4


def test_equal_trees_in_different_places_have_one_hash(tmp_path: Path) -> None:
    """The place of the definition and the order of creation do not matter."""
    one, two = make(tmp_path / "one", "a.py", "p/b.py"), make(tmp_path / "two", "p/b.py", "a.py")
    assert scan(one).hash == scan(two).hash


def test_the_hash_is_taken_once_and_survives_a_file_that_vanishes(tmp_path: Path) -> None:
    """A report is of one moment: it keeps its hash, and a file that has gone in between is no error."""
    make(tmp_path, "a.py", "b.py")
    kept, late = scan(tmp_path), scan(tmp_path)
    first = kept.hash
    (tmp_path / "b.py").unlink()
    assert kept.hash == first
    assert late.hash != first


def test_records_carry_the_rule_and_stop_at_the_limit(tmp_path: Path) -> None:
    """Browsers get the first paths, flat."""
    make(tmp_path, "a.py", "data/x", ".detignore").joinpath(".detignore").write_text("data/\n")
    records = scan(tmp_path).records(limit=10)
    assert [(r.path, r.kind, r.included, r.source, r.line, r.pattern) for r in records] == [
        (".detignore", "file", False, "always", None, ".detignore"),
        ("a.py", "file", True, None, None, None),
        ("data/", "directory", False, ".detignore", 1, "data/"),
    ]
    assert [record.path for record in scan(tmp_path).records(1)] == [".detignore"]
