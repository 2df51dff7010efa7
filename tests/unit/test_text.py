"""Text of any origin, where it leaves detjupyter: a terminal or a browser shows it, and never obeys it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detjupyter.definition.entrypoint import Entrypoint
from detjupyter.errors import CheckpointError, DetJupyterError, RunNotFoundError, TrialError, TrialUsageError
from detjupyter.protocol.answers import ErrorAnswer
from detjupyter.protocol.commands import parse_command
from detjupyter.protocol.wire import to_json
from detjupyter.server.answers import RefusedError
from detjupyter.session.loading import load
from detjupyter.session.registry import registry
from detjupyter.store.history import Run, run, runs
from detjupyter.store.memory import MemoryStore
from detjupyter.text import one_line, printable

SPELLED = {
    "\x1b[31mred": r"\x1b[31mred",
    "\x1b]0;title\x07": r"\x1b]0;title\x07",
    "\x9b2J": r"\x9b2J",
    "a\rb\r\nc": "a\\x0db\nc",
    "\u202egnp.py": r"\u202egnp.py",
    "\u2066x\u2069": r"\u2066x\u2069",
    "one\u2028two\x85three": r"one\u2028two\x85three",
    "caf\udce9": "caf\ufffd",
    "tab\tline\n": "tab\tline\n",
    r"\u001b \x1b \\u202e": r"\u001b \x1b \\u202e",
    "\U0001f600 é עברית العربية": "\U0001f600 é עברית العربية",
    "\x00\x08\x0b\x0c\x7f\uffff": r"\x00\x08\x0b\x0c\x7f\uffff",
}


@pytest.mark.parametrize(("text", "shown"), SPELLED.items(), ids=ascii)
def test_text_is_spelled_out_and_nothing_else_changes(text: str, shown: str) -> None:
    """In text, in the messages of all errors, and in JSON for browsers, as a name and as a value."""
    assert printable(text) == printable(printable(text)) == shown
    assert json.loads(to_json({text: [text, 1.5, None]})) == {shown: [shown, 1.5, None]}
    assert str(DetJupyterError(text, where=text, hint=text)).count(shown) == 3
    assert shown in str(TrialError("m", exception=text, user_traceback="t"))
    assert "\u202e" not in "".join(CheckpointError("m", path=text)._render_traceback_())


LONG = "a" * 2000 + " or " + "b " * 1500
"""A hostile name."""

NAMED = {
    "a run": lambda: run(LONG),
    "a session": lambda: registry.get(LONG),
    "the run to continue": lambda: load(from_run=LONG),
    "an entrypoint": lambda: load(LONG, path=str(Path(__file__).parent)),
    "a malformed entrypoint": lambda: Entrypoint.parse(f"{LONG}:"),
    "a directory": lambda: load(path=LONG),
    "a group of metrics": lambda: Run(MemoryStore(Path()), "r").metric_names(LONG),
    "a state": lambda: runs(state=LONG),
    "a command": lambda: parse_command({"kind": LONG}),
    "a rule of the API": lambda: _raise(TrialUsageError(LONG, LONG, LONG)),
    "an answer of the server": lambda: _raise(RefusedError(404, LONG, hint=LONG)),
    "an answer of an engine": lambda: _raise(ErrorAnswer("Mine", LONG).error()),
}


def _raise(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize("call", NAMED.values(), ids=NAMED)
def test_a_message_shortens_a_very_long_name(call: Callable[[], object]) -> None:
    """In the middle, also in its hint and in what IPython shows; the fields of the error have the name."""
    with pytest.raises((DetJupyterError, RefusedError)) as caught:
        call()
    error: Any = caught.value
    parts = [error.message, error.hint or "", *str(error).splitlines()]
    assert any("characters …" in part for part in parts[:2]) or "characters …" in str(error)
    assert all(len(line) < 1200 for part in parts for line in part.splitlines())
    if isinstance(error, RunNotFoundError):
        assert error.run_id == LONG


def test_a_message_of_many_lines_keeps_them() -> None:
    """Only a single line can be too long."""
    text = "\n".join(["a line of a library's message"] * 100)
    assert DetJupyterError(text).message == text


def test_a_name_stays_in_its_line() -> None:
    """A line break in a name must not begin another row of a table."""
    assert one_line("a\nb\tc\x1b") == r"a\x0ab\x09c\x1b"
