"""Text of any origin, where it leaves detjupyter: a terminal or a browser shows it, and never obeys it."""

from __future__ import annotations

import json

import pytest

from detjupyter.errors import CheckpointError, DetJupyterError, TrialError
from detjupyter.protocol.wire import to_json
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


def test_a_name_stays_in_its_line() -> None:
    """A line break in a name must not begin another row of a table."""
    assert one_line("a\nb\tc\x1b") == r"a\x0ab\x09c\x1b"
