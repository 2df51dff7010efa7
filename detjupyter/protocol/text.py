"""Make text of any origin (file names, messages, output of a terminal) safe for outputs and JSON."""

from __future__ import annotations

import re

_SURROGATES = re.compile("[\ud800-\udfff]")  # bytes of a file name that are not UTF-8, or half of a UTF-16 pair
_ILLEGAL_IN_XML = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[^\t\n\r\u0020-\ufffd\U00010000-\U0010ffff]")


def legible(text: str) -> str:
    """Return ``text`` with a replacement character for each lone surrogate, which neither JSON nor a message can contain."""
    return _SURROGATES.sub("\ufffd", text)


def printable(text: str) -> str:
    """Return legible ``text`` without terminal colors, and without the control characters that neither XML nor a font supports."""
    return _ILLEGAL_IN_XML.sub("", legible(text))
