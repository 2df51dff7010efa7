"""A model definition: a directory, or one .py file, and what can be asked of it."""

from __future__ import annotations

import ast
import inspect
import linecache
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from detjupyter.bundle import FileReport, scan
from detjupyter.definition.discovery import find_trials, module_name
from detjupyter.definition.entrypoint import Entrypoint
from detjupyter.definition.imports import PREFIX, DefinitionScope, public_text
from detjupyter.definition.suggestions import candidates_hint, listing
from detjupyter.definition.trial import Trial
from detjupyter.definition.user_errors import trial_error
from detjupyter.errors import DefinitionError, DefinitionNotFoundError, DefinitionSyntaxError, EntrypointError, NotATrialError

_WHAT_TO_DO = "Write a Trial class in model_def.py there, or say where yours is: `%det_load --path DIRECTORY`."


@dataclass(frozen=True, slots=True)
class LoadedClass:
    """A Trial class of one load.

    Attributes:
        trial_class: The class.
        entrypoint: What named it.
        file: The file its ``class`` statement stands in.
        line: The line of that statement (of its first decorator), from 1.
        scope: The modules it came with; ``scope.release()`` gives them up.
    """

    trial_class: type[Trial]
    entrypoint: Entrypoint
    file: Path
    line: int
    scope: DefinitionScope


