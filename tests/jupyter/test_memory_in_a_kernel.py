"""The cell that loads and trains, run again and again in a real kernel: nothing of the earlier runs is left."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.cells import Cells
from support.definition import LINE
from support.waiting import wait_until

RERUNS = 10
SETTLED = 3
"""The first runs import, and fill caches."""

WATCH = """
import comm as _comm, gc, os, sys, threading, weakref
import detjupyter
from ipywidgets.widgets import widget as _widget

_trials = []

def _note():
    trial = detjupyter.current_session().trial
    _trials.append(weakref.ref(trial))

def _count():
    return {
        "trials": len({id(trial()) for trial in _trials if trial() is not None}),
        "modules": len([name for name in sys.modules if name.startswith("detjupyter.loaded")]),
        "threads": len([thread for thread in threading.enumerate() if thread.name.startswith("detjupyter")]),
        "comms": len(_comm.get_comm_manager().comms),
        "widgets": len(_widget._instances),
        "files": len([name for name in map(_target, os.listdir("/proc/self/fd")) if "matplotlib" not in name])
        if os.path.exists("/proc/self/fd")
        else 0,
    }

def _target(descriptor):
    try:
        name = os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return "matplotlib"
    return "matplotlib" if name.startswith(("anon_inode", "socket")) else name  # of ipykernel's, one for each thread that displays

gc.disable()
"""
"""Python's collector is off, so that what is released is released by detjupyter. Matplotlib keeps a bounded number of fonts open."""

LOAD = "%det_load model_def:LineTrial --path {path} --name line --device cpu --hparam fails={fails}"
FAILING = LINE.replace(
    "        x, y = batch\n        loss",
    "        x, y = batch\n        if self.context.get_hparam('fails'): raise ValueError('no')\n        loss",
)


class Notebook:
    """Runs the cells of one form of use."""

    def __init__(self, cells: Cells, path: Path) -> None:
        self._cells = cells
        self._path = path

    def load(self, *, fails: bool = False) -> str:
        """Return the magic that loads."""
        return LOAD.format(path=self._path, fails=str(fails).lower())

    def assigned(self) -> None:
        """The session in a variable; load and train in one cell."""
        self._cells.ok(f"session = {self.load()}\n_note()\n%det_train --batches 6 --wait")

    def alone(self) -> None:
        """The load as the last line, so that IPython keeps its result in Out and _."""
        self._cells.ok(self.load())
        self._cells.ok("_note()")
        self._cells.ok("%det_train --batches 6 --wait")

    def in_the_background(self) -> None:
        """A training that is watched."""
        self._cells.ok(f"session = {self.load()}\n_note()\n%det_train --batches 6")
        self._cells.ok("session.wait()")

    def failing(self) -> None:
        """A training that fails; IPython keeps the error."""
        seen = self._cells.run(f"session = {self.load(fails=True)}\n_note()\n%det_train --batches 6 --wait")
        assert "ValueError: no" in seen.message

    def reloaded(self) -> None:
        """A reload, whose card is kept, too."""
        self._cells.ok(f"{self.load()}\n_note()\n%det_train --batches 6 --wait")
        self._cells.ok("%det_reload")
        self._cells.ok("_note()\n%det_train --batches 6 --wait")

    def with_a_page(self) -> None:
        """An open page that got everything, and a training that is stopped."""
        before = len(self._cells.messages)
        self._cells.ok(f"session = {self.load()}\n_note()\n%det_train --batches 1000000")
        opened = [message["content"] for message in self._cells.messages[before:] if message["msg_type"] == "comm_open"]
        view = next(content["comm_id"] for content in opened if "_esm" in content["data"]["state"])
        content = {"comm_id": view, "data": {"method": "custom", "content": {"kind": "hello"}}}
        self._cells.client.shell_channel.send(self._cells.client.session.msg("comm_msg", content))
        self._cells.until(lambda message: message["msg_type"] == "comm_msg" and message["content"]["comm_id"] == view)
        self._cells.ok("%det_stop")


FORMS: list[Callable[[Notebook], None]] = [
    Notebook.assigned,
    Notebook.alone,
    Notebook.in_the_background,
    Notebook.failing,
    Notebook.reloaded,
    Notebook.with_a_page,
]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_nothing_of_the_earlier_runs_of_a_cell_is_left(cells: Cells, tmp_path: Path, form: Callable[[Notebook], None]) -> None:
    """At most two trials are alive; modules, threads, comms, widgets and open files do not grow."""
    (tmp_path / "model_def.py").write_text(FAILING, encoding="utf-8")
    cells.ok(WATCH)
    notebook = Notebook(cells, tmp_path)
    counts: list[dict[str, Any]] = []

    def has_settled() -> bool:
        """A thread that was asked to end may need a moment."""
        counts[-1] = ast.literal_eval(cells.value("_count()"))
        return all(number <= counts[SETTLED - 1][what] for what, number in counts[-1].items())

    for number in range(RERUNS):
        form(notebook)
        counts.append(ast.literal_eval(cells.value("_count()")))
        assert counts[-1]["trials"] <= 2, counts
        if number >= SETTLED:
            wait_until(has_settled, f"the counts settle: {counts[SETTLED - 1]}")
    assert counts[-1]["comms"] == 0
