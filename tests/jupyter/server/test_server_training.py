from __future__ import annotations

import asyncio
import json
import shutil
import time
from pathlib import Path
from typing import Any

from support.served import Api, Connect
from support.server_kernels import Start
from support.waiting import LIMIT_S, Busy

QUICKSTART = Path(__file__).parents[3] / "notebooks" / "quickstart"


async def test_a_training_is_seen_and_steered_from_the_sidebar(
    api: Api, kernel: Start, connect: Connect, jp_root_dir: Path, tmp_path: Path
) -> None:
    """A kernel trains while its cell is busy: curves arrive over the WebSocket, Pause and Resume act, the end is in the history."""
    shutil.copytree(QUICKSTART, jp_root_dir / "quickstart", ignore=shutil.ignore_patterns("*.ipynb", "__pycache__"))

    async def command(kind: str) -> dict[str, Any]:
        response = await api.send("POST", f"kernels/{one.id}/command", {"session_id": session_id, "command": {"kind": kind}})
        return dict(json.loads(response.body))

    async with kernel("quickstart") as one, connect() as live:
        await live.next("runs")
        await one.run("%load_ext detjupyter\nimport time")
        await one.run("%det_load model_def:DigitsTrial")
        answer = await api.get(f"kernels/{one.id}")
        assert answer["definition_paths"] == ["quickstart"]
        assert answer["cards"][-1]["class_name"] == "DigitsTrial"
        session_id = answer["sessions"][-1]["session_id"]
        assert (await api.get("definition", path="quickstart"))["entrypoints"] == ["model_def:DigitsTrial"]

        await one.run("%det_train --epochs 1000")
        cell = Busy(tmp_path)
        busy = asyncio.ensure_future(one.run(cell.code()))
        (run,) = (await live.next("runs"))["runs"]
        await live.watch(run["id"])
        names = {patch["name"] for patch in (await live.next("series"))["patches"]}
        message = await live.next("series")
        assert "loss" in names | {patch["name"] for patch in message["patches"]}

        await command("pause")
        await _until(live, run["id"], "paused")
        trained = (await api.get(f"kernels/{one.id}"))["sessions"][-1]["batches_trained"]
        await asyncio.sleep(0.3)
        assert (await api.get(f"kernels/{one.id}"))["sessions"][-1]["batches_trained"] == trained
        await command("resume")
        await _until(live, run["id"], "running")
        await command("stop")
        await _until(live, run["id"], "stopped")
        assert not busy.done()
        cell.end()
        await busy
    patches = (await api.get(f"runs/{run['id']}/series"))["patches"]
    (loss,) = [patch for patch in patches if (patch["group"], patch["name"]) == ("training", "loss")]
    assert loss["batches"][-1] >= trained


async def _until(live: Any, run_id: str, state: str) -> None:
    """Wait for the message that says so."""
    states: list[str] = []
    deadline = time.monotonic() + LIMIT_S
    while state not in states:
        runs = (await live.next("runs", within_s=deadline - time.monotonic()))["runs"]
        states += [run["state"] for run in runs if run["id"] == run_id]
