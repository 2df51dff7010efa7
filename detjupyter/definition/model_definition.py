"""A model definition, which is a directory or one .py file, and the operations on it."""

from __future__ import annotations

import ast
import hashlib
import re
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from detjupyter.bundle import FileReport, scan, survey
from detjupyter.definition.discovery import find_trials, module_name
from detjupyter.definition.entrypoint import Entrypoint
from detjupyter.definition.isolation import finding
from detjupyter.definition.isolation.imports import DefinitionScope
from detjupyter.definition.resolution import WHAT_TO_DO, LoadedClass, Resolution, syntax_error
from detjupyter.definition.startup_hook import find_hook
from detjupyter.definition.suggestions import listing
from detjupyter.definition.trial import Trial
from detjupyter.errors import DefinitionNotFoundError, DefinitionTooLargeError, EntrypointError
from detjupyter.next_step import NextStep

if TYPE_CHECKING:
    from detjupyter.bundle.archive import ArchiveReport
    from detjupyter.definition.opened_files import UsageWatch

#: More paths than this are scanned only with ``any_size``.
MOST_PATHS = 200_000
_GET_HPARAM = re.compile(rb"\bget_hparam\(\s*[\"']([\w.]+)[\"']")


class ModelDefinition:
    """The code, configuration and data files of a model: a directory, or one .py file, or an archive of a directory.

    Args:
        path: Its path, relative to the working directory; ``~`` is expanded. An archive written by :meth:`archive` is unpacked into the
            directory of the history, once for each content.
        defaults: Whether the default rules about the files that ship apply (`detjupyter.bundle`).
        any_size: Whether to accept a directory of more than 200,000 paths; if not, scanning it is refused.

    Attributes:
        path: The directory or the file, absolute.
        root: The directory: ``path``, or the directory that contains the file.
        name: The directory's name, or the file's without its suffix.
        is_file: Whether it is a single file.

    Raises:
        DefinitionNotFoundError: There is no directory, .py file or archive at ``path``.
        DefinitionError: The archive is incomplete, or contains entries that an archive of detjupyter never has.
    """

    def __init__(self, path: str | Path = ".", *, defaults: bool = True, any_size: bool = False) -> None:
        self.path, is_file = _looked_up(path)
        if is_file and self.path.suffix != ".py":
            self.path = _unpacked(self.path, str(path))
        self.is_file = self.path.is_file()
        if not self.is_file and not self.path.is_dir():
            hint = "Paths start at the working directory" + (
                f", {Path.cwd()}." if not Path(path).is_absolute() else " unless they begin with /."
            )
            raise DefinitionNotFoundError(f"There is no directory and no .py file at {str(path)!r}.", path=str(self.path), hint=hint)
        self.root = self.path.parent if self.is_file else self.path
        self.name = self.path.stem if self.is_file else self.path.name
        self.defaults = defaults
        self.any_size = any_size

    def __repr__(self) -> str:
        return f"ModelDefinition({str(self.path)!r})"

    @property
    def startup_hook(self) -> Path | None:
        """The `startup-hook.sh` at the root, None if there is none. It runs only on request."""
        return None if self.is_file else find_hook(self.root)

    def files(self, *, expand: bool = False, progress: Callable[[int], None] | None = None) -> FileReport:
        """Return every path with its size, whether it ships, and the rule that decided. Each call scans the directory again.

        Args:
            expand: Whether to scan directories that are left out as a whole.
            progress: Called at intervals with the number of paths so far; an exception that it raises stops the scan.

        Raises:
            DefinitionTooLargeError: There are more than 200,000 paths, and ``any_size`` is false.
        """

        def look(paths: int) -> None:
            if progress is not None:
                progress(paths)
            if paths > MOST_PATHS and not self.any_size:
                raise DefinitionTooLargeError(path=str(self.path), most_paths=MOST_PATHS)

        report = scan(self.path, defaults=self.defaults, expand=expand, progress=look)
        look(len(report))  # a fast scan may end before its first report
        return report

    def require_size(self) -> None:
        """Refuse a directory that is too large for a definition. Only names are counted.

        Raises:
            DefinitionTooLargeError: There are more than 200,000 paths, and ``any_size`` is false.
        """
        if not self.any_size and survey(self.path, defaults=self.defaults, names_only=True, most_paths=MOST_PATHS).over_after:
            raise DefinitionTooLargeError(path=str(self.path), most_paths=MOST_PATHS)

    def archive(self, target: str | Path, *, oversize: bool = False) -> ArchiveReport:
        """Write the files that ship into a ``.tar.gz``: the same files give the same bytes, on any machine.

        Args:
            target: The path of the archive; an existing archive is replaced.
            oversize: Whether to allow an archive above the limit of an upload.

        Raises:
            DefinitionError: The archive cannot be written, or the files exceed the limit.
        """
        from detjupyter.bundle.archive import write_archive

        return write_archive(self.files(), Path(target).expanduser().absolute(), oversize=oversize)

    def entrypoints(self) -> list[Entrypoint]:
        """Return the Trial classes in the files that ship, found by parsing, not by importing."""
        return find_trials(self._modules())

    def hyperparameters(self) -> list[str]:
        """Return the names of the hyperparameters that the code asks for with ``get_hparam``, sorted, without importing it."""
        texts = []
        for path in self._modules().values():
            with suppress(OSError):
                texts.append(path.read_bytes())
        return sorted({match[1].decode() for text in texts for match in _GET_HPARAM.finditer(text)})

    def choose_entrypoint(self, config_entrypoint: str | None = None) -> Entrypoint:
        """Return the default entrypoint: the config's, else the only Trial class of the definition.

        A definition of one file ignores a config that names another file.

        Raises:
            EntrypointError: The config's entrypoint is malformed, there is no Trial class, or there are several.
            DefinitionSyntaxError: There is no Trial class, and a file that mentions Trials does not compile.
        """
        if config_entrypoint:
            named = self._parse(config_entrypoint)
            if not self.is_file or not named.module:
                return named
            if named.module.rpartition(".")[2] == self.name:  # the config is that of the directory around the file
                return Entrypoint("", named.attributes)
        found = self.entrypoints()
        if len(found) == 1:
            return found[0]
        if not found:
            self._require_that_trials_compile()
            message = f"There is no model definition here: no class in {self.path} is derived from a Trial class."
            raise EntrypointError(message, entrypoint=None, hint=WHAT_TO_DO)
        raise EntrypointError(
            f"There are {len(found)} Trial classes in {self.path}: {listing([str(one) for one in found])}.",
            entrypoint=None,
            hint=f"Name the one to load: {self._loading(found[0])}.",
        )

    def _loading(self, entrypoint: Entrypoint) -> str:
        """Return the call that loads a class of this definition."""
        here = Path.cwd()
        if self.path == here:
            return NextStep.LOAD_CLASS(entrypoint)
        return NextStep.LOAD_CLASS_OF(self.path.relative_to(here) if self.path.is_relative_to(here) else self.path, entrypoint)

    def import_trial(self, entrypoint: str | Entrypoint | None = None) -> type[Trial]:
        """Import the definition again and return the Trial class; see `load` for the errors."""
        return self.load(entrypoint).trial_class

    def load(self, entrypoint: str | Entrypoint | None = None, usage: UsageWatch | None = None) -> LoadedClass:
        """Import the definition again, isolated from earlier loads, and return the Trial class with its location.

        Earlier loads are not affected. If this load fails, all its modules are removed.

        Args:
            entrypoint: The entrypoint to load; None: see `choose_entrypoint`.
            usage: The watch to which processes spawned by the definition report the files that they open.

        Raises:
            EntrypointError: The entrypoint is malformed, or there is no such module or object.
            NotATrialError: The object exists but is not a Trial class.
            DefinitionSyntaxError: A module of the definition does not compile.
            UnsupportedError: The class is a trial of a framework that detjupyter does not train.
            TrialError: The code of the definition raised an exception while it was imported.
        """
        wanted = self.choose_entrypoint() if entrypoint is None else self._parse(entrypoint)
        scope = DefinitionScope(self.path)
        if usage is not None:
            finding.publish_usage(scope.package, usage)
        loaded = None
        try:
            loaded = Resolution(scope, wanted, self._modules).resolve()
        finally:
            if loaded is None:
                scope.release()
        return loaded

    def _modules(self) -> dict[str, Path]:
        """Return the Python files that ship, by module name relative to the root."""
        if self.is_file:
            return {"": self.path}
        modules = {module_name(entry.path): self.root / entry.path for entry in self.files().included if entry.path.endswith(".py")}
        return {name: path for name, path in modules.items() if name is not None}

    def _require_that_trials_compile(self) -> None:
        for path in self._modules().values():
            with suppress(OSError, ValueError):  # the file is unreadable or not text, so it contains no Trial class
                source = path.read_bytes()
                if b"Trial" not in source:
                    continue
                try:
                    ast.parse(source, str(path))
                except SyntaxError as raised:
                    error = syntax_error(raised, self.path)
                    if error is not None:
                        raise error from None

    def _parse(self, text: str | Entrypoint) -> Entrypoint:
        try:
            return Entrypoint.parse(text)
        except EntrypointError:
            pass  # only an error needs the candidates, for which every file is read
        return Entrypoint.parse(text, candidates=self.entrypoints())


