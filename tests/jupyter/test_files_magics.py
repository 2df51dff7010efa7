"""``%det_files``, ``%%det_file``, ``%det_package`` and ``%det_check`` in a real kernel."""

from __future__ import annotations

import hashlib
import re
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from support.cells import Cells, Seen

DIGITS = ["const.yaml", "data.py", "model_def.py", "network.py"]
# What a disk that is slow to list its directories does to a scan, switched on and off by a flag.
SLOW_DISK = """
import sys, time
if 'slow' not in globals():
    slow = []
    sys.addaudithook(lambda event, arguments: time.sleep(0.02) if event == 'os.scandir' and slow else None)
slow[:] = [True]
"""


@pytest.fixture(autouse=True)
def as_before(directory: Path) -> Iterator[None]:
    """Take away the folders that a test makes in the quickstart's directory."""
    before = set(directory.iterdir())
    yield
    for path in set(directory.iterdir()) - before:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)


def answered(cells: Cells, code: str, answer: str) -> tuple[Seen, str]:
    """Run a cell that asks one question, answer it, and return what the cell shows and what it asked."""
    cell = cells.begin(code)
    asked = cells.client.get_stdin_msg(timeout=30)["content"]["prompt"]
    cells.client.input(answer)
    return cells.finish(cell), asked


def unattended(cells: Cells, code: str) -> Seen:
    """Run a cell like a program that executes a notebook: the user cannot be asked."""
    cell = str(cells.client.execute(code, allow_stdin=False))
    cells.shown[cell] = Seen()
    return cells.finish(cell)


def lines_of(directory: Path) -> list[str]:
    """Return the lines of `.detignore`."""
    return (directory / ".detignore").read_text(encoding="utf-8").splitlines()


