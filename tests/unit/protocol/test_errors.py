"""Every error of ours crosses the seam as what it is."""

from __future__ import annotations

import pytest

from detjupyter import errors
from detjupyter.errors import (
    CheckpointError,
    CodeNotKeptError,
    ConfigError,
    DefinitionError,
    DefinitionSyntaxError,
    DefinitionTooLargeError,
    DetJupyterError,
    DeviceError,
    EntrypointError,
    HyperparameterError,
    ProtocolError,
    RunNotFoundError,
    ScanStopped,
    SessionBusyError,
    SessionError,
    StoreError,
    TrialError,
    TrialUsageError,
)
from detjupyter.next_step import NextStep
from detjupyter.protocol.answers import Answer, ErrorAnswer
from detjupyter.protocol.frames import pack, unpack

EXAMPLES: dict[type[DetJupyterError], DetJupyterError] = {
    type(error): error
    for error in (
        DetJupyterError("text", where="here", hint="do this"),
        DefinitionError("text", path="/there", hint="do this"),
        EntrypointError("text", entrypoint="m:T", path="/there"),
        DefinitionSyntaxError("text", path="/there/m.py", line=3, text="x ="),
        DefinitionTooLargeError(path="/there", most_paths=10),
        ConfigError("text", path="/there", line=3, column=4),
        HyperparameterError("text", name="lr", available=["a", "b"]),
        TrialError("text", exception="ValueError: no", user_traceback='  File "m.py", line 3'),
        TrialUsageError("text", "found this", hint="do this"),
        SessionError("text", state="running"),
        SessionBusyError("text", state="running", hint="do this"),
        DeviceError("text", device="cuda:9"),
        CheckpointError("text", path="/there", hint="do this"),
        StoreError("text", path="/there"),
        RunNotFoundError("r1"),
        CodeNotKeptError("text", file="m.py"),
        ScanStopped(3),
        ProtocolError("text"),
    )
}
ALL = [member for member in vars(errors).values() if isinstance(member, type) and issubclass(member, DetJupyterError)]


def example(kind: type[DetJupyterError]) -> DetJupyterError:
    """Return an error of the class ``kind``; a class without its own example is created like its base."""
    made = next(EXAMPLES[base] for base in kind.__mro__ if base in EXAMPLES)
    if type(made) is kind:
        return made
    error = kind.__new__(kind)
    error.args = made.args
    vars(error).update(vars(made))
    return error


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_an_error_keeps_class_message_hint_and_fields(kind: type[DetJupyterError]) -> None:
    """Its text for the user is equal, too."""
    sent = example(kind)
    arrived = unpack(pack(Answer("id", error=ErrorAnswer.of(sent)))).error.error()
    assert type(arrived) is kind
    assert vars(arrived) == vars(sent)
    assert str(arrived) == str(sent)
    assert arrived.args == sent.args
    with pytest.raises(kind):
        raise arrived


@pytest.mark.usefixtures("magics_wording")
def test_a_hint_travels_in_python_and_is_worded_where_it_is_shown() -> None:
    """Whatever the sender's process shows."""
    sent = SessionBusyError("text", state="running", hint=f"{NextStep.STOP} ends it.")
    arrived = unpack(pack(Answer("id", error=ErrorAnswer.of(sent)))).error.error()
    assert arrived.hint == "`session.stop()` ends it."
    assert str(arrived) == "text\n  → `%det_stop` ends it."


def test_an_error_whose_text_fails_still_arrives() -> None:
    """Its class is the user's: the sender of the command gets an answer that names it."""

    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    arrived = unpack(pack(Answer("id", error=ErrorAnswer.of(MuteError())))).error.error()
    assert "MuteError" in arrived.message
