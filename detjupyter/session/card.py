"""The card of a session: the loaded definition, the files that would ship, and how the code differs from the files on disk."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import replace

from detjupyter.bundle import FileReport, compare, remarks_on
from detjupyter.bundle.rules import IGNORE_FILE_NAME
from detjupyter.definition.changes import CodeChanges, code_changes
from detjupyter.definition.usage import UnshippedFile, Usage, usage_report
from detjupyter.errors import DetJupyterError
from detjupyter.next_step import worded
from detjupyter.protocol.records import CardRecord, ChangeRecord, HyperparameterRecord, UnshippedRecord, UsageRecord
from detjupyter.session.loaded_definition import LoadedDefinition

QUICK_S = 0.2
"""A definition that can be scanned in less time is rescanned in the caller's thread, a larger one in a background thread."""

_UNUSED_NAMED = 5
_UNSHIPPED_NAMED = 20


class CardKeeper:
    """Keeps the card of a session up to date at little cost.

    The files are scanned after each load, and again when `.detignore` has changed. Edits since the load and the used files are computed
    for every card.

    Thread: any.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._scan: _Scan | None = None
        self._scanning = False

    def card(self, loaded: LoadedDefinition) -> CardRecord:
        """Return the current card of ``loaded``."""
        scan = self._scan  # a local variable: the background thread replaces the attribute
        if scan is None or scan.loaded is not loaded or (scan.is_outdated() and scan.seconds < QUICK_S):
            scan = self._scan = _scan_files(loaded)
        elif scan.is_outdated():
            self._scan_in_background(loaded)
        return replace(scan.card, changed=_change_records(changes_on_disk(loaded)), usage=scan.usage())

    def report(self, loaded: LoadedDefinition) -> FileReport:
        """Return the files of ``loaded`` as of the last scan."""
        self.card(loaded)
        assert self._scan is not None  # the call above has scanned
        return self._scan.report

    def _scan_in_background(self, loaded: LoadedDefinition) -> None:
        with self._lock:
            if self._scanning:  # every view asks for the card, and each change is scanned once
                return
            self._scanning = True

        def scan() -> None:
            try:
                with suppress(OSError, DetJupyterError):  # the directory was deleted, or is too large now: keep the old card
                    self._scan = _scan_files(loaded)
            finally:
                self._scanning = False

        threading.Thread(target=scan, name="detjupyter card", daemon=True).start()


class _Scan:
    """One scan of the files, and the values computed from it."""

    def __init__(self, loaded: LoadedDefinition, report: FileReport, card: CardRecord, ignore_file: object, seconds: float) -> None:
        self.loaded = loaded
        self.report = report
        self.card = card
        self.seconds = seconds
        self._ignore_file = ignore_file
        self._usage: tuple[tuple[int, int], UsageRecord] | None = None

    def is_outdated(self) -> bool:
        return _signature(self.loaded) != self._ignore_file

    def usage(self) -> UsageRecord:
        opened, imported = self.loaded.opened, self.loaded.sources
        amounts = len(opened), len(imported)
        if self._usage is None or self._usage[0] != amounts:  # both only grow, so their sizes show whether they have changed
            usage = usage_report(opened, tuple(imported), self.report, complete=self.loaded.is_complete)
            self._usage = amounts, _usage_record(usage)
        return self._usage[1]


def changes_on_disk(loaded: LoadedDefinition) -> CodeChanges:
    """Return how the files of the imported modules differ from the loaded code."""
    return code_changes(loaded.sources, loaded.sources_now())


def _scan_files(loaded: LoadedDefinition) -> _Scan:
    began = time.monotonic()
    signature = _signature(loaded)  # before the scan, so that an edit during the scan makes it outdated
    report = loaded.definition.files()
    card = _card_of(loaded, report)
    return _Scan(loaded, report, card, signature, time.monotonic() - began)


def _signature(loaded: LoadedDefinition) -> object:
    try:
        status = (loaded.definition.root / IGNORE_FILE_NAME).stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _card_of(loaded: LoadedDefinition, report: FileReport) -> CardRecord:
    hparams = tuple(HyperparameterRecord(name, loaded.config.value(name), origin) for name, origin in loaded.config.origins.items())
    record = loaded.record
    hook = loaded.definition.startup_hook
    determined = compare(report)
    return CardRecord(
        entrypoint=record.recipe.entrypoint or "",
        definition=loaded.definition.name,
        definition_root=str(loaded.definition.root),
        class_name=record.class_name,
        framework=record.framework,
        file=record.file,
        line=record.line,
        device=record.device,
        seed=record.recipe.seed or 0,
        config_path=loaded.config.path,
        hyperparameters=hparams,
        included_files=report.included_files,
        included_bytes=report.total_bytes,
        excluded_entries=report.excluded_entries,
        limit_bytes=report.limit_bytes,
        bundle_hash=report.hash,
        loaded_at=record.loaded_at,
        determined_differences=len(determined.differences or ()),
        startup_hook=str(hook) if hook is not None else None,
        warnings=tuple(map(worded, record.warnings)),
        notes=tuple(map(worded, record.notes)),
        file_notes=tuple(map(worded, (*report.problems, *remarks_on(report).sentences, *determined.notes))),
        is_seed_drawn=record.recipe.is_seed_drawn,
    )


def _change_records(changes: CodeChanges) -> tuple[ChangeRecord, ...]:
    return tuple(
        ChangeRecord(change.path, change.kind if change.read else "does not compile", tuple(name.name for name in change.names))
        for change in changes.files
    )


def _usage_record(usage: Usage) -> UsageRecord:
    # One record for each file, or one for each directory that is left out as a whole.
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
