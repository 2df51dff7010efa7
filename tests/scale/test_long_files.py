"""Files of very many lines, and lines that are very long."""

from __future__ import annotations

from pathlib import Path

import pytest

from detjupyter.bundle import IgnoreFile, Rule, scan
from detjupyter.bundle.ignore import IgnoreRules
from detjupyter.definition import read_config
from detjupyter.errors import ConfigError


def rules(*lines: str) -> IgnoreRules:
    """Return the rules of a `.detignore` of these lines, without the defaults."""
    return IgnoreRules(IgnoreFile.parse("\n".join(lines).encode()), defaults=False)


def excludes(line: str, path: str) -> bool:
    """Return whether one line leaves a path out."""
    return rules(line).decide(path, is_directory=False)[0]


def config_error(tmp_path: Path, text: str) -> ConfigError:
    """Read a config that must be refused, and return the error."""
    (tmp_path / "const.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_config(None, tmp_path, None, 7)
    return caught.value


def test_a_hundred_thousand_lines_are_read(tmp_path: Path) -> None:
    """A generated `.detignore` works like a short one, and its last line has the last word."""
    lines = [f"*.x{number}\n/dir{number}/\nname{number}\n!pre{number}*\n" for number in range(25_000)]
    (tmp_path / ".detignore").write_text("".join(lines) + "!name7\n")
    for name in ("name7", "name24999", "a.x24999", "a.py"):
        (tmp_path / name).write_text("")
    (tmp_path / "dir123").mkdir()
    report = scan(tmp_path)
    assert [entry.path for entry in report.included] == ["a.py", "name7"]
    rule_of = {entry.path: entry.rule for entry in report}
    assert rule_of["dir123/"] == Rule(".detignore", 4 * 123 + 2, "/dir123/")
    assert rule_of["name7"] == Rule(".detignore", 100_001, "!name7")
    assert rule_of["name24999"] == Rule(".detignore", 4 * 24_999 + 3, "name24999")
    assert report.problems == ()


def test_a_line_of_a_hundred_kilobytes_is_read_like_any_other() -> None:
    """Neither its stars nor its brackets make the reading fail."""
    assert excludes("foo" + "**/" * 30_000 + "bar", "foobar")
    assert excludes("foo" + "**/" * 30_000 + "bar", "foo/x/y/bar")
    assert not excludes("a/" * 50_000 + "b", "a/b")
    assert not excludes("[[:" * 30_000 + "]", "x")
    assert excludes("*a" * 50_000, "a" * 60_000)


@pytest.mark.parametrize("kind", ["*.x{}", "{}*", "name{}", "*_{}", "a*{}*", "/dir/{}", "*{}*"])
def test_a_thousand_lines_of_one_kind_each_find_their_names(kind: str) -> None:
    """No line is lost in a table however many there are."""
    lines = [kind.format(f"{number:04d}") for number in range(1000)]
    many = rules(*lines)
    for number in (0, 1, 500, 999):
        name = kind.format(f"{number:04d}").replace("*", "q").removeprefix("/")
        assert many.decide(name, is_directory=False)[1] == Rule(".detignore", number + 1, lines[number]), name
    assert many.decide(kind.format("none").replace("*", "q").removeprefix("/"), is_directory=False) == (False, None)


def test_anchors_that_unfold_without_end(tmp_path: Path) -> None:
    """A few lines that mean billions of values, and an anchor inside of itself, are refused at once."""
    levels = "".join(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 12))
    assert "expand" in config_error(tmp_path, f"a0: &a0 [x]\n{levels}").message
    assert "contains itself" in config_error(tmp_path, "data: &a\n  b: *a\n").message
