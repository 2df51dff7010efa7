"""Entrypoints: ``<module>:<object reference>``, as in Python packaging, relative to a model definition."""

from __future__ import annotations

import keyword
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from detjupyter.definition.suggestions import candidates_hint
from detjupyter.errors import EntrypointError

EXAMPLE = "Write it as module:Class, for example `model_def:MNistTrial` for the class MNistTrial in model_def.py."


@dataclass(frozen=True, slots=True)
class Entrypoint:
    """The name of an object in a model definition.

    Attributes:
        module: Dotted, relative to the root of the definition. Empty for the top-level `__init__.py`, or for the file of a single-file
            definition.
        attributes: The names that lead from the module to the object, at least one.
    """

    module: str
    attributes: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.module}:{'.'.join(self.attributes)}"

    @property
    def class_name(self) -> str:
        """The last name: that of the class."""
        return self.attributes[-1]

    @classmethod
    def parse(cls, text: str | Entrypoint, *, candidates: Sequence[Entrypoint] = ()) -> Entrypoint:
        """Parse an entrypoint.

        Args:
            text: The user's text; surrounding spaces are ignored. An `Entrypoint` is returned unchanged.
            candidates: The available entrypoints, for the hint of the error.

        Raises:
            EntrypointError: The text does not have the form ``<module>:<object reference>``.
        """
        if isinstance(text, Entrypoint):
            return text
        if not isinstance(text, str):
            raise EntrypointError(f"The entrypoint {text!r} is not text.", entrypoint=None, hint=EXAMPLE)
        stripped = text.strip()
        problem = _problem(stripped)
        if problem is not None:
            hint = candidates_hint(stripped, [str(candidate) for candidate in candidates]) or _corrected(stripped) or EXAMPLE
            raise EntrypointError(f"The entrypoint {text!r} {problem}.", entrypoint=text, hint=hint)
        module, _, reference = stripped.partition(":")
        return cls(module, tuple(reference.split(".")))


def file_as_path(entrypoint: str | None, path: str | Path) -> tuple[str | None, str | Path]:
    """Return the entrypoint and the path of a load; a .py file that was given as the entrypoint becomes the path.

    Args:
        entrypoint: What the user gave as the entrypoint. An entrypoint has a colon, so ``tiny.py`` is none.
        path: The path that the user gave.
    """
    if isinstance(entrypoint, str) and ":" not in entrypoint and entrypoint.endswith(".py"):
        with suppress(OSError, ValueError, RuntimeError):  # no file system has such a path
            file = Path(path).expanduser() / Path(entrypoint).expanduser()
            if file.is_file():
                return None, file
    return entrypoint, path


def _corrected(text: str) -> str | None:
    """Return a hint with a path (``pkg/trial.py:T``) written as a module; None if the problem is a different one."""
    module, _, reference = text.partition(":")
    path = module.removeprefix("./").removesuffix(".py").replace("\\", "/").strip("/").replace("/", ".")
    meant = f"{path}:{reference}"
    return f"Did you mean {meant}?" if path != module and _problem(meant) is None else None


def _problem(text: str) -> str | None:
    """Return what is wrong with an entrypoint, as the end of a sentence, or None."""
    module, colon, reference = text.partition(":")
    if not text:
        return "is empty"
    if not colon:
        return "has no colon between the module and the class"
    if ":" in reference:
        return "has more than one colon"
    if not reference:
        return "has no class after the colon"
    if any(character.isspace() for character in text):
        return "contains a space"
    if "/" in module or "\\" in module:
        return "has a path instead of a module; use dots (`pkg.trial`, not `pkg/trial`)"
    if module.endswith(".py"):
        return "has a file instead of a module; omit the `.py`"
    if reference.endswith(")"):
        return "calls the class; write only its name"
    for name in (*(module.split(".") if module else ()), *reference.split(".")):
        if not name.isidentifier():
            return f"contains {name!r}, which is not a Python name" if name else "has a dot without a name before or after it"
        if keyword.iskeyword(name):
            return f"contains {name!r}, which is a Python keyword"
    return None
