"""A model definition: a directory, or one .py file, and what can be asked of it."""

from __future__ import annotations

import ast
import hashlib
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

if TYPE_CHECKING:
    from detjupyter.bundle.archive import ArchiveReport
    from detjupyter.definition.file_watch import UsageWatch

#: More paths than this are looked at only when somebody says that it is meant.
MOST_PATHS = 200_000


class ModelDefinition:
    """The code, configuration and data files of a model: a directory, or one .py file, or an archive of a directory.

    Args:
        path: Where it is, from the working directory; ``~`` is understood. An archive that :meth:`archive` made is unpacked beside the
            history, once for each content.
        defaults: Whether the default rules of what ships hold (`detjupyter.bundle`).
        any_size: Whether a directory of more than 200,000 paths is meant; else looking at all of it is refused.

    Attributes:
        path: The directory or the file, absolute.
        root: The directory: ``path``, or the directory that the file is in.
        name: The directory's name, or the file's without its suffix.
        is_file: Whether it is a single file.

    Raises:
        DefinitionNotFoundError: There is no directory, .py file or archive at ``path``.
        DefinitionError: The archive is torn, or holds what no archive of ours does.
    """

    def __init__(self, path: str | Path = ".", *, defaults: bool = True, any_size: bool = False) -> None:
        self.path = Path(path).expanduser().resolve()
        if self.path.is_file() and self.path.suffix != ".py":
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
        """The `startup-hook.sh` at the root, None if there is none. It runs only when somebody asks."""
        return None if self.is_file else find_hook(self.root)

    def files(self, *, expand: bool = False, progress: Callable[[int], None] | None = None) -> FileReport:
        """Return every path with its size, whether it ships, and the rule that decided. Reads the directory anew each time.

        Args:
            expand: Whether to enter directories that are left out as a whole.
            progress: Called now and then with the number of paths so far; what it raises stops the scan.

        Raises:
            DefinitionTooLargeError: There are more than 200,000 paths, and nobody has said that this is meant.
        """

        def look(paths: int) -> None:
            if progress is not None:
                progress(paths)
            if paths > MOST_PATHS and not self.any_size:
                raise DefinitionTooLargeError(path=str(self.path), most_paths=MOST_PATHS)

        report = scan(self.path, defaults=self.defaults, expand=expand, progress=look)
        look(len(report))  # a quick scan may have been through before it told of anything
        return report

    def require_size(self) -> None:
        """Refuse a directory that nobody can have meant, after counting names only.

        Raises:
            DefinitionTooLargeError: There are more than 200,000 paths, and nobody has said that this is meant.
        """
        if not self.any_size and survey(self.path, defaults=self.defaults, names_only=True, most_paths=MOST_PATHS).over_after:
            raise DefinitionTooLargeError(path=str(self.path), most_paths=MOST_PATHS)

    def archive(self, target: str | Path, *, oversize: bool = False) -> ArchiveReport:
        """Write exactly the files that ship into a ``.tar.gz``: the same files give the same bytes, on any machine.

        Args:
            target: Where to; an archive that stands there is replaced.
            oversize: Whether more than the limit of an upload may ship.

        Raises:
            DefinitionError: The archive cannot be written, or what ships is over the limit.
        """
        from detjupyter.bundle.archive import write_archive

        return write_archive(self.files(), Path(target).expanduser().absolute(), oversize=oversize)

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
            raise EntrypointError(message, entrypoint=None, hint=WHAT_TO_DO)
        raise EntrypointError(
            f"There are {len(found)} Trial classes in {self.path}: {listing([str(one) for one in found])}.",
            entrypoint=None,
            hint=f"Name the one to load: `%det_load {found[0]}`.",
        )

    def import_trial(self, entrypoint: str | Entrypoint | None = None) -> type[Trial]:
        """Import the definition anew and return the Trial class; see `load` for the errors."""
        return self.load(entrypoint).trial_class

    def load(self, entrypoint: str | Entrypoint | None = None, usage: UsageWatch | None = None) -> LoadedClass:
        """Import the definition anew, in isolation, and return the Trial class with where it stands.

        Earlier loads stay as they were. When this one fails, nothing of it stays behind.

        Args:
            entrypoint: What to load; None: see `choose_entrypoint`.
            usage: What processes that the definition spawns report the files to that they open.

        Raises:
            EntrypointError: Malformed, or there is no such module or object.
            NotATrialError: The object is there but is no Trial class.
            DefinitionSyntaxError: A module of the definition does not compile.
            TrialError: The code of the definition raised while it was imported.
        """
        wanted = self.choose_entrypoint() if entrypoint is None else self._parse(entrypoint)
        scope = DefinitionScope(self.path)
        if usage is not None:
            finding.publish_usage(scope.package, usage)
        loaded = None
        try:
            loaded = Resolution(scope, wanted, self.entrypoints).resolve()
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
            with suppress(OSError, ValueError):  # unreadable, or no text: not where a Trial class is
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
            pass  # the candidates are worth reading every file for only when there is something to say
        return Entrypoint.parse(text, candidates=self.entrypoints())


def _unpacked(archive: Path, given: str) -> Path:
    """Return the directory that holds what the archive does: unpacked beside the history, so that runs can refer to it.

    Raises:
        DefinitionNotFoundError: The file is no archive.
        DefinitionError: It is torn, or holds what it should not.
    """
    from detjupyter.bundle.archive import extract_archive, is_archive
    from detjupyter.store.location import home

    if not is_archive(archive):
        hint = "A model definition is a directory, one file of Python, or a .tar.gz that `%det_package` made."
        raise DefinitionNotFoundError(f"{given!r} is not a .py file and not an archive.", path=str(archive), hint=hint)
    name = archive.name.removesuffix(".gz").removesuffix(".tgz").removesuffix(".tar") or "definition"
    with archive.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    place = home() / "unpacked" / digest.hexdigest()[:16]
    if not (place / name).is_dir():
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place, prefix=".partial-") as scratch:
            extract_archive(archive, Path(scratch) / name)
            with suppress(FileExistsError):  # another process was quicker
                (Path(scratch) / name).rename(place / name)
    return place / name
