"""The kernel's end of the control channel, through which the sidebar's buttons work while a cell is busy.

The Jupyter server sends ``det_control_request`` on the kernel's control channel, which ipykernel reads in a separate thread. Handlers must
be fast, because interrupts use the same channel: a command that still waits for the current batch is answered with ``accepted`` and a
ticket, and later replies contain its outcome.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from detjupyter.errors import DetJupyterError, split_hint
from detjupyter.protocol.control import REPLY, REQUEST
from detjupyter.session.kernel import kernel as this_kernel
from detjupyter.session.registry import registry

if TYPE_CHECKING:
    from detjupyter.protocol.messages import CommandOutcome, ControlReply
    from detjupyter.protocol.records import CardRecord
    from detjupyter.session.session import Session

# Until then all other messages of the channel wait, among them interrupts.
ANSWER_WITHIN_S = 0.25
OUTCOMES_KEPT = 100


class LateOutcomes:
    """The outcomes of commands that were accepted before they had ended, the last ones only.

    Thread: any.
    """

    def __init__(self) -> None:
        self._tickets = itertools.count(1)
        self._known: deque[CommandOutcome] = deque(maxlen=OUTCOMES_KEPT)

    def follow(self, future: Future[Any]) -> int:
        """Return a ticket for the command of ``future``, under which :meth:`known` will contain its outcome."""
        ticket = next(self._tickets)
        future.add_done_callback(lambda done: self._known.append(_outcome(ticket, done)))
        return ticket

    def known(self) -> tuple[CommandOutcome, ...]:
        """Return the outcomes so far."""
        return tuple(self._known.copy())


_late = LateOutcomes()


def open_on(shell: Any) -> None:
    """Answer control requests of ``shell``'s kernel, if it has one."""
    kernel: Any = getattr(shell, "kernel", None)
    handlers = getattr(kernel, "control_handlers", None)
    if handlers is None:  # a terminal, or a kernel other than ipykernel
        return

    async def handle(stream: Any, ident: Any, parent: Any) -> None:
        from detjupyter.protocol.wire import encode  # imports numpy: not before the first request

        reply = await answer(parent.get("content"))
        kernel.session.send(stream, REPLY, encode(reply), parent, ident)

    handlers[REQUEST] = handle
    this_kernel.id = _kernel_id()


def close_on(shell: Any) -> None:
    """Undo :func:`open_on`."""
    handlers = getattr(getattr(shell, "kernel", None), "control_handlers", {})
    handlers.pop(REQUEST, None)


async def answer(content: Any) -> ControlReply:  # Any: it comes from a server
    """Return the loaded sessions, after sending the command in ``content``, if any."""
    from detjupyter.protocol.commands import parse_command
    from detjupyter.protocol.messages import PROTOCOL_VERSION, ControlReply, ControlRequest
    from detjupyter.protocol.origins import Origin
    from detjupyter.protocol.wire import decode

    ticket, error = None, None
    try:
        request = decode(ControlRequest, content)
        if request.command is not None:
            future = registry.controllable(request.session_id).send(parse_command(request.command), Origin.PANEL)
            if await _is_done_soon(future):
                future.result()
            else:
                ticket = _late.follow(future)
    except Exception as refused:  # a thread of ipykernel runs this; the server needs an answer, not an exception
        error = _words(refused)
    outcomes = _late.known()  # before the sessions and the cards: these are what they are after the commands
    sessions = registry.all()
    return ControlReply(
        protocol=PROTOCOL_VERSION,
        sessions=tuple(one.record() for one in (*sessions, *registry.scripts())),
        cards=_cards(sessions),
        accepted=ticket is not None,
        error=error,
        ticket=ticket,
        outcomes=outcomes,
    )


async def _is_done_soon(future: Future[Any]) -> bool:
    """Return whether ``future`` is resolved in time; it is not canceled."""
    waiting = asyncio.wrap_future(future)
    waiting.add_done_callback(lambda done: done.cancelled() or done.exception())  # asyncio would log an exception that is never read
    await asyncio.wait([waiting], timeout=ANSWER_WITHIN_S)
    return waiting.done()


def _outcome(ticket: int, done: Future[Any]) -> CommandOutcome:
    from detjupyter.protocol.messages import CommandOutcome

    if done.cancelled():
        return CommandOutcome(ticket, "The command was canceled.", None)
    error = done.exception()
    if error is None:
        return CommandOutcome(ticket, None, None)
    return CommandOutcome(ticket, *split_hint(_words(error)))


def _words(error: BaseException) -> str:
    return str(error) if isinstance(error, DetJupyterError) else f"{type(error).__name__}: {error}"


def _cards(sessions: Sequence[Session]) -> tuple[CardRecord, ...]:
    """Return the cards of the sessions, or none if the files of one can no longer be read."""
    try:
        return tuple(session.card() for session in sessions)
    except (DetJupyterError, OSError):
        return ()


def _kernel_id() -> str | None:
    """Return the kernel's id, from the name of its connection file, ``kernel-<id>.json``."""
    from pathlib import Path

    from ipykernel.connect import get_connection_file

    try:
        stem = Path(get_connection_file()).stem
    except RuntimeError:  # not started as a kernel application
        return None
    return stem.removeprefix("kernel-")
