"""The directive ``magics``: a section for each magic, from the same argument parsers that print `%det_train?` in a notebook."""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from detjupyter.magics import magics_classes

_CODE = re.compile(r"``(.+?)``|`(.+?)`")


class MagicsDirective(SphinxDirective):
    """Write a section for each class of magics, with a section for each of its magics. A page links to one with ``#det_train``."""

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        return [self._group(magics) for magics in magics_classes()]

    def _group(self, magics: Any) -> nodes.section:
        title = (inspect.getdoc(magics) or "").splitlines()[0].rstrip(".")
        section = self._section(nodes.make_id(magics.__name__), title)
        kinds = magics.magics  # by kind, line or cell; a magic that is both is in both
        for name in dict.fromkeys(name for kind in kinds.values() for name in kind):
            is_cell = name in kinds["cell"]
            section += self._magic(name, getattr(magics, name), sign="%%" if is_cell else "%")
        return section

    def _magic(self, name: str, magic: Any, sign: str) -> nodes.section:
        parser: argparse.ArgumentParser = magic.parser
        section = self._section(name, f"{sign}{name}")
        section += _usage(f"{sign}{name}", parser)
        for paragraph in inspect.cleandoc(parser.description or "").split("\n\n"):
            section += nodes.paragraph("", "", *_inline(" ".join(paragraph.split())))
        rows = list(_arguments(parser))
        if rows:
            section += nodes.definition_list("", *rows, classes=["dj-arguments"])
        return section

    def _section(self, target: str, title: str) -> nodes.section:
        section = nodes.section(ids=[target], names=[target])
        section += nodes.title(text=title)
        self.state.document.note_explicit_target(section, section)
        return section


def _usage(name: str, parser: argparse.ArgumentParser) -> nodes.paragraph:
    """Return the call with all arguments; a line can end between two of them, not inside of one."""
    usage = parser.format_usage().partition("%")[2]  # IPython writes a mark of reStructuredText before it
    arguments = re.findall(r"\[.*?\](?=\s+\S|$)|\S+", " ".join(usage.split()[1:]))
    parts = [nodes.literal(text=part) for part in (name, *arguments)]
    spaced = [node for part in parts for node in (nodes.Text(" "), part)][1:]
    return nodes.paragraph("", "", *spaced, classes=["dj-usage"])


def _arguments(parser: argparse.ArgumentParser) -> Iterator[nodes.definition_list_item]:
    formatter: Any = parser._get_formatter()
    positional = [action for action in parser._actions if not action.option_strings]
    for action in [*positional, *(action for action in parser._actions if action.option_strings)]:
        name = formatter._format_action_invocation(action)
        text = formatter._expand_help(action) if action.help else ""
        term = nodes.term("", "", nodes.literal(text=name))
        yield nodes.definition_list_item("", term, nodes.definition("", nodes.paragraph("", "", *_inline(text))))


def _inline(text: str) -> Iterator[nodes.Node]:
    """Yield text and code; the text of the magics marks code as Markdown or as reStructuredText does."""
    end = 0
    for match in _CODE.finditer(text):
        yield nodes.Text(text[end : match.start()])
        yield nodes.literal(text=match[1] or match[2])
        end = match.end()
    yield nodes.Text(text[end:])


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive."""
    app.add_directive("magics", MagicsDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
