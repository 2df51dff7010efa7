"""Highlights blocks of Python as cells: magics are no mistakes, and below `%%det_file NAME` is a file in its own language."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

from pygments.lexers import PythonLexer, TextLexer, YamlLexer, get_lexer_by_name
from pygments.token import Keyword, Text, _TokenType
from sphinx.application import Sphinx

_IPythonLexer: Any = type(get_lexer_by_name("ipython3"))
_LEXERS = {".py": PythonLexer, ".yaml": YamlLexer}


class CellLexer(_IPythonLexer):
    """The lexer of IPython, which leaves the lines below a magic that it does not know without colors."""

    def get_tokens_unprocessed(self, text: str, *arguments: Any) -> Iterator[tuple[int, _TokenType, str]]:
        """Yield the position, the kind and the text of each token."""
        line, newline, content = text.partition("\n")
        if not line.startswith("%%det_file"):
            yield from super().get_tokens_unprocessed(text, *arguments)
            return
        magic, _, rest = line.partition(" ")
        yield 0, Keyword, magic
        yield len(magic), Text, line[len(magic) :] + newline
        lexer = _LEXERS.get(PurePath(rest.partition(" ")[0]).suffix, TextLexer)
        for position, kind, value in lexer().get_tokens_unprocessed(content):
            yield len(line) + len(newline) + position, kind, value


def setup(app: Sphinx) -> dict[str, bool]:
    """Use it for blocks that are marked as Python, as GitHub wants them to be."""
    app.add_lexer("python", CellLexer)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
