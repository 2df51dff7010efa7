"""A real kernel to measure in, and a page that shows its widgets as a browser would."""

from __future__ import annotations

import ast
import os
import queue
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jupyter_client.manager import KernelManager

TIMEOUT_S = 600
QUIET = ["--IPKernelApp.log_level=ERROR"]  # it warns of TCP without encryption


def kernel_environment(scratch: Path) -> dict[str, str]:
    """Return an environment with one thread for torch and every trace of a run inside ``scratch``.

    Python writes byte code, so that an import is not measured together with the compilation of its source.
    """
    here = {"DETJUPYTER_HOME": str(scratch / "home"), "IPYTHONDIR": str(scratch / "ipython"), "MPLCONFIGDIR": str(scratch / "matplotlib")}
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**inherited, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", **here}


class Kernel:
    """A fresh kernel of this interpreter."""

    def __init__(self, cwd: Path, environment: Mapping[str, str]) -> None:
        self.manager = KernelManager(kernel_name="python3")
        self.manager.kernel_spec.argv[0] = sys.executable
        self.manager.start_kernel(cwd=str(cwd), env=dict(environment), extra_arguments=QUIET)
        self._client = self.manager.blocking_client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=60)
        self._client.iopub_channel.stop()  # only the page reads this channel

    def __enter__(self) -> Kernel:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def run(self, code: str, value: str = "None") -> Any:
        """Run ``code`` as a cell and return what the expression ``value`` then is: anything that Python's literals can write."""
        message = self._client.execute(code, store_history=False, user_expressions={"value": value})
        while True:
            reply = self._client.get_shell_msg(timeout=TIMEOUT_S)
            if reply["parent_header"].get("msg_id") == message:
                break
        content = reply["content"]
        if content["status"] != "ok":
            raise RuntimeError("\n".join(content.get("traceback") or [f"{content.get('ename')}: {content.get('evalue')}"]))
        result = content["user_expressions"]["value"]
        if result["status"] != "ok":
            raise RuntimeError("\n".join(result["traceback"]))
        return ast.literal_eval(result["data"]["text/plain"])


class Page:
    """Read everything that a kernel publishes, and greet live views as their browser side does, so that they send.

    Thread: the client belongs to the page's own thread; the rest may read what it counted.
    """

    def __init__(self, kernel: Kernel) -> None:
        self._client = kernel.manager.client()
        self._client.start_channels(stdin=False, hb=False, control=False)
        self._client.wait_for_ready(timeout=60)
        self._stopped = False
        self._views: set[str] = set()
        self.forget()
        self._thread = threading.Thread(target=self._read, name="page", daemon=True)
        self._thread.start()

    def __enter__(self) -> Page:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped = True
        self._thread.join(5)
        self._client.stop_channels()

    def forget(self) -> None:
        """Reset the counters."""
        self.updates: list[float] = []
        self.bytes_received = 0
        self.newest_batch = 0
        self.closed = threading.Event()

    def _read(self) -> None:
        while not self._stopped:
            try:
                message = self._client.get_iopub_msg(timeout=0.1)
            except queue.Empty:
                continue
            content, kind = message["content"], message["header"]["msg_type"]
            if kind == "comm_open" and content["data"].get("state", {}).get("_model_module") == "anywidget":
                self._views.add(content["comm_id"])
                self._greet(content["comm_id"])
            elif kind == "comm_msg" and content["comm_id"] in self._views and content["data"].get("method") == "custom":
                self._take(content["data"]["content"], message["buffers"])
            elif kind == "comm_close" and content["comm_id"] in self._views:
                self.closed.set()

    def _greet(self, comm_id: str) -> None:
        hello = {"comm_id": comm_id, "data": {"method": "custom", "content": {"kind": "hello"}}}
        self._client.shell_channel.send(self._client.session.msg("comm_msg", hello))

    def _take(self, content: Mapping[str, Any], buffers: list[memoryview]) -> None:
        if content["kind"] not in ("snapshot", "update"):
            return
        self.updates.append(time.monotonic())
        self.bytes_received += sum(len(buffer) for buffer in buffers)
        for header, batches in zip(content["patches"], buffers[::2], strict=True):
            if header["group"] == "training":
                self.newest_batch = int(memoryview(batches).cast("B").cast("d")[-1])
