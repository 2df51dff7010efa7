"""The source text of a function, for the record of a command."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from typing import Any


def source_of(function: Callable[..., Any]) -> str:
    """Return the source of ``function``: its ``def`` statement, the expression of a lambda, or its ``repr`` if there is no source.

    A lambda is extracted from its statement; if there are several, the first that compiles to the same code is returned.
    """
    try:
        text = textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):  # a built-in, a function created by exec, or a callable object
        return repr(function)
    code = getattr(function, "__code__", None)
    if getattr(function, "__name__", "") != "<lambda>" or code is None:
        return text
    for node in _lambdas(text):
        segment = ast.get_source_segment(text, node)
        if segment is not None and _compiles_to(segment, code):
            return segment
    return text


def _lambdas(text: str) -> list[ast.Lambda]:
    try:
        return [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Lambda)]
    except SyntaxError:  # the lines of a lambda can be a part of a longer statement, which does not parse on its own
        return []


def _compiles_to(segment: str, code: Any) -> bool:
    try:
        compiled = compile(segment, "<lambda>", "eval")
    except SyntaxError:
        return False
    found = next((constant for constant in compiled.co_consts if inspect.iscode(constant)), None)
    return found is not None and found.co_names == code.co_names and len(found.co_consts) == len(code.co_consts)
