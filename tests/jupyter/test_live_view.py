"""The live view over a real comm of a real kernel; the browser's part is played by the messages that it sends."""

from __future__ import annotations

import base64
import json
import queue
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ipykernel
import nbformat
import numpy as np
import pytest
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient
from support.waiting import Busy

from detjupyter.errors import DetJupyterError
from detjupyter.protocol.outputs import RUN_MIME_TYPE
from detjupyter.widgets import live, shown

TESTS = Path(__file__).parents[1]
SETUP = f"""
import sys; sys.path.insert(0, {str(TESTS)!r})
from support.scripted_channel import ScriptedChannel
from detjupyter.widgets.shown import show_live
"""


class Page:
    """The browser's side of one kernel: runs cells, finds the live view's comm, talks on it, collects what comes."""

    def __init__(self, client: BlockingKernelClient) -> None:
        self.client = client
        self.heard: list[dict[str, Any]] = []
        self.comm_id = ""

    def run(self, code: str) -> str:
        """Send a cell and return the id of its request, without waiting."""
        return str(self.client.execute(code))

    def until(self, met: Any, timeout_s: float = 60) -> dict[str, Any]:
        """Return the next message from the kernel that ``met`` accepts; all earlier ones are kept in ``heard``."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            try:
                message: dict[str, Any] = self.client.get_iopub_msg(timeout=0.5)
            except queue.Empty:
                continue
            assert message["msg_type"] != "error", "\n".join(message["content"]["traceback"])
            self.heard.append(message)
            state = message["content"].get("data", {}).get("state", {}) if message["msg_type"] == "comm_open" else {}
            if "_esm" in state:
                self.comm_id = message["content"]["comm_id"]
            if met(message):
                return message
        raise AssertionError(f"nothing of the kind in {timeout_s} s; heard {[message['msg_type'] for message in self.heard]}")

    def until_idle(self, request: str) -> None:
        """Wait until the cell is done."""
        self.until(lambda m: m["parent_header"].get("msg_id") == request and m["content"].get("execution_state") == "idle")

    def until_said(self, kind: str) -> dict[str, Any]:
        """Return the next message of the live view of that kind."""
        return self.until(lambda m: said(m).get("kind") == kind)

    def say(self, content: dict[str, Any], subshell_id: str | None = None) -> None:
        """Send a message of the view, as ipywidgets does for ``model.send``."""
        data = {"method": "custom", "content": content}
        message = self.client.session.msg("comm_msg", {"comm_id": self.comm_id, "data": data})
        if subshell_id is not None:
            message["header"]["subshell_id"] = subshell_id
        self.client.shell_channel.send(message)

    def new_subshell(self) -> str:
        """Make a subshell, as JupyterLab does for the comms of a page."""
        self.client.control_channel.send(self.client.session.msg("create_subshell_request"))
        return str(self.client.get_control_msg(timeout=10)["content"]["subshell_id"])


def said(message: dict[str, Any]) -> dict[str, Any]:
    """Return what the live view said in ``message``, an empty dict if it is something else."""
    data = message["content"].get("data", {}) if message["msg_type"] == "comm_msg" else {}
    content: dict[str, Any] = data.get("content", {})
    return content


def closed_comms(page: Page) -> list[str]:
    """Return the comms that the kernel has closed so far."""
    return [message["content"]["comm_id"] for message in page.heard if message["msg_type"] == "comm_close"]


def curves_after(messages: list[dict[str, Any]]) -> dict[str, tuple[list[float], list[float]]]:
    """Return the curves that a view holds after these messages, keeping and appending as the protocol says."""
    curves: dict[str, tuple[list[float], list[float]]] = {}
    for message in messages:
        if said(message).get("kind") == "snapshot":
            curves = {}
        elif said(message).get("kind") != "update":
            continue
        buffers = message["buffers"]
        for index, patch in enumerate(said(message)["patches"]):
            batches, values = (np.frombuffer(buffers[2 * index + part], "<f8").tolist() for part in (0, 1))
            assert len(batches) == len(values) == patch["count"]
            known = curves.get(patch["name"], ([], []))
            assert patch["start"] <= len(known[0])
            curves[patch["name"]] = (known[0][: patch["start"]] + batches, known[1][: patch["start"]] + values)
    return curves


@pytest.fixture
def page() -> Iterator[Page]:
    """Start a kernel with the widgets imported."""
    manager, client = start_new_kernel(startup_timeout=60)
    try:
        page = Page(client)
        page.until_idle(page.run(SETUP))
        yield page
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def show(page: Page, channel: str) -> None:
    """Begin a training of that channel and show it."""
    page.until_idle(page.run(f"channel = {channel}\nchannel.begin()\nshow_live(channel)"))
    assert page.comm_id


def test_a_view_that_says_hello_gets_everything_and_then_what_changes(page: Page) -> None:
    """Nothing is sent before; afterwards snapshot and updates together are the curve, NaN included, without a hole or a repetition."""
    show(page, "ScriptedChannel(200, 0.01)")
    time.sleep(0.5)
    page.say({"kind": "hello"})
    snapshot = page.until_said("snapshot")
    assert not [message for message in page.heard[:-1] if said(message)]
    assert said(snapshot)["protocol"] == 1
    assert said(snapshot)["session"]["entrypoint"] == "model_def:Scripted"
    assert len(said(snapshot)["log"]) > 5
    page.until(lambda m: said(m).get("session", {}).get("state") == "finished")
    batches, values = curves_after(page.heard)["loss"]
    assert batches == list(range(1, 201))
    assert np.isnan(values[2])
    assert values[199] == 1 / 200
    assert curves_after(page.heard)["val_loss"] == ([50.0, 100.0, 150.0, 200.0], [2 / 50, 2 / 100, 2 / 150, 2 / 200])
    lines = [line["text"] for message in page.heard for line in said(message).get("log", ())]
    assert lines == [f"batch {batch}" for batch in range(1, 201)]


def test_a_second_view_gets_everything_again(page: Page) -> None:
    """A page that is reloaded, or a second one, starts from a whole snapshot."""
    show(page, "ScriptedChannel(300, 0.01)")
    for _ in range(2):
        page.say({"kind": "hello"})
        page.until_said("snapshot")
        page.until_said("update")
        time.sleep(0.3)
    page.until(lambda m: said(m).get("session", {}).get("state") == "finished")
    assert curves_after(page.heard)["loss"][0] == list(range(1, 301))


def test_every_command_is_answered(page: Page) -> None:
    """A command that was done, one that the session refuses, one that makes no sense: each gets a reply of its id."""
    show(page, "ScriptedChannel(10_000, 0.01)")
    page.say({"kind": "hello"})
    page.until_said("snapshot")
    expected = [
        (1, {"kind": "pause"}, None),
        (2, {"kind": "validate"}, "validate is not in the script.\nAsk for something else."),
        (3, {"kind": "explode"}, "Unknown command 'explode'."),
        (4, {"kind": "stop"}, None),
    ]
    for request_id, command, error in expected:
        page.say({"kind": "command", "id": request_id, "command": command})
        reply = said(page.until_said("reply"))
        assert reply["id"] == request_id
        assert (reply["error"] or "").startswith(error or "")
        assert (reply["error"] is None) == (error is None)


@pytest.mark.skipif(ipykernel.version_info < (7,), reason="ipykernel 6 has no subshells")
def test_pause_acts_while_a_cell_is_busy(page: Page, tmp_path: Path) -> None:
    """In a subshell a message arrives before the cell ends, though ipykernel 7.4 would send it to the main shell (the override works)."""
    show(page, "ScriptedChannel(10_000, 0.01)")
    page.say({"kind": "hello"})
    page.until_said("snapshot")
    subshell = page.new_subshell()
    with Busy(tmp_path) as cell:
        busy = page.run(cell.code())
        page.until(lambda m: m["parent_header"].get("msg_id") == busy and m["msg_type"] == "execute_input")
        page.say({"kind": "command", "id": 7, "command": {"kind": "pause"}}, subshell)
        assert said(page.until_said("reply"))["error"] is None
    page.until_idle(busy)


def test_the_widgets_state_holds_nothing_of_the_history(page: Page) -> None:
    """What Jupyter saves and sends as state is the module and nothing else of size."""
    show(page, "ScriptedChannel(5, 0.01)")
    opened = next(message for message in page.heard if "_esm" in message["content"].get("data", {}).get("state", {}))
    state = opened["content"]["data"]["state"]
    assert len(state.pop("_esm")) < 90_000
    assert len(str(state)) < 1_000


def executed(cells: list[str]) -> nbformat.NotebookNode:
    """Return a notebook of these cells after they ran."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in [SETUP, *cells]])
    NotebookClient(notebook, timeout=90, kernel_name="python3").execute()
    return notebook