class TestTree:
    """What ships, in what order, and why."""

    def test_the_tree_is_shown_and_the_report_returned(self, cells: Cells) -> None:
        """Both forms are shown; a program can use ``.report``."""
        seen = cells.ok("%det_files")
        assert set(seen.result) == {"text/html", "text/plain"}
        assert re.search(r"- data/ +\.detignore line 2: data/", seen.text)
        cells.ok("files = %det_files")
        assert cells.value("[entry.path for entry in files.report.included]") == repr(DIGITS)

    def test_names_are_spelled_out(self, cells: Cells, tmp_path: Path) -> None:
        """A name cannot color the terminal, change the title of its window, or run from right to left; it stays in its line."""
        for name in ("a\x1b[31mred.py", "\x1b]0;title\x07.py", "\u202egnp.py", "two\nlines.py"):
            (tmp_path / name).write_text("")
        (tmp_path / ".detignore").write_text("\x1b*.log\n")
        shown = [*cells.ok(f"%det_files --path {tmp_path}").result.values(), cells.ok(f"%det_files --path {tmp_path} --why x.py").text]
        for text in shown[:2]:
            assert all(name in text for name in (r"a\x1b[31mred.py", r"\x1b]0;title\x07.py", r"\u202egnp.py", r"two\x0alines.py"))
        assert not re.search("[\x07\x1b\u202e]", "".join(shown))

    def test_it_is_ordered_by_size_searched_and_looked_into(self, cells: Cells, directory: Path) -> None:
        """``--biggest``, ``--find`` and ``--all``, together too."""
        (directory / "weights").mkdir()
        (directory / "weights/best.bin").write_bytes(bytes(50_000))
        first, second, *_ = cells.ok("%det_files --biggest").text.splitlines()[1:]
        assert first.split() == ["weights/", "50.0", "kB"]
        assert second.split() == ["best.bin", "50.0", "kB"]
        assert "README.md" not in cells.ok("%det_files --find readme").text
        text = cells.ok("%det_files --find readme --all").text
        assert re.search(r"  data/ +nothing ships\n    - README\.md +\.detignore line 2: data/", text)
        assert re.search(r"- data/ +nothing ships  \.detignore line 2: data/\n    - README", cells.ok("%det_files --all").text)
        assert "model_def.py" not in text

    def test_names_open_the_file_beside_the_notebook(self, cells: Cells, directory: Path, tmp_path: Path) -> None:
        """Links are relative to the notebook that Jupyter's server names; without a notebook there are no links."""
        assert "href" not in cells.ok("%det_files").result["text/html"]
        notebook = directory.parent / "note.ipynb"
        cells.ok(f"import os; os.environ['JPY_SESSION_NAME'] = {str(notebook)!r}")
        assert 'href="quickstart/model_def.py"' in cells.ok("%det_files").result["text/html"]
        cells.ok(f"os.environ['JPY_SESSION_NAME'] = {str(directory / 'note.ipynb')!r}")
        assert 'href="model_def.py"' in cells.ok("%det_files").result["text/html"]
        shutil.copytree(directory, tmp_path / "elsewhere")
        assert "href" not in cells.ok(f"%det_files --path {tmp_path / 'elsewhere'}").result["text/html"]
        cells.ok("del os.environ['JPY_SESSION_NAME']")

    def test_without_a_path_it_is_the_sessions_definition(self, cells: Cells, directory: Path) -> None:
        """Wherever the notebook is."""
        cells.ok(f"import os; os.chdir('..'); s = %det_load --path {directory}")
        assert cells.ok("%det_files").text.startswith("quickstart: 4 files ship")

    def test_why_explains_in_words_and_as_git_does(self, cells: Cells) -> None:
        """For a path below a directory that is left out, for one that ships, and for one that is not there."""
        assert cells.ok("%det_files --why data/README.md").text == (
            "data/README.md does not ship: `.detignore` line 2 `data/` leaves out data/, and no rule can re-include a path below it.\n"
            ".detignore:2:data/\tdata/README.md"
        )
        assert cells.ok("%det_files --why model_def.py").text == "model_def.py ships: no rule matches it.\n::\tmodel_def.py"
        assert "line 3 `*.ipynb` leaves it out. The path does not exist." in cells.ok("%det_files --why x.ipynb").text

    def test_where_determined_would_ship_something_else_is_marked_and_listed(self, cells: Cells, directory: Path) -> None:
        """An environment inside the definition, which its uploader knows nothing of."""
        (directory / ".venv").mkdir()
        (directory / ".venv/site.py").write_text("x = 1\n", encoding="utf-8")
        text = cells.ok("%det_files").text
        assert re.search(r"- \.venv/ +built in: \.venv/  ≠ Determined ships 1 file of it", text)
        assert "Determined's uploader decides differently about 1 path" in text
        seen = cells.ok("theirs = %det_files --as determined\ntheirs")
        assert re.search(r"\.venv/site\.py +6 B  ≠ left out here", seen.text)
        assert cells.value("[path for path, _ in theirs.report.files]") == repr([".venv/site.py", *DIGITS])
        assert cells.value("theirs.report == detjupyter.bundle.determined_files(theirs.report.root)") == "True"

    def test_a_detignore_that_determined_cannot_read_is_said_and_marks_nothing(self, cells: Cells, directory: Path) -> None:
        """One sentence instead of a mark on every file."""
        (directory / ".detignore").write_text("data/\n[z-a]\n", encoding="utf-8")
        text = cells.ok("%det_files").text
        assert "Determined's uploader would fail: line 2 of .detignore" in text
        assert "≠" not in text
        assert "Determined's uploader would fail" in cells.ok("%det_files --as determined").text

    def test_a_directory_of_very_many_paths_is_asked_about(self, cells: Cells) -> None:
        """Yes scans it, no does not; if the user cannot be asked, an error names the option."""
        cells.ok("import detjupyter.definition.model_definition as m; most, m.MOST_PATHS = m.MOST_PATHS, 3")
        seen, asked = answered(cells, "%det_files", "y")
        assert "There are more than 3 paths in" in asked
        assert "4 files ship" in seen.text
        assert answered(cells, "%det_files", "n")[0].text == "Nothing was scanned.\n"
        message = unattended(cells, "%det_files").message
        assert message.startswith("DefinitionTooLargeError: This directory holds more than 3 paths")
        assert "--any-size" in message
        assert "4 files ship" in unattended(cells, "%det_files --any-size").text
        cells.ok("m.MOST_PATHS = most")

    def test_a_long_scan_tells_how_far_it_is_and_an_interrupt_stops_it(self, cells: Cells, directory: Path) -> None:
        """A line that is written over; one line at the end, without a traceback."""
        for index in range(300):
            (directory / f"many/{index}").mkdir(parents=True)
            (directory / f"many/{index}/x.py").touch()
        cells.ok(SLOW_DISK)
        cell = cells.begin("%det_files")
        cells.until_started(cell)
        cells.until(lambda m: "Scanning quickstart … " in m["content"].get("data", {}).get("text/plain", ""))
        cells.manager.interrupt_kernel()
        seen = cells.finish(cell)
        assert seen.message == "Interrupted: nothing was changed."
        assert re.fullmatch(r"Scanning quickstart: stopped after \d+ paths, \d\.\d s", seen.text)
        cells.ok("slow.clear()")
        assert "304 files ship" in cells.ok("%det_files").text


