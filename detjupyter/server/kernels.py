"""The loaded sessions of a kernel, and commands for them, over REST."""

from __future__ import annotations

import asyncio
from typing import Any

from jupyter_server.auth.decorator import authorized
from tornado.web import authenticated

from detjupyter.errors import ProtocolError, split_hint
from detjupyter.protocol.commands import parse_command
from detjupyter.protocol.messages import PROTOCOL_VERSION, ControlReply, ControlRequest, KernelReply
from detjupyter.protocol.wire import encode
from detjupyter.server.answers import RefusedError
from detjupyter.server.control import KernelSilentError
from detjupyter.server.handler import KERNEL_ID, RUN_ID, Handler
from detjupyter.server.paths import outward, root_of

QUESTION_LIMIT_S = 2.0
COMMAND_LIMIT_S = 3.0

NOT_LOADED = KernelReply(loaded=False, sessions=(), cards=(), definition_paths=(), accepted=False, error=None)


class _KernelHandler(Handler):
    auth_resource = "kernels"

    async def ask(self, kernel_id: str, request: ControlRequest, limit_s: float) -> KernelReply:
        """Return the answer of the kernel; ``loaded`` is false if it has not loaded detjupyter."""
        missing = RefusedError(404, f"This server has no kernel {kernel_id[:80]!r}.")
        if not KERNEL_ID.fullmatch(kernel_id):
            raise missing
        try:
            reply = await self.services.channels.ask(kernel_id, request, limit_s=limit_s)
        except KeyError:
            raise missing from None
        except KernelSilentError:
            raise RefusedError(
                504,
                f"The kernel did not answer within {limit_s:g} s.",
                hint="It may be in a long computation that lets nothing else run; what was asked may still be done.",
            ) from None
        except ProtocolError as error:
            raise RefusedError(502, f"The kernel's answer is invalid. {error.message}") from error
        if reply is None:
            return NOT_LOADED
        if reply.protocol != PROTOCOL_VERSION:
            raise RefusedError(
                502,
                f"The kernel uses version {reply.protocol} of detjupyter's protocol, this server version {PROTOCOL_VERSION}.",
                hint="Install the same detjupyter for both, then restart the kernel and the server.",
            )
        return await asyncio.to_thread(self._for_browser, reply)

    def _for_browser(self, reply: ControlReply) -> KernelReply:
        root = root_of(self.settings)
        return KernelReply(
            loaded=True,
            sessions=reply.sessions,
            cards=reply.cards,
            definition_paths=tuple(outward(root, session.definition_root) for session in reply.sessions),
            accepted=reply.accepted,
            error=reply.error,
            ticket=reply.ticket,
            outcomes=reply.outcomes,
        )


class KernelHandler(_KernelHandler):
    """``kernels/<kernel id>``."""

    @authenticated
    @authorized
    async def get(self, kernel_id: str) -> None:
        """Answer with the kernel's sessions and cards."""
        self.answer(await self.ask(kernel_id, ControlRequest(session_id=None, command=None), QUESTION_LIMIT_S))


class KernelCommandHandler(_KernelHandler):
    """``kernels/<kernel id>/command``."""

    @authenticated
    @authorized(action="execute")  # type: ignore[untyped-decorator]  # its type variable fits the form without arguments only
    async def post(self, kernel_id: str) -> None:
        """Send the command in the body to the kernel; a refused command is answered with 409."""
        body = self.json_body()
        command = encode(parse_command(body.get("command")))
        request = ControlRequest(session_id=_session_id(body.get("session_id")), command=command)
        reply = await self.ask(kernel_id, request, COMMAND_LIMIT_S)
        if not reply.loaded:
            raise RefusedError(409, "This kernel has not loaded detjupyter.", hint="Run `%load_ext detjupyter` in the notebook.")
        if reply.error is not None:
            message, hint = split_hint(reply.error)
            raise RefusedError(409, message, hint=hint)
        self.answer(reply)


def _session_id(value: Any) -> str | None:  # Any: decoded JSON
    if value is None or (isinstance(value, str) and RUN_ID.fullmatch(value)):
        return value
    raise ProtocolError(f"Not the id of a session: {value!r:.80}.")
