"""What a trial prints, displays and asks in a real kernel: in its log once, and in no cell."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cells import Cells, Seen

LOUD = Path(__file__).parent / "trials/loud.py"
OUTPUT = {"stream", "display_data", "update_display_data", "execute_result", "error", "clear_output"}


@pytest.fixture(autouse=True)
def nothing_left(cells: Cells) -> Iterator[None]:
    """Check that the kernel is as it was when the sessions are closed."""
    yield
    cells.ok("for s in detjupyter.sessions(): s.close()")
    cells.ok("import sys, threading, builtins, time\nfrom detjupyter.engine.output.capture import _holders")
    cells.ok("for _ in range(500):\n    if not _holders: break\n    time.sleep(0.02)")
    assert (
        cells.value("len(_holders), type(vars(type(sys.stdout))['write']).__name__, threading.Thread.start.__module__")
        == "(0, 'function', 'threading')"
    )


def train(cells: Cells, what: str, batches: int = 2) -> tuple[Seen, list[str]]:
    """Train while a cell runs, one that began after the training, and return what the cell shows and the lines of the log."""
    cells.ok(f"s = %det_load :LoudTrial --path {LOUD} --name loud --hparam 'what={what}'")
    heard = len(cells.messages)
    cells.ok(f"s.trial.gate.clear(); s.train(batches={batches})")
    seen = cells.ok("s.trial.gate.set()\ntry: s.wait()\nexcept Exception: pass")
    cells.ok("pass")
    cells.hear(0.5)  # the kernel sends streams five times a second
    shown = [message for message in cells.messages[heard:] if message["msg_type"] in OUTPUT]
    assert shown == [], "a cell shows what the trial does"
    log = ast.literal_eval(cells.value("[line.text for line in s.channel.log(0)[1]]"))
    return seen, log


@pytest.mark.parametrize("what", ["print", "saved", "dunder", "logger", "thread", "program", "system", "descriptor", "close"])
def test_text_is_in_the_log_once_for_each_batch(cells: Cells, what: str) -> None:
    """However it is written."""
    cells.ok("import logging; logging.getLogger('loud').handlers[:] = [logging.StreamHandler()]")
    assert train(cells, what)[1].count("hello") == 2
    assert cells.ok("print('a cell')\n!echo a program").text.replace("\r", "") == "a cell\na program\n"


def test_the_traceback_of_a_thread_is_in_the_log(cells: Cells) -> None:
    """Python prints it in the thread."""
    assert train(cells, "traceback")[1].count("KeyError: 'hello'") == 2


def test_what_workers_print_is_in_the_log(cells: Cells) -> None:
    """Each item of both batches."""
    log = train(cells, "workers", batches=2)[1]
    assert {line for line in log if "item" in line} == {"item"}
    assert log.count("item") >= 8  # the workers read ahead


def test_displays_are_named_in_the_log(cells: Cells) -> None:
    """Each text once, though it is displayed at every batch; the output of the cell is not cleared."""
    log = train(cells, "display")[1]
    shown = [line for line in log if line.startswith("display: ")]
    assert shown == ["display: <IPython.core.display.HTML object>", "display:   a  b", "display: a handle"]
    assert "0 1  2" in log
    assert sum("are not shown in a cell" in line for line in log) == 1


def test_a_figure_is_named_in_the_log(cells: Cells) -> None:
    """`plt.show()` in a training; a cell's own figures stay the cell's."""
    cells.ok("%matplotlib inline\nimport matplotlib.pyplot as plt")
    assert any(line.startswith("display: <Figure size ") for line in train(cells, "figure")[1])
    seen = cells.ok("plt.plot([1, 2]);")
    assert "image/png" in seen.displays[0]


def test_a_figure_that_a_training_leaves_open_is_not_shown_by_the_next_cell(cells: Cells) -> None:
    """After each cell a kernel shows and closes all figures that are open."""
    cells.ok("%matplotlib inline\nimport matplotlib.pyplot as plt")
    train(cells, "open figure")
    assert cells.value("plt.get_fignums()") == "[]"


def test_widgets_are_not_shown(cells: Cells) -> None:
    """The log has their text; what is printed inside of an output widget is in the log, too, and the cell keeps its own text."""
    log = train(cells, "widgets")[1]
    assert any(line.startswith("display: IntProgress(value=3") for line in log)
    assert log.count("inside a widget") == 2


def test_a_bar_is_in_the_log_as_text(cells: Cells) -> None:
    """A bar of widgets shows itself as text, too."""
    assert train(cells, "bar")[1].count("display:  40%|####      | 4/10") == 1


def test_a_bar_of_tqdm_is_in_the_log(cells: Cells) -> None:
    """Whichever bar `tqdm.auto` chooses here."""
    assert any("bar:" in line for line in train(cells, "real bar")[1])


def test_text_of_c_code_is_named_once(cells: Cells) -> None:
    """It has no thread, so it goes to the cell; the log says so."""
    cells.ok(f"s = %det_load :LoudTrial --path {LOUD} --name loud --hparam what=c")
    seen = cells.ok("s.train(batches=3, wait=True)\nimport time; time.sleep(0.5)")
    assert seen.text.count("from C") == 3
    log = ast.literal_eval(cells.value("[line.text for line in s.channel.log(0)[1]]"))
    assert sum("file descriptor 1" in line for line in log) == 1


@pytest.mark.parametrize("what", ["breakpoint", "set_trace", "input", "getpass", "embed"])
def test_a_prompt_ends_the_training_with_one_message(cells: Cells, what: str) -> None:
    """While a cell runs and while none does; nothing waits, nothing is shown, and the cells keep their prompts."""
    train(cells, what)
    assert "has no prompt" in cells.value("str(s.error)")
    assert cells.value("s.state") == "'failed'"
    cells.ok("s.stop()")
    cells.ok("s.trial.gate.clear(); s.train(batches=1); import threading; threading.Timer(0.3, s.trial.gate.set).start()")
    cells.hear(1)  # it asks while no cell runs
    cells.ok("try: s.wait()\nexcept Exception: pass")
    assert "has no prompt" in cells.value("str(s.error)")
    cell = cells.begin("print(input('Go? '))")
    assert cells.client.get_stdin_msg(timeout=30)["content"]["prompt"] == "Go? "
    cells.client.input("yes")
    assert cells.finish(cell).text == "yes\n"


def test_a_cell_under_capture_gets_only_its_own_displays(cells: Cells) -> None:
    """`%%capture` replaces the streams and the publisher of the kernel."""
    cells.ok(f"s = %det_load :LoudTrial --path {LOUD} --name loud --hparam what=display")
    cells.ok("%%capture mine\nprint('mine')\ndisplay('shown')\ns.train(batches=3, wait=True)")
    assert cells.value("mine.stdout, [o.data['text/plain'] for o in mine.outputs]") == """('mine\\n', ["'shown'"])"""
