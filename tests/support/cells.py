"""Cells of a real kernel, and the output that the user sees below each."""

from __future__ import annotations

import queue
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

from support.environments import clean_environment

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
Message = dict[str, Any]


@dataclass
class Seen:
    """What is below one cell: printed text, displays and the result (as MIME bundles), and the error."""

    printed: dict[str, str] = field(default_factory=dict)
    displays: list[dict[str, Any]] = field(default_factory=list)
    result: dict[str, Any] = field(default_factory=dict)
    error: Message | None = None
    display_ids: dict[str, int] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """All output as plain text, without colors."""
        bundles = [*self.displays, *([self.result] if self.result else [])]
        parts = [*self.printed.values(), *(bundle.get("text/plain", "") for bundle in bundles)]
        return _ANSI.sub("", "\n".join(part for part in parts if part))

    @property
    def message(self) -> str:
        """The error as the user reads it, without colors; empty if there is none."""
        return _ANSI.sub("", "\n".join(self.error["traceback"])) if self.error is not None else ""

    @property
    def complaint(self) -> str:
        """The error, or what went to stderr: IPython prints a usage error there."""
        return self.message or self.printed.get("stderr", "")


class Cells:
    """Runs cells in one kernel, as a notebook does."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient, home: Path) -> None:
        self.manager = manager
        self.client = client
        self.history = home / "detjupyter/runs.sqlite"
        self.shown: dict[str, Seen] = {}
        self.messages: list[Message] = []

    @property
    def pid(self) -> int:
        """The kernel's process."""
        return int(self.manager.provisioner.pid)  # type: ignore[union-attr]

    def run(self, code: str, timeout_s: float = 60) -> Seen:
        """Run a cell to its end and return what it shows then."""
        return self.finish(self.begin(code), timeout_s)

    def ok(self, code: str, timeout_s: float = 60) -> Seen:
        """Run a cell that must not fail."""
        seen = self.run(code, timeout_s)
        assert seen.error is None, seen.message
        return seen

    def value(self, expression: str) -> str:
        """Return the ``repr`` of an expression in the kernel."""
        return str(self.ok(f"print(repr(({expression})))").printed["stdout"].rstrip("\n"))

    def begin(self, code: str) -> str:
        """Start a cell and return its id."""
        cell = str(self.client.execute(code))
        self.shown[cell] = Seen()
        return cell

    def until(self, met: Callable[[Message], bool], timeout_s: float = 60) -> Message:
        """Read what the kernel says until a message that ``met`` accepts, and return it."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            try:
                message: Message = self.client.get_iopub_msg(timeout=0.2)
            except queue.Empty:
                if not self.client.is_alive():
                    raise AssertionError("the kernel died") from None
                continue
            self._show(message)
            if met(message):
                return message
        raise AssertionError(f"nothing of the kind in {timeout_s} s; last: {[m['msg_type'] for m in self.messages[-20:]]}")

    def until_started(self, cell: str) -> None:
        """Wait until the kernel has begun with the cell."""
        self.until(lambda m: m["parent_header"].get("msg_id") == cell and m["msg_type"] == "execute_input")

    def finish(self, cell: str, timeout_s: float = 60) -> Seen:
        """Wait until the cell is done and return what it shows."""
        self.until(lambda m: m["parent_header"].get("msg_id") == cell and m["content"].get("execution_state") == "idle", timeout_s)
        return self.shown[cell]

    def hear(self, seconds: float) -> None:
        """Collect the kernel's messages for the given number of seconds."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                self._show(self.client.get_iopub_msg(timeout=0.1))
            except queue.Empty:
                continue

    def complete(self, code: str) -> list[str]:
        """Return the completions of the Tab key at the end of ``code``, as whole words."""
        content = self.client.complete(code, len(code), reply=True, timeout=30)["content"]
        start = content["cursor_start"]
        word = re.search(r"\S*$", code[:start])
        assert word is not None
        return [word[0] + match for match in content["matches"]]

    def control(self, command: dict[str, Any] | None, session_id: str | None = None, timeout_s: float = 60) -> Message:
        """Ask on the control channel, as the Jupyter server does, and return the reply's content."""
        message = self.client.session.msg("det_control_request", {"session_id": session_id, "command": command})
        self.client.control_channel.send(message)
        while True:
            reply = self.client.get_control_msg(timeout=timeout_s)
            if reply["parent_header"].get("msg_id") == message["header"]["msg_id"]:
                return dict(reply["content"])

    def _show(self, message: Message) -> None:
        self.messages.append(message)
        seen = self.shown.get(message["parent_header"].get("msg_id", ""))
        kind, content = message["msg_type"], message["content"]
        if kind == "update_display_data":  # of any cell and any sender
            for cell in self.shown.values():
                index = cell.display_ids.get(content["transient"]["display_id"])
                if index is not None:
                    cell.displays[index] = content["data"]
        if seen is None:
            return
        if kind == "stream":
            seen.printed[content["name"]] = seen.printed.get(content["name"], "") + content["text"]
        elif kind == "display_data":
            display_id = content.get("transient", {}).get("display_id")
            if display_id is not None:
                seen.display_ids[display_id] = len(seen.displays)
            seen.displays.append(content["data"])
        elif kind == "execute_result":
            seen.result = content["data"]
        elif kind == "error":
            seen.error = content


@contextmanager
def kernel_in(directory: Path, home: Path, *, name: str = "python3", **environment: str) -> Iterator[Cells]:
    """Start a kernel of a fresh user in ``directory``, a notebook's, and end it afterwards."""
    # Found by this manager rather than by the environment's variables, which belong to the test's process.
    specs = KernelSpecManager(kernel_dirs=[str(home / "data/kernels")])
    manager = KernelManager(kernel_name=name, kernel_spec_manager=specs)
    directory.mkdir(parents=True, exist_ok=True)
    home.mkdir(parents=True, exist_ok=True)
    manager.start_kernel(cwd=str(directory), env=clean_environment(home) | environment)
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        yield Cells(manager, client, home)
    finally:
        client.stop_channels()
        if manager.has_kernel:
            manager.shutdown_kernel(now=True)
        manager.cleanup_resources()
