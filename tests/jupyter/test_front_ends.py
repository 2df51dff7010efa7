"""Front ends other than JupyterLab: a plain IPython terminal, nbconvert's execution and its HTML."""

from __future__ import annotations

import base64
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from support.environments import clean_environment, copy_quickstart

from detjupyter.protocol.outputs import RUN_MIME_TYPE

PICTURE = {RUN_MIME_TYPE, "image/png", "image/svg+xml", "text/plain"}
MOST_PER_TRAINING_BYTES = 150_000


def terminal(lines: list[str], directory: Path, home: Path) -> tuple[str, int]:
    """Type lines into IPython on a terminal and return the final text of the screen, and the exit status."""
    home.mkdir()
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "IPython", "--simple-prompt", "--no-banner", "--colors=NoColor", "--no-confirm-exit"]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=directory, env=clean_environment(home))
    os.close(theirs)
    os.write(ours, "".join(f"{line}\n" for line in [*lines, "exit()"]).encode())
    shown = b""
    try:
        while piece := os.read(ours, 65536):
            shown += piece
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(ours)
    return shown.decode("utf-8"), process.wait(20)


def test_a_terminal_shows_text_and_no_widget(tmp_path: Path) -> None:
    """Card, files, progress that writes over itself, status, metrics, one line for a mistake; and it ends by itself."""
    lines = [
        "%load_ext detjupyter",
        "session = %det_load model_def:DigitsTrial",
        "session",
        "%det_files",
        "%det_train --epochs 2 --wait",
        "%det_validate",
        "%det_step 0",
        "%det_train --batches 100000",
        "import sys; 'ipywidgets' in sys.modules, 'anywidget' in sys.modules, session.state",
    ]
    shown, status = terminal(lines, copy_quickstart(tmp_path / "quickstart"), tmp_path / "home")
    for part in (
        "DigitsTrial  (model_def:DigitsTrial)",
        "- data/             .detignore line 2: data/",
        "{'loss': 0.",
        "A step is at least one batch, not 0.",
        "'running')",
    ):
        assert part in shown, shown
    assert re.search(r"model_def:DigitsTrial: running · \d+ of 180 batches", shown)  # one batch, or more on a busy machine
    assert re.search(r"\rfinished · 180 batches · epoch 2 · \d[\d.]* s · cpu *\r\n", shown)
    assert "Traceback" not in shown
    assert "widget-view" not in shown
    assert status == 0


def test_output_that_is_no_terminal_gets_only_the_end_of_the_progress(tmp_path: Path) -> None:
    """Piped into a file, there is one line per training and no carriage return."""
    code = "%load_ext detjupyter\n%det_load\n%det_train --batches 100 --wait\n"
    (tmp_path / "home").mkdir()
    directory = copy_quickstart(tmp_path / "quickstart")
    (directory / "script.ipy").write_text(code, encoding="utf-8")
    process = subprocess.run(
        [sys.executable, "-m", "IPython", "--colors=NoColor", "script.ipy"],
        cwd=directory,
        env=clean_environment(tmp_path / "home"),
        capture_output=True,
        text=True,
        check=True,
        timeout=300,  # against hangs only
    )
    assert "\r" not in process.stdout
    (line,) = re.findall(r"^finished · 100 batches.*$", process.stdout, re.MULTILINE)
    assert line.endswith("cpu")


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the quickstart's notebook as ``jupyter nbconvert --execute`` leaves it for a fresh user."""
    home = tmp_path_factory.mktemp("home")
    directory = copy_quickstart(tmp_path_factory.mktemp("work") / "quickstart")
    convert(directory / "quickstart.ipynb", home, "--to=notebook", "--inplace", "--execute")
    return directory / "quickstart.ipynb"


def convert(notebook: Path, home: Path, *options: str) -> None:
    """Run ``jupyter nbconvert``."""
    command = [sys.executable, "-m", "nbconvert", *options, str(notebook)]
    process = subprocess.run(command, env=clean_environment(home), cwd=home, capture_output=True, text=True, timeout=110, check=False)
    assert process.returncode == 0, process.stderr[-3000:]


def cells_with(notebook: Any, start: str) -> list[Any]:
    """Return the code cells whose source begins so."""
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.startswith(start)]


def test_nbconvert_executes_the_quickstart(executed: Path) -> None:
    """Every cell succeeds; the trained cell holds PNG, SVG and text; the digits are recognized."""
    notebook = nbformat.read(executed, as_version=4)
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    (trained, further) = cells_with(notebook, "%det_train")
    assert set(trained.outputs[0].data) == PICTURE
    assert base64.b64decode(trained.outputs[0].data["image/png"]).startswith(b"\x89PNG")
    assert "finished · 450 batches" in trained.outputs[0].data["text/plain"]
    assert set(further.outputs[0].data) == PICTURE
    (files,) = cells_with(notebook, "%det_files")
    assert ".detignore line 2: data/" in files.outputs[0].data["text/plain"]
    accuracies = cells_with(notebook, "session.wait()")[0].outputs[-1].data["text/plain"]
    best = max(float(value) for value in re.findall(r": ([\d.]+)", accuracies))
    assert best >= 0.97
    (compared,) = cells_with(notebook, "import detjupyter as dj\n\ndj.compare")
    assert re.search(r"^learning_rate +0\.0003 +0\.003$", compared.outputs[0].data["text/plain"], re.MULTILINE)
    assert re.search(r"^batches +540 +540$", compared.outputs[0].data["text/plain"], re.MULTILINE)


def test_a_training_adds_little_to_the_notebook(executed: Path) -> None:
    """At most 150 kB per training, the widgets' state counted, and nothing of the live view stays."""
    notebook = nbformat.read(executed, as_version=4)
    widgets = notebook.metadata.pop("widgets", {})
    trainings = [cell for cell in notebook.cells if cell.cell_type == "code" and "%det_train" in cell.source]
    outputs = sum(len(json.dumps(cell.outputs)) for cell in trainings)
    assert outputs + len(json.dumps(widgets)) <= len(trainings) * MOST_PER_TRAINING_BYTES
    assert "widget-view" not in json.dumps(notebook)


def test_nbconvert_writes_html_with_the_picture(executed: Path, tmp_path: Path) -> None:
    """The card, the files and the curves are on the page without a kernel."""
    convert(executed, tmp_path, "--to=html", f"--output-dir={tmp_path}")
    page = (tmp_path / "quickstart.html").read_text(encoding="utf-8")
    assert page.count('src="data:image/svg+xml') == 3
    assert "DigitsTrial" in page
    assert "never ships" in page
