"""Find overrides of hyperparameters that a definition does not read, by parsing its code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping

from detjupyter.definition.config.known_keys import did_you_mean

# The context reads it for the trial.
_OF_THE_CONTEXT = {"global_batch_size": ("get_global_batch_size", "get_per_slot_batch_size")}

# `Net(**hparams)`: the names are those of the dict, which the code need not mention.
_WHOLE_DICT = re.compile(r"hp|param|conf|cfg|opt|args(?<!kwargs)", re.IGNORECASE)
_LONGEST_STRING = 200


def unread_overrides(names: Iterable[str], sources: Mapping[str, bytes]) -> Iterator[str]:
    """Yield a sentence for each of ``names`` that the code cannot read, since it does not mention it.

    A string, an attribute or a parameter mentions a name, as in ``get_hparam("lr")``, ``hparams.lr`` and ``def build(lr)``; a variable and
    the keyword of a call (``Adam(lr=rate)``) do not. If one part of a dotted name is mentioned, the code may read the others by unpacking.
    If the code unpacks a dict of hyperparameters, or a file cannot be parsed, nothing is yielded.

    Args:
        names: Names of hyperparameters, dotted if nested.
        sources: The texts of the definition's imported modules.

    Examples:
        >>> list(unread_overrides(["lr_"], {"m.py": b"optimizer = Adam(lr_=context.get_hparam('lr'))"}))
        ['The trial does not read the hyperparameter `lr_`: its code does not mention it. Did you mean `lr`?']
    """
    names = list(names)
    mentioned: set[str] = set()
    for source in sources.values() if names else ():
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and any(_unpacks(keyword) for keyword in node.keywords):
                return
            mentioned.update(_mentions(node))
    for name in names:
        if mentioned.isdisjoint((*name.split("."), name, *_OF_THE_CONTEXT.get(name, ()))):
            similar = did_you_mean(name, mentioned)
            yield f"The trial does not read the hyperparameter `{name}`: its code does not mention it.{similar}"


def _unpacks(keyword: ast.keyword) -> bool:
    return keyword.arg is None and _WHOLE_DICT.search(ast.unparse(keyword.value)) is not None


def _mentions(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        if len(node.value) <= _LONGEST_STRING:  # a longer one is a text, such as a docstring
            yield from re.split(r"[^\w-]+", node.value)
            yield node.value
    elif isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.arg):
        yield node.arg
