from __future__ import annotations

import os
from pathlib import Path

import pytest

from detjupyter.bundle import LIMIT_BYTES, DeterminedReport, ScanStopped, determined_files, differences, scan


def make(root: Path, *paths: str, ignore: bytes = b"") -> Path:
    """Create files of one byte, and a `.detignore`."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("x")
    (root / ".detignore").write_bytes(ignore)
    return root


def names(report: DeterminedReport) -> list[str]:
    """Return the paths of the files that it would upload."""
    return [path for path, _ in report.files]


@pytest.mark.parametrize(
    ("ignore", "paths", "expected"),
    [
        (b"*\n!*/\n!*.py\n", ["a.py", "pkg/b.py"], ["a.py"]),
        (b"/*\n!/src/\n", ["a.py", "src/b.py"], []),
        (b"src\n!src/\n", ["src/a.py", "b.py"], ["b.py"]),
        (b"**\n!**/\n!**/*.py\n", ["a.py", "pkg/b.py"], ["a.py"]),
        (b"data/**\n!data/keep.txt\n", ["data/keep.txt", "a.py"], ["a.py"]),
        (b"*.txt\n!data/\n", ["data/x.txt", "x.txt", "a.py"], ["a.py", "data/x.txt"]),
        (b"/*\n!/src\n", ["src/__pycache__/a.pyc", "a.py"], ["src/__pycache__/a.pyc"]),
        (b"!*.pyc\n", ["a.pyc", "b.py"], ["a.pyc", "b.py"]),
        (b"data/**/\n", ["data/x.csv", "a.py"], ["a.py"]),
        (
            b"",
            ["terraform/x", "terraform.tfstate.1", ".terraform.lock", "shared_fs/y", "lib/shared_fs", ".venv/z"],
            [".venv/z", "lib/shared_fs"],
        ),
        (b"", [".git/config", ".vscode/s.json", ".idea/x", ".mypy_cache/y", ".hidden", "pkg/.detignore", "a.pyo"], [".hidden"]),
        (b"!terraform\n", ["terraform/x"], ["terraform/x"]),
        (b"A.py\n", ["A.py", "B.py", "subdir/A.py", "subdir/B.py"], ["B.py", "subdir/B.py"]),
        (b"subdir/A.py\n", ["A.py", "subdir/A.py"], ["A.py"]),
        (b"keep\\ ", ["keep ", "keep"], ["keep"]),
        (b"a.txt\r\nb.txt\rc.txt\n", ["a.txt", "b.txt", "c.txt", "d"], ["d"]),
    ],
)
def test_its_list_is_what_the_uploader_of_determined_would_send(
    tmp_path: Path, ignore: bytes, paths: list[str], expected: list[str]
) -> None:
    """Its own built-in list, then the lines by pathspec's reading, directories asked about with and without a slash."""
    report = determined_files(make(tmp_path, *paths, ignore=ignore))
    assert names(report) == expected
    assert not report.fails


def test_a_byte_order_mark_breaks_the_first_line_there(tmp_path: Path) -> None:
    """The file is read as text with the mark in it, so `data/` is shipped, and the report says why."""
    report = determined_files(make(tmp_path, "data/x", "a.csv", ignore=b"\xef\xbb\xbfdata/\n*.csv\n"))
    assert names(report) == ["data/x"]
    assert "byte order mark" in report.problems[0]
    assert not report.fails


@pytest.mark.parametrize(
    ("ignore", "part"),
    [(b"ok\ncaf\xe9\n", "line 2 of .detignore is not UTF-8"), (b"*.py\n\n!\n", "line 3 of .detignore, '!'"), (b"keep\\ \n", "line 1")],
)
def test_what_its_uploader_stumbles_over_is_said(tmp_path: Path, ignore: bytes, part: str) -> None:
    """A line that ends the upload with a traceback is named, and nothing is listed."""
    report = determined_files(make(tmp_path, "a.py", ignore=ignore))
    assert report.fails
    assert report.files == ()
    assert "would fail" in report.problems[0]
    assert part in report.problems[0]


def test_links_pipes_and_directories_are_treated_as_it_treats_them(tmp_path: Path) -> None:
    """A link to a file sends the file from wherever, one to a directory an empty directory; a pipe would hang it."""
    (tmp_path / "outside").write_text("12345")
    root = make(tmp_path / "root", "pkg/a.py")
    (root / "empty").mkdir()
    (root / "link").symlink_to("../outside")
    (root / "folder").symlink_to("pkg")
    (root / "gone").symlink_to("nowhere")
    os.mkfifo(root / "pipe")
    report = determined_files(root)
    assert report.files == (("link", 5), ("pkg/a.py", 1))
    assert report.directories == ("empty", "folder", "pkg")
    assert report.fails
    assert any("wait forever" in problem and "pipe" in problem for problem in report.problems)
    assert any("skip gone" in problem for problem in report.problems)


def test_sizes_are_counted_in_threes_against_its_limit(tmp_path: Path) -> None:
    """As the length of base64 gives them: a file of one byte is three, and one byte too many fails the upload."""
    root = make(tmp_path, "a", "b")
    (root / "c").write_text("1234")
    assert determined_files(root).total_bytes == 3 + 3 + 6
    most = (LIMIT_BYTES - 12) // 3 * 3
    for size_bytes, fails in ((most, False), (most + 1, True)):
        with (root / "big").open("wb") as file:
            file.truncate(size_bytes)
        assert determined_files(root).fails is fails


def test_differences_name_each_file_that_only_one_ships(tmp_path: Path) -> None:
    """Where git's meaning and Determined's part, and nothing else."""
    ignore = b"*.txt\n!data/\n*.csv\n/model/*\n!/model/keep/\n"
    root = make(tmp_path, "a.py", "data/x.txt", "b.csv", "model/keep/w", "terraform", ".venv/lib", ignore=ignore)
    assert differences(scan(root), determined_files(root)) == {
        ".venv/lib": "only there",
        "data/x.txt": "only there",
        "model/keep/w": "only here",
        "terraform": "only here",
    }


def test_other_lines_can_be_asked_about(tmp_path: Path) -> None:
    """The report is computed as if `.detignore` had this content; an empty file and a missing file give the same result."""
    root = make(tmp_path, "a.py", "b.csv", ignore=b"*.py\n")
    assert names(determined_files(root, ignore=b"*.csv\n")) == ["a.py"]
    (root / ".detignore").unlink()
    assert names(determined_files(root)) == ["a.py", "b.csv"]


def test_a_single_file_cannot_be_its_context(tmp_path: Path) -> None:
    """Its command line refuses a context that is not a directory."""
    report = determined_files(make(tmp_path, "model.py") / "model.py")
    assert report.fails
    assert "not a directory" in report.problems[0]


def test_it_can_be_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What progress raises comes out."""
    make(tmp_path, "a/b", "c/d")

    def stop(paths: int) -> None:
        raise ScanStopped(paths)

    monkeypatch.setattr("detjupyter.bundle.determined._PROGRESS_S", 0.0)
    with pytest.raises(ScanStopped, match="after 1 path"):
        determined_files(tmp_path, progress=stop)
