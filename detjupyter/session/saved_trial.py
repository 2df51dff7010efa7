"""Load the trial of a checkpoint, with its weights, without a session or a training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from detjupyter.definition.config import Config, read_config
from detjupyter.definition.model_definition import ModelDefinition
from detjupyter.definition.trial import Trial
from detjupyter.engine import ambient
from detjupyter.engine.checkpoints.determined import is_foreign, load_data_of
from detjupyter.engine.checkpoints.manifest import Manifest, read_manifest, resolved, verify
from detjupyter.engine.checkpoints.signature import not_yours, why_foreign
from detjupyter.engine.checkpoints.writing import CODE
from detjupyter.engine.failure import describe
from detjupyter.engine.settings import ProcessSettings
from detjupyter.errors import CheckpointError, DetJupyterError, TrialError, UntrustedCheckpointError
from detjupyter.framework.framework import framework_of
from detjupyter.next_step import NextStep
from detjupyter.protocol.records import CheckpointRecord
from detjupyter.store import open_store

_PASS_THE_CLASS = "Pass the class: trial_class=…"


def load_checkpoint(
    checkpoint: CheckpointRecord | str | Path,
    *,
    trial_class: type[Trial] | None = None,
    trial_kwargs: Mapping[str, Any] | None = None,
    device: str | None = None,
    trust: bool = False,
) -> Any:
    """Return the trial of a checkpoint, built from the code in the checkpoint and with its weights.

    The class is imported from the checkpoint, isolated from any other version of the definition in this process. For a trial with
    ``build_model`` (Determined before 0.12.13), the model is ``context.models[0]``, which
    :func:`detjupyter.pytorch.load_trial_from_checkpoint_path` returns.

    Args:
        checkpoint: A record, an id, or a directory; checkpoints of Determined since 0.12 are supported.
        trial_class: The class, if the code is not in the checkpoint or another class should get the weights.
        trial_kwargs: Further arguments of its constructor, in addition to the context.
        device: The device of the models; by default the best available device.
        trust: Whether the code in a checkpoint of another origin may run, and objects of any class may be unpickled. Both can run any code.
            A checkpoint that your own kernels wrote needs no trust.

    Raises:
        CheckpointError: The checkpoint is missing or damaged, needs a class, or does not fit the class.
        UntrustedCheckpointError: The checkpoint needs ``trust``. Nothing in it has run.
        DefinitionError: The code in the checkpoint does not lead to a Trial class.
        TrialError: The trial's own code raised an exception.
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
    """Return the trial as :func:`load_checkpoint` does, and its context; process settings that the definition changes are restored."""
    with ProcessSettings().active(foreground="the load of a checkpoint"), ambient.kept():
        return _load_saved(checkpoint, trial_class=trial_class, trial_kwargs=trial_kwargs, device=device, trust=trust)


def _load_saved(
    checkpoint: CheckpointRecord | str | Path,
    *,
    trial_class: type[Trial] | None,
    trial_kwargs: Mapping[str, Any] | None,
    device: str | None,
    trust: bool,
) -> tuple[Any, Any]:
    directory = resolved(_directory_of(checkpoint))
    manifest = None if is_foreign(directory) else read_manifest(directory)
    doubt: str | None = ""
    if manifest is not None:
        verify(directory, manifest)
        doubt = why_foreign(directory, manifest)
    trust = trust or doubt is None
    data = load_data_of(directory)
    config = _config(data, directory)
    if trial_class is not None:
        return framework_of(trial_class).load_saved(
            trial_class, config, directory, device=device, trust=trust, trial_kwargs=dict(trial_kwargs or {})
        )
    path, entrypoint = _code_of(directory, manifest, data, config)
    if not trust:
        raise UntrustedCheckpointError(
            "Loading the checkpoint would run the code in it." + (f" {not_yours(doubt)}" if doubt else ""),
            path=str(directory),
            hint=f"If you trust where it comes from, load it with {NextStep.TRUST}. Or pass the class: trial_class=…",
        )
    loaded = ModelDefinition(path, any_size=True).load(entrypoint)
    error: DetJupyterError
    try:
        with loaded.scope.active():
            return framework_of(loaded.trial_class).load_saved(
                loaded.trial_class, config, directory, device=device, trust=trust, trial_kwargs=dict(trial_kwargs or {})
            )
    except KeyboardInterrupt:
        raise
    except BaseException as raised:  # the user's constructor may raise any exception
        ours = isinstance(raised, DetJupyterError) and not isinstance(raised, TrialError)
        error = cast("DetJupyterError", raised) if ours else describe(raised, [path], f"building {loaded.trial_class.__name__}")
    loaded.scope.release()
    raise error.with_traceback(None)  # the frames refer to the trial, and a notebook keeps its last error


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
    """Return the configuration that the trial was built with, with its sampled values."""
    raw, hyperparameters = data.get("experiment_config"), data.get("hparams")
    read = read_config(raw if isinstance(raw, Mapping) else {}, directory)
    if not isinstance(hyperparameters, Mapping):
        return read
    return replace(read, hyperparameters=dict(hyperparameters), origins=dict.fromkeys(map(str, hyperparameters), "the checkpoint"))


def _code_of(directory: Path, manifest: Manifest | None, data: Mapping[str, Any], config: Config) -> tuple[Path, str | None]:
    """Return the path of the definition in a checkpoint, and the entrypoint; None if it has to be found in the code."""
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
