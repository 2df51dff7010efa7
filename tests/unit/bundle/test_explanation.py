from __future__ import annotations

import os
from pathlib import Path

import pytest

from detjupyter.bundle import Rule, explain, scan
from detjupyter.errors import DefinitionError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A definition with a `.detignore` of a few lines."""
    root = tmp_path / "definition"
    for path in ("a.py", "layers.py", "data/x.csv", "data/deep/y.csv", "pkg/__pycache__/a.pyc", "keep.csv", "b.csv", ".git/config"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("x")
    (root / ".detignore").write_text("data/\n\nlay*\n*.csv\n!keep.csv\n")
    return root


@pytest.mark.parametrize(
    ("path", "text", "included", "decided_at"),
    [
        ("layers.py", ".detignore:3:lay*\tlayers.py", False, "layers.py"),
        ("data/deep/y.csv", ".detignore:1:data/\tdata/deep/y.csv", False, "data/"),
        ("data", ".detignore:1:data/\tdata/", False, "data/"),
        ("keep.csv", ".detignore:5:!keep.csv\tkeep.csv", True, "keep.csv"),
        ("a.py", "::\ta.py", True, "a.py"),
        ("pkg/__pycache__/a.pyc", "always::__pycache__/\tpkg/__pycache__/a.pyc", False, "pkg/__pycache__/"),
        (".git/config", "default::.git/\t.git/config", False, ".git/"),
        (".detignore", "always::.detignore\t.detignore", False, ".detignore"),
        ("pkg", "::\tpkg/", True, "pkg/"),
        ("./pkg/../a.py", "::\ta.py", True, "a.py"),
    ],
)
def test_the_answer_has_the_form_of_check_ignore(root: Path, path: str, text: str, included: bool, decided_at: str) -> None:
    """Source, line, pattern and path, and the directory above if that is where it fell."""
    explanation = explain(root, path)
    assert (explanation.text, explanation.included, explanation.decided_at) == (text, included, decided_at)
    assert str(explanation) == text


def test_a_path_that_is_not_there_is_explained_too(root: Path) -> None:
    """A final slash says that a directory is meant; without it, a file is."""
    assert explain(root, "new/data/").rule == Rule(".detignore", 1, "data/")
    assert explain(root, "new/data").included
    assert explain(root, "later.csv").rule == Rule(".detignore", 4, "*.csv")


def test_every_path_of_a_scan_is_explained_as_the_scan_decided(root: Path) -> None:
    """The two never disagree about a path, links and pipes included."""
    (root / "out").symlink_to(root.parent)
    (root / "dir").symlink_to("pkg")
    (root / "gone").symlink_to("nowhere")
    (root / "good").symlink_to("a.py")
    (root / "circle").symlink_to("circle")
    os.mkfifo(root / "pipe")
    report = scan(root, expand=True)
    assert len(report) > 12
    for entry in report:
        explanation = explain(root, entry.path)
        assert (explanation.included, explanation.rule) == (entry.included, entry.rule), entry.path


def test_what_lies_beyond_a_link_to_a_directory_stays(root: Path) -> None:
    """The link is where it falls: it is not followed."""
    (root / "dir").symlink_to("pkg")
    explanation = explain(root, "dir/new.py")
    assert (explanation.included, explanation.decided_at) == (False, "dir")
    assert "symlink to a directory" in explanation.text


def test_an_absolute_path_and_a_linked_root_are_understood(root: Path) -> None:
    """Every spelling of a path gives the same path."""
    (root.parent / "link").symlink_to(root)
    assert explain(root, root / "layers.py") == explain(root.parent / "link", root.parent / "link/layers.py") == explain(root, "layers.py")


@pytest.mark.parametrize("path", ["..", "../other.py", "/etc/hosts", ".", "", "pkg/../../x"])
def test_a_path_outside_is_refused(root: Path, path: str) -> None:
    """The message has the path and says what to name instead."""
    with pytest.raises(DefinitionError, match="not a path inside") as caught:
        explain(root, path)
    assert caught.value.hint
    assert str(root) in str(caught.value)


def test_other_lines_and_no_defaults_can_be_asked_about(root: Path) -> None:
    """As if `.detignore` had other lines, and with the default rules turned off."""
    assert explain(root, "data/x.csv", ignore=b"").included
    assert explain(root, ".git/config", defaults=False).included


def test_a_definition_of_one_file_has_one_path(root: Path) -> None:
    """No other file of the directory ships."""
    assert explain(root / "a.py", "a.py").included
    assert not explain(root / "a.py", "layers.py").included
