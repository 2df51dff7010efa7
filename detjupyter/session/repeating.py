"""A run as it began, to be loaded again: its load recipe, and its recorded code if the definition has other files now."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

from detjupyter.definition.config import read_config
from detjupyter.definition.model_definition import ModelDefinition
from detjupyter.errors import ArgumentError, DetJupyterError
from detjupyter.protocol.recipe import LoadRecipe
from detjupyter.store.history import Run, run


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a run began with.

    Attributes:
        recipe: The recipe that loads it.
        notices: What differs from the first time, one sentence each.
        directory: The directory with the recorded code, to be deleted after the session; None if the definition has the same files.
        owner: The process that deletes the directory.
    """

    recipe: LoadRecipe
    notices: tuple[str, ...] = ()
    directory: Path | None = None
    owner: int = field(default_factory=os.getpid)

    def delete(self) -> None:
        """Delete the recorded code; in a forked child, which runs the exit handlers of its parent, do nothing."""
        if self.directory is not None and os.getpid() == self.owner:
            shutil.rmtree(self.directory, ignore_errors=True)


def beginning_of(repeated: Run | str) -> Beginning:
    """Return what a run began with.

    Args:
        repeated: The run, or its id.

    Raises:
        RunNotFoundError: There is no such run.
        ArgumentError: It is the run of a script.
        StoreError: Its code was not stored, or is damaged.
    """
    found = run(repeated.id if isinstance(repeated, Run) else repeated)
    record, recipe = found.record, found.recipe
    if recipe is None:
        raise ArgumentError(f"The run {found.id} is that of a script.", hint="Run the script again.")
    notices = []
    if found.parent is not None:
        continued, batch = found.parent
        notices.append(f"The run {found.id} continued {continued} after batch {batch:,}; this session begins with new weights.")
    if _hash_now(recipe) == record.bundle_hash:
        return Beginning(_with_config(recipe, record.config), tuple(notices))
    beginning = Beginning(recipe, directory=Path(tempfile.mkdtemp(prefix="detjupyter-repeat-")))
    try:
        path, left_out = _write_code(found, recipe, beginning)
    except BaseException:
        beginning.delete()
        raise
    notices.append(f"{recipe.path} has other files now, so the code of the run {found.id} is loaded. Files that do not ship are not there.")
    if left_out:
        notices.append(f"The content of {len(left_out)} files was not recorded, of {left_out[0]} for example.")
    return replace(beginning, recipe=_with_config(replace(recipe, path=str(path)), record.config), notices=tuple(notices))


def _write_code(found: Run, recipe: LoadRecipe, beginning: Beginning) -> tuple[Path, tuple[str, ...]]:
    """Write the recorded code; return the path of the definition in it, and the files whose content was not recorded."""
    assert beginning.directory is not None
    code, name = found.code, Path(recipe.path).name
    root = beginning.directory / (found.record.definition or name)  # its name becomes that of the session
    left_out = code.write(root)
    is_file = name.endswith(".py") and list(code) == [name]
    return root / name if is_file else root, left_out


def _hash_now(recipe: LoadRecipe) -> str | None:
    try:
        return ModelDefinition(recipe.path, any_size=recipe.any_size).files().hash
    except DetJupyterError:  # the definition was moved or deleted
        return None


def _with_config(recipe: LoadRecipe, recorded: dict[str, object]) -> LoadRecipe:
    """Return the recipe, with the recorded configuration in place of a file that is missing or has another content now."""
    try:
        is_same = read_config(recipe.config, ModelDefinition(recipe.path).root, recipe.hparams, recipe.seed or 0).raw == recorded
    except DetJupyterError:
        is_same = False
    return recipe if is_same else replace(recipe, config=recorded)
