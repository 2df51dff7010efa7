from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import tempfile
from pathlib import Path

import pytest

from detjupyter.bundle import LIMIT_BYTES, FileEntry, FileReport, Rule, ScanStopped, scan, survey


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
    """The report lists paths in order, for any order of the directory, and computes the totals."""
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
    monkeypatch.setattr(os, "scandir", lambda path: (listed.append(os.fsdecode(path)), real(path))[1])
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
    """Opening a pipe would block forever; the scan and the hash do not open it."""
    make(tmp_path, "a.py")
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)  # the address of a socket is limited, and a temporary path can be too long
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        report = scan(tmp_path)
        assert "regular file" in reason(report, "pipe")
        assert "regular file" in reason(report, "socket")
        assert len(report.hash) == 64


def test_a_pipe_that_took_a_files_place_does_not_hold_up_the_hash(tmp_path: Path) -> None:
    """Between the scan and the hash anything may happen to a file."""
    report = scan(make(tmp_path, "a.py", "b.py"))
    (tmp_path / "b.py").unlink()
    os.mkfifo(tmp_path / "b.py")
    assert len(report.hash) == 64


def scanned_by_somebody(root: Path) -> dict[str, tuple[bool, str]]:
    """Return whether each path ships and why not, as seen by a user who is not root: root can read everything."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            answer = {entry.path: (entry.included, entry.rule.pattern if entry.rule else "") for entry in scan(root)}
            os.write(writing, json.dumps(answer).encode())
        finally:
            os._exit(0)  # the child must not run the remaining tests
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = json.loads(pipe.read())
    os.waitpid(child, 0)
    return {path: (included, why) for path, (included, why) in answer.items()}


def test_what_cannot_be_read_is_named() -> None:
    """A locked file and a locked directory are left out, and the rest is listed."""
    with tempfile.TemporaryDirectory() as directory:  # the directories above tmp_path are closed to others
        root = make(Path(directory), "a.py", "locked.txt", "closed/b.py", "ours.py")
        root.chmod(0o755)
        (root / "ours.py").chmod(0o644)
        (root / "locked.txt").chmod(0)
        (root / "closed").chmod(0)
        try:
            found = scanned_by_somebody(root)
        finally:
            (root / "closed").chmod(0o755)
    assert found == {
        "a.py": (True, ""),
        "closed/": (False, "cannot be read"),
        "locked.txt": (False, "cannot be read"),
        "ours.py": (True, ""),
    }


def test_a_single_file_is_the_whole_definition(tmp_path: Path) -> None:
    """No other file ships, and `.detignore` is not read."""
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
    """A report is of one moment: it keeps its hash, and a file deleted since then is not an error."""
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


def test_paths_are_in_order_however_folders_and_names_are_mixed(tmp_path: Path) -> None:
    """The order is that of the whole paths, with folders that hold only folders, and names that begin alike."""
    paths = ["a", "a.b/c", "a.py", "ab/c", "a b", "b/c/d/e", "b/c.d", "b/c/a", "b.c", "z/__pycache__/x", "z/a", "é/a", "z0", "b/c/d.x/y"]
    report = scan(make(tmp_path, *paths))
    found = [entry.path for entry in report]
    assert found == sorted(found)
    assert len(found) == len(report) == len(paths)
    assert [entry.path for entry in FileReport(tmp_path, reversed(list(report)))] == found


def test_one_path_is_found_without_listing_all(tmp_path: Path) -> None:
    """Files by their path, directories that are left out with their slash; anything else is not there."""
    report = scan(make(tmp_path, "a.py", "pkg/b.py", "data/x"), ignore=b"data/\n")
    assert report.find("pkg/b.py") == entry_at(report, "pkg/b.py")
    assert report.find("data/") == entry_at(report, "data/")
    assert [report.find(path) for path in ("data", "data/x", "pkg", "pkg/", "b.py", "", "a.py/")] == [None] * 7
    assert dict(report.included_sizes()) == {"a.py": 4, "pkg/b.py": 8}


def test_a_scan_can_be_asked_as_if_the_file_held_other_lines(tmp_path: Path) -> None:
    """The file on disk stays as it is and counts for nothing."""
    make(tmp_path, "a.py", "b.csv", ".detignore").joinpath(".detignore").write_text("*.py\n")
    assert [entry.path for entry in scan(tmp_path, ignore=b"*.csv\n").included] == ["a.py"]
    assert [entry.path for entry in scan(tmp_path, ignore=b"").included] == ["a.py", "b.csv"]
    assert survey(tmp_path, ignore=b"*.csv\n").included_bytes == len("a.py")


@pytest.mark.parametrize("what", [ScanStopped(3), KeyboardInterrupt(), BrokenPipeError()])
def test_progress_is_reported_and_may_stop_a_scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: BaseException) -> None:
    """The count of paths grows, and what it raises comes out as it is."""
    monkeypatch.setattr("detjupyter.bundle.walk._PROGRESS_S", 0.0)
    make(tmp_path, "a.py", "p/b.py", "p/q/c.py")
    reported: list[int] = []
    scan(tmp_path, progress=reported.append)
    assert reported == [2, 4, 5]

    def stop(paths: int) -> None:
        raise what

    for look in (scan, survey):
        with pytest.raises(type(what)):
            look(tmp_path, progress=stop)


def test_progress_is_not_reported_for_every_directory(tmp_path: Path) -> None:
    """A scan that ends at once reports no progress."""
    reported: list[int] = []
    scan(make(tmp_path, *(f"d{number}/a" for number in range(50))), progress=reported.append)
    assert len(reported) < 50


def test_what_vanishes_during_the_walk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is deleted during the walk is left out with the reason, and the walk continues."""
    monkeypatch.setattr("detjupyter.bundle.walk._PROGRESS_S", 0.0)
    make(tmp_path, "a.py", "gone/b.py", "gone/sub/d.py", "stays/c.py")

    def remove(paths: int) -> None:
        if paths == 3 and (tmp_path / "gone").exists():  # the names in the root are reported before any folder is read
            shutil.rmtree(tmp_path / "gone")

    report = scan(tmp_path, progress=remove)
    assert [entry.path for entry in report.included] == ["a.py", "stays/c.py"]
    assert "vanished" in reason(report, "gone/")


