"""Docstrings as they are in this package, and a check that every public name has its place in the reference."""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

import detjupyter

CONSTRUCTED = {"Batch", "Entrypoint", "Epoch", "ModelDefinition"}
"""The classes that users construct."""

_FENCE = re.compile(r"^( *)```(\w*)$")
_logger = logging.getLogger(__name__)


def convert_fences(*arguments: Any) -> None:
    """Turn blocks of code between fences, as Markdown has them, into those of reStructuredText.

    The last of Sphinx's arguments is the list of lines, to be changed in place.
    """
    lines: list[str] = arguments[-1]
    converted: list[str] = []
    is_inside = False
    for line in lines:
        fence = _FENCE.match(line)
        if fence is None:
            converted.append(f"   {line}" if is_inside else line)
        elif is_inside:
            is_inside = False
            converted.append("")
        else:
            is_inside = True
            converted += ["", f"{fence[1]}.. code-block:: {fence[2] or 'text'}", ""]
    lines[:] = converted


def hide_constructors(_: Sphinx, what: str, name: str, *__: Any) -> tuple[str, None] | None:
    """Show how a class is called only if users call it; the others are returned by functions."""
    is_returned = what in ("class", "exception") and name.rpartition(".")[2] not in CONSTRUCTED
    return ("", None) if is_returned else None


def require_every_public_name(_: Sphinx, env: BuildEnvironment) -> None:
    """Warn about each public name without a page."""
    documented = env.domains.python_domain.objects
    for name in detjupyter.__all__:
        if f"detjupyter.{name}" not in documented:
            _logger.warning("detjupyter.%s is public, but the reference does not have it: add it to a page in docs/reference.", name)


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect all three."""
    app.connect("autodoc-process-docstring", convert_fences)
    app.connect("autodoc-process-signature", hide_constructors)
    app.connect("env-check-consistency", require_every_public_name)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
