"""Write the TypeScript twin of the protocol: ``python -m detjupyter.protocol.typescript > labextension/protocol/index.ts``."""

from __future__ import annotations

import inspect
import types
import typing
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, Union

import numpy as np

from detjupyter.protocol import commands, files, messages, records, states

_HEADER = """\
// Written by `python -m detjupyter.protocol.typescript`; a test compares. Change the Python, not this file.

/** A number as JSON carries it: NaN and the infinities are spelled out. */
export type Scalar = number | 'NaN' | 'Infinity' | '-Infinity';
"""
_SCALARS = {str: "string", int: "number", float: "Scalar", bool: "boolean", type(None): "null"}


def typescript() -> str:
    """Return the source of ``labextension/protocol/index.ts``."""
    parts = [_HEADER, f"export const PROTOCOL_VERSION = {messages.PROTOCOL_VERSION};\n"]
    for module in (states, records, files, commands, messages):
        for member in vars(module).values():
            if not inspect.isclass(member) or member.__module__ != module.__name__:
                continue
            if issubclass(member, Enum):
                parts.append(_enum(member))
            elif is_dataclass(member):
                parts.append(_interface(member))
    names = " | ".join(command.__name__ for command in commands.COMMANDS.values())
    parts.append(f"export type Command = {names};\n")
    return "\n".join(parts)


def _enum(enum: type[Enum]) -> str:
    values = " | ".join(f"'{member.value}'" for member in enum)
    return f"{_doc(enum)}export type {enum.__name__} =\n  {values};\n"


def _interface(record: type) -> str:
    hints = typing.get_type_hints(record)
    lines = [f"{_doc(record)}export interface {record.__name__} {{"]
    kind = getattr(record, "kind", None)
    if isinstance(kind, str):
        lines.append(f"  kind: '{kind}';")
    lines += [f"  {field.name}: {_type(hints[field.name])};" for field in fields(record)]
    return "\n".join([*lines, "}\n"])


def _type(hint: Any) -> str:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return "unknown"
    if hint in _SCALARS:
        return _SCALARS[hint]
    if origin in (Union, types.UnionType):
        return " | ".join(_type(argument) for argument in arguments)
    if origin is tuple:
        return f"readonly {_type(arguments[0])}[]"
    if origin is dict:
        return f"{{ readonly [key: string]: {_type(arguments[1])} }}"
    if origin is np.ndarray:
        return "readonly Scalar[]"
    return str(hint.__name__)


def _doc(record: type) -> str:
    first = inspect.cleandoc(record.__doc__ or "").splitlines()[0]
    return f"/** {first} */\n"


if __name__ == "__main__":
    print(typescript(), end="")
