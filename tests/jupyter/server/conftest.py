"""A real Jupyter server with the extension enabled, a real store in its own directory, real kernels."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

# Not as a plugin: its automatic fixtures and its way to run coroutines are for this directory only.
from pytest_jupyter.jupyter_server import *  # noqa: F403
from support.served import API, Api, Connect, Live
from support.server_kernels import Kernel, Start

from detjupyter.store import Store, open_store


@pytest.fixture
def jp_server_config() -> dict[str, Any]:
    """Enable the extension, and refuse who is not logged in, as Jupyter's own template for extensions does."""
    # the extension for terminals is not needed, and warns of a handler of its own
    extensions = {"detjupyter": True, "jupyter_server_terminals": False}
    return {"ServerApp": {"jpserver_extensions": extensions, "allow_unauthenticated_access": False}}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give every test, and the processes that it starts, its own history."""
    home = tmp_path / "history"
    monkeypatch.setenv("DETJUPYTER_HOME", str(home))
    return home


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    """Open the store that the server reads too."""
    store = open_store()
    yield store
    store.close()


@pytest.fixture
def jp_serverapp(jp_server_config: dict[str, Any], jp_argv: list[str], jp_configurable_serverapp: Callable[..., Any]) -> Iterator[Any]:
    """Start a server as the fixture of pytest-jupyter does, and close what the extension opened before the server goes."""
    app = jp_configurable_serverapp(config=jp_server_config, argv=jp_argv)
    yield app
    app.web_app.settings["detjupyter"].close()


@pytest.fixture
def api(jp_fetch: Callable[..., Any]) -> Api:
    """Return the server's REST interface."""
    return Api(jp_fetch)


WRITER = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
import os, time
import numpy as np
from support.served import add_curve, make_run
from detjupyter.protocol.records import LogLine
from detjupyter.protocol.states import Group, State
from detjupyter.store import open_store
store = open_store()
"""


@pytest.fixture
def connect(jp_ws_fetch: Callable[..., Any]) -> Connect:
    """Open the WebSocket and close it at the end."""

    @asynccontextmanager
    async def live() -> AsyncIterator[Live]:
        socket = await jp_ws_fetch(API, "live")
        try:
            yield Live(socket)
        finally:
            socket.close()
            await asyncio.sleep(0.05)

    return live


@pytest.fixture
def kernel(jp_fetch: Callable[..., Any], jp_serverapp: Any) -> Start:
    """Start a kernel, wait until it runs code, shut it down at the end."""

    @asynccontextmanager
    async def started(path: str = "") -> AsyncIterator[Kernel]:
        response = await jp_fetch("api", "kernels", method="POST", body=json.dumps({"name": "python3", "path": path}))
        kernel_id = json.loads(response.body)["id"]
        client = jp_serverapp.kernel_manager.get_kernel(kernel_id).client()
        client.start_channels(stdin=False, hb=False)
        try:
            await client.wait_for_ready(timeout=60)
            yield Kernel(kernel_id, client)
        finally:
            client.stop_channels()
            if kernel_id in jp_serverapp.kernel_manager:
                await jp_serverapp.kernel_manager.shutdown_kernel(kernel_id, now=True)

    return started


@pytest.fixture
def writer() -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Run code in another process that has ``store`` at hand; its stdout and stdin are pipes."""
    processes: list[subprocess.Popen[str]] = []

    def start(code: str) -> subprocess.Popen[str]:
        process = subprocess.Popen([sys.executable, "-c", WRITER + code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()
