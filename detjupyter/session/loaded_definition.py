"""The loaded definition of a session, folded from the engine's events: definition, configuration and used files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from detjupyter.definition.config import Config, read_config
from detjupyter.definition.model_definition import ModelDefinition
from detjupyter.protocol.events import FilesUsed
from detjupyter.protocol.recipe import LoadedRecord


class LoadedDefinition:
    """One load of a model definition, as the session knows it.

    Attributes:
        record: The engine's record of the load.
        number: The number of the load: 0 for the first.
        definition: The model definition.
        config: The configuration that the trial was built with.
        sources: The modules imported so far: path relative to the root, and the text that was loaded.
        opened: The files opened for reading so far, relative to the root.
        is_complete: Whether ``opened`` contains all of them.

    Thread: :meth:`use` in the thread of the events, the rest any. The collections are replaced, never modified.
    """

    def __init__(self, record: LoadedRecord, number: int = 0) -> None:
        self.record = record
        self.number = number
        self.definition = ModelDefinition(record.definition_path, any_size=record.recipe.any_size)
        self.config = _config(record)
        self.sources: dict[str, bytes] = dict(record.sources)
        self.opened: frozenset[str] = frozenset()
        self.is_complete = True
        self._on_disk: dict[str, tuple[object, bytes]] = {}  # by path: the last stat result, and the content at that time

    def use(self, event: FilesUsed) -> None:
        """Add newly used files."""
        self.sources = {**self.sources, **event.sources}
        self.opened = self.opened.union(event.opened)
        self.is_complete = event.complete

    def sources_now(self) -> dict[str, bytes]:
        """Return the current content of the files of the imported modules, without deleted ones. Only changed files are read again."""
        found = {}
        for name in self.sources:
            path = self.definition.root / name
            try:
                status = path.stat()  # before the reading: a file that changes in between is read again by the next call
                # Programs can set the time of the last modification, but not that of the last change of the status.
                signature = status.st_mtime_ns, status.st_size, status.st_ino, status.st_ctime_ns
                known = self._on_disk.get(name)
                if known is None or known[0] != signature:
                    known = self._on_disk[name] = signature, path.read_bytes()
                found[name] = known[1]
            except OSError:
                continue
        return found

    def watched_directories(self) -> list[str]:
        """Return the directories in which an edit affects the loaded code: the root, and those of the imported modules."""
        root = self.definition.root
        directories = {root, *((root / name).parent for name in self.sources)}
        return sorted(str(directory) for directory in directories if directory.is_dir())


def _config(record: LoadedRecord) -> Config:
    read = read_config(record.config, Path(record.definition_root))
    return replace(read, path=record.config_path, hyperparameters=record.hyperparameters, origins=record.origins, warnings=())
