"""Remarks about files that ship although the user probably does not want it."""

from __future__ import annotations

from pathlib import Path

import pytest

from detjupyter.bundle import compare, remarks_on, scan
from detjupyter.next_step import Wording, worded
from detjupyter.widgets.file_tree import file_tree_bundle

KEY = '{\n  "type": "service_account",\n  "private_key": "-----BEGIN"\n}'


def make(root: Path, *paths: str, **texts: str) -> Path:
    """Write files, and `.gitignore` and `.detignore` by the names git and det."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("x")
    for name, text in texts.items():
        (root / f".{name}ignore").write_text(text)
    return root


class TestCredentials:
    """Files by their names, and keys of service accounts by their content."""

    @pytest.mark.parametrize(
        "path",
        [
            *(".env", "conf/.env", ".env.local", "prod.env", "cert.pem", "keys/Server.PEM", "id_rsa", "id_ed25519", "id_ecdsa_sk"),
            *(".netrc", "_netrc", ".aws/credentials", "home/.aws/config", ".ssh/key", "kaggle.json", ".kaggle/kaggle.json"),
            *(".git-credentials", ".pypirc", ".docker/config.json", "application_default_credentials.json"),
        ],
    )
    def test_the_names_that_usually_hold_them(self, tmp_path: Path, path: str) -> None:
        """At any depth; the file ships as before."""
        report = scan(make(tmp_path, path, "model_def.py"))
        assert remarks_on(report).credentials == {path}
        assert report.find(path).included  # type: ignore[union-attr]
        (sentence,) = remarks_on(report).sentences
        assert worded(sentence, Wording.MAGICS) == (
            f"1 file that ships may hold credentials: {path}. `%det_files --exclude {path}` leaves it out."
        )

    @pytest.mark.parametrize(
        "path",
        [".env.example", "environment.py", ".envrc", "id_rsa.pub", "id_map.csv", "idx", "a.pem.txt", "my.netrc.md", "aws/x", "config.json"],
    )
    def test_other_names(self, tmp_path: Path, path: str) -> None:
        """Public keys, templates, and names that only look similar."""
        assert remarks_on(scan(make(tmp_path, path))).sentences == ()

    def test_keys_of_service_accounts_have_any_name(self, tmp_path: Path) -> None:
        """They are found by their content; a large JSON file is not read."""
        make(tmp_path, "a.json")
        (tmp_path / "my-project-1a2b.json").write_text(KEY)
        (tmp_path / "large.json").write_text(KEY + " " * 20_000)
        assert remarks_on(scan(tmp_path)).credentials == {"my-project-1a2b.json"}

    def test_what_is_left_out_is_not_named(self, tmp_path: Path) -> None:
        """The user has decided."""
        assert remarks_on(scan(make(tmp_path, ".env", "a.py", det=".env\n"))).sentences == ()

    def test_a_single_file_is_looked_at_too(self, tmp_path: Path) -> None:
        """Without any remark."""
        make(tmp_path, "tiny.py", ".env", git="tiny.py\n")
        assert remarks_on(scan(tmp_path / "tiny.py")).sentences == ()

    def test_the_tree_marks_them(self, tmp_path: Path) -> None:
        """Each file, and one sentence above."""
        make(tmp_path, "a.py", "keys/.env", "keys/b.pem")
        bundle = file_tree_bundle(scan(tmp_path), "net")
        for text in bundle.values():
            assert "2 files that ship may hold credentials: keys/.env, keys/b.pem." in text
            assert text.count("may hold credentials") == 3


class TestGitIgnore:
    """Git's own file decides nothing about what ships."""

    def test_what_it_would_leave_out_is_counted(self, tmp_path: Path) -> None:
        """Only of what ships: directories with such files, files, bytes."""
        paths = ("a.py", "data/x.csv", "data/y.csv", "runs/1/log", "model.ckpt", "__pycache__/a.pyc", ".venv/lib.py")
        make(tmp_path, *paths, git="data/\nruns/\n*.ckpt\n__pycache__/\n.venv/\nnothing/\n")
        report = scan(tmp_path)
        (sentence,) = remarks_on(report).sentences
        assert sentence.startswith("Only .detignore decides what ships, and there is none.")
        assert "`.gitignore` would leave out 2 directories and 1 file (4 bytes): data/, model.ckpt, runs/." in sentence
        assert "data/x.csv" in [entry.path for entry in report.included]

    def test_with_a_detignore_the_user_has_decided(self, tmp_path: Path) -> None:
        """Even an empty one."""
        assert remarks_on(scan(make(tmp_path, "data/x", git="data/\n", det=""))).sentences == ()

    @pytest.mark.parametrize("lines", ["", "*.pyc\n", "# data/\n"])
    def test_one_that_changes_nothing_is_not_named(self, tmp_path: Path, lines: str) -> None:
        """It would leave out nothing that ships."""
        assert remarks_on(scan(make(tmp_path, "a.py", "b.pyc", git=lines))).sentences == ()


def test_names_of_directories_do_not_match_files_and_count_at_any_depth(tmp_path: Path) -> None:
    """`__pycache__/` and `.git/`, as git and Determined's uploader read them."""
    make(tmp_path, "__pycache__", "a/__pycache__", "b/__pycache__/x", "nested/.git/config", "nested/c.py", "submodule/.git")
    report = scan(tmp_path)
    assert [entry.path for entry in report.included] == ["__pycache__", "a/__pycache__", "nested/c.py", "submodule/.git"]
    assert [entry.path for entry in report.excluded] == ["b/__pycache__/", "nested/.git/"]
    assert compare(report).differences == {}


def test_they_are_computed_once_for_each_report(tmp_path: Path) -> None:
    """Each view of a report has those of its scan, without another one; the next scan has its own."""
    report = scan(make(tmp_path, "data/x", ".env", git="data/\n"))
    first = remarks_on(report)
    (tmp_path / ".gitignore").unlink()
    assert remarks_on(report) is first
    assert len(first.sentences) == 2
    assert len(remarks_on(scan(tmp_path)).sentences) == 1
