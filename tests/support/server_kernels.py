"""Real kernels of the server under test, and a replacement for the handlers that ``%load_ext detjupyter`` registers in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

# A replacement for what `%load_ext detjupyter` registers: a session that is paused and resumed, in the directory ROOT.
HANDLER = """
import time
ip = get_ipython()
asked = []
state = {"state": "running"}
LATE = {}  # what a reply says of a command that takes long
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
    reply = dict(protocol=PROTOCOL, sessions=[SESSION | state], cards=[], accepted=False, error=error) | LATE
    ip.kernel.session.send(stream, "det_control_reply", reply, parent=parent, ident=ident)

ip.kernel.control_handlers["det_control_request"] = answer_control
"""


class Kernel:
    """A real kernel of the server, and a separate client that runs code in it."""

    def __init__(self, kernel_id: str, client: Any) -> None:
        self.id = kernel_id
        self._client = client

    async def run(self, code: str) -> dict[str, Any]:
        """Run code and return the reply once it has ended."""
        reply = await self._client.execute(code, reply=True, timeout=100, user_expressions={"asked": "len(globals().get('asked', ()))"})
        assert reply["content"]["status"] == "ok", reply["content"]
        return dict(reply["content"])

    async def load(self, root: Path, *, protocol: object = 1, delay_s: float = 0.0) -> None:
        """Do what ``%load_ext detjupyter`` does to the control channel."""
        await self.run(f"ROOT, PROTOCOL, DELAY_S = {str(root)!r}, {protocol!r}, {delay_s!r}\n{HANDLER}")

    async def times_asked(self) -> int:
        """Return how many questions and commands have come."""
        return int((await self.run("pass"))["user_expressions"]["asked"]["data"]["text/plain"])


Start = Callable[[], Any]
