"""The private names of a definition's modules, and the names that users see instead."""

from __future__ import annotations

import keyword
import re

#: The package of all loaded definitions.
PREFIX = "detjupyter.loaded"

#: The package that provides ``determined`` and ``determined_common`` inside of definitions.
COMPAT = "detjupyter.compat"

#: The packages that a definition written for Determined imports.
DETERMINED = ("determined", "determined_common")

_PRIVATE = re.compile(rf"{re.escape(PREFIX)}\.(\w+)_\d+(\.?)")


def public_text(text: str) -> str:
    """Replace private names in a message of Python with the names that the user wrote.

    Examples:
        >>> public_text("No module named 'detjupyter.loaded.digits_3.layers'")
        "No module named 'layers'"
        >>> public_text("cannot import name 'x' from 'detjupyter.loaded.digits_3'")
        "cannot import name 'x' from 'digits'"
        >>> public_text("No module named 'detjupyter.compat.determined.nothing'")
        "No module named 'determined.nothing'"
    """
    return _PRIVATE.sub(lambda match: "" if match[2] else match[1], text).replace(f"{COMPAT}.", "")


def identifier(name: str) -> str:
    """Turn a directory's name into a recognizable Python name.

    Examples:
        >>> identifier("nas-search"), identifier("1st"), identifier("class"), identifier("数据")
        ('nas_search', '_1st', '_class', '数据')
    """
    safe = re.sub(r"\W", "_", name) or "definition"
    return f"_{safe}" if safe[0].isdigit() or keyword.iskeyword(safe) else safe
