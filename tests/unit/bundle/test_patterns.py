from __future__ import annotations

import random
import string
from pathlib import Path

import pytest

from detjupyter.bundle import FileReport, IgnoreFile, scan
from detjupyter.bundle.ignore import IgnoreRules


def rules(*lines: str) -> IgnoreRules:
    """Return the rules of a file of these lines, without the defaults."""
    return IgnoreRules(IgnoreFile.parse("\n".join(lines).encode()), defaults=False)


def excludes(line: str, path: str, *, is_directory: bool = False) -> bool:
    """Return whether one line leaves a path out."""
    return rules(line).decide(path, is_directory=is_directory)[0]


@pytest.mark.parametrize(
    ("line", "matching", "others"),
    [
        ("*.tar.gz", ["a.tar.gz", ".tar.gz", "d/b.tar.gz"], ["a.gz", "tar.gz", "a.tar.gz.x"]),
        ("*.[jt]s", ["a.js", "b/a.ts"], ["a.s", "a.jts", "a.js.x"]),
        ("log*", ["log", "logs", "d/log.txt"], ["alog", "lo"]),
        ("*log*", ["log", "alogb", "xloglog"], ["lo", "l-og"]),
        ("*~", ["a~", "~"], ["a~b"]),
        ("a*b*c", ["abc", "axbxc", "abbcc"], ["ab", "acb", "abcd"]),
        ("a*aa", ["aaa", "abaa"], ["aa", "aba"]),
        ("*a?c*", ["xabcx", "aacc", "acacc."], ["abd", "ac"]),
        ("?b*", ["ab", "bbc"], ["b", "aab"]),
        ("[a-c][0-9]", ["a1", "c9"], ["d1", "a", "a12"]),
        ("*.py[co]", ["a.pyc", "a.pyo"], ["a.py", "a.pyx"]),
        ("/a/*/c", ["a/b/c"], ["a/c", "a/b/b/c", "x/a/b/c"]),
        ("a/**/c", ["a/c", "a/b/c", "a/b/b/c"], ["a/b", "x/a/c", "a"]),
        ("**/a/b", ["a/b", "x/y/a/b"], ["a/x/b", "b"]),
        ("a/**/**/c", ["a/c", "a/b/c"], ["a"]),
        ("a/**\\/c", ["a/b/c"], ["a/c"]),
    ],
)
def test_a_line_matches_these_names_and_no_others(line: str, matching: list[str], others: list[str]) -> None:
    """Endings, beginnings, middles, classes and depths all match exactly."""
    assert [path for path in (*matching, *others) if excludes(line, path)] == matching


def test_many_lines_decide_as_each_of_them_alone_would() -> None:
    """However the lines are grouped, the last one that matches by itself is the one that decides."""
    choose = random.Random(5)
    parts = ("a", "b", ".py", ".tar", ".gz", "*", "*", "?", "[ab]", "x", "_")
    lines = sorted({choose.choice(("", "!")) + "".join(choose.choices(parts, k=choose.randint(1, 4))) for _ in range(150)} - {"!"})
    choose.shuffle(lines)
    together = rules(*lines)
    alone = [rules(line.removeprefix("!")) for line in lines]
    names = ["".join(choose.choices(("a", "b", ".py", ".tar", ".gz", "x", "_"), k=choose.randint(1, 5))) for _ in range(200)]
    for name in names:
        last = None
        for number, rule in enumerate(alone, start=1):
            if rule.decide(name, is_directory=False)[0]:
                last = number
        excluded, decided = together.decide(name, is_directory=False)
        assert (decided.line if decided else None) == last, name
        assert excluded == (last is not None and not lines[last - 1].startswith("!"))


def test_a_hostile_line_ends_without_trying_everything() -> None:
    """Patterns that take a backtracking matcher forever are decided at once, for matching and other names."""
    assert not excludes("*a*a*a*a*a*a*a*b", "a" * 10_000)
    assert excludes("*a*a*a*a*a*a*a*b", "a" * 10_000 + "b")
    assert not excludes("*" + "[ab]*" * 30 + "c", "ab" * 5_000)
    deep = "a/" + "**/b/" * 12 + "c"
    assert not excludes(deep, "a/" + "b/x/" * 500 + "d")
    assert excludes(deep, "a/" + "b/x/" * 500 + "b/c")


def test_too_many_bad_lines_are_counted_and_not_all_reported(tmp_path: Path) -> None:
    """A file of nothing but mistakes gives a hundred sentences and a number."""
    (tmp_path / ".detignore").write_text("[\n" * 5000)
    problems = scan(tmp_path).problems
    assert len(problems) == 101
    assert problems[-1].startswith("4,900 more lines")


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("x[ab", "the [ has no ]"),
        ("x[[:word:]]", "[:word:]"),
        ("a\\", "backslash"),
        ("!", "the pattern is empty"),
        ("/", "the pattern is empty"),
        ("a//b", "empty component"),
        ("./data", "without . and .."),
        ("../x", "without . and .."),
        ("[/]", "bracket expression"),
        ("a\0b", "NUL"),
        ("[9-0]", "is reversed"),
    ],
)
def test_a_line_that_cannot_be_meant_is_explained(line: str, part: str) -> None:
    """The sentence has the line, and a reason that tells what to correct."""
    (problem,) = rules("ok", line).problems
    assert part in problem
    assert "line 2" in problem


def test_good_lines_give_no_problems() -> None:
    """Comments, blank lines, and unusual patterns that can match give no problem."""
    assert rules("# [", "", "   ", "[]]", "[a-]", "***", "\\#", "a\\ ", "**/x/**", "[!a]", "foo**/bar", "..a", "a.").problems == ()


def test_an_unreadable_kind_of_ignore_file_is_no_obstacle(tmp_path: Path) -> None:
    """A directory of that name says nothing; a link to a file elsewhere is read."""
    (tmp_path / "a.py").write_text("")
    (tmp_path / ".detignore").mkdir()
    (tmp_path / ".detignore/b.py").write_text("")
    assert paths(scan(tmp_path)) == [".detignore/b.py", "a.py"]
    (tmp_path / "other").mkdir()
    (tmp_path / "lines").write_text("b.py\n")
    (tmp_path / "other/.detignore").symlink_to("../lines")
    (tmp_path / "other/b.py").write_text("")
    assert paths(scan(tmp_path / "other")) == []


def paths(report: FileReport) -> list[str]:
    """Return the paths that ship."""
    return [entry.path for entry in report.included]


def test_letters_of_every_kind_can_be_quoted() -> None:
    """A backslash before any character escapes it."""
    for letter in string.punctuation.replace("/", ""):
        assert excludes(f"x\\{letter}y", f"x{letter}y"), letter
        assert not excludes(f"x\\{letter}y", "xzy"), letter
