"""The arguments of a line magic: split as by a shell, parsed by the magic's options."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Callable, Iterator
from typing import Any

from IPython.core.error import UsageError


def parse(magic: Callable[..., Any], line: str) -> argparse.Namespace:
    """Return the arguments in ``line`` for ``magic``, a method under ``@magic_arguments``.

    Quotes group words as in a shell and are removed (IPython's own parser keeps them); text after ``#`` is a comment.

    Raises:
        UsageError: The line does not match the magic's options. IPython only shows its message.
    """
    parser: Any = magic.parser  # type: ignore[attr-defined]  # put there by @magic_arguments
    name = f"%{parser.prog.lstrip('%')}"
    try:
        arguments, unknown = parser.parse_known_args(list(words(line)))
    except ValueError as error:  # shlex's message has only two words
        raise usage_error(f"{name}: {str(error).lower()} in {line!r}.") from None
    except UsageError as error:
        raise usage_error(f"{name}: {error}. `{name}?` explains.") from None
    if unknown:
        from detjupyter.definition.suggestions import candidates_hint

        hint = candidates_hint(unknown[0], options(parser)) or f"It takes {' '.join(_positional(parser)) or 'none'}."
        raise usage_error(f"{name} has no argument {unknown[0]!r}. {hint} `{name}?` explains.")
    known: argparse.Namespace = arguments
    return known


def usage_error(text: str) -> UsageError:
    """Return an error of a line magic, of which IPython only shows ``text``; a very long line in it is shortened."""
    from detjupyter.text import bounded  # only an error needs it

    return UsageError(bounded(text))


def words(line: str) -> Iterator[str]:
    """Yield the words of ``line`` as a shell would pass them, up to a comment.

    Raises:
        ValueError: A quotation is not closed.

    Examples:
        >>> list(words("model_def:Net --path 'my nets' --hparam layers='[1, 2]'  # small"))
        ['model_def:Net', '--path', 'my nets', '--hparam', 'layers=[1, 2]']
    """
    lexer = shlex.shlex(line, posix=True, punctuation_chars=False)
    lexer.whitespace_split = True
    lexer.commenters = ""  # shlex would also cut words at a # inside them
    if os.name == "nt":  # there a backslash separates directories
        lexer.escape = ""
    for word in lexer:
        if word.startswith("#"):
            return
        yield word


def options(parser: argparse.ArgumentParser) -> list[str]:
    """Return the names of the options, in the order of the magic's help."""
    return [option for action in parser._actions for option in action.option_strings]


def _positional(parser: argparse.ArgumentParser) -> list[str]:
    return [str(action.metavar or action.dest) for action in parser._actions if not action.option_strings]


def positive(text: str) -> int:
    """Parse a whole number of at least 1; :class:`ArgumentTypeError` sets the message, which would otherwise be this function's name."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, not {text!r}")
    return int(text)
