"""A session's checkpoints: what they are made of, which of them stay, and where one is."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from detjupyter.errors import CheckpointError, StoreError
from detjupyter.protocol.records import CheckpointRecord
from detjupyter.protocol.states import Group
from detjupyter.store.base import Store
from detjupyter.store.code import Code, CodeStore
from detjupyter.training.board import Board
from detjupyter.training.checkpoints.checkpoint import Origin, PendingCheckpoint, begin_checkpoint
from detjupyter.training.checkpoints.retention import Retention, best_first
from detjupyter.training.loaded import Loaded
from detjupyter.training.loop import Trainee
from detjupyter.training.recorder import Recorder


class KeptCheckpoints:
    """What a session knows of its checkpoints.

    Args:
        trainee: The trial.
        board: Says what the newest validation gave.
        recorder: Says which run in which store the session writes to.
        loaded: Gives what is loaded at the moment.
        say: Takes a sentence for the session's log.

    Thread: the driver's, but for :meth:`find`.
    """

    def __init__(
        self, trainee: Trainee, board: Board, recorder: Recorder, loaded: Callable[[], Loaded], say: Callable[[str], None]
    ) -> None:
        self._trainee = trainee
        self._board = board
        self._recorder = recorder
        self._loaded = loaded
        self._say = say
        self._code: Code | None = None
        self._code_of: dict[str, str] = {}  # the hash of the code in a checkpoint that is being written, by its id
        self._newest: tuple[str, Path] | None = None  # the hash of the code in the newest one, and its directory

    def use_code(self, bundle_hash: str | None) -> None:
        """Put the code of that bundle, which the store keeps, into the checkpoints from now on; None for no code."""
        store = self._recorder.store
        self._code = None if bundle_hash is None or store is None else CodeStore(store.home).code(bundle_hash)

    def begin(self, automatic: bool) -> PendingCheckpoint:
        """Copy the trial's state for a checkpoint.

        Raises:
            CheckpointError: There is no run yet, or the state cannot be copied.
        """
        store, run_id = self._recorder.store, self._recorder.run_id
        if store is None or run_id is None:
            raise CheckpointError("There is no run to write a checkpoint for.")
        loaded, code, newest = self._loaded(), self._code, self._newest
        origin = Origin(
            run_id,
            str(loaded.trial_class.entrypoint),
            loaded.trial_class.trial_class.framework,
            loaded.definition.path.name if loaded.definition.is_file else None,
            loaded.config.raw,
            loaded.config.hyperparameters,
            code,
        )
        pending = begin_checkpoint(
            self._trainee,
            store.home / "checkpoints" / run_id,
            origin,
            automatic=automatic,
            metric=self._metric_now(),
            earlier=newest[1] if newest is not None and code is not None and newest[0] == code.bundle_hash else None,
        )
        if code is not None:
            self._code_of[pending.identity] = code.bundle_hash
        return pending

    def keep(self, checkpoint: CheckpointRecord) -> list[CheckpointRecord]:
        """Forget what a new checkpoint makes superfluous, and return it for its files to be deleted."""
        bundle_hash = self._code_of.pop(checkpoint.id, None)
        if bundle_hash is not None:
            self._newest = (bundle_hash, Path(checkpoint.path))
        store, run_id, retention = self._recorder.store, self._recorder.run_id, Retention.of(self._loaded().config.settings)
        if not checkpoint.automatic or store is None or run_id is None:
            return []
        forgotten = []
        try:
            for old in retention.expired(store.checkpoints(run_id), smaller_is_better=self._smaller_is_better()):
                store.delete_checkpoint(old.id)
                forgotten.append(old)
        except (StoreError, CheckpointError) as error:  # better one too many than a training that ends
            self._say(f"Old checkpoints are not deleted: {error}")
        return forgotten

    def find(self, checkpoint: CheckpointRecord | str | Path, open_store: Callable[[], Store]) -> Path:
        """Return the directory of a checkpoint: of a record, of an id, of a directory itself, or of the ``best`` or ``latest`` one.

        Raises:
            CheckpointError: There is no such checkpoint.

        Thread: any.
        """
        if isinstance(checkpoint, CheckpointRecord):
            return Path(checkpoint.path)
        if checkpoint in ("best", "latest"):
            return self._ranked(str(checkpoint))
        if Path(checkpoint).is_dir():
            return Path(checkpoint)
        return Path((self._recorder.store or open_store()).checkpoint(str(checkpoint)).path)

    def _ranked(self, which: str) -> Path:
        store, run_id = self._recorder.store, self._recorder.run_id
        kept: list[CheckpointRecord] = []
        if store is not None and run_id is not None:
            self._recorder.flush()
            kept = store.checkpoints(run_id)
        if which == "best":
            kept = best_first(kept, smaller_is_better=self._smaller_is_better())[:1]
        if not kept:
            what = "with a validation of the same batch" if which == "best" else "of this session"
            raise CheckpointError(f"There is no checkpoint {what} yet.", hint="`%det_checkpoint` writes one.")
        return Path(kept[-1].path)

    def _metric_now(self) -> float | None:
        """Return the metric that ranks, if it is of the trial as it is now."""
        record = self._board.record()
        if record.best is None or self._trainee.validated_at != self._trainee.batches_trained:
            return None
        value = record.latest.get(Group.VALIDATION.value, {}).get(record.best.name)
        return None if value is None or math.isnan(value) else value

    def _smaller_is_better(self) -> bool:
        best = self._board.record().best
        return best.smaller_is_better if best is not None else self._loaded().config.smaller_is_better is not False
