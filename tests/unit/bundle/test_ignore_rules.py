from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from detjupyter.bundle import FileReport, Rule, scan


def make(root: Path, *paths: str, ignore: str | bytes | None = None) -> Path:
    """Create empty files under ``root``, and a `.detignore`."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("x")
    if ignore is not None:
        (root / ".detignore").write_bytes(ignore if isinstance(ignore, bytes) else ignore.encode())
    return root


def shipped(report: FileReport) -> list[str]:
    """Return the paths that ship."""
    return [entry.path for entry in report.included]


def rule_of(report: FileReport, path: str) -> Rule | None:
    """Return the rule that decided about one path."""
    return next(entry.rule for entry in report if entry.path == path)


@pytest.mark.parametrize(
    ("ignore", "paths", "expected"),
    [
        ("data/\n", ["data/x.csv", "a.py"], ["a.py"]),
        ("data/\n", ["data", "a.py"], ["a.py", "data"]),
        ("*\n!*/\n!*.py\n", ["a.py", "b.txt", "pkg/deep/c.py", "pkg/d.txt"], ["a.py", "pkg/deep/c.py"]),
        ("/*\n!/src/\n", ["a.py", "src/b.py", "src/pkg/c.py"], ["src/b.py", "src/pkg/c.py"]),
        ("src\n!src/\n", ["src/a.py", "lib/src"], ["src/a.py"]),
        ("data/\n!data/keep.txt\n", ["data/keep.txt", "a.py"], ["a.py"]),
        ("data/**\n!data/keep.txt\n", ["data/keep.txt", "data/other.txt"], ["data/keep.txt"]),
        ("*.txt\n!data/\n", ["data/x.txt", "a.py"], ["a.py"]),
        ("data/**/\n", ["data/x.csv", "data/raw/y.csv"], ["data/x.csv"]),
        ("/build\n", ["build/x", "pkg/build/y"], ["pkg/build/y"]),
        ("*.csv\n!keep.csv\n", ["a.csv", "keep.csv", "d/keep.csv"], ["d/keep.csv", "keep.csv"]),
        ("# a comment\n\n   \n", ["a.py"], ["a.py"]),
        ("\\#notes\n", ["#notes", "a.py"], ["a.py"]),
        ("spaced.txt   \n", ["spaced.txt", "a.py"], ["a.py"]),
        (b"\xef\xbb\xbfdata/\r\n*.csv\r\n", ["data/x", "a.csv", "a.py"], ["a.py"]),
        ("data/", ["data/x", "a.py"], ["a.py"]),
    ],
)
def test_everyday_patterns_decide_as_git_does(tmp_path: Path, ignore: str | bytes, paths: list[str], expected: list[str]) -> None:
    """What ships under common `.detignore` files is what git would list."""
    assert shipped(scan(make(tmp_path, *paths, ignore=ignore))) == expected


def test_the_rule_names_the_line_that_decided(tmp_path: Path) -> None:
    """Each verdict carries source, line from 1 and the text of the line, for negations too."""
    report = scan(make(tmp_path, "a.csv", "keep.csv", "data/x", "a.py", ignore="# first\n*.csv\n\n!keep.csv\ndata/  \n"))
    assert rule_of(report, "a.csv") == Rule(".detignore", 2, "*.csv")
    assert rule_of(report, "keep.csv") == Rule(".detignore", 4, "!keep.csv")
    assert rule_of(report, "data/") == Rule(".detignore", 5, "data/")
    assert rule_of(report, "a.py") is None


def test_byte_code_and_ignore_files_never_ship(tmp_path: Path) -> None:
    """No negation brings back byte-compiled Python or a file named .detignore, at any depth."""
    paths = ["a.py", "b.pyc", "c.pyo", "d$py.class", "__pycache__/e", "pkg/__pycache__/f.pyc", "pkg/.detignore"]
    report = scan(make(tmp_path, *paths, ignore="!*\n!*.pyc\n!__pycache__/\n!.detignore\n"))
    assert shipped(report) == ["a.py"]
    assert {entry.rule.source for entry in report.excluded if entry.rule} == {"always"}
    assert rule_of(report, "pkg/__pycache__/") == Rule("always", None, "__pycache__/")
    assert rule_of(report, ".detignore") == Rule("always", None, ".detignore")


def test_only_the_top_level_ignore_file_is_read(tmp_path: Path) -> None:
    """A nested .detignore decides nothing."""
    make(tmp_path, "pkg/a.csv")
    (tmp_path / "pkg/.detignore").write_text("*.csv\n")
    assert shipped(scan(tmp_path)) == ["pkg/a.csv"]


def test_default_rules_yield_to_a_negation(tmp_path: Path) -> None:
    """`.git/` and similar names are left out unless the user's file re-includes them."""
    make(tmp_path, "a.py", ".git/config", "node_modules/x.js", "pkg/.ipynb_checkpoints/n.ipynb")
    report = scan(tmp_path)
    assert shipped(report) == ["a.py"]
    assert rule_of(report, ".git/") == Rule("default", None, ".git/")
    make(tmp_path, ignore="!node_modules/\n")
    assert shipped(scan(tmp_path)) == ["a.py", "node_modules/x.js"]