def test_at_the_end_the_picture_takes_the_place_of_the_view() -> None:
    """The output of the cell then holds PNG, SVG and text and no widget, and little of them after 10,000 batches."""
    channel = "channel = ScriptedChannel(10_000, 0.0001, report_every=500)\nchannel.begin()\nshow_live(channel)"
    notebook = executed([channel, "channel.wait()"])
    (output,) = notebook.cells[1].outputs
    assert set(output.data) == {RUN_MIME_TYPE, "image/png", "image/svg+xml", "text/plain"}
    assert base64.b64decode(output.data["image/png"]).startswith(b"\x89PNG")
    assert output.data["image/svg+xml"].startswith("<svg")
    assert output.data["text/plain"].startswith("model_def:Scripted: finished · 10,000 batches")
    assert output.data[RUN_MIME_TYPE]["ended"]["state"] == "finished"
    assert len(json.dumps(output.data)) < 40_000
    assert len(nbformat.writes(notebook)) < 150_000


def test_after_a_reload_of_the_page_the_view_stays_until_the_next_training(page: Page) -> None:
    """The reloaded page cannot replace the output by the picture, so the cell would be empty without the view."""
    show(page, "ScriptedChannel(100_000, 0.001)")
    for _ in range(2):  # the page, and the reloaded page
        page.say({"kind": "hello"})
        page.until_said("snapshot")
    first = page.comm_id
    page.until_idle(page.run("from detjupyter.protocol.commands import Stop\nchannel.send(Stop())\nchannel.wait()"))
    page.say({"kind": "hello"})
    assert said(page.until_said("snapshot"))["session"]["state"] == "stopped"
    assert first not in closed_comms(page)
    show(page, "ScriptedChannel(100_000, 0.001)")
    assert first in closed_comms(page)


def test_a_training_that_has_ended_already_shows_its_picture_at_once() -> None:
    """No widget is made for it; a failed one says so."""
    notebook = executed(["channel = ScriptedChannel(5, failing=True)\nchannel.begin()\nchannel.wait()\nshow_live(channel)"])
    (output,) = notebook.cells[1].outputs
    assert set(output.data) == {RUN_MIME_TYPE, "image/png", "image/svg+xml", "text/plain"}
    assert "failed" in output.data["text/plain"]


def test_without_a_notebook_it_is_a_line_of_text(capsys: pytest.CaptureFixture[str]) -> None:
    """A terminal gets words, and no widget is made."""
    from support.scripted_channel import ScriptedChannel

    shown.show_live(ScriptedChannel(5))
    assert capsys.readouterr().out.startswith("model_def:Scripted: ready")


def test_a_checkout_that_was_not_built_says_how_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The browser side is missing: one message, with the command."""
    from support.scripted_channel import ScriptedChannel

    monkeypatch.setattr(live, "_MODULE", tmp_path / "live.js")
    with pytest.raises(DetJupyterError, match="was not built") as caught:
        live.LiveView(ScriptedChannel(5))
    assert "npm run build" in str(caught.value)
