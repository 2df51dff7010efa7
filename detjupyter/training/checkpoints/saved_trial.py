"""From a checkpoint to the trial that it is of, with its weights: no session, no training."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, cast

from detjupyter.definition.config import Config, read_config
from detjupyter.definition.model_definition import ModelDefinition
from detjupyter.definition.trial import Trial
from detjupyter.errors import CheckpointError, DefinitionError, DetJupyterError, TrialError
from detjupyter.protocol.records import CheckpointRecord
from detjupyter.store import open_store
from detjupyter.training.checkpoints.checkpoint import CODE
from detjupyter.training.checkpoints.files import Manifest, read_manifest, verify
from detjupyter.training.checkpoints.foreign import is_foreign, load_data_of
from detjupyter.training.failure import describe

_PASS_THE_CLASS = "Pass the class: trial_class=…"


class TrialRoom(Protocol):
    """What ``detjupyter.<framework>.loading`` offers."""

    def build_saved(
        self,
        trial_class: type[Trial],
        config: Config,
        directory: Path,
        *,
        device: str | None,
        trust: bool,
        trial_kwargs: Mapping[str, Any],
    ) -> tuple[Any, Any]:
        """Return the trial, built and with the weights in ``directory``, and its context."""


def load_checkpoint(
    checkpoint: CheckpointRecord | str | Path,
    *,
    trial_class: type[Trial] | None = None,
    trial_kwargs: Mapping[str, Any] | None = None,
    device: str | None = None,
    trust: bool = False,
) -> Any:
    """Return a checkpoint's trial, built from the code in the checkpoint and with its weights.

    The class is imported from there, apart from any other version of the definition in this process. Of a trial with ``build_model``
    (Determined before 0.12.13) the model is ``context.models[0]``;
    :func:`detjupyter.pytorch.load_trial_from_checkpoint_path` returns just that.

    Args:
        checkpoint: A record, the id of one, or its directory; also of any Determined since 0.12.
        trial_class: The class, where the code is not in the checkpoint, or another shall get the weights.
        trial_kwargs: What its constructor takes besides the context.
        device: Where the models go; by default the best device there is.
        trust: Whether objects of any class may be unpickled, which can run any code.

    Raises:
        CheckpointError: It is missing, damaged, needs trust or a class, or does not fit the class.
        DefinitionError: The code in it does not lead to a Trial class.
        TrialError: The trial's own code raised.
    """
    trial, _ = load_saved(checkpoint, trial_class=trial_class, trial_kwargs=trial_kwargs, device=device, trust=trust)
    return trial


def load_saved(
    checkpoint: CheckpointRecord | str | Path,
    *,
    trial_class: type[Trial] | None,
    trial_kwargs: Mapping[str, Any] | None,
    device: str | None,
    trust: bool,
) -> tuple[Any, Any]:
    """Return what :func:`load_checkpoint` does, and the trial's context."""
    directory = _directory_of(checkpoint)
    manifest = None if is_foreign(directory) else read_manifest(directory)
    if manifest is not None:
        verify(directory, manifest)
    data = load_data_of(directory)
    config = _config(data, directory)
    if trial_class is not None:
        return _room(trial_class).build_saved(
            trial_class, config, directory, device=device, trust=trust, trial_kwargs=dict(trial_kwargs or {})
        )
    path, entrypoint = _code_of(directory, manifest, data, config)
    loaded = ModelDefinition(path, any_size=True).load(entrypoint)
    room = _room(loaded.trial_class)
    error: DetJupyterError
    try:
        with loaded.scope.at_work():
            return room.build_saved(
                loaded.trial_class, config, directory, device=device, trust=trust, trial_kwargs=dict(trial_kwargs or {})
            )
    except KeyboardInterrupt:
        raise
    except BaseException as raised:  # the user's constructor may raise anything
        ours = isinstance(raised, DetJupyterError) and not isinstance(raised, TrialError)
        error = cast("DetJupyterError", raised) if ours else describe(raised, [path], f"building {loaded.trial_class.__name__}")
    loaded.scope.release()
    raise error.with_traceback(None)


def _directory_of(checkpoint: CheckpointRecord | str | Path) -> Path:
    if isinstance(checkpoint, CheckpointRecord):
        return Path(checkpoint.path)
    path = Path(checkpoint).expanduser()
    if path.is_dir():
        return path.absolute()
    if isinstance(checkpoint, Path) or len(path.parts) > 1:
        raise CheckpointError("There is no checkpoint here.", path=str(path.absolute()))
    store = open_store()
    try:
        return Path(store.checkpoint(checkpoint).path)
    finally:
        store.close()


def _config(data: Mapping[str, Any], directory: Path) -> Config:
    """Return the configuration that the trial was built with; what was sampled then stays."""
    raw, hyperparameters = data.get("experiment_config"), data.get("hparams")
    read = read_config(raw if isinstance(raw, Mapping) else {}, directory)
    if not isinstance(hyperparameters, Mapping):
        return read
    return replace(read, hyperparameters=dict(hyperparameters), origins=dict.fromkeys(map(str, hyperparameters), "the checkpoint"))


def _code_of(directory: Path, manifest: Manifest | None, data: Mapping[str, Any], config: Config) -> tuple[Path, str | None]:
    """Return the path of the definition in a checkpoint, and the entrypoint; None where only the code can tell."""
    code = directory / CODE
    if not code.is_dir():
        raise CheckpointError("There is no code in the checkpoint.", path=str(directory), hint=_PASS_THE_CLASS)
    if manifest is not None and manifest.entrypoint:
        entrypoint: str | None = manifest.entrypoint
        path = code / manifest.file if manifest.file else code
    else:
        spec = data.get("trial_cls_spec")
        entrypoint, path = spec if isinstance(spec, str) else config.entrypoint, code
    if entrypoint is not None and entrypoint.partition(":")[0] == "__main__":
        raise CheckpointError("The trial's class was defined in a notebook or a script.", path=str(directory), hint=_PASS_THE_CLASS)
    return path, entrypoint


def _room(trial_class: type[Trial]) -> TrialRoom:
    framework = getattr(trial_class, "framework", None)
    try:
        return cast("TrialRoom", importlib.import_module(f"detjupyter.{framework}.loading"))
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("detjupyter."):
            raise
        raise DefinitionError(f"Trials of the framework {framework!r} are not supported.", hint="Derive it from PyTorchTrial.") from None
