"""The card of a session: what was loaded, what would ship, and where the two, or the code and the disk, have come apart."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import replace

from detjupyter.bundle import FileReport, compare
from detjupyter.bundle.rules import IGNORE_FILE_NAME
from detjupyter.definition.changes import CodeChanges, code_changes
from detjupyter.definition.usage import UnshippedFile, Usage, usage_report
from detjupyter.errors import DetJupyterError
from detjupyter.protocol.records import CardRecord, ChangeRecord, HyperparameterRecord, UnshippedRecord, UsageRecord
from detjupyter.training.loaded import Loaded

QUICK_S = 0.2
"""A definition whose files are looked through in less is looked through again by whoever asks; a larger one by a thread."""

_UNUSED_NAMED = 5
_UNSHIPPED_NAMED = 20


class CardKeeper:
    """Keeps the card of a session up to date at little cost.

    The files are read when something was loaded, and again when `.detignore` has changed. What was edited since the load and what was
    used are looked up each time.

    Thread: any.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._look: _Look | None = None
        self._looking = False

    def card(self, loaded: Loaded) -> CardRecord:
        """Return the card of ``loaded`` at this moment."""
        look = self._look
        if look is None or look.loaded is not loaded or (look.is_outdated() and look.seconds < QUICK_S):
            look = self._look = _look_at(loaded)
        elif look.is_outdated():
            self._look_in_background(loaded)
        return replace(look.card, changed=_change_records(changes_on_disk(loaded)), usage=look.usage())

    def report(self, loaded: Loaded) -> FileReport:
        """Return the files of ``loaded`` as they were last read."""
        self.card(loaded)
        assert self._look is not None  # a card was made just now
        return self._look.report

    def _look_in_background(self, loaded: Loaded) -> None:
        with self._lock:
            if self._looking:
                return
            self._looking = True

        def look() -> None:
            try:
                with suppress(OSError, DetJupyterError):  # the directory is gone, or has grown: the card stays as it was
                    self._look = _look_at(loaded)
            finally:
                self._looking = False

        threading.Thread(target=look, name="detjupyter card", daemon=True).start()


class _Look:
    """One look at the files, and what was compared with it."""

    def __init__(self, loaded: Loaded, report: FileReport, card: CardRecord, ignore_file: object, seconds: float) -> None:
        self.loaded = loaded
        self.report = report
        self.card = card
        self.seconds = seconds
        self._ignore_file = ignore_file
        self._usage: tuple[tuple[int, int], UsageRecord] | None = None

    def is_outdated(self) -> bool:
        return _signature(self.loaded) != self._ignore_file

    def usage(self) -> UsageRecord:
        opened, imported = self.loaded.usage.opened(), self.loaded.trial_class.scope.sources()
        amounts = len(opened), len(imported)
        if self._usage is None or self._usage[0] != amounts:
            usage = usage_report(opened, tuple(imported), self.report, complete=self.loaded.usage.complete)
            self._usage = amounts, _usage_record(usage)
        return self._usage[1]


def changes_on_disk(loaded: Loaded) -> CodeChanges:
    """Return how the files of the modules that were imported differ from what was loaded."""
    sources = loaded.trial_class.scope.sources()
    return code_changes(sources, loaded.trial_class.scope.sources_now())


def _look_at(loaded: Loaded) -> _Look:
    began = time.monotonic()
    signature = _signature(loaded)
    report = loaded.definition.files()
    card = _card_of(loaded, report)
    return _Look(loaded, report, card, signature, time.monotonic() - began)


def _signature(loaded: Loaded) -> object:
    try:
        status = (loaded.definition.root / IGNORE_FILE_NAME).stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _card_of(loaded: Loaded, report: FileReport) -> CardRecord:
    hparams = tuple(HyperparameterRecord(name, loaded.config.value(name), origin) for name, origin in loaded.config.origins.items())
    hook = loaded.definition.startup_hook
    determined = compare(report)
    return CardRecord(
        entrypoint=str(loaded.trial_class.entrypoint),
        definition=loaded.definition.name,
        definition_root=str(loaded.definition.root),
        class_name=loaded.trial_class.trial_class.__name__,
        framework=loaded.trial_class.trial_class.framework,
        file=str(loaded.trial_class.file),
        line=loaded.trial_class.line,
        device=loaded.adapter.device,
        seed=loaded.seed,
        config_path=loaded.config.path,
        hyperparameters=hparams,
        included_files=report.included_files,
        included_bytes=report.total_bytes,
        excluded_entries=report.excluded_entries,
        limit_bytes=report.limit_bytes,
        bundle_hash=report.hash,
        loaded_at=loaded.loaded_at,
        determined_differences=len(determined.differences or ()),
        startup_hook=str(hook) if hook is not None else None,
        notes=(*loaded.notes, *report.problems, *determined.notes),
    )


def _change_records(changes: CodeChanges) -> tuple[ChangeRecord, ...]:
    return tuple(
        ChangeRecord(change.path, change.kind if change.read else "does not compile", tuple(name.name for name in change.names))
        for change in changes.files
    )


def _usage_record(usage: Usage) -> UsageRecord:
    # One record for each file or, of a directory that is left out as a whole, for the directory.
    firsts: dict[tuple[str, str], UnshippedFile] = {}
    for file in usage.unshipped:
        firsts.setdefault((file.entry, file.how), file)
    unshipped = tuple(
        UnshippedRecord(
            path=file.entry,
            how=file.how,
            source=file.rule.source if file.rule is not None else "always",
            line=file.rule.line if file.rule is not None else None,
            pattern=file.rule.pattern if file.rule is not None else "a single file ships alone",
            sentence=sentence,
        )
        for file, sentence in zip(firsts.values(), usage.sentences(), strict=True)
    )
    return UsageRecord(
        unshipped=unshipped[:_UNSHIPPED_NAMED],
        unused=tuple(file.path for file in usage.unused[:_UNUSED_NAMED]),
        unused_files=len(usage.unused),
        unused_bytes=sum(file.size_bytes for file in usage.unused),
    )
