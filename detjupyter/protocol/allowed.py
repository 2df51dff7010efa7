"""Which commands a session accepts in which state: one table for the engine, the live view and the panel.

A command is *allowed* where it has an effect, *idle* where it is answered but changes nothing (pausing a paused session), and refused
elsewhere. Views offer the allowed commands. The rule of each command is in its class, in :mod:`detjupyter.protocol.commands`.
"""

from __future__ import annotations

from detjupyter.protocol.commands import COMMANDS, Command, ForceClose
from detjupyter.protocol.situation import Situation, Verdict


def verdict(kind: str, situation: Situation) -> Verdict:
    """Return whether a command of ``kind`` is allowed, idle or refused in ``situation``."""
    return Verdict.CLOSED if situation.is_closed else COMMANDS[kind].rule(situation)


def allowed(situation: Situation) -> tuple[str, ...]:
    """Return the kinds of command that have an effect in ``situation``, in the order of the protocol.

    ``force_close`` is allowed also for a closed session that still waits for a stuck batch.
    """
    commands: tuple[type[Command], ...] = (ForceClose,) if situation.is_closed else (*COMMANDS.values(), ForceClose)
    return tuple(command.kind for command in commands if command.rule(situation) is Verdict.ALLOWED)