def test_a_definition_that_is_gone_is_no_crash(tmp_path: Path) -> None:
    """Its root is the one entry, with the reason."""
    report = scan(tmp_path / "nowhere")
    assert [entry.path for entry in report] == ["./"]
    assert "vanished" in reason(report, "./")
    assert survey(tmp_path / "nowhere").included_files == 0


def test_a_survey_has_the_totals_of_a_scan(tmp_path: Path) -> None:
    """Files, bytes, what stays and what is wrong, without keeping a path."""
    root = make(tmp_path, "a.py", "data/x.csv", "p/b.py", "p/__pycache__/c.pyc", "p/keep.csv", "q.csv")
    (root / "link").symlink_to("a.py")
    (root / "out").symlink_to("/")
    (root / ".detignore").write_text("data/\n*.csv\n!keep.csv\n[\n")
    report, found = scan(root), survey(root)
    assert (found.included_files, found.included_bytes) == (len(report.included), report.total_bytes)
    assert (found.included_files, found.excluded_entries) == (report.included_files, report.excluded_entries) == (4, 5)
    assert found.problems == report.problems
    assert (found.limit_bytes, found.over_after) == (LIMIT_BYTES, False)
    assert found.paths == len(report) + len(["p/"])


def test_a_survey_of_names_looks_at_no_file(tmp_path: Path) -> None:
    """It counts the same files without their sizes, and a link to nothing like one to a file."""
    root = make(tmp_path, "a.py", "data/x.csv", "p/b.py")
    (root / "gone").symlink_to("nowhere")
    found = survey(root, names_only=True, ignore=b"data/\n")
    assert (found.included_files, found.included_bytes, found.excluded_entries) == (3, 0, 1)


def test_a_survey_stops_when_there_are_too_many_paths(tmp_path: Path) -> None:
    """So the user can be asked before a whole disk is read."""
    make(tmp_path, *(f"d{number:02d}/{name}" for number in range(20) for name in "abc"))
    early = survey(tmp_path, names_only=True, most_paths=30)
    assert early.over_after
    assert 30 < early.paths < 80
    enough = survey(tmp_path, names_only=True, most_paths=80)
    assert (enough.over_after, enough.paths) == (False, 80)


def test_a_file_larger_than_the_limit_is_never_read_by_a_scan(tmp_path: Path) -> None:
    """Only its size is read: a sparse file of a terabyte takes no time."""
    with (tmp_path / "huge.bin").open("wb") as file:
        file.truncate(1 << 40)
    report = scan(tmp_path)
    assert report.total_bytes == 1 << 40
    assert report.total_bytes > report.limit_bytes
    assert survey(tmp_path).included_bytes == 1 << 40


def test_a_path_that_is_too_long_is_named(tmp_path: Path) -> None:
    """Paths beyond the system's limit cannot be read; the walk reports them and continues."""
    (tmp_path / "a.py").write_text("")
    top = os.open(tmp_path, os.O_RDONLY)
    for _ in range(25):
        os.mkdir("d" * 200, dir_fd=top)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=top)
        os.close(top)
        top = below
    os.close(top)
    first, deep = scan(tmp_path)
    assert (first.path, first.included) == ("a.py", True)
    assert (deep.included, deep.rule) == (False, Rule("always", None, "cannot be read"))
    assert len(deep.path) > 3000


def test_a_report_of_very_deep_paths_is_read_like_any_other(tmp_path: Path) -> None:
    """Deeper than Python recurses."""
    paths = ["d/" * depth + "f" for depth in (3000, 1, 0, 2)]
    report = FileReport(tmp_path, [FileEntry(path, "file", 1, included=True, rule=None) for path in paths])
    assert [entry.path for entry in report] == sorted(paths)
    assert report.total_bytes == 4
