"""Store the code of a run: the files that ship, as of the begin of the run and of every reload."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from detjupyter.bundle import FileReport
from detjupyter.store.code import CodeSource, CodeStore


def keep_code(home: Path, report: FileReport, loaded: Mapping[str, bytes], bundle_hash: str) -> None:
    """Store the files that ship, under ``bundle_hash``.

    Args:
        home: The directory of the history.
        report: The files at the time of the load.
        loaded: The modules as they were loaded, by path; their files may have been edited since.
        bundle_hash: The hash of the files with those modules.

    Raises:
        StoreError: The files cannot be written.
    """
    CodeStore(home).keep(bundle_hash, _sources(report, loaded))


def _sources(report: FileReport, loaded: Mapping[str, bytes]) -> Iterator[CodeSource]:
    for entry in report.included:
        path = report.locate(entry)
        try:
            is_executable = bool(path.stat().st_mode & stat.S_IXUSR)
        except OSError:  # deleted since the scan; the store reports files that it cannot read
            is_executable = False
        yield CodeSource(entry.path, is_executable, entry.size_bytes, loaded.get(entry.path, path))