class ModelDefinition:
    """The code, configuration and data files of a model: a directory, or one .py file.

    Args:
        path: Where it is, from the working directory; ``~`` is understood.
        defaults: Whether the default rules of what ships hold (`detjupyter.bundle`).

    Attributes:
        path: The directory or the file, absolute.
        root: The directory: ``path``, or the directory that the file is in.
        name: The directory's name, or the file's without its suffix.
        is_file: Whether it is a single file.

    Raises:
        DefinitionNotFoundError: There is no directory or .py file at ``path``.
    """

    def __init__(self, path: str | Path = ".", *, defaults: bool = True) -> None:
        self.path = Path(path).expanduser().resolve()
        self.is_file = self.path.is_file()
        if not self.is_file and not self.path.is_dir():
            hint = "Paths start at the working directory" + (
                f", {Path.cwd()}." if not Path(path).is_absolute() else " unless they begin with /."
            )
            raise DefinitionNotFoundError(f"There is no directory and no .py file at {str(path)!r}.", path=str(self.path), hint=hint)
        if self.is_file and self.path.suffix != ".py":
            hint = "A model definition is a directory, or one file of Python."
            raise DefinitionNotFoundError(f"{str(path)!r} is not a .py file.", path=str(self.path), hint=hint)
        self.root = self.path.parent if self.is_file else self.path
        self.name = self.path.stem if self.is_file else self.path.name
        self._defaults = defaults

    def __repr__(self) -> str:
        return f"ModelDefinition({str(self.path)!r})"

    def files(self, *, expand: bool = False) -> FileReport:
        """Return every path with its size, whether it ships, and the rule that decided. Reads the directory anew each time.

        Args:
            expand: Whether to enter directories that are left out as a whole.
        """
        return scan(self.path, defaults=self._defaults, expand=expand)

    def entrypoints(self) -> list[Entrypoint]:
        """Return the Trial classes found in the files that ship, by reading, not importing them."""
        return find_trials(self._modules())

    def choose_entrypoint(self, config_entrypoint: str | None = None) -> Entrypoint:
        """Return the entrypoint to use when none was asked for: the config's, else the only Trial class there is.

        Raises:
            EntrypointError: The config's is malformed; there is no Trial class; or there are several.
            DefinitionSyntaxError: There is none, and a file that speaks of Trials does not compile.
        """
        if config_entrypoint:
            return self._parse(config_entrypoint)
        found = self.entrypoints()
        if len(found) == 1:
            return found[0]
        if not found:
            self._require_that_trials_compile()
            message = f"There is no model definition here: no class derived from a Trial in {self.path}."
            raise EntrypointError(message, entrypoint=None, hint=_WHAT_TO_DO)
        raise EntrypointError(
            f"There are {len(found)} Trial classes in {self.path}: {listing([str(one) for one in found])}.",
            entrypoint=None,
            hint=f"Name the one to load: `%det_load {found[0]}`.",
        )

    def import_trial(self, entrypoint: str | Entrypoint | None = None) -> type[Trial]:
        """Import the definition anew and return the Trial class; see `load` for the errors."""
        return self.load(entrypoint).trial_class

    def load(self, entrypoint: str | Entrypoint | None = None) -> LoadedClass:
        """Import the definition anew, in isolation, and return the Trial class with where it stands.

        Earlier loads stay as they were. When this one fails, nothing of it stays behind.

        Args:
            entrypoint: What to load; None: see `choose_entrypoint`.

        Raises:
            EntrypointError: Malformed, or there is no such module or object.
            NotATrialError: The object is there but is no Trial class.
            DefinitionSyntaxError: A module of the definition does not compile.
            TrialError: The code of the definition raised while it was imported.
        """
        wanted = self.choose_entrypoint() if entrypoint is None else self._parse(entrypoint)
        scope = DefinitionScope(self.path)
        loaded = False
        try:
            self._check_module(scope, wanted)
            trial_class = self._trial_class(self._import(scope, wanted), wanted)
            file, line = _place(trial_class, scope, wanted)
            loaded = True
        finally:
            if not loaded:
                scope.release()
        return LoadedClass(trial_class, wanted, file, line, scope)

    def _modules(self) -> dict[str, Path]:
        """Return the Python files that ship, by module name relative to the root."""
        if self.is_file:
            return {"": self.path}
        modules = {module_name(entry.path): self.root / entry.path for entry in self.files().included}
        return {name: path for name, path in modules.items() if name is not None}

    def _require_that_trials_compile(self) -> None:
        for path in self._modules().values():
            with suppress(OSError, ValueError):  # unreadable, or no text: not where a Trial class is
                source = path.read_bytes()
                if b"Trial" not in source:
                    continue
                try:
                    ast.parse(source, str(path))
                except SyntaxError as raised:
                    error = self._syntax_error(raised)
                    if error is not None:
                        raise error from None

    def _parse(self, text: str | Entrypoint) -> Entrypoint:
        try:
            return Entrypoint.parse(text)
        except EntrypointError:
            pass  # the candidates are worth reading every file for only when there is something to say
        return Entrypoint.parse(text, candidates=self.entrypoints())

    def _check_module(self, scope: DefinitionScope, entrypoint: Entrypoint) -> None:
        """Raise an EntrypointError if the entrypoint's module is not there, before anything is imported."""
        if self.is_file:
            if not entrypoint.module:
                return
            message = f"{self.path.name} is the whole model definition, so its entrypoint has no module, not {entrypoint.module!r}."
            raise EntrypointError(
                message, entrypoint=str(entrypoint), path=str(self.path), hint=f"Write `:{'.'.join(entrypoint.attributes)}`."
            )
        missing = scope.missing_part(entrypoint.module)
        if missing is not None:
            raise EntrypointError(
                f"There is no module {missing!r} in the model definition (entrypoint {str(entrypoint)!r}).",
                entrypoint=str(entrypoint),
                path=str(self.root),
                hint=self._candidates(entrypoint) or _WHAT_TO_DO,
            )
        if not entrypoint.module and not (self.root / "__init__.py").is_file():
            raise EntrypointError(
                f"The entrypoint {str(entrypoint)!r} has no module, and there is no top-level __init__.py to look in.",
                entrypoint=str(entrypoint),
                path=str(self.root),
                hint=self._candidates(entrypoint) or _WHAT_TO_DO,
            )

    def _candidates(self, entrypoint: Entrypoint) -> str | None:
        return candidates_hint(str(entrypoint), [str(candidate) for candidate in self.entrypoints()])

    def _import(self, scope: DefinitionScope, entrypoint: Entrypoint) -> ModuleType:
        """Import the entrypoint's module; the errors are those of `load`."""
        error: DefinitionError | BaseException
        try:
            return scope.import_module(entrypoint.module)
        except SyntaxError as raised:
            error = self._syntax_error(raised) or self._trial_error(raised, entrypoint)
        except KeyboardInterrupt:
            raise
        except BaseException as raised:  # the user's code may raise anything, SystemExit too
            error = self._trial_error(raised, entrypoint)
        raise error

    def _trial_error(self, raised: BaseException, entrypoint: Entrypoint) -> BaseException:
        return trial_error(raised, [self.path], f"importing {entrypoint.module or self.name}")

    def _syntax_error(self, raised: SyntaxError) -> DefinitionSyntaxError | None:
        """Return the error for a module of the definition that does not compile; None if it is about other text (an `eval`)."""
        if not raised.filename or not Path(raised.filename).is_relative_to(self.path):
            return None
        file = Path(raised.filename)
        text = raised.text or (linecache.getline(str(file), raised.lineno) if raised.lineno else "")
        return DefinitionSyntaxError(
            f"{file.relative_to(self.root).as_posix()} does not compile: {raised.msg}.",
            path=str(file),
            line=raised.lineno,
            text=text.rstrip("\n") or None,
            hint="Correct that line and load again.",
        )

    def _trial_class(self, module: ModuleType, entrypoint: Entrypoint) -> type[Trial]:
        """Follow the entrypoint's attributes from the module to a Trial class."""
        found: Any = module  # whatever the user's module holds
        followed = entrypoint.module or self.name
        for name in entrypoint.attributes:
            try:
                found = getattr(found, name)
            except AttributeError:
                raise self._unknown_attribute(found, name, followed, entrypoint) from None
            followed += f".{name}"
        if isinstance(found, type) and issubclass(found, Trial):
            lacking = sorted(getattr(found, "__abstractmethods__", ()))
            if not lacking:
                return found
            raise NotATrialError(
                f"{str(entrypoint)!r} is not a complete Trial class: it does not define {listing(lacking)}.",
                entrypoint=str(entrypoint),
                path=str(self.path),
                hint="Define what is missing, or name the class that is derived from it.",
            )
        raise NotATrialError(
            f"{str(entrypoint)!r} is {_describe(found)}, not a Trial class.",
            entrypoint=str(entrypoint),
            path=str(self.path),
            hint=self._candidates(entrypoint) or "Derive the class from a Trial, for example `detjupyter.pytorch.PyTorchTrial`.",
        )

    def _unknown_attribute(self, found: object, name: str, followed: str, entrypoint: Entrypoint) -> EntrypointError:
        names = _public_names(found)
        there = f"It has {listing(names)}." if names else "It has no public names."
        near = candidates_hint(name, names) or ""
        return EntrypointError(
            f"There is no {name!r} in {followed} (entrypoint {str(entrypoint)!r}).",
            entrypoint=str(entrypoint),
            path=str(self.path),
            hint=f"{near} {there}".strip() if near.startswith("Did") else there,
        )


