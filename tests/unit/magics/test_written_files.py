"""Files that cells are written to, questions, progress and links, without a kernel."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from detjupyter.definition.model_definition import ModelDefinition
from detjupyter.errors import DefinitionError
from detjupyter.magics.asking import ask, say
from detjupyter.magics.chosen import chosen_definition, links_to, require_writable
from detjupyter.magics.counting import counting
from detjupyter.magics.written_file import WrittenFile


def written(root: Path, name: str) -> WrittenFile:
    """Return the file of that name in the definition at ``root``."""
    return WrittenFile(ModelDefinition(root), name)


class TestNames:
    """Where a cell may be written to."""

    @pytest.mark.parametrize("name", ["", ".", "/etc/x.py", "../x.py", "a/../../x.py", "nets/", "a\0b.py", "..", "a/.."])
    def test_a_name_that_leads_out_or_names_no_file_is_refused(self, tmp_path: Path, name: str) -> None:
        """Before anything is written, in one message that says how names look."""
        with pytest.raises(DefinitionError, match="does not name a file inside the model definition") as caught:
            written(tmp_path, name)
        assert "nets/layers.py" in str(caught.value)

    def test_directories_files_in_the_way_and_links_outside_are_refused(self, tmp_path: Path) -> None:
        """Each with its own reason."""
        root = tmp_path / "mine"
        (root / "nets").mkdir(parents=True)
        (root / "a.py").touch()
        (tmp_path / "other.py").touch()
        (root / "link.py").symlink_to("../other.py")
        (root / "out").symlink_to("..")
        for name, expected in [
            ("nets", "is a directory"),
            ("a.py/b.py", "which is a file"),
            ("link.py", "through a symlink"),
            ("out/x.py", "through a symlink"),
        ]:
            with pytest.raises(DefinitionError, match=expected):
                written(root, name)

    def test_a_definition_of_one_file_has_one_name(self, tmp_path: Path) -> None:
        """Its own; another file would not be part of it."""
        (tmp_path / "one.py").write_text("x = 1\n", encoding="utf-8")
        assert written(tmp_path / "one.py", "one.py").change("x = 2\n") is not None
        with pytest.raises(DefinitionError, match=r"the single file one\.py"):
            written(tmp_path / "one.py", "two.py")

    def test_what_was_unpacked_from_an_archive_is_not_written_to(self, tmp_path: Path) -> None:
        """It represents the archive."""
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine/model_def.py").write_text("x = 1\n", encoding="utf-8")
        ModelDefinition(tmp_path / "mine").archive(tmp_path / "mine.tar.gz")
        with pytest.raises(DefinitionError, match="was loaded from an archive"):
            require_writable(ModelDefinition(tmp_path / "mine.tar.gz"))
        require_writable(ModelDefinition(tmp_path / "mine"))


class TestWriting:
    """What a cell becomes."""

    def test_a_new_file_gets_its_folders_and_undo_takes_both_away(self, tmp_path: Path) -> None:
        """The content ends with a line end, even if the cell does not."""
        file = written(tmp_path, "nets/deep/layers.py")
        assert file.change("x = 1") is None
        replaced = file.write("x = 1")
        assert (tmp_path / "nets/deep/layers.py").read_bytes() == b"x = 1\n"
        assert replaced.restore() == "nets/deep/layers.py: removed, because it did not exist before."
        assert list(tmp_path.iterdir()) == []

    def test_a_file_that_is_there_keeps_its_mode_and_its_line_ends(self, tmp_path: Path) -> None:
        """Undo restores every byte."""
        path = tmp_path / "a.py"
        path.write_bytes(b"x = 1\r\ny = 2\r\n")
        path.chmod(0o640)
        file = written(tmp_path, "a.py")
        change = file.change("x = 1\ny = 3\n")
        assert change is not None
        assert change.counts == "+1 −1"
        replaced = file.write("x = 1\ny = 3\n")
        assert path.read_bytes() == b"x = 1\r\ny = 3\r\n"
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        replaced.restore()
        assert path.read_bytes() == b"x = 1\r\ny = 2\r\n"
        assert sorted(tmp_path.iterdir()) == [path]

    def test_a_link_inside_the_definition_stays_a_link(self, tmp_path: Path) -> None:
        """The file that it points to is written."""
        (tmp_path / "real.py").write_text("x = 1\n", encoding="utf-8")
        (tmp_path / "link.py").symlink_to("real.py")
        written(tmp_path, "link.py").write("x = 2\n")
        assert (tmp_path / "link.py").is_symlink()
        assert (tmp_path / "real.py").read_text(encoding="utf-8") == "x = 2\n"

    def test_undo_refuses_when_the_file_was_changed_since(self, tmp_path: Path) -> None:
        """Changes by other programs are never lost."""
        replaced = written(tmp_path, "a.py").write("x = 1\n")
        (tmp_path / "a.py").write_text("theirs\n", encoding="utf-8")
        with pytest.raises(DefinitionError, match="changed by something else since"):
            replaced.restore()
        assert (tmp_path / "a.py").read_text(encoding="utf-8") == "theirs\n"

    def test_a_name_that_the_disk_does_not_take_says_so(self, tmp_path: Path) -> None:
        """In one message, and nothing is left behind."""
        with pytest.raises(DefinitionError, match="cannot be written: File name too long"):
            written(tmp_path, f"{'n' * 300}.py").write("x = 1\n")
        assert list(tmp_path.iterdir()) == []

    def test_a_read_only_directory_says_so_and_keeps_what_it_holds(self, tmp_path: Path) -> None:
        """For a new and for an existing file, by a user without write permission."""
        root = tmp_path / "mine"
        root.mkdir()
        (root / "a.py").write_text("x = 1\n", encoding="utf-8")
        root.chmod(0o555)
        code = (
            "import sys\n"
            "from detjupyter.definition.model_definition import ModelDefinition\n"
            "from detjupyter.magics.written_file import WrittenFile\n"
            "for name in ('a.py', 'b.py'):\n"
            "    try:\n"
            "        WrittenFile(ModelDefinition(sys.argv[1]), name).write('x = 2\\n')\n"
            "    except Exception as error:\n"
            "        print(type(error).__name__, error)\n"
        )
        # The superuser may write everywhere, unless this is taken from it.
        without = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.getuid() == 0 else []
        done = subprocess.run([*without, sys.executable, "-c", code, str(root)], capture_output=True, text=True, cwd=tmp_path)
        root.chmod(0o755)
        assert done.stdout.count("cannot be written: Permission denied.") == 2, done.stderr
        assert done.stdout.count("DefinitionError ") == 2
        assert [path.name for path in root.iterdir()] == ["a.py"]
        assert (root / "a.py").read_text(encoding="utf-8") == "x = 1\n"

    def test_a_file_that_would_not_ship_says_why(self, tmp_path: Path) -> None:
        """It is easy to write a module that other machines do not get."""
        (tmp_path / ".detignore").write_text("lay*\n", encoding="utf-8")
        reason = written(tmp_path, "layers.py").why_not_shipped()
        assert reason is not None
        assert reason.startswith("layers.py does not ship: `.detignore` line 1 `lay*` leaves it out.")
        assert written(tmp_path, "model_def.py").why_not_shipped() is None

    def test_a_new_detignore_tells_its_effect(self, tmp_path: Path) -> None:
        """What ships because of it, and what no longer does; other files have none."""
        (tmp_path / ".detignore").write_text("a.py\n", encoding="utf-8")
        for name in ("a.py", "b.log"):
            (tmp_path / name).write_text("12345", encoding="utf-8")
        assert written(tmp_path, ".detignore").effect("*.log\n") == [
            "1 more file ships (5 B): a.py.",
            "1 file no longer ships (5 B): b.log.",
        ]
        assert written(tmp_path, "a.py").effect("*.log\n") == []


class TestAsking:
    """Yes or no."""

    @pytest.mark.parametrize(
        ("typed", "answer"), [("y\n", True), ("Yes\n", True), (" YES \n", True), ("\n", False), ("n\n", False), ("ya\n", False), ("", None)]
    )
    def test_only_a_yes_is_a_yes(self, monkeypatch: pytest.MonkeyPatch, typed: str, answer: bool | None) -> None:
        """Without a user there is no yes either."""
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        assert ask("Really?") is answer

    def test_a_line_with_a_name_that_is_not_utf_8_is_printed(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Each byte is replaced by a replacement character."""
        say("caf\udce9.py")
        assert capsys.readouterr().out == "caf\ufffd.py\n"