def _looked_up(path: str | Path) -> tuple[Path, bool]:
    """Return the absolute path, and whether it leads to a file.

    Raises:
        DefinitionNotFoundError: No file system has such a path: it is too long, holds a NUL character, or names an unknown user.
    """
    try:
        found = Path(path).expanduser().resolve()
        return found, found.is_file()
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DefinitionNotFoundError(
            f"The path {str(path)!r} cannot be used: {reason}.",
            hint="Name a directory, a .py file or an archive.",
        ) from None


def _unpacked(archive: Path, given: str) -> Path:
    """Unpack the archive into the directory of the history, so that runs can refer to it, and return the unpacked directory.

    Raises:
        DefinitionNotFoundError: The file is not an archive.
        DefinitionError: The archive is incomplete, or contains entries that are not allowed.
    """
    from detjupyter.bundle.archive import extract_archive, is_archive
    from detjupyter.store.location import create_directory, home

    if not is_archive(archive):
        packed = NextStep.PACKAGE("NAME.tar.gz")
        hint = f"A model definition is a directory, one Python file, or an archive made with {packed}."
        raise DefinitionNotFoundError(f"{given!r} is not a .py file and not an archive.", path=str(archive), hint=hint)
    name = archive.name.removesuffix(".gz").removesuffix(".tgz").removesuffix(".tar") or "definition"
    with archive.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    place = home() / "unpacked" / digest.hexdigest()[:16]
    if not (place / name).is_dir():
        create_directory(place)
        with tempfile.TemporaryDirectory(dir=place, prefix=".partial-") as scratch:
            extract_archive(archive, Path(scratch) / name)
            try:
                (Path(scratch) / name).rename(place / name)
            except OSError:  # ENOTEMPTY on Linux, FileExistsError on Windows
                if not (place / name).is_dir():  # else another process has unpacked it since
                    raise
    return place / name
