"""``context.checkpoint``: checkpoints are directories of the run."""

from __future__ import annotations

import json
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from detjupyter.compat.core_api.modes import DownloadMode
from detjupyter.errors import CheckpointError
from detjupyter.next_step import NextStep
from detjupyter.protocol.records import CheckpointRecord
from detjupyter.scripts.reported_run import ReportedRun
from detjupyter.store.location import create_directory

_METADATA = "metadata.json"

Selector = Callable[[str], bool]
"""Given a path relative to a checkpoint's directory (directories end with a slash), returns whether it is copied."""


class CheckpointContext:
    """``context.checkpoint``: checkpoints as directories of the run."""

    def __init__(self, run: ReportedRun) -> None:
        self._run = run

    @contextmanager
    def store_path(self, metadata: Mapping[str, Any] | None = None, *, shard: bool = False) -> Iterator[tuple[Path, str]]:
        """Give a new directory to write a checkpoint into, and its id; it is complete when the block ends well.

        One process writes the whole checkpoint, whether it is ``shard`` or not.
        """
        del shard
        storage_id = str(uuid.uuid4())
        target = self._run.directory / storage_id
        scratch = self._run.directory / f".{storage_id}.partial"
        text = json.dumps(dict(metadata or {}))  # first: what cannot be written is not worth a directory
        create_directory(scratch, exist_ok=False)
        try:
            yield scratch, storage_id
            (scratch / _METADATA).write_text(text, encoding="utf-8")
            scratch.rename(target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        steps = int((metadata or {}).get("steps_completed", 0))
        size_bytes = sum(file.stat().st_size for file in target.rglob("*") if file.is_file())
        self._run.checkpointed(CheckpointRecord(storage_id, self._run.run_id, steps, time.time(), str(target), size_bytes))

    def upload(
        self,
        ckpt_dir: str | Path | None,
        metadata: Mapping[str, Any] | None = None,
        *,
        shard: bool = False,
        selector: Selector | None = None,
    ) -> str:
        """Keep a copy of a directory, or of the files in it that ``selector`` selects, as a checkpoint; return its id."""
        with self.store_path(metadata, shard=shard) as (path, storage_id):
            if ckpt_dir is not None:
                _copy(Path(ckpt_dir), path, selector)
        return storage_id

    @contextmanager
    def restore_path(
        self, storage_id: str, download_mode: DownloadMode = DownloadMode.LocalWorkersShareDownload, *, selector: Selector | None = None
    ) -> Iterator[Path]:
        """Give the directory of a checkpoint to read from, with all its files."""
        del download_mode, selector
        yield self._find(storage_id)

    def download(
        self,
        storage_id: str,
        ckpt_dir: str | Path,
        download_mode: DownloadMode = DownloadMode.LocalWorkersShareDownload,
        *,
        selector: Selector | None = None,
    ) -> None:
        """Copy a checkpoint, or the files in it that ``selector`` selects, into a directory."""
        del download_mode
        _copy(self._find(storage_id), Path(ckpt_dir), selector)

    def get_metadata(self, storage_id: str) -> dict[str, Any]:
        """Return what a checkpoint was stored with."""
        metadata: dict[str, Any] = json.loads((self._find(storage_id) / _METADATA).read_text(encoding="utf-8"))
        return metadata

    def delete(self, storage_id: str, *_: Any, **__: Any) -> None:
        """Delete a checkpoint."""
        shutil.rmtree(self._find(storage_id))
        self._run.forget_checkpoint(storage_id)

    def _find(self, storage_id: str) -> Path:
        """Return the directory of a checkpoint of this run, or of another one."""
        places: tuple[Path, ...] = ()
        if storage_id and Path(storage_id).name == storage_id and not storage_id.startswith("."):
            runs = self._run.directory.parent
            places = (self._run.directory / storage_id, *(run / storage_id for run in sorted(runs.glob("*"))))
        found = next((place for place in places if place.is_dir()), None)
        if found is None:
            raise CheckpointError(
                f"There is no checkpoint {storage_id!r}.", hint=f"{NextStep.RUNS} lists the runs, each with its `checkpoints()`."
            )
        return found


def _copy(source: Path, target: Path, selector: Selector | None) -> None:
    def left_out(directory: str, names: Iterable[str]) -> set[str]:
        below = Path(directory).relative_to(source)
        return {name for name in names if not Path(directory, name).is_dir() and selector is not None and not selector(str(below / name))}

    shutil.copytree(source, target, ignore=left_out, dirs_exist_ok=True)
