"""Resolve an entrypoint to a class, with helpful errors if the module or an attribute does not exist."""

from __future__ import annotations

import inspect
import linecache
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from detjupyter.definition.discovery import find_trials, outside_bases
from detjupyter.definition.entrypoint import Entrypoint
from detjupyter.definition.isolation.imports import DefinitionScope
from detjupyter.definition.isolation.names import PREFIX, public_text
from detjupyter.definition.suggestions import candidates_hint, listing
from detjupyter.definition.trial import Trial
from detjupyter.definition.unsupported import instead_of, unsupported_base
from detjupyter.definition.user_errors import trial_error
from detjupyter.errors import DefinitionSyntaxError, EntrypointError, NotATrialError, UnsupportedError
from detjupyter.next_step import NextStep

WHAT_TO_DO = f"Write a Trial class in model_def.py there, or name the directory of yours: {NextStep.LOAD_DIRECTORY('DIRECTORY')}."


@dataclass(frozen=True, slots=True)
class LoadedClass:
    """A Trial class of one load.

    Attributes:
        trial_class: The class.
        entrypoint: Its entrypoint.
        file: The file with its ``class`` statement.
        line: The line of that statement (of its first decorator), from 1.
        scope: The modules of the load; ``scope.release()`` releases them.
    """

    trial_class: type[Trial]
    entrypoint: Entrypoint
    file: Path
    line: int
    scope: DefinitionScope


class Resolution:
    """Resolves one entrypoint in one scope.

    Args:
        scope: The scope to import in.
        entrypoint: The entrypoint to resolve.
        files: Returns the definition's Python files by module name; only called for an error.
    """

    def __init__(self, scope: DefinitionScope, entrypoint: Entrypoint, files: Callable[[], Mapping[str, Path]]) -> None:
        self._scope = scope
        self._entrypoint = entrypoint
        self._files = files

    def resolve(self) -> LoadedClass:
        """Import the module and return the class.

        Raises:
            EntrypointError, NotATrialError, DefinitionSyntaxError, TrialError: See :meth:`ModelDefinition.load`.
        """
        self._check_module()
        trial_class = self._trial_class(self._import())
        file, line = _place(trial_class, self._scope, self._entrypoint)
        return LoadedClass(trial_class, self._entrypoint, file, line, self._scope)

    def _check_module(self) -> None:
        """Raise an EntrypointError if the entrypoint's module does not exist, before any import."""
        entrypoint, path = self._entrypoint, self._scope.path
        if path.is_file():
            if not entrypoint.module:
                return
            message = f"{path.name} is the whole model definition, so its entrypoint must not have a module ({entrypoint.module!r})."
            raise EntrypointError(message, entrypoint=str(entrypoint), path=str(path), hint=f"Write `:{'.'.join(entrypoint.attributes)}`.")
        missing = self._scope.missing_part(entrypoint.module)
        if missing is not None:
            raise self._error(f"There is no module {missing!r} in the model definition (entrypoint {str(entrypoint)!r}).")
        if not entrypoint.module and not (path / "__init__.py").is_file():
            raise self._error(f"The entrypoint {str(entrypoint)!r} has no module, and there is no top-level __init__.py.")

    def _error(self, message: str) -> EntrypointError:
        hint = self._candidates_hint() or WHAT_TO_DO
        return EntrypointError(message, entrypoint=str(self._entrypoint), path=str(self._scope.path), hint=hint)

    def _candidates_hint(self) -> str | None:
        return candidates_hint(str(self._entrypoint), [str(candidate) for candidate in find_trials(self._files())])

    def _import(self) -> ModuleType:
        """Import the entrypoint's module, in the definition's own directory."""
        error: BaseException
        scope, entrypoint = self._scope, self._entrypoint
        try:
            with scope.active():
                return scope.import_module(entrypoint.module)
        except SyntaxError as raised:
            error = syntax_error(raised, scope.path) or self._trial_error(raised)
        except KeyboardInterrupt:
            raise
        except BaseException as raised:  # the user's code may raise any exception, even SystemExit
            error = self._unsupported(raised) or self._trial_error(raised)
        raise error  # outside of the except clauses, in which Python would link it to `raised`

    def _unsupported(self, raised: BaseException) -> UnsupportedError | None:
        """Return the error for a trial of a framework that detjupyter does not train, whatever its import raised; None for other trials."""
        base = unsupported_base(outside_bases(self._files(), self._entrypoint))
        if base is None:
            return None
        lacking = raised.name.partition(".")[0] if isinstance(raised, ModuleNotFoundError) and raised.name else None
        return UnsupportedError(
            f"{self._entrypoint} derives from {base}, which detjupyter does not offer.",
            where=str(self._scope.path),
            hint=f"{instead_of(base)} Installing {lacking} does not change that." if lacking else instead_of(base),
        )

    def _trial_error(self, raised: BaseException) -> BaseException:
        return trial_error(raised, [self._scope.path], f"importing {self._entrypoint.module or self._scope.name}")

    def _trial_class(self, module: ModuleType) -> type[Trial]:
        """Follow the entrypoint's attributes from the module to a Trial class."""
        entrypoint, path = str(self._entrypoint), str(self._scope.path)
        found: Any = module  # Any: an object of the user's module
        followed = self._entrypoint.module or self._scope.name
        for name in self._entrypoint.attributes:
            try:
                found = getattr(found, name)
            except AttributeError:
                raise self._unknown_attribute(found, name, followed) from None
            followed += f".{name}"
        if isinstance(found, type) and issubclass(found, Trial):
            lacking = sorted(getattr(found, "__abstractmethods__", ()))
            if not lacking:
                return found
            raise NotATrialError(
                f"{entrypoint!r} is not a complete Trial class: it does not define {listing(lacking)}.",
                entrypoint=entrypoint,
                path=path,
                hint="Define what is missing, or name the class that is derived from it.",
            )
        raise NotATrialError(
            f"{entrypoint!r} is {_describe(found)}, not a Trial class.",
            entrypoint=entrypoint,
            path=path,
            hint=self._candidates_hint() or "Derive the class from a Trial, for example `detjupyter.pytorch.PyTorchTrial`.",
        )

    def _unknown_attribute(self, found: object, name: str, followed: str) -> EntrypointError:
        names = _public_names(found)
        there = f"It has {listing(names)}." if names else "It has no public names."
        near = candidates_hint(name, names) or ""
        return EntrypointError(
            f"There is no {name!r} in {followed} (entrypoint {str(self._entrypoint)!r}).",
            entrypoint=str(self._entrypoint),
            path=str(self._scope.path),
            hint=f"{near} {there}".strip() if near.startswith("Did") else there,
        )


