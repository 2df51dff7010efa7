"""Writes a run to a file or a directory, in the format that its name says."""

from __future__ import annotations

import csv
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from detjupyter.errors import ArgumentError, ExportError, MissingPackageError
from detjupyter.store.export.page import write_page
from detjupyter.store.export.table import read_table
from detjupyter.store.export.tensorboard import EVENT_FILE, write_events

if TYPE_CHECKING:
    from detjupyter.store.base import Store

Write = Callable[["Store", str, Path], None]


def export(store: Store, run_id: str, target: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write a run to ``target``, and return its absolute path; see :meth:`detjupyter.store.history.Run.export`.

    The target is complete or unchanged: it is written next to its final place and then renamed.
    """
    path = Path(os.path.abspath(Path(target).expanduser()))  # noqa: PTH100 -- without resolving links, which resolve() would replace
    write = _writer_of(path, is_directory=os.fspath(target).endswith(("/", os.sep)))
    if not overwrite and os.path.lexists(path):
        raise ExportError(f"{path} exists already.", hint="Choose another name, or replace it with overwrite=True.")
    try:
        if overwrite:
            _require_replaceable(path, is_directory=write is write_events)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name[:40]}-", dir=path.parent) as scratch:
            made = Path(scratch) / path.name
            write(store, run_id, made)
            _put(made, path, Path(scratch) / "replaced")
    except OSError as error:
        reason = error.strerror or str(error)
        where = None if error.filename is None or str(error.filename) == str(path) else str(error.filename)
        raise ExportError(f"The run {run_id} was not written to {path}: {reason}. Nothing was changed.", path=where) from None
    return path


def _require_replaceable(path: Path, *, is_directory: bool) -> None:
    """Raise if ``path`` is another kind of export, or a directory with anything else than event files, such as a home or a project."""
    if not os.path.exists(path):  # noqa: PTH110 -- a name that is too long is none that exists; the one of pathlib raises
        return
    if path.is_dir() != is_directory:
        kind = "directory" if path.is_dir() else "file"
        raise ExportError(f"{path} is a {kind}, which is not replaced by another kind of export.", hint="Choose another name.")
    inside = path.iterdir() if is_directory else ()
    other = next((entry.name for entry in inside if entry.is_dir() or not entry.name.startswith(EVENT_FILE)), None)
    if other is not None:
        raise ExportError(f"{path} is not replaced: it has other files than an export, {other} for example.", hint="Choose another name.")


def _put(made: Path, path: Path, aside: Path) -> None:
    """Rename ``made`` to ``path``. A directory cannot be replaced in one step: the old one is moved to ``aside`` first."""
    if not made.is_dir() or not path.exists():
        made.replace(path)
        return
    path.rename(aside)
    try:
        made.rename(path)
    except OSError:
        aside.rename(path)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _writer_of(path: Path, *, is_directory: bool) -> Write:
    if is_directory:
        return write_events
    write = _WRITERS.get(path.suffix.lower())
    if write is None:
        raise ArgumentError(
            f"The name {path.name!r} does not say a format.",
            hint=f"End it with {', '.join(_WRITERS)}, or with / for a directory of TensorBoard's event files.",
        )
    return write


def _write_csv(store: Store, run_id: str, path: Path) -> None:
    table = read_table(store, run_id)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["batch", *(column.name for column in table.columns)])
        writer.writerows([batch, *texts] for batch, texts in table.rows())


def _write_parquet(store: Store, run_id: str, path: Path) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingPackageError("Parquet files", "pyarrow") from None
    table = read_table(store, run_id)
    columns: dict[str, Any] = {"batch": table.batches}
    for column in table.columns:
        is_missing = np.ones(len(table.batches), bool)
        is_missing[column.rows] = False  # a NaN that the trial reported is not a missing value
        columns[column.name] = pyarrow.array(column.spread(len(table.batches)), mask=is_missing)
    parquet.write_table(pyarrow.table(columns), path)


_WRITERS: dict[str, Write] = {".csv": _write_csv, ".parquet": _write_parquet, ".html": write_page}
