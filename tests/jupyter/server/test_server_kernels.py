from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from served import Api

from detjupyter.server.control import ControlChannels

# Stands in for what `%load_ext detjupyter` registers: a session that is paused and resumed, in the directory ROOT.
HANDLER = """
import time
ip = get_ipython()
asked = []
state = {"state": "running"}
SESSION = dict(
    session_id="s1", run_id="r1", entrypoint="model_def:Digits", definition="digits", definition_root=ROOT, framework="pytorch",
    device="cpu",
    activity="training", batches_trained=5, records_trained=320, batches_per_epoch=10, plan_start_batches=0, plan_target_batches=50,
    validation_done=None, validation_total=None, batches_per_second=2.0, records_per_second=128.0, elapsed_s=2.5, eta_s=22.5,
    latest={"training": {"loss": "NaN"}}, best=None, gpu=None, error=None)

async def answer_control(stream, ident, parent):
    content = parent["content"]
    asked.append(content)
    time.sleep(DELAY_S)
    error = None
    if content["command"]:
        kind = content["command"]["kind"]
        if kind == "validate":
            error = "The session cannot validate now.\\n  → Pause it first."
        else:
            state["state"] = {"pause": "paused"}.get(kind, "running")
    reply = dict(protocol=PROTOCOL, sessions=[SESSION | state], cards=[], accepted=bool(content["command"]) and error is None, error=error)
    ip.kernel.session.send(stream, "det_control_reply", reply, parent=parent, ident=ident)

ip.kernel.control_handlers["det_control_request"] = answer_control
"""


class Kernel:
    """A real kernel of the server, and a client of its own that runs code in it."""

    def __init__(self, kernel_id: str, client: Any) -> None:
        self.id = kernel_id
        self._client = client

    async def run(self, code: str) -> dict[str, Any]:
        """Run code and return the reply once it has ended."""
        reply = await self._client.execute(code, reply=True, timeout=30, user_expressions={"asked": "len(asked)"})
        assert reply["content"]["status"] == "ok", reply["content"]
        return dict(reply["content"])

    async def load(self, root: Path, *, protocol: object = 1, delay_s: float = 0.0) -> None:
        """Do what ``%load_ext detjupyter`` does to the control channel."""
        await self.run(f"ROOT, PROTOCOL, DELAY_S = {str(root)!r}, {protocol!r}, {delay_s!r}\n{HANDLER}")

    async def times_asked(self) -> int:
        """Return how many questions and commands have come."""
        return int((await self.run("pass"))["user_expressions"]["asked"]["data"]["text/plain"])


Start = Callable[[], Any]


@pytest.fixture
def kernel(jp_fetch: Callable[..., Any], jp_serverapp: Any) -> Start:
    """Start a kernel, wait until it runs code, shut it down at the end."""

    @asynccontextmanager
    async def started() -> AsyncIterator[Kernel]:
        response = await jp_fetch("api", "kernels", method="POST", body=json.dumps({"name": "python3"}))
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


def command(kind: str, **more: Any) -> dict[str, Any]:
    """Return the body of a command."""
    return {"session_id": "s1", "command": {"kind": kind, **more}}


async def test_a_kernel_without_detjupyter_is_said_not_to_have_loaded_it(api: Api, kernel: Start) -> None:
    """The first answer takes under a second, the next ones no time at all; a command is refused and says what to run."""
    async with kernel() as one:
        begun = time.monotonic()
        answer = await api.get(f"kernels/{one.id}")
        assert time.monotonic() - begun < 1.2
        assert answer == {
            "kind": "kernel",
            "loaded": False,
            "sessions": [],
            "cards": [],
            "definition_path": None,
            "accepted": False,
            "error": None,
        }
        begun = time.monotonic()
        assert not (await api.get(f"kernels/{one.id}"))["loaded"]
        assert time.monotonic() - begun < 0.3
        status, refusal = await api.refused(f"kernels/{one.id}/command", method="POST", body=command("pause"))
        assert (status, refusal["hint"]) == (409, "Run `%load_ext detjupyter` in the notebook.")


