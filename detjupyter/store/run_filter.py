"""Conditions that choose runs, such as ``lr < 1e-3 and accuracy > 0.9``.

A condition is written as in Python: comparisons (also chained, and ``in``), ``and``, ``or``, ``not`` and parentheses, of names, numbers,
strings and lists of them. Nothing is executed: a condition is parsed, and only these forms are accepted.
"""

from __future__ import annotations

import ast
import difflib
import operator
from collections.abc import Callable, Iterable
from typing import Any

from detjupyter.errors import ArgumentError
from detjupyter.store.run_values import FACTS, MISSING, Getter, getter, names_of
from detjupyter.store.summary import RunSummary

_Part = Getter

_MOST_CHARACTERS = 1000
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
}
_HINT = "An example: lr < 1e-3 and accuracy > 0.9 and state == 'finished'."


class RunFilter:
    """A parsed condition.

    A name means, in this order: a fact (``state``, ``batches`` …), a hyperparameter (``optimizer.lr`` in a nested one), the newest value
    of a validation metric, that of a training metric. ``hparam.seed``, ``validation.loss`` and ``training["a/b"]`` say which one is meant.
    A comparison with a value that a run lacks, or of a number with a text, is false.

    Attributes:
        names: The names in the condition, in order, as ``run_values.getter`` takes them.

    Raises:
        ArgumentError: The condition cannot be read; the error points at the character.
    """

    def __init__(self, condition: str) -> None:
        self.names: dict[str, Getter] = {}
        self._places: dict[str, int] = {}
        self._text = condition.strip().replace("\n", " ")
        self._matches = self._parsed()

    def matches(self, run: RunSummary) -> bool:
        """Return whether the condition holds for a run."""
        return bool(self._matches(run))

    def unknown_to(self, run: RunSummary, names: Iterable[str]) -> list[str]:
        """Return those of the ``names`` of this condition that have no value in a run."""
        return [name for name in names if name not in FACTS and self.names[name](run) is MISSING]

    def require_known(self, unknown: Iterable[str], runs: Iterable[RunSummary]) -> None:
        """Raise if there are names that none of the ``runs`` has; an empty history has no wrong names.

        Raises:
            ArgumentError: With the nearest name of a run.
        """
        for name in unknown:
            known = dict.fromkeys(known for run in runs for known in names_of(run))
            if not known:
                return
            near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
            hint = f"Did you mean {near[0]}?" if near else f"Names are those of hyperparameters, metrics and {', '.join(FACTS)}."
            raise ArgumentError(f"No run has a value {name!r}.", where=self._pointed(self._places[name]), hint=hint)

    def _parsed(self) -> _Part:
        text = self._text
        if len(text) > _MOST_CHARACTERS:
            raise ArgumentError(f"A condition has at most {_MOST_CHARACTERS:,} characters, not {len(text):,}.")
        try:
            tree = ast.parse(text, mode="eval")
            return self._part(tree.body)
        except SyntaxError as error:
            offset = error.offset - 1 if error.offset else len(text)
            raise self._error(f"The condition cannot be read: {error.msg}", offset) from None
        except ArgumentError:
            raise
        except (ValueError, RecursionError, MemoryError) as error:  # a zero byte, or hundreds of parentheses
            raise ArgumentError(f"The condition cannot be read: {error or 'it is nested too deeply'}.", hint=_HINT) from None

    def _part(self, node: ast.expr) -> _Part:
        match node:
            case ast.BoolOp(op, values):
                parts = [self._part(value) for value in values]
                combine = all if isinstance(op, ast.And) else any
                return lambda run: combine(part(run) for part in parts)
            case ast.UnaryOp(ast.Not(), operand):
                inner = self._truth(operand)
                return lambda run: not inner(run)
            case ast.Compare(left, ops, comparators):
                operands = [self._value(one) for one in (left, *comparators)]
                compare = [self._comparison(op, node) for op in ops]
                return lambda run: _holds([operand(run) for operand in operands], compare)
            case _:
                return self._truth(node)

    def _truth(self, node: ast.expr) -> _Part:
        """Return a part that is true or false: a name alone is true if it has a value that is not 0, empty or False."""
        if isinstance(node, (ast.Name, ast.Attribute, ast.Subscript, ast.Constant)):
            value = self._value(node)
            return lambda run: (found := value(run)) is not MISSING and bool(found)
        if isinstance(node, (ast.BoolOp, ast.Compare)) or (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)):
            return self._part(node)
        raise self._refused(node)

    def _value(self, node: ast.expr) -> _Part:
        match node:
            case ast.Constant(value) if isinstance(value, (int, float, str)) or value is None:
                return lambda _: value
            case ast.UnaryOp(ast.USub(), ast.Constant(int() | float() as number)):
                return lambda _: -number
            case ast.List(elements) | ast.Tuple(elements):
                parts = [self._value(element) for element in elements]
                return lambda run: [part(run) for part in parts]
            case _:
                name = self._name(node)
                self._places.setdefault(name, self._place(node))
                return self.names.setdefault(name, getter(name))

    def _name(self, node: ast.expr) -> str:
        match node:
            case ast.Name(name):
                return name
            case ast.Attribute(value, name):
                return f"{self._name(value)}.{name}"
            case ast.Subscript(value, ast.Constant(str() as name)):
                return f"{self._name(value)}.{name}"
            case _:
                raise self._refused(node)

    def _comparison(self, op: ast.cmpop, node: ast.expr) -> Callable[[Any, Any], Any]:
        if type(op) not in _COMPARISONS:
            raise self._error("`is` compares objects; values are compared with ==", self._place(node))
        return _COMPARISONS[type(op)]

    def _refused(self, node: ast.expr) -> ArgumentError:
        return self._error(f"`{ast.unparse(node)[:60]}` is neither a comparison nor a value", self._place(node))

    def _place(self, node: ast.expr) -> int:
        """Return the character at which ``node`` begins; the parser counts bytes."""
        return len(self._text.encode()[: node.col_offset].decode())

    def _error(self, message: str, offset: int) -> ArgumentError:
        return ArgumentError(f"{message}.", where=self._pointed(offset), hint=_HINT)

    def _pointed(self, offset: int) -> str:
        """Return the condition with a mark below the character ``offset``."""
        return f"{self._text}\n     {' ' * offset}^"  # an error writes "  in " before the first line


def _holds(operands: list[Any], comparisons: list[Callable[[Any, Any], Any]]) -> bool:
    if any(operand is MISSING for operand in operands):
        return False
    try:
        return all(compare(left, right) for compare, left, right in zip(comparisons, operands, operands[1:], strict=False))
    except TypeError:  # a number and a text
        return False