class TestEdits:
    """``--exclude``, ``--include``, ``--save`` and ``--undo``."""

    def test_an_edit_is_shown_asked_about_written_and_taken_back(self, cells: Cells, directory: Path) -> None:
        """The line, what it does, the question; after a no nothing is written, after a yes it is, and undo restores every byte."""
        before = (directory / ".detignore").read_bytes()
        seen, asked = answered(cells, "%det_files --exclude network.py", "n")
        assert asked == "Write this into .detignore? [y/N] "
        assert "`.detignore` gains:\n  + 4  /network.py\n1 file no longer ships (1.1 kB): network.py." in seen.text
        assert "Nothing was written." in seen.text
        assert (directory / ".detignore").read_bytes() == before
        seen, _ = answered(cells, "%det_files --exclude network.py", "y")
        assert "`%det_files --undo` undoes the edit." in seen.text
        assert lines_of(directory)[-1] == "/network.py"
        assert "/network.py" in cells.ok("%det_files --why network.py").text
        assert cells.ok("%det_files --undo").text == "Undone: .detignore no longer contains `/network.py`.\n"
        assert "There is nothing to undo" in cells.run("%det_files --undo").message
        assert (directory / ".detignore").read_bytes() == before

    def test_where_nobody_can_be_asked_it_names_the_option(self, cells: Cells, directory: Path) -> None:
        """As in nbconvert: the effect is shown, and ``--save`` writes without asking."""
        assert "`--save` writes without asking" in unattended(cells, "%det_files --exclude network.py").text
        assert "/network.py" not in lines_of(directory)
        unattended(cells, "%det_files --exclude network.py --save")
        assert "/network.py" in lines_of(directory)

    def test_a_file_below_a_directory_that_is_left_out_can_be_included(self, cells: Cells, directory: Path) -> None:
        """The directories above it are opened, and nothing else of them ships."""
        (directory / "data/big.csv").write_bytes(bytes(1000))
        text = cells.ok("%det_files --include data/README.md --save").text
        assert re.search(r"1 more file ships \(\d+ B\): data/README\.md\.", text)
        cells.ok("files = %det_files")
        included = "[entry.path for entry in files.report.included]"
        assert cells.value(included) == repr(sorted([*DIGITS, "data/README.md"]))
        (directory / "data/big.csv").unlink()

    def test_nothing_to_do_is_said(self, cells: Cells, directory: Path) -> None:
        """Nothing is asked, and nothing written."""
        before = lines_of(directory)
        assert cells.ok("%det_files --include model_def.py").text.startswith("model_def.py already ships.")
        assert cells.ok("%det_files --exclude data/").text.startswith("data/ is already left out.")
        assert lines_of(directory) == before

    def test_undo_refuses_what_somebody_else_has_changed_since(self, cells: Cells, directory: Path) -> None:
        """And without an edit there is nothing to take back."""
        cells.ok("%det_files --exclude network.py --save")
        (directory / ".detignore").write_text("mine\n", encoding="utf-8")
        assert "was changed by something else" in cells.run("%det_files --undo").message
        assert lines_of(directory) == ["mine"]
        cells.ok(f"import pathlib; pathlib.Path({str(directory / 'other')!r}).mkdir()")
        assert "There is nothing to undo" in cells.run("%det_files --undo --path other").message

    @pytest.mark.parametrize(
        ("code", "expected"),
        [
            ("%det_files --exclude ../x", "is not a path inside the model definition"),
            ("%det_files --include x.pyc", "cannot ship, whatever `.detignore` says"),
            ("%det_files --why /etc/passwd", "is not a path inside the model definition"),
            ("%det_files --path nowhere --biggest", "There is no directory"),
            ("%det_files --exclude model_def.py --path model_def.py", "is the whole model definition"),
        ],
    )
    def test_a_mistake_shows_one_short_message(self, cells: Cells, code: str, expected: str) -> None:
        """What, where, and what to do next."""
        message = cells.run(code).message
        assert expected in message
        assert "Traceback" not in message
        assert len(message.splitlines()) <= 4

    @pytest.mark.parametrize(
        ("code", "expected"),
        [
            ("%det_files --why a --undo", "takes one of --why and --undo at a time"),
            ("%det_files --save", "--save needs --exclude or --include"),
            ("%det_files --why a --biggest", "--biggest cannot be combined with --why"),
            ("%det_files --as git", "invalid choice: 'git'"),
        ],
    )
    def test_options_that_do_not_go_together_say_so_in_one_line(self, cells: Cells, code: str, expected: str) -> None:
        """As IPython's own magics do."""
        (line,) = cells.run(code).printed["stderr"].strip().splitlines()
        assert line.startswith("UsageError: %det_files")
        assert expected in line


