"""A loaded trial, with its definition, its modules, its configuration and its adapter."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from detjupyter.definition.changes import CodeChanges, code_changes
from detjupyter.definition.config import Config
from detjupyter.definition.model_definition import ModelDefinition
from detjupyter.definition.opened_files import UsageWatch
from detjupyter.definition.resolution import LoadedClass
from detjupyter.engine.output import LoadedOutput
from detjupyter.engine.settings import ProcessSettings
from detjupyter.framework.adapter import TrialAdapter
from detjupyter.framework.framework import framework_if_known
from detjupyter.protocol.recipe import LoadedRecord, LoadRecipe


@dataclass(frozen=True, slots=True)
class LoadedTrial:
    """A trial in its adapter, and everything that was loaded with it.

    Attributes:
        recipe: The load recipe, completed with the entrypoint and the seed that were chosen.
        definition: The model definition.
        trial_class: The class that the entrypoint names, with the imported modules.
        config: The configuration that the trial was built with.
        adapter: The adapter, which contains the trial.
        usage: Records the files of the definition that the trial opens.
        output: The log handlers that the load has added.
        settings: The process-wide settings that the trial has changed.
        notes: Sentences for the user.
        warnings: Sentences about what the user should probably correct.
        working_directory: The directory against which relative paths of the trial are resolved; None for the definition's root.
        can_reload: Whether the code can be loaded again.
    """

    recipe: LoadRecipe
    definition: ModelDefinition
    trial_class: LoadedClass
    config: Config
    adapter: TrialAdapter
    usage: UsageWatch
    output: LoadedOutput = field(default_factory=LoadedOutput)
    settings: ProcessSettings = field(default_factory=ProcessSettings)
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    working_directory: Path | None = None
    can_reload: bool = True

    @property
    def roots(self) -> list[Path]:
        """The directories that contain the user's code. Relative paths are resolved against the first one."""
        root = self.definition.root
        return [root] if self.working_directory is None else [self.working_directory, root]

    def record(self) -> LoadedRecord:
        """Return a record of the load, as data."""
        framework = framework_if_known(self.trial_class.trial_class.framework)
        return LoadedRecord(
            recipe=self.recipe,
            definition_path=str(self.definition.path),
            definition_root=str(self.definition.root),
            class_name=self.trial_class.trial_class.__name__,
            framework=self.trial_class.trial_class.framework,
            file=str(self.trial_class.file),
            line=self.trial_class.line,
            device=self.adapter.device,
            gpu_uuid=self.adapter.gpu_uuid,
            config=self.config.raw,
            config_path=self.config.path,
            hyperparameters=self.config.hyperparameters,
            origins=self.config.origins,
            notes=self.notes,
            warnings=self.warnings,
            sources=self.trial_class.scope.sources(),
            loaded_at=self.trial_class.scope.loaded_at,
            versions=_versions(("detjupyter", "numpy", *(framework.packages if framework else ()))),
            can_reload=self.can_reload,
            working_directory=None if self.working_directory is None else str(self.working_directory),
        )

    def release(self, replaced: str | None = None) -> None:
        """Release the data loaders, the modules, the watch on opened files and the log handlers. A failure of one does not skip the others.

        Args:
            replaced: The names of the functions and classes that a reload has replaced, for error messages.

        Raises:
            Exception: Any exception that the user's code raises, for example while a data loader ends.
        """
        with ExitStack() as callbacks:  # it calls the last one first
            callbacks.callback(self.output.release)
            callbacks.callback(self.usage.close)
            callbacks.callback(self.trial_class.scope.release, replaced)
            callbacks.callback(self.adapter.release)


def changes_between(before: LoadedRecord, now: LoadedRecord) -> CodeChanges:
    """Return the code changes between two loads of a definition."""
    return code_changes(before.sources, now.sources)


def changed_hyperparameters(before: LoadedRecord, now: LoadedRecord) -> tuple[tuple[str, Any, Any], ...]:
    """Return the hyperparameters that differ, as (name, old value, new value); a missing value is None."""
    old, new = _flat(before), _flat(now)
    return tuple((name, old.get(name), new.get(name)) for name in {**old, **new} if old.get(name) != new.get(name))


def _flat(loaded: LoadedRecord) -> dict[str, Any]:
    config = Config(hyperparameters=loaded.hyperparameters, origins=loaded.origins)
    return {name: config.value(name) for name in loaded.origins}


def _versions(packages: Iterable[str]) -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