def _public_names(owner: object) -> list[str]:
    """Return the names that the user could have meant: classes of the definition first, modules never."""
    values = {name: inspect.getattr_static(owner, name, None) for name in dir(owner) if not name.startswith("_")}

    def distance(name: str) -> int:
        value = values[name]
        own = str(getattr(value, "__module__", "")).startswith(PREFIX)
        return (0 if own else 2) if isinstance(value, type) else 1

    return sorted((name for name, value in values.items() if not isinstance(value, ModuleType)), key=distance)


def _describe(value: object) -> str:
    """Name the kind of an object for a sentence."""
    if isinstance(value, type):
        bases: Sequence[type] = [base for base in value.__bases__ if base is not object]
        return f"a class derived from {', '.join(base.__name__ for base in bases)}" if bases else "a class derived from nothing"
    kind = type(value).__name__
    article = "an" if kind[0] in "aeiou" else "a"
    return {"NoneType": "None"}.get(kind, public_text(f"{article} {kind}"))


def _place(trial_class: type, scope: DefinitionScope, entrypoint: Entrypoint) -> tuple[Path, int]:
    """Return the file and line of a class; the entrypoint's module when Python cannot tell (a class made by a call)."""
    try:
        file = inspect.getfile(trial_class)
        linecache.checkcache(file)
        return Path(file), inspect.getsourcelines(trial_class)[1] or 1
    except (OSError, TypeError, SyntaxError, IndexError):
        module = scope.import_module(entrypoint.module)
        return Path(module.__file__ or scope.path), 1
