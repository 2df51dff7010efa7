from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.served import Api
from support.server_kernels import Start
from support.waiting import LIMIT_S, Busy, until
from tornado.httpclient import HTTPClientError

from detjupyter.server.control import ControlChannels


def command(kind: str, **more: Any) -> dict[str, Any]:
    """Return the body of a command."""
    return {"session_id": "s1", "command": {"kind": kind, **more}}


async def test_a_kernel_without_detjupyter_is_said_not_to_have_loaded_it(api: Api, kernel: Start) -> None:
    """Both questions are answered, though the kernel says nothing; a command is refused and says what to run."""
    async with kernel() as one:
        answer = await api.get(f"kernels/{one.id}")
        assert answer == {
            "kind": "kernel",
            "loaded": False,
            "sessions": [],
            "cards": [],
            "definition_paths": [],
            "accepted": False,
            "error": None,
            "ticket": None,
            "outcomes": [],
        }
        assert not (await api.get(f"kernels/{one.id}"))["loaded"]
        status, refusal = await api.refused(f"kernels/{one.id}/command", method="POST", body=command("pause"))
        assert (status, refusal["hint"]) == (409, "Run `%load_ext detjupyter` in the notebook.")


async def test_a_kernel_that_loads_detjupyter_is_found_soon(api: Api, kernel: Start, jp_root_dir: Path) -> None:
    """The first request after the cell that loads the extension is answered, even if an earlier one got no answer during that cell."""
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
        assert answer["definition_paths"] == ["work/digits"]
        (session,) = answer["sessions"]
        assert (session["state"], session["latest"]) == ("running", {"training": {"loss": "NaN"}})
        await one.load(jp_root_dir)
        assert (await api.get(f"kernels/{one.id}"))["definition_paths"] == [""]
        for elsewhere in (tmp_path, jp_root_dir / "missing"):
            await one.load(elsewhere)
            assert (await api.get(f"kernels/{one.id}"))["definition_paths"] == [None]


async def test_the_real_extension_answers(api: Api, kernel: Start, jp_root_dir: Path) -> None:
    """After ``%load_ext detjupyter`` a kernel is known before anything is loaded, and says why it cannot pause."""
    async with kernel() as one:
        await one.run("%load_ext detjupyter")
        answer = await api.get(f"kernels/{one.id}")
        assert (answer["loaded"], answer["sessions"], answer["definition_paths"]) == (True, [], [])
        status, refusal = await api.refused(f"kernels/{one.id}/command", method="POST", body={"command": {"kind": "pause"}})
        assert status == 409
        assert "→" not in refusal["message"]


async def test_pause_acts_while_a_cell_is_busy(api: Api, kernel: Start, jp_root_dir: Path, tmp_path: Path) -> None:
    """While a cell is busy, commands are done and answered, and so are questions."""
    async with kernel() as one:
        await one.load(jp_root_dir)
        with Busy(tmp_path) as cell:
            busy = asyncio.ensure_future(one.run(cell.code()))
            await until(lambda: cell.has_begun)
            for kind, state in (("pause", "paused"), ("resume", "running")):
                response = await api.send("POST", f"kernels/{one.id}/command", command(kind))
                answer = json.loads(response.body)
                assert (answer["error"], answer["sessions"][0]["state"]) == (None, state)
                assert (await api.get(f"kernels/{one.id}"))["sessions"][0]["state"] == state
            assert not busy.done()
        await busy


async def test_a_refused_command_is_409_with_the_kernels_words(api: Api, kernel: Start, jp_root_dir: Path) -> None:
    """What the session said, and its hint, reach the browser."""
    async with kernel() as one:
        await one.load(jp_root_dir)
        status, refusal = await api.refused(f"kernels/{one.id}/command", method="POST", body=command("validate"))
        assert (status, refusal) == (409, {"message": "The session cannot validate now.", "hint": "Pause it first."})


async def test_a_restore_is_checked_before_the_kernel_gets_it(api: Api, kernel: Start, jp_root_dir: Path) -> None:
    """The kernel gets the id of the checkpoint; arguments that a view must not send are refused by the server."""
    async with kernel() as one:
        await one.load(jp_root_dir)
        await api.send("POST", f"kernels/{one.id}/command", command("restore", checkpoint="run-1-40"))
        assert await one.times_asked() == 1
        for arguments in ({}, {"checkpoint": 3}, {"checkpoint": "run-1-40", "trust": True}, {"path": "/etc"}):
            status, refusal = await api.refused(f"kernels/{one.id}/command", method="POST", body=command("restore", **arguments))
            assert status == 400
            assert "restore" in refusal["message"]
        assert await one.times_asked() == 1


