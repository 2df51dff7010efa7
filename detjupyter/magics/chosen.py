"""The model definition that a magic works on, and its path relative to the notebook."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from detjupyter.errors import DefinitionError, DefinitionTooLargeError
from detjupyter.magics.asking import ask, say
from detjupyter.magics.counting import counting
from detjupyter.session.kernel import notebook_at_start

if TYPE_CHECKING:
    from detjupyter.bundle import FileReport
    from detjupyter.definition.model_definition import ModelDefinition
    from detjupyter.session.session import Session

PATH_HELP = "the model definition, a directory or one .py file; by default the current session's, else the notebook's directory"


def chosen_definition(path: str | None, *, any_size: bool = False) -> ModelDefinition:
    """Return the definition at ``path``; without one the current session's, else the one in the notebook's directory.

    Raises:
        DefinitionNotFoundError: There is no such definition.
    """
    from detjupyter.definition.model_definition import ModelDefinition

    session = session_of(None) if path is None else None
    if session is not None:
        return ModelDefinition(session.definition.path, any_size=any_size or session.definition.any_size)
    return ModelDefinition("." if path is None else path, any_size=any_size)


def session_of(definition: ModelDefinition | None) -> Session | None:
    """Return the newest session that was loaded from ``definition`` (None: the current session), None if there is none."""
    from detjupyter.session.registry import registry

    fitting = [one for one in registry.all() if definition is None or one.definition.path == definition.path]
    return fitting[-1] if fitting else None


def require_writable(definition: ModelDefinition) -> None:
    """Refuse to write into a definition that was unpacked from an archive: it represents the archive, and other sessions may use it.

    Raises:
        DefinitionError: The definition was unpacked from an archive.
    """
    from detjupyter.store.location import home

    if definition.path.is_relative_to(home().resolve() / "unpacked"):
        raise DefinitionError(
            f"{definition.name} was loaded from an archive, so its files are not changed.",
            path=str(definition.path),
            hint="Unpack the archive into a directory of your own, and name that by `--path`.",
        )


def scanned(definition: ModelDefinition, *, expand: bool = False) -> FileReport | None:
    """Return the files of a definition. For a very large one, ask the user first, and return None if the answer is no.

    Raises:
        DefinitionTooLargeError: The definition is very large, and the user cannot be asked.
    """
    doing = f"Scanning {definition.name or definition.path}"
    try:
        with counting(doing) as count:
            return definition.files(expand=expand, progress=count)
    except DefinitionTooLargeError as error:
        answer = ask(f"There are more than {error.most_paths:,} paths in {definition.path}. Scan all of them?")
        if answer is None:
            raise
    if not answer:
        say("Nothing was scanned.")
        return None
    definition.any_size = True
    with counting(doing) as count:
        return definition.files(expand=expand, progress=count)


def links_to(root: Path, shell: Any) -> str | None:
    """Return the path of ``root`` relative to the notebook, as the beginning of a link (``""`` or ``nets/``).

    None if the definition is not below the notebook's directory, or if there is no notebook: links would not work.
    """
    notebook = notebook_at_start()
    if getattr(shell, "kernel", None) is None or notebook is None:
        return None
    directory = notebook.parent.resolve()
    if not root.is_relative_to(directory):
        return None
    relative = root.relative_to(directory).as_posix()
    return "" if relative == "." else f"{relative}/"