async def test_a_kernel_that_loads_detjupyter_is_found_soon(api: Api, kernel: Start, jp_root_dir: Path) -> None:
    """After a question in vain, the first one after the cell that loads the extension is answered, even if that cell ran meanwhile."""
    async with kernel() as one:
        assert not (await api.get(f"kernels/{one.id}"))["loaded"]
        await one.load(jp_root_dir)
        assert (await api.get(f"kernels/{one.id}"))["loaded"]
    async with kernel() as one:
        in_vain = asyncio.ensure_future(api.get(f"kernels/{one.id}"))
        await asyncio.sleep(0.2)
        await one.load(jp_root_dir)
        assert not (await in_vain)["loaded"]
        assert (await api.get(f"kernels/{one.id}"))["loaded"]


async def test_a_kernel_answers_what_is_loaded(api: Api, kernel: Start, jp_root_dir: Path, tmp_path: Path) -> None:
    """The sessions come as the kernel said them, the definition's place as the browser names it, or not at all if it is elsewhere."""
    (jp_root_dir / "work" / "digits").mkdir(parents=True)
    async with kernel() as one:
        await one.load(jp_root_dir / "work" / "digits")
        answer = await api.get(f"kernels/{one.id}")
        assert answer["loaded"]
        assert answer["definition_path"] == "work/digits"
        (session,) = answer["sessions"]
        assert (session["state"], session["latest"]) == ("running", {"training": {"loss": "NaN"}})
        await one.load(jp_root_dir)
        assert (await api.get(f"kernels/{one.id}"))["definition_path"] == ""
        for elsewhere in (tmp_path, jp_root_dir / "missing"):
            await one.load(elsewhere)
            assert (await api.get(f"kernels/{one.id}"))["definition_path"] is None


async def test_pause_acts_while_a_cell_is_busy(api: Api, kernel: Start, jp_root_dir: Path) -> None:
    """During a cell of five seconds a command is done and answered within half a second, and so are questions."""
    async with kernel() as one:
        await one.load(jp_root_dir)
        busy = asyncio.ensure_future(one.run("time.sleep(5)"))
        await asyncio.sleep(0.5)
        for kind, state in (("pause", "paused"), ("resume", "running")):
            begun = time.monotonic()
            response = await api.send("POST", f"kernels/{one.id}/command", command(kind))
            assert time.monotonic() - begun < 0.5
            answer = json.loads(response.body)
            assert (answer["accepted"], answer["sessions"][0]["state"]) == (True, state)
            begun = time.monotonic()
            assert (await api.get(f"kernels/{one.id}"))["sessions"][0]["state"] == state
            assert time.monotonic() - begun < 0.5
        assert not busy.done()
        await busy


async def test_a_refused_command_is_409_with_the_kernels_words(api: Api, kernel: Start, jp_root_dir: Path) -> None:
    """What the session said, and its hint, reach the browser."""
    async with kernel() as one:
        await one.load(jp_root_dir)
        status, refusal = await api.refused(f"kernels/{one.id}/command", method="POST", body=command("validate"))
        assert (status, refusal) == (409, {"message": "The session cannot validate now.", "hint": "Pause it first."})


async def test_many_questions_at_once_each_get_their_answer(api: Api, kernel: Start, jp_root_dir: Path) -> None:
    """Concurrent requests to one kernel share its channel and are told apart."""
    async with kernel() as one:
        await one.load(jp_root_dir)
        asked = [api.send("POST", f"kernels/{one.id}/command", command("step", batches=number)) for number in range(1, 11)]
        asked += [api._fetch("detjupyter/api", f"kernels/{one.id}") for _ in range(10)]
        answers = [json.loads(response.body) for response in await asyncio.gather(*asked)]
        assert [answer["accepted"] for answer in answers] == [True] * 10 + [False] * 10
        assert await one.times_asked() == 20