class TestCellFile:
    """``%%det_file``."""

    def test_a_new_file_is_written_with_its_folders_and_taken_back(self, cells: Cells, directory: Path) -> None:
        """Without a question; it says how long it is."""
        assert cells.ok("%%det_file nets/deep/layers.py\nx = 1\n\ny = '{x} $x'\n").text == "nets/deep/layers.py: 3 lines, new\n"
        assert (directory / "nets/deep/layers.py").read_text(encoding="utf-8") == "x = 1\n\ny = '{x} $x'\n"
        assert "removed" in cells.ok("%det_file --undo").text
        assert not (directory / "nets").exists()

    def test_a_file_that_is_there_shows_the_difference_and_asks(self, cells: Cells, directory: Path) -> None:
        """No keeps it; yes replaces it; if the user cannot be asked there is an error, and ``--force`` writes."""
        (directory / "notes.py").write_text("a = 1\nb = 2\n", encoding="utf-8")
        code = "%%det_file notes.py\na = 1\nb = 3\nc = 4\n"
        seen, asked = answered(cells, code, "n")
        assert asked == "Replace notes.py? [y/N] "
        assert {"text/html", "text/plain"} == set(seen.displays[0])
        assert "  -b = 2\n  +b = 3\n  +c = 4" in seen.text
        assert (directory / "notes.py").read_text(encoding="utf-8") == "a = 1\nb = 2\n"
        message = unattended(cells, code).message
        assert "the notebook cannot ask for confirmation. Nothing was written." in message
        assert "`%%det_file notes.py --force` replaces it" in message
        assert "notes.py: 3 lines (+2 −1)" in answered(cells, code, "y")[0].text
        assert (directory / "notes.py").read_text(encoding="utf-8") == "a = 1\nb = 3\nc = 4\n"
        assert "already has this content" in unattended(cells, code).text
        assert unattended(cells, "%%det_file notes.py --force\nz = 1\n").text == "notes.py: 1 line (+1 −3)\n"
        assert cells.ok("%det_file --undo").text == "notes.py: restored.\n"
        assert (directory / "notes.py").read_text(encoding="utf-8") == "a = 1\nb = 3\nc = 4\n"

    def test_an_interrupt_instead_of_an_answer_writes_nothing(self, cells: Cells, directory: Path) -> None:
        """One line; the file is as it was."""
        before = (directory / "data.py").read_bytes()
        cell = cells.begin("%%det_file data.py\nx = 1\n")
        cells.client.get_stdin_msg(timeout=30)
        cells.manager.interrupt_kernel()
        assert cells.finish(cell).message == "Interrupted: nothing was written."
        assert (directory / "data.py").read_bytes() == before

    def test_the_session_that_uses_the_file_is_reloaded_and_keeps_its_weights(self, cells: Cells, directory: Path) -> None:
        """The changes are reported; a file that is not imported reloads nothing, and ``--no-reload`` does not reload either."""
        cells.ok("s = %det_load")
        cells.ok("%det_step 3")
        source = (directory / "network.py").read_text(encoding="utf-8")
        edited = source.replace("class DigitsNet(nn.Module):", "class DigitsNet(nn.Module):\n    edited = 1\n", 1)
        text = cells.ok(f"%%det_file network.py --force\n{edited}").text
        assert re.match(r"network\.py: \d+ lines \(\+2 −0\)\n", text)
        assert "Reloaded at batch 3" in text
        assert "DigitsNet" in text
        assert cells.value("s.trial.model.edited, s.batches_trained") == "(1, 3)"
        assert cells.ok("%%det_file other.py\nx = 1\n").text == "other.py: 1 line, new\n"
        assert "Reloaded" not in cells.ok(f"%%det_file network.py --force --no-reload\n{source}").text
        assert cells.value("s.trial.model.edited") == "1"
        config = (directory / "const.yaml").read_text(encoding="utf-8")
        cells.ok(f"%%det_file const.yaml --force\n{config.replace('dropout: 0.2', 'dropout: 0.4')}")
        assert cells.value("hasattr(s.trial.model, 'edited')") == "False"

    def test_code_that_does_not_load_stays_written_and_the_session_goes_on(self, cells: Cells, directory: Path) -> None:
        """The error is shown once, and undo restores the file."""
        cells.ok("s = %det_load")
        before = (directory / "network.py").read_bytes()
        seen = cells.run("%%det_file network.py --force\nclass DigitsNet(:\n")
        assert "network.py, line 1" in seen.message
        assert "`%det_file --undo` restores the file" in seen.text
        assert (directory / "network.py").read_bytes() == b"class DigitsNet(:\n"
        cells.ok("%det_step 1")
        cells.ok("%det_file --undo")
        assert (directory / "network.py").read_bytes() == before

    def test_a_new_detignore_shows_its_effect(self, cells: Cells, directory: Path) -> None:
        """What ships because of it, and what no longer does."""
        text = cells.ok("%%det_file .detignore --force\ndata/\nnetwork.py\n").text
        assert "1 more file ships" in text
        assert "quickstart.ipynb" in text
        assert "1 file no longer ships (1.1 kB): network.py." in text
        assert lines_of(directory) == ["data/", "network.py"]

    def test_a_file_that_would_not_ship_says_so(self, cells: Cells) -> None:
        """With the line that leaves it out."""
        assert "x.ipynb does not ship: `.detignore` line 3 `*.ipynb`" in cells.ok("%%det_file x.ipynb\n{}\n").text

    @pytest.mark.parametrize("name", ["../x.py", "/tmp/x.py", "data/", "''", "a/../../x.py"])
    def test_a_name_outside_is_refused(self, cells: Cells, name: str) -> None:
        """One message, and nothing is written."""
        message = cells.run(f"%%det_file {name}\nx = 1\n").message
        assert "does not name a file inside the model definition" in message
        assert "Traceback" not in message

    @pytest.mark.parametrize("code", ["%det_file x.py", "%%det_file\nx = 1\n", "%%det_file x.py --undo\nx = 1\n"])
    def test_a_line_that_does_not_fit_says_how_it_goes(self, cells: Cells, code: str) -> None:
        """In one line."""
        (line,) = cells.run(code).printed["stderr"].strip().splitlines()
        assert line.startswith("UsageError: %")
        assert "`%det_file?` explains." in line


