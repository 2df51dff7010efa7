"""Send requests and commands to kernels over their control channel, which is read while a cell is busy.

A kernel that has not loaded detjupyter does not answer at all (ipykernel logs an unknown message and continues), so silence has two
meanings. A kernel that has answered before counts as silent. A kernel that never has counts as one without detjupyter, and gets no further
request until it has executed something.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from jupyter_client.session import Session
from jupyter_core.utils import ensure_async

from detjupyter.protocol.control import REPLY, REQUEST
from detjupyter.protocol.messages import ControlReply, ControlRequest
from detjupyter.protocol.wire import decode, encode

STRANGER_LIMIT_S = 0.8
ASK_AGAIN_AFTER_S = 3.0
ASK_ANYWAY_AFTER_S = 60.0
IDLE_CLOSE_S = 300.0


class KernelSilentError(TimeoutError):
    """A kernel that has loaded detjupyter did not answer in time."""


class ControlChannels:
    """One control channel per kernel, opened for the first request and closed when the kernel no longer exists.

    Thread: only the event loop's.
    """

    def __init__(self, kernels: Any) -> None:  # Any: the kernel manager that the server was configured with
        self._kernels = kernels
        self._channels: dict[str, _Channel] = {}

    async def ask(self, kernel_id: str, request: ControlRequest, *, limit_s: float) -> ControlReply | None:
        """Return the answer of the kernel, or None if it has not loaded detjupyter or cannot be reached.

        Args:
            kernel_id: A kernel of this server.
            request: The request, with or without a command.
            limit_s: The time limit for a kernel that has answered before, or for a command.

        Raises:
            KeyError: The server has no such kernel.
            KernelSilentError: A kernel that has loaded detjupyter did not answer in time.
            ProtocolError: The answer is invalid.
        """
        self._close_the_gone()
        if kernel_id not in self._kernels:
            raise KeyError(kernel_id)
        kernel = self._kernels.get_kernel(kernel_id)
        if not _is_reachable(kernel) or not await ensure_async(kernel.is_alive()):
            self._close(kernel_id)
            return None
        channel = self._channels.get(kernel_id)
        if channel is None:
            channel = self._channels[kernel_id] = _Channel(kernel)
        return await channel.ask(request, limit_s=limit_s)

    @property
    def open_kernels(self) -> frozenset[str]:
        """The ids of the kernels whose channel is open."""
        return frozenset(self._channels)

    def close(self) -> None:
        """Close every channel; safe to call twice."""
        for kernel_id in list(self._channels):
            self._close(kernel_id)

    def _close_the_gone(self) -> None:
        for kernel_id, channel in list(self._channels.items()):
            if kernel_id not in self._kernels or channel.is_stale(self._kernels.get_kernel(kernel_id)):
                self._close(kernel_id)

    def _close(self, kernel_id: str) -> None:
        channel = self._channels.pop(kernel_id, None)
        if channel is not None:
            channel.close()


class _Channel:
    """The control channel of one process of a kernel: a restarted kernel gets a new one."""

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self._process = _process_of(kernel)
        self._session = Session(key=kernel.session.key, signature_scheme=kernel.session.signature_scheme)
        # without an identity, the socket gets its own; that of `kernel.client()` is shared with every other extension that
        # uses the kernel, and of two sockets with the same identity the kernel serves only one
        self._stream = kernel.connect_control()
        self._stream.socket.linger = 0
        self._stream.on_recv(self._receive)
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._used_at = time.monotonic()
        self._has_answered = False
        self._silent_since: float | None = None
        self._activity_then: object = None

    async def ask(self, request: ControlRequest, *, limit_s: float) -> ControlReply | None:
        """Implement :meth:`ControlChannels.ask`."""
        self._used_at = time.monotonic()
        if self._is_known_stranger():
            return None
        if request.command is None and not self._has_answered:
            limit_s = min(limit_s, STRANGER_LIMIT_S)
        activity = _activity_of(self._kernel)
        try:
            content = await self._send(encode(request), limit_s)
        except TimeoutError:
            if self._has_answered:
                raise KernelSilentError(f"The kernel did not answer in {limit_s:g} s.") from None
            self._silent_since = time.monotonic()
            self._activity_then = activity
            return None
        return decode(ControlReply, content)

    def is_stale(self, kernel: Any) -> bool:
        """Whether ``kernel`` now runs in another process, or no request has used it for a long time."""
        if kernel is not self._kernel or _process_of(kernel) != self._process or self._stream.closed():
            return True
        return not self._waiting and time.monotonic() - self._used_at > IDLE_CLOSE_S

    def close(self) -> None:
        """Close the socket; requests that still wait time out."""
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(TimeoutError())
        if not self._stream.closed():
            self._stream.close(linger=0)

    def _is_known_stranger(self) -> bool:
        if self._has_answered or self._silent_since is None:
            return False
        silent_s = time.monotonic() - self._silent_since
        activity = _activity_of(self._kernel)
        if activity is None:
            return silent_s < ASK_AGAIN_AFTER_S
        # it can only load detjupyter by running a cell; every unanswered request is an error in the kernel's log
        return activity == self._activity_then and silent_s < ASK_ANYWAY_AFTER_S

    async def _send(self, content: dict[str, Any], limit_s: float) -> dict[str, Any]:
        message = self._session.msg(REQUEST, content)
        message_id = message["header"]["msg_id"]
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[message_id] = answer
        try:
            self._session.send(self._stream, message)
            return await asyncio.wait_for(answer, limit_s)
        finally:
            del self._waiting[message_id]

    def _receive(self, parts: list[bytes]) -> None:
        try:
            _, rest = self._session.feed_identities(parts)
            message = self._session.deserialize(rest)
        except (ValueError, TypeError):  # an invalid frame or signature
            return
        if message["header"]["msg_type"] != REPLY:
            return
        self._has_answered = True  # even if the request has timed out
        answer = self._waiting.get(message["parent_header"].get("msg_id", ""))
        if answer is not None and not answer.done():
            answer.set_result(message["content"])


def _is_reachable(kernel: Any) -> bool:
    # a kernel of a gateway has no ports here: the gateway only relays messages of browsers
    return bool(getattr(kernel, "control_port", 0)) and hasattr(kernel, "connect_control")


def _process_of(kernel: Any) -> object:
    return getattr(getattr(kernel, "provisioner", None), "pid", None)


def _activity_of(kernel: Any) -> object:
    # the last activity of the kernel, as Jupyter's server records it; other kernel managers do not
    return getattr(kernel, "last_activity", None)
