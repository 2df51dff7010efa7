"""Keeping the code of a run: what ships, as it was when the run began and whenever it was replaced."""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator

from detjupyter.bundle import FileReport
from detjupyter.definition.isolation.finding import published_path
from detjupyter.definition.isolation.imports import DefinitionScope
from detjupyter.store.base import Store
from detjupyter.store.code import CodeSource, CodeStore


def keep_code(store: Store, run_id: str, report: FileReport, scope: DefinitionScope, batches_trained: int) -> None:
    """Keep the files that ship with the run, and note from which batch on if the run had begun with others.

    Args:
        store: Where the run is.
        run_id: The run.
        report: The files as they were when the code was loaded.
        scope: The modules that were loaded; they are kept as they were then, though the disk may say something else by now.
        batches_trained: How far the run is.

    Raises:
        StoreError: the disk does not take them.
        RunNotFoundError: the run was deleted.
    """
    CodeStore(store.home).keep(report.hash, _sources(report, scope))
    if store.run(run_id).bundle_hash != report.hash or any(event["kind"] == "code" for event in store.events(run_id)):
        event = {"kind": "code", "at": time.time(), "batches_trained": batches_trained, "bundle_hash": report.hash}
        store.append_event(run_id, event)


def _sources(report: FileReport, scope: DefinitionScope) -> Iterator[CodeSource]:
    for entry in report.included:
        path = report.locate(entry)
        loaded = published_path(scope.package, entry.path)
        try:
            is_executable = bool(path.stat().st_mode & stat.S_IXUSR)
        except OSError:  # gone since the scan; the store says so of what it cannot read
            is_executable = False
        yield CodeSource(entry.path, is_executable, entry.size_bytes, loaded if loaded is not None else path)
