"""``K=V`` arguments of magics."""

from __future__ import annotations

import keyword
from collections.abc import Iterable
from pathlib import Path
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
            before, colon, after = assignment.partition(":")
            meant = f"Did you mean `--hparam {before.strip()}={after.strip()}`?" if colon and before.strip() and not equals else None
            hint = meant or "For example `--hparam learning_rate=1e-3`."
            raise HyperparameterError(f"{assignment!r} does not have the form NAME=VALUE.", name=name, hint=hint)
        try:
            values[name] = YAML(typ="safe", pure=True).load(text)
        except YAMLError:
            raise HyperparameterError(
                f"The value of {name} is not YAML: {text!r}.", name=name, hint=f"Put text in quotes: `--hparam {name}='\"…\"'`."
            ) from None
    return values


def is_entrypoint(word: str, path: str) -> bool:
    """Return whether the last word after ``--hparam`` is the entrypoint, which may be written last, and not a misspelled assignment.

    Args:
        word: For example ``model_def:MyTrial``, or ``lr:0.1`` for ``lr=0.1``.
        path: The definition that is loaded.
    """
    if word.endswith(".py") and "=" not in word:  # a definition of one file
        return True
    module, colon, reference = word.partition(":")
    if not colon or "=" in word or not all(part.isidentifier() for part in reference.split(".")) or keyword.iskeyword(reference):
        return False
    place = Path(path, *module.split("."))
    return reference.rpartition(".")[2][:1].isupper() or place.with_suffix(".py").is_file() or place.is_dir()