async def test_the_outcome_of_an_accepted_command_reaches_the_browser(api: Api, kernel: Start, jp_root_dir: Path) -> None:
    """The ticket of the reply, and the outcomes of later replies, as the kernel sent them."""
    async with kernel() as one:
        await one.load(jp_root_dir)
        await one.run("LATE = dict(accepted=True, ticket=7)")
        answer = json.loads((await api.send("POST", f"kernels/{one.id}/command", command("step"))).body)
        assert (answer["accepted"], answer["ticket"], answer["outcomes"]) == (True, 7, [])
        outcome = {"ticket": 7, "error": "The disk is full.", "hint": "Free some space."}
        await one.run(f"LATE = dict(outcomes=[{outcome!r}])")
        assert (await api.get(f"kernels/{one.id}"))["outcomes"] == [outcome]


async def test_many_questions_at_once_each_get_their_answer(api: Api, kernel: Start, jp_root_dir: Path) -> None:
    """Concurrent requests to one kernel share its channel, and each gets its own answer."""
    async with kernel() as one:
        await one.load(jp_root_dir)
        commands = [api.send("POST", f"kernels/{one.id}/command", command("step", batches=number)) for number in range(1, 11)]
        refused = [api.refused(f"kernels/{one.id}/command", method="POST", body=command("validate")) for _ in range(5)]
        questions = [api.get(f"kernels/{one.id}") for _ in range(10)]
        answers = await asyncio.gather(*commands, *refused, *questions)
        assert [json.loads(answer.body)["error"] for answer in answers[:10]] == [None] * 10
        assert [status for status, _ in answers[10:15]] == [409] * 5
        assert all(answer["loaded"] for answer in answers[15:])
        assert await one.times_asked() == 25


async def test_a_kernel_that_falls_silent_is_504(api: Api, kernel: Start, jp_root_dir: Path) -> None:
    """A silent kernel that answered before is distinguished from a kernel without detjupyter, and a late answer does no harm."""
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


async def test_an_answer_that_comes_too_late_is_remembered(api: Api, kernel: Start, jp_root_dir: Path) -> None:
    """A kernel whose first answer takes longer than the patience with strangers is known from then on."""
    async with kernel() as one:
        await one.load(jp_root_dir, delay_s=1.2)
        assert not (await api.get(f"kernels/{one.id}"))["loaded"]
        deadline = time.monotonic() + LIMIT_S
        while not await _is_known(api, one.id):  # every answer comes too late for its question
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)


async def _is_known(api: Api, kernel_id: str) -> bool:
    """Ask, and return whether the server knows that the kernel answers; of one that it knows, silence is an error."""
    try:
        return bool((await api.get(f"kernels/{kernel_id}"))["loaded"])
    except HTTPClientError as error:
        return error.code == 504


async def test_an_answer_that_makes_no_sense_is_502(api: Api, kernel: Start, jp_root_dir: Path) -> None:
    """An answer with another version of detjupyter, or an invalid answer, gives an error that says so."""
    async with kernel() as one:
        await one.load(jp_root_dir, protocol=99)
        status, refusal = await api.refused(f"kernels/{one.id}")
        assert (status, "version 99" in refusal["message"]) == (502, True)
        await one.run("state['state'] = 'dancing'")
        status, refusal = await api.refused(f"kernels/{one.id}")
        assert (status, "is invalid" in refusal["message"]) == (502, True)


async def test_a_restarted_kernel_has_loaded_nothing(api: Api, kernel: Start, jp_fetch: Callable[..., Any], jp_root_dir: Path) -> None:
    """After a restart the kernel is a stranger again: no 504."""
    async with kernel() as one:
        await one.load(jp_root_dir)
        assert (await api.get(f"kernels/{one.id}"))["loaded"]
        await jp_fetch("api", "kernels", one.id, "restart", method="POST", allow_nonstandard_methods=True, request_timeout=60)
        assert not (await api.get(f"kernels/{one.id}"))["loaded"]


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


async def test_questions_do_not_count_as_activity(api: Api, kernel: Start, jp_serverapp: Any, jp_root_dir: Path, tmp_path: Path) -> None:
    """A sidebar that asks does not keep an idle kernel from being culled, nor make a busy one look idle."""
    async with kernel() as one:
        await one.load(jp_root_dir)
        manager = jp_serverapp.kernel_manager.get_kernel(one.id)
        await until(lambda: manager.execution_state == "idle")
        await asyncio.sleep(0.3)  # the last messages of the cell above
        before = manager.last_activity
        for _ in range(3):
            await api.get(f"kernels/{one.id}")
        await asyncio.sleep(0.3)
        assert manager.last_activity == before
        with Busy(tmp_path) as cell:
            busy = asyncio.ensure_future(one.run(cell.code()))
            await until(lambda: cell.has_begun and manager.execution_state == "busy")
            await api.get(f"kernels/{one.id}")
            await asyncio.sleep(0.2)
            assert manager.execution_state == "busy"
        await busy
