"""``K=V`` arguments of magics."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from detjupyter.errors import HyperparameterError


def parse_assignments(assignments: Iterable[str]) -> dict[str, Any]:
    """Return ``["lr=1e-3", "layers=[1, 2]"]`` as names and values, parsed as YAML 1.2: ``1e-3`` is a number, ``on`` a string.

    Raises:
        HyperparameterError: An assignment has no ``=``, no name, or a value that is not YAML.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    values = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        name = name.strip()
        if not equals or not name:
            raise HyperparameterError(
                f"{assignment!r} does not have the form NAME=VALUE.", name=name, hint="For example `--hparam learning_rate=1e-3`."
            )
        try:
            values[name] = YAML(typ="safe", pure=True).load(text)
        except YAMLError:
            raise HyperparameterError(
                f"The value of {name} is not YAML: {text!r}.", name=name, hint=f"Put text in quotes: `--hparam {name}='\"…\"'`."
            ) from None
    return values