class TestPackage:
    """``%det_package``."""

    def test_a_package_holds_what_ships_and_says_where_it_is(self, cells: Cells, tmp_path: Path) -> None:
        """Path, files, bytes and hashes are those of the file; the same tree gives the same bytes."""
        target = tmp_path / "out.tar.gz"
        seen = cells.ok(f"packed = %det_package {target}\npacked")
        assert hashlib.sha256(target.read_bytes()).hexdigest() in seen.text
        with tarfile.open(target) as archive:
            assert archive.getnames() == DIGITS
        assert "4 files, " in seen.text
        assert cells.value("packed.report.bundle_hash == detjupyter.ModelDefinition('.').files().hash") == "True"
        cells.ok(f"%det_package {tmp_path / 'again.tar.gz'}")
        assert (tmp_path / "again.tar.gz").read_bytes() == target.read_bytes()

    def test_a_package_that_is_there_is_asked_about(self, cells: Cells, tmp_path: Path) -> None:
        """No keeps it; ``--force`` replaces it; if the user cannot be asked there is an error."""
        target = tmp_path / "out.tar.gz"
        cells.ok(f"%det_package {target}")
        mode = target.stat().st_mtime_ns
        assert "Nothing was packed." in answered(cells, f"%det_package {target}", "n")[0].text
        assert "`--force` replaces it" in unattended(cells, f"%det_package {target}").message
        assert target.stat().st_mtime_ns == mode
        unattended(cells, f"%det_package {target} --force")
        assert target.stat().st_mtime_ns != mode

    def test_what_is_used_but_not_packed_is_a_warning(self, cells: Cells, directory: Path, tmp_path: Path) -> None:
        """The current session knows what was imported; a package in the definition itself would ship, too."""
        (directory / ".detignore").write_text("data/\n*.ipynb\nnetwork.py\n", encoding="utf-8")
        cells.ok("s = %det_load")
        text = cells.ok(f"%det_package {tmp_path / 'out.tar.gz'}").text
        assert "! network.py was imported but `.detignore` line 3 `network.py` leaves it out" in text
        assert "`%det_files --exclude here.tar.gz` excludes it" in cells.ok("%det_package here.tar.gz").text

    @pytest.mark.parametrize(
        ("target", "expected"),
        [("out.zip", "must end in .tar.gz"), ("no/where.tar.gz", "There is no directory"), ("data.py", "must end in .tar.gz")],
    )
    def test_a_place_that_cannot_be_is_refused(self, cells: Cells, target: str, expected: str) -> None:
        """One message."""
        message = cells.run(f"%det_package {target} --force").message
        assert expected in message
        assert "Traceback" not in message


