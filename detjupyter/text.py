r"""Text of any origin (file names, names of metrics, messages) for outputs and JSON: what it contains is shown, never obeyed.

A terminal obeys escape sequences: they color and hide text, move the cursor, and change the title of the window. Every display obeys the
marks that override the direction of text, so that ``\u202egnp.py`` appears as ``yp.png``. Neither XML nor a font supports control
characters. All of these are spelled out where text leaves detjupyter, so records and the history keep the original.
"""

from __future__ import annotations

import re

_CONTROLS = "\x00-\x08\x0b-\x1f\x7f-\x9f"  # except tab and newline; U+009B begins escape sequences, too
_LINE_ENDS = "\u2028\u2029"
_DIRECTIONS = "\u202a-\u202e\u2066-\u2069"
_NOT_PRINTABLE = re.compile(f"[{_CONTROLS}{_LINE_ENDS}{_DIRECTIONS}\ud800-\udfff\ufffe\uffff]")
# In JSON of ASCII characters: pairs of surrogates and escaped backslashes are matched, so that nothing is found inside of them.
_ESCAPE_IN_JSON = re.compile(r"\\(?:ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}|r\\n|u([0-9a-f]{4})|[brf\\])")
_SHORT = {r"\b": r"\\x08", r"\f": r"\\x0c", r"\r": r"\\x0d", r"\r\n": r"\n"}

LONGEST_WORD, LONGEST_LINE = 300, 1000
"""The most characters of a word, such as a path, and of a line in a message."""
_LONG_WORD = re.compile(rf"\S{{{LONGEST_WORD},}}")


def printable(text: str) -> str:
    r"""Return ``text`` with control characters and marks of direction spelled out; tabs and newlines stay.

    >>> printable("a\x1b[31mred.py \u202egnp")
    'a\\x1b[31mred.py \\u202egnp'
    """
    return _NOT_PRINTABLE.sub(_spelled, text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """Return ``printable`` text for one line of an output, such as a name: tabs and newlines are spelled out as well."""
    return printable(text).replace("\n", r"\x0a").replace("\t", r"\x09")


def shortened(text: str, most: int) -> str:
    """Return ``text``, without its middle if it has more than ``most`` characters.

    >>> shortened("abcdefgh", 4)
    'ab … 4 characters … gh'
    """
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]} … {len(text) - 2 * half:,} characters … {text[-half:]}"


def bounded(text: str) -> str:
    """Return a message with :func:`shortened` words and lines: it can contain a name or an id that the user has given, of any length."""
    text = _LONG_WORD.sub(lambda word: shortened(word[0], LONGEST_WORD), text)
    return "\n".join(shortened(line, LONGEST_LINE) for line in text.split("\n"))


def printable_json(text: str) -> str:
    r"""Return JSON whose strings are ``printable``. ``text`` must be ASCII, as ``json.dumps`` writes it by default.

    >>> printable_json('["a\\u001b[31m", "\\\\u001b"]')
    '["a\\\\x1b[31m", "\\\\u001b"]'
    """
    return _ESCAPE_IN_JSON.sub(_spelled_in_json, text)


def _spelled(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xD800 <= code <= 0xDFFF:
        return "\ufffd"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _spelled_in_json(found: re.Match[str]) -> str:
    if found[1] is None:
        return _SHORT.get(found[0], found[0])
    character = chr(int(found[1], 16))
    spelled = printable(character)
    if spelled == character:
        return found[0]
    return r"\ufffd" if spelled == "\ufffd" else f"\\{spelled}"
