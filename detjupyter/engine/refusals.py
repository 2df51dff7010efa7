"""The error for each way in which a command can be refused."""

from __future__ import annotations

from dataclasses import replace

from detjupyter.errors import SessionBusyError, SessionError
from detjupyter.next_step import NextStep
from detjupyter.protocol.allowed import allowed, verdict
from detjupyter.protocol.commands import COMMANDS
from detjupyter.protocol.situation import Situation, Verdict
from detjupyter.protocol.states import State


def closed() -> SessionError:
    """Return the error for every command after the end of a session."""
    return SessionError("The session is closed.", state="closed", hint=f"Load the definition again: {NextStep.LOAD}.")


def refusal(kind: str, reason: Verdict, situation: Situation, batches_trained: int) -> SessionError:
    """Return the error for a refused command: the reason, the state, and what the user can do."""
    state = situation.state.value
    possible = f"Available commands: {', '.join(allowed(situation)) or 'none'}."
    if reason is Verdict.CLOSED:
        return closed()
    if reason is Verdict.NOT_TRAINING:
        hint = f"Begin a training, for example {NextStep.TRAIN_EPOCHS(1)}. {possible}"
        return SessionError(f"Nothing is training: the session is {state}.", state=state, hint=hint)
    if reason is Verdict.NOTHING_TO_RESUME:
        hint = f"Begin one, for example {NextStep.TRAIN_EPOCHS(1)}. {possible}"
        return SessionError("There is no training to resume.", state=state, hint=hint)
    if reason is Verdict.VALIDATING:
        hint = f"{NextStep.STOP} ends it. {possible}"
        return SessionBusyError(f"Cannot {COMMANDS[kind].doing} during a validation.", state=state, hint=hint)
    if reason is Verdict.NOT_LOADED_FROM_FILES:
        return SessionError(
            "Your own code built the trial of this session, so there is nothing to load again.",
            state=state,
            hint=f"Run the cell again; to continue with the weights, give `fit()` the checkpoint: `latest_checkpoint=…`. {possible}",
        )
    ways = [f"{NextStep.STOP} ends the training"]
    if situation.state is State.PAUSED:
        ways.append(f"{NextStep.RESUME} resumes it")
    elif not verdict(kind, replace(situation, state=State.PAUSED)).is_refusal:
        ways.append(f"{NextStep.PAUSE} pauses it")
    return SessionBusyError(
        f"Cannot {COMMANDS[kind].doing} while the session is {state}, at batch {batches_trained:,}.",
        state=state,
        hint=f"{', '.join(ways)}. {possible}",
    )