class TestCheck:
    """``%det_check``."""

    def test_the_quickstart_passes_and_its_table_is_shown_once(self, cells: Cells) -> None:
        """Every step is shown live in one display; the report is returned; the session is not affected; the table can be shown again."""
        cells.ok("s = %det_load --hparam hidden=16 --seed 3")
        cells.ok("%det_step 2")
        before = cells.value("next(s.trial.model.parameters()).sum().item(), s.batches_trained, s.state")
        seen = cells.ok("%det_check --batches 2", timeout_s=110)
        assert len(seen.displays) == 1
        assert not seen.result
        assert "on cpu, seed 3: passed" in seen.text
        assert "2 batches are identical to the kernel's" in seen.text
        updates = [m for m in cells.messages if m["msg_type"] == "update_display_data"]
        assert any("import …" in m["content"]["data"].get("text/plain", "") for m in updates)
        assert cells.value("type(_).__name__, _.ok, _.identical, len(_.steps)") == "('CheckReport', True, True, 10)"
        assert "on cpu, seed 3: passed" in cells.ok("_").text
        assert cells.value("next(s.trial.model.parameters()).sum().item(), s.batches_trained, s.state") == before

    def test_a_module_that_does_not_ship_fails_the_check_and_is_named(self, cells: Cells, directory: Path) -> None:
        """The step, the user's frames and the line of `.detignore` are shown; files that are used but not shipped are listed below."""
        (directory / ".detignore").write_text("data/\n*.ipynb\nnetwork.py\n", encoding="utf-8")
        cells.ok("s = %det_load")
        seen = cells.ok("report = %det_check", timeout_s=110)
        assert re.search(r"import +\d+\.\d\d s  FAILED", seen.text)
        assert "network.py is in the directory, but `.detignore` line 3 `network.py` leaves it out" in seen.text
        assert "! network.py was imported but" in seen.text
        assert cells.value("bool(report)") == "False"
        again = cells.ok("report")
        assert "FAILED" in again.text

    def test_without_a_session_the_notebooks_directory_is_checked(self, cells: Cells) -> None:
        """With its config and its only Trial class."""
        assert "Ship check of model_def:DigitsTrial on cpu, seed 0: passed" in cells.ok("%det_check --batches 1", timeout_s=110).text

    def test_an_interrupt_ends_the_clean_process_too(self, cells: Cells, directory: Path) -> None:
        """One line; the table says how far it came; no process is left."""
        (directory / "network.py").write_text("import time; time.sleep(60)\n", encoding="utf-8")
        cell = cells.begin("%det_check")
        cells.until(lambda m: "import …" in m["content"].get("data", {}).get("text/plain", ""))
        cells.manager.interrupt_kernel()
        seen = cells.finish(cell)
        assert seen.message == "Interrupted: the check was ended, and its files were deleted."
        assert "interrupted" in seen.text
        children = psutil.Process(cells.pid).children(recursive=True)
        assert not [child for child in children if "detjupyter.check.process" in child.cmdline()]

    def test_mistakes_show_one_short_message(self, cells: Cells) -> None:
        """A missing entrypoint, no batches, no directory, or a running training."""
        assert "There is no module 'nope'" in cells.ok("%det_check nope:T").text
        assert "at least 1" in cells.run("%det_check --batches 0").complaint
        assert "There is no directory" in cells.run("%det_check --path nowhere").message
        cells.ok("s = %det_load")
        cells.ok("%det_train --batches 1000000")
        message = cells.run("%det_check").message
        assert message.startswith("SessionBusyError: The session 'quickstart' is training")
        assert "Pause it with `%det_pause`" in message
        cells.ok("%det_stop")