class TestPlaces:
    """Which definition is chosen, and its path relative to the notebook."""

    def test_without_a_session_it_is_the_working_directory(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A path is taken as it is."""
        monkeypatch.chdir(tmp_path)
        (tmp_path / "nets").mkdir()
        assert chosen_definition(None).path == tmp_path.resolve()
        assert chosen_definition("nets").path == (tmp_path / "nets").resolve()

    def test_links_begin_at_the_notebook(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Only in a kernel that knows its notebook, and only below the notebook's directory."""
        kernel: Any = type("Shell", (), {"kernel": object()})()
        monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / "work/note.ipynb"))
        root = tmp_path.resolve() / "work"
        assert links_to(root, kernel) == ""
        assert links_to(root / "my nets/one", kernel) == "my nets/one/"
        assert links_to(root.parent, kernel) is None
        assert links_to(root, object()) is None
        monkeypatch.delenv("JPY_SESSION_NAME")
        assert links_to(root, kernel) is None


class TestCounting:
    """The line of a scan that takes long."""

    def test_a_quick_scan_says_nothing(self, capsys: pytest.CaptureFixture[str]) -> None:
        """However often it counts."""
        with counting("Looking") as count:
            for paths in range(10_000):
                count(paths)
        assert capsys.readouterr().out == ""

    @pytest.mark.parametrize("stopped", [False, True])
    def test_a_long_scan_ends_with_how_long_it_took_or_how_far_it_came(
        self, stopped: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """In one line, whether it is through or was stopped."""
        monkeypatch.setattr("detjupyter.magics.counting.NOTICE_AFTER_S", 0.0)
        try:
            with counting("Scanning big") as count:
                count(1234)
                if stopped:
                    raise KeyboardInterrupt
        except KeyboardInterrupt:
            assert stopped
        (line,) = capsys.readouterr().out.splitlines()
        assert line.startswith("Scanning big: stopped after 1,234 paths, 0." if stopped else "Scanning big: 0.")
