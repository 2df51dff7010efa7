"""The input and the result of a load, as data: a load recipe, and the record of the loaded trial."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class LoadRecipe:
    """Everything that is needed to load a trial again.

    Attributes:
        entrypoint: ``module:Class``; None for the config's, or the only Trial class of the definition.
        path: The model definition, absolute: a directory or one .py file.
        config: The keys of the configuration, the path of a YAML file, or None for the definition's own.
        hparams: Hyperparameters that override the config's.
        seed: Seeds the trial and the sampling of ranges; None for the config's, or a new one.
        device: The framework's name of the device (``cuda:1``); None for the best device.
        compile: Whether the models are compiled.
        startup_hook: Whether ``startup-hook.sh`` runs before the load.
        any_size: Whether a directory with very many paths is accepted.
        settings: Settings of the loading thread that also apply in the trial (torch's default device, for example).
        is_seed_drawn: Whether ``seed`` was drawn by a load, because neither the user nor the config had chosen one.
    """

    entrypoint: str | None
    path: str
    config: dict[str, Any] | str | None = None
    hparams: dict[str, Any] = field(default_factory=dict)
    seed: int | None = None
    device: str | None = None
    compile: bool = False
    startup_hook: bool = False
    any_size: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    is_seed_drawn: bool = False


@dataclass(frozen=True, slots=True)
class LoadedRecord:
    """A trial that an engine has built.

    Attributes:
        recipe: The recipe that it was built from, with the chosen entrypoint and seed.
        definition_path: The directory or the single file.
        definition_root: The directory that relative paths start from.
        class_name: The class, as its ``class`` statement names it.
        framework: The framework of the class.
        file: The file of that statement.
        line: Its line, from 1.
        device: The device of the trial.
        gpu_uuid: NVML's name of the GPU, None on other devices.
        config: The configuration as read from the file.
        config_path: Its file, None if there is none.
        hyperparameters: The values that the trial was built with.
        origins: Where each of them comes from, by dotted name.
        notes: Remarks for the user, one sentence each.
        sources: The modules imported so far: path relative to the root, and the text that was loaded.
        loaded_at: When the code was read, in seconds since the epoch.
        versions: The versions of Python and of the packages that affect the results.
        can_reload: Whether :class:`~detjupyter.protocol.commands.Reload` is possible.
        working_directory: The directory that relative paths of the trial start from, if it is not the root.
        warnings: Remarks about what the user should probably correct.
    """

    recipe: LoadRecipe
    definition_path: str
    definition_root: str
    class_name: str
    framework: str
    file: str
    line: int
    device: str
    gpu_uuid: str | None
    config: dict[str, Any]
    config_path: str | None
    hyperparameters: dict[str, Any]
    origins: dict[str, str]
    notes: tuple[str, ...]
    sources: dict[str, bytes]
    loaded_at: float
    versions: dict[str, str] = field(default_factory=dict)
    can_reload: bool = True
    working_directory: str | None = None
    warnings: tuple[str, ...] = ()

    @property
    def code_hash(self) -> str:
        """The SHA-256 (hex) of the modules as they were loaded: paths and texts."""
        total = hashlib.sha256()
        for path, text in sorted(self.sources.items()):
            for part in (path.encode("utf-8", "surrogateescape"), text):
                total.update(len(part).to_bytes(8, "big") + part)
        return total.hexdigest()
