"""What the tests of the server say again and again: requests, and runs to ask for."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tornado.httpclient import HTTPClientError, HTTPResponse

from detjupyter.protocol.records import RunRecord
from detjupyter.protocol.states import Group, State
from detjupyter.store import Store
from support.waiting import LIMIT_S

API = "detjupyter/api"


class Api:
    """The REST interface as a test calls it: parsed JSON, and refusals as ``(status, body)``."""

    def __init__(self, fetch: Callable[..., Any]) -> None:
        self._fetch = fetch

    async def get(self, path: str, /, **params: Any) -> Any:
        """Return the parsed answer."""
        return json.loads((await self._fetch(API, path, params=params)).body)

    async def send(self, method: str, path: str, body: Any = None, **kwargs: Any) -> HTTPResponse:
        """Return the response to a request with a JSON body."""
        text = None if body is None else json.dumps(body)
        return await self._fetch(API, path, method=method, body=text, **kwargs)

    async def refused(self, path: str, /, *, method: str = "GET", body: Any = None, **params: Any) -> tuple[int, dict[str, Any]]:
        """Return the status and the body of a request that must be refused."""
        text = body if isinstance(body, str) or body is None else json.dumps(body)
        with pytest.raises(HTTPClientError) as error:
            await self._fetch(API, path, method=method, body=text, params=params)
        response = error.value.response
        assert response is not None
        assert b"Traceback" not in response.body
        assert b'File \\"' not in response.body
        answer = json.loads(response.body)
        assert set(answer) == {"message", "hint"}
        assert answer["message"]
        return error.value.code, answer


class Live:
    """The WebSocket as a test uses it."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket

    async def next(self, kind: str, *, within_s: float = LIMIT_S) -> dict[str, Any]:
        """Return the next message of that kind; others that come before it are dropped. The limit is for a server that hangs."""
        deadline = time.monotonic() + within_s
        while True:
            text = await asyncio.wait_for(self._socket.read_message(), deadline - time.monotonic())
            assert text is not None, "the server closed the connection"
            message = json.loads(text)
            if message["kind"] == kind:
                return message

    async def nothing(self, *, for_s: float) -> None:
        """Check that no message comes."""
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.shield(asyncio.ensure_future(self._socket.read_message())), for_s)

    async def say(self, message: Any) -> None:
        """Send a message; text goes as it is."""
        await self._socket.write_message(message if isinstance(message, (str, bytes)) else json.dumps(message), isinstance(message, bytes))

    async def watch(self, run_id: str | None, number: int = 0) -> None:
        """Choose the run to watch; ``number`` is that of a further one."""
        await self.say({"kind": "watch", "run_id": run_id, "number": number})

    async def watch_definition(self, path: str | None) -> None:
        """Choose the definition whose edits are wanted."""
        await self.say({"kind": "watch_definition", "path": path})

    async def none_of(self, kind: str, *, for_s: float) -> None:
        """Check that no message of that kind comes; others are dropped."""
        with pytest.raises(asyncio.TimeoutError):
            await self.next(kind, within_s=for_s)


def rows(definition: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the columns of a definition's files as a row for each path."""
    files, rules = definition["files"], definition["rules"]
    free = {"source": None, "line": None, "pattern": None, "includes": True}
    return {
        path: {"size_bytes": size} | (free if rule < 0 else rules[rule])
        for path, size, rule in zip(files["paths"], files["sizes"], files["rules"], strict=True)
    }


def write(root: Path, files: dict[str, str]) -> Path:
    """Write files under ``root``."""
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return root


Connect = Callable[[], Any]


def make_run(run_id: str, *, state: State = State.FINISHED, pid: int | None = None, created_at: float | None = None) -> RunRecord:
    """Return a run of the process ``pid`` (by default this one), created now."""
    now = time.time() if created_at is None else created_at
    return RunRecord(
        id=run_id,
        state=state,
        entrypoint="model_def:Digits",
        definition="digits",
        definition_root="/somewhere/digits",
        framework="pytorch",
        device="cpu",
        seed=7,
        hyperparameters={"lr": 0.1},
        config={"searcher": {"metric": "loss"}},
        bundle_hash="0" * 64,
        kernel_id=None,
        host=socket.gethostname(),
        pid=os.getpid() if pid is None else pid,
        created_at=now,
        updated_at=now,
        ended_at=None if state.is_live else now,
        batches_trained=0,
        best=None,
        session=None,
    )


def add_curve(store: Store, run_id: str, name: str, values: Any, *, group: Group = Group.TRAINING) -> None:
    """Write a curve whose batches count from 1."""
    store.append_series(run_id, group, name, np.arange(1, len(values) + 1, dtype=np.int64), np.asarray(values, dtype=np.float64))
