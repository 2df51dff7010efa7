"""A real Jupyter server with the extension enabled, a real store in a directory of its own, real kernels."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# Not as a plugin: its automatic fixtures and its way to run coroutines are for this directory only.
from pytest_jupyter.jupyter_server import *  # noqa: F403
from served import Api

from detjupyter.store import Store, open_store


@pytest.fixture
def jp_server_config() -> dict[str, Any]:
    """Enable the extension, and refuse who is not logged in, as Jupyter's own template for extensions does."""
    # the extension for terminals is not needed, and warns of a handler of its own
    extensions = {"detjupyter": True, "jupyter_server_terminals": False}
    return {"ServerApp": {"jpserver_extensions": extensions, "allow_unauthenticated_access": False}}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give every test, and the processes that it starts, a history of its own."""
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
sys.path.insert(0, {str(Path(__file__).parent)!r})
import os, time
import numpy as np
from served import add_curve, make_run
from detjupyter.protocol.records import LogLine
from detjupyter.protocol.states import Group, State
from detjupyter.store import open_store
store = open_store()
"""


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