def test_byte_code_rules_speak_of_directories_as_git_would(tmp_path: Path) -> None:
    """A directory `x.pyc` goes with all that is in it; one named `.detignore` is a directory like any other."""
    assert shipped(scan(make(tmp_path, "x.pyc/a.py", "pkg/.detignore/b.py", "__pycache__"))) == ["__pycache__", "pkg/.detignore/b.py"]


@pytest.mark.parametrize("comment", ["# detjupyter: no-defaults", "#detjupyter:no-defaults  ", "#  detjupyter:  no-defaults\r"])
def test_a_comment_turns_the_default_rules_off(tmp_path: Path, comment: str) -> None:
    """The switch is a comment line, which git and Determined ignore; byte code is still left out."""
    report = scan(make(tmp_path, ".git/config", "a.pyc", ignore=f"{comment}\n"))
    assert shipped(report) == [".git/config"]
    assert shipped(scan(make(tmp_path / "b", ".git/config"), defaults=False)) == [".git/config"]


@pytest.mark.parametrize(
    "line", ["!", "\\", "/\\", "[b-a]", "[z-\\]", "[", "/", "//", "!/", "***", "a\x00b", "[[::]", "foo\\/", "\t", "x\t"]
)
def test_a_bad_pattern_is_reported_and_the_rest_still_holds(tmp_path: Path, line: str) -> None:
    """No line makes the preview fail, and the lines around it keep their numbers."""
    report = scan(make(tmp_path, "a.csv", "a.py", ignore=f"{line}\n*.csv\n"))
    assert rule_of(report, "a.csv") == Rule(".detignore", 2, "*.csv")
    assert "a.py" in shipped(report) or line == "***"
    assert all("line 1" in problem for problem in report.problems)


def test_problems_name_line_and_pattern(tmp_path: Path) -> None:
    """The report says that an invalid pattern matches nothing."""
    (problem,) = scan(make(tmp_path, "a.py", ignore="ok\n[ab\n")).problems
    assert "line 2" in problem
    assert "'[ab'" in problem
    assert "matches nothing" in problem


def test_undecodable_lines_and_names_agree(tmp_path: Path) -> None:
    """A pattern and a file name that are the same bytes match though they are not UTF-8, and the records stay printable."""
    name = os.fsdecode(b"caf\xe9.txt")
    try:
        (tmp_path / name).write_text("x")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    (tmp_path / "a.py").write_text("x")
    report = scan(make(tmp_path, ignore=b"caf\xe9.txt\n"))
    assert shipped(report) == ["a.py"]
    assert all(record.path.encode() for record in report.records())
    assert report.records()[2].path == "caf\N{REPLACEMENT CHARACTER}.txt"


def test_pathspec_is_not_loaded_by_importing_the_package() -> None:
    """Importing detjupyter.bundle costs neither pathspec nor numpy."""
    code = "import sys, detjupyter.bundle; print([m for m in ('pathspec', 'numpy') if m in sys.modules])"
    root = Path(__file__).parents[3]
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root).stdout == "[]\n"