async def test_a_kernel_that_falls_silent_is_504(api: Api, kernel: Start, jp_root_dir: Path) -> None:
    """A kernel that answered before and does not now is told from one without detjupyter, and a late answer confuses nobody."""
    async with kernel() as one:
        await one.load(jp_root_dir)
        assert (await api.get(f"kernels/{one.id}"))["loaded"]
        await one.run("DELAY_S = 3.5")
        status, refusal = await api.refused(f"kernels/{one.id}/command", method="POST", body=command("pause"))
        assert status == 504
        assert "did not answer" in refusal["message"]
        await one.run("DELAY_S = 0.0")
        await asyncio.sleep(0.7)
        answer = json.loads((await api.send("POST", f"kernels/{one.id}/command", command("resume"))).body)
        assert answer["sessions"][0]["state"] == "running"


async def test_an_answer_that_makes_no_sense_is_502(api: Api, kernel: Start, jp_root_dir: Path) -> None:
    """A kernel with another version of detjupyter, or with nonsense in its answer, is said to be that."""
    async with kernel() as one:
        await one.load(jp_root_dir, protocol=99)
        status, refusal = await api.refused(f"kernels/{one.id}")
        assert (status, "version 99" in refusal["message"]) == (502, True)
        await one.run("state['state'] = 'dancing'")
        status, refusal = await api.refused(f"kernels/{one.id}")
        assert (status, "makes no sense" in refusal["message"]) == (502, True)


async def test_a_restarted_kernel_has_loaded_nothing(api: Api, kernel: Start, jp_fetch: Callable[..., Any], jp_root_dir: Path) -> None:
    """After a restart the kernel is a stranger again: no 504, no long wait."""
    async with kernel() as one:
        await one.load(jp_root_dir)
        assert (await api.get(f"kernels/{one.id}"))["loaded"]
        await jp_fetch("api", "kernels", one.id, "restart", method="POST", allow_nonstandard_methods=True, request_timeout=60)
        begun = time.monotonic()
        assert not (await api.get(f"kernels/{one.id}"))["loaded"]
        assert time.monotonic() - begun < 1.2


async def test_the_channel_of_a_kernel_that_is_gone_is_closed(api: Api, kernel: Start, jp_serverapp: Any, jp_root_dir: Path) -> None:
    """A kernel that was shut down is 404, and leaves no socket behind at the next question."""
    channels: ControlChannels = jp_serverapp.web_app.settings["detjupyter"].channels
    async with kernel() as one, kernel() as other:
        await one.load(jp_root_dir)
        await api.get(f"kernels/{one.id}")
        assert one.id in channels.open_kernels
        await jp_serverapp.kernel_manager.shutdown_kernel(one.id, now=True)
        await api.get(f"kernels/{other.id}")
        assert one.id not in channels.open_kernels
        status, _ = await api.refused(f"kernels/{one.id}")
        assert status == 404


async def test_questions_do_not_count_as_activity(api: Api, kernel: Start, jp_serverapp: Any, jp_root_dir: Path) -> None:
    """A sidebar that asks does not keep an idle kernel from being culled, nor make a busy one look idle."""
    async with kernel() as one:
        await one.load(jp_root_dir)
        await asyncio.sleep(0.3)
        manager = jp_serverapp.kernel_manager.get_kernel(one.id)
        before = manager.last_activity
        for _ in range(3):
            await api.get(f"kernels/{one.id}")
        await asyncio.sleep(0.3)
        assert manager.last_activity == before
        busy = asyncio.ensure_future(one.run("time.sleep(1.5)"))
        await asyncio.sleep(0.5)
        await api.get(f"kernels/{one.id}")
        await asyncio.sleep(0.2)
        assert manager.execution_state == "busy"
        await busy