def syntax_error(raised: SyntaxError, path: Path) -> DefinitionSyntaxError | None:
    """Return the error for a module of the definition at ``path`` that does not compile; None if other text caused it (an `eval`)."""
    if not raised.filename or not Path(raised.filename).is_relative_to(path):
        return None
    file = Path(raised.filename)
    text = raised.text or (linecache.getline(str(file), raised.lineno) if raised.lineno else "")
    root = path.parent if path.is_file() else path
    return DefinitionSyntaxError(
        f"{file.relative_to(root).as_posix()} does not compile: {raised.msg}.",
        path=str(file),
        line=raised.lineno,
        text=text.rstrip("\n") or None,
        hint="Correct that line and load again.",
    )


def _public_names(owner: object) -> list[str]:
    """Return the names that the user may have meant: classes of the definition first, and no modules."""
    values = {name: inspect.getattr_static(owner, name, None) for name in dir(owner) if not name.startswith("_")}

    def distance(name: str) -> int:
        value = values[name]
        own = str(getattr(value, "__module__", "")).startswith(PREFIX)
        return (0 if own else 2) if isinstance(value, type) else 1

    return sorted((name for name, value in values.items() if not isinstance(value, ModuleType)), key=distance)


def _describe(value: object) -> str:
    """Describe the kind of an object in a phrase."""
    if isinstance(value, type):
        bases: Sequence[type] = [base for base in value.__bases__ if base is not object]
        return f"a class derived from {', '.join(base.__name__ for base in bases)}" if bases else "a class without a base class"
    kind = type(value).__name__
    article = "an" if kind[0] in "aeiou" else "a"
    return {"NoneType": "None"}.get(kind, public_text(f"{article} {kind}"))


def _place(trial_class: type, scope: DefinitionScope, entrypoint: Entrypoint) -> tuple[Path, int]:
    """Return the file and line of a class; the entrypoint's module if Python does not know them (a class created by a call)."""
    try:
        file = inspect.getfile(trial_class)
        linecache.checkcache(file)
        return Path(file), inspect.getsourcelines(trial_class)[1] or 1
    except (OSError, TypeError, SyntaxError, IndexError):
        module = scope.import_module(entrypoint.module)
        return Path(module.__file__ or scope.path), 1