class TestTab:
    """The tab key."""

    @pytest.mark.parametrize(
        ("code", "offers"),
        [
            ("%%det_file net", ["network.py"]),
            ("%%det_file data", ["data/", "data.py"]),
            ("%%det_file data/", ["data/README.md"]),
            ("%det_files --why mod", ["model_def.py"]),
            ("%det_files --exclude .deti", [".detignore"]),
            ("%det_files --as ", ["determined"]),
            ("%det_files --b", ["--biggest"]),
            ("%det_check mo", ["model_def:DigitsTrial"]),
            ("%det_package --o", ["--oversize"]),
            ("%det_fi", ["%det_files", "%%det_file", "%det_file"]),
        ],
    )
    def test_it_offers_what_may_come_next(self, cells: Cells, code: str, offers: list[str]) -> None:
        """Files of the definition, entrypoints and options."""
        assert sorted(cells.complete(code)) == sorted(offers)

    @pytest.mark.parametrize("name", ["det_files", "det_file", "det_package", "det_check"])
    def test_help_names_every_option(self, cells: Cells, name: str) -> None:
        """A usage line, and what each option does."""
        reply = cells.client.execute(f"%{name}?", reply=True)
        text = re.sub(r"\x1b\[[0-9;]*m", "", reply["content"]["payload"][0]["data"]["text/plain"])
        assert f"%{name} [" in text
        assert "--path PATH" in text

    def test_the_extension_takes_its_cell_magics_away_too(self, cells: Cells) -> None:
        """And they come back with it."""
        cells.ok("%unload_ext detjupyter")
        assert "not found" in cells.run("%%det_file x.py\nx = 1\n").complaint
        assert "not found" in cells.run("%det_check").complaint
        cells.ok("%load_ext detjupyter")
        cells.ok("%det_files")
