"""The part of the ship check that runs in the kernel."""

from __future__ import annotations

import os
import pickle
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from detjupyter.bundle.archive import ArchiveReport, write_archive
from detjupyter.check.batches import columns, first_difference, from_bits, settings_of
from detjupyter.check.clean import CleanProcess
from detjupyter.check.hints import left_out_hint
from detjupyter.check.report import STEPS, CheckReport, CheckStep, FirstDifference
from detjupyter.check.specification import Specification
from detjupyter.definition.config import Config, read_config
from detjupyter.definition.entrypoint import Entrypoint
from detjupyter.definition.isolation import working_directory
from detjupyter.definition.model_definition import ModelDefinition
from detjupyter.engine import ambient
from detjupyter.engine.failure import describe
from detjupyter.engine.output import silenced
from detjupyter.engine.settings import ProcessSettings
from detjupyter.errors import ConfigError, DetJupyterError, LengthError, SessionBusyError, TrialError
from detjupyter.framework.adapter import TrialOptions
from detjupyter.framework.framework import build_adapter, find_framework
from detjupyter.next_step import NextStep
from detjupyter.protocol.states import State
from detjupyter.session.registry import registry

Progress = Callable[[CheckStep], None]


def ship_check(
    definition: ModelDefinition,
    entrypoint: str | Entrypoint | None = None,
    config: Config | Mapping[str, Any] | str | Path | None = None,
    seed: int = 0,
    device: str | None = None,
    *,
    batches: int = 3,
    timeout_s: float | None = None,
    progress: Progress | None = None,
) -> CheckReport:
    """Pack a definition, train a few batches of the archive in a clean process, and compare them with the same batches here.

    The trial that trains in the kernel is built from the directory and released afterwards; the random states of the kernel are restored.
    An interrupt also ends the clean process. All temporary files are deleted.

    Args:
        definition: The definition to check.
        entrypoint: The entrypoint to load; None for the config's, or the only Trial class of the definition.
        config: The configuration, read or to be read.
        seed: The seed of both trials.
        device: The device of both trials, which train one after the other; None for the best available device.
        batches: The number of batches to train.
        timeout_s: The time limit of the clean process; None for no limit.
        progress: Called with each step when it begins (then ``ok`` is None and ``seconds`` 0) and when it ends.

    Returns:
        The report, also if the definition failed.

    Raises:
        SessionBusyError: A session is training now; both would draw from the same random states.
        LengthError: ``batches`` is not positive.
        ConfigError: The configuration cannot be read or cannot be sent to another process.
        EntrypointError: No entrypoint was given, and there is not exactly one.
        KeyboardInterrupt: The user interrupted the check.

    Thread: the main thread, or a separate thread.
    """
    if type(batches) is not int or batches < 1:
        raise LengthError(f"A check needs at least one batch, not {batches!r}.")
    _require_quiet()
    read = config if isinstance(config, Config) else read_config(config, definition.root, None, seed)
    chosen = str(definition.choose_entrypoint(read.entrypoint) if entrypoint is None else entrypoint)
    check = _Check(definition, chosen, read, seed, device, batches, progress or _ignore)
    with tempfile.TemporaryDirectory(prefix="detjupyter-check-", ignore_cleanup_errors=True) as scratch:
        check.run(Path(os.path.realpath(scratch)), timeout_s)
    return check.report()


def _ignore(step: CheckStep) -> None:
    """Ignore a step: the default listener."""


def _require_quiet() -> None:
    for session in registry.all():
        if session.state == State.RUNNING.value:
            raise SessionBusyError(
                f"The session {session.session_id!r} is training, and a check draws from the same random states.",
                state=session.state,
                hint=f"Pause it with {NextStep.PAUSE}, or wait until it ends.",
            )


@dataclass(slots=True)
class _Check:
    """One check in progress: its arguments, and its results so far."""

    definition: ModelDefinition
    entrypoint: str
    config: Config
    seed: int
    device: str | None
    batches: int
    progress: Progress
    steps: dict[str, CheckStep] = field(default_factory=lambda: {name: CheckStep(name, detail="not reached") for name in STEPS})
    archive: ArchiveReport | None = None
    trained_on: str | None = None
    framework: str = ""
    shipped: dict[str, list[float]] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    kernel_settings: dict[str, str] = field(default_factory=dict)
    identical: bool | None = None
    difference: FirstDifference | None = None
    error: TrialError | None = None
    notes: list[str] = field(default_factory=list)
    output: tuple[str, ...] = ()
    _running: str | None = None

    def run(self, scratch: Path, timeout_s: float | None) -> None:
        pickled = self._pickled_config()
        if self.definition.startup_hook is not None:
            self.notes.append(f"{self.definition.startup_hook.name} was not run: the check assumes that its setup is already done.")
        if self._package(scratch / "bundle.tar.gz") and self._train_elsewhere(scratch, pickled, timeout_s):
            self._compare()

    def report(self) -> CheckReport:
        return CheckReport(
            entrypoint=self.entrypoint,
            device=self.trained_on,
            seed=self.seed,
            steps=tuple(self.steps.values()),
            archive=self.archive,
            identical=self.identical,
            first_difference=self.difference,
            error=self.error,
            notes=tuple(self.notes),
            output=self.output,
        )

    def _pickled_config(self) -> bytes:
        try:
            return pickle.dumps(self.config)
        except Exception as error:  # pickle passes on any exception of the values
            raise ConfigError(
                f"The configuration contains a value that cannot be pickled: {error}.", hint="Give numbers, text, lists and maps."
            ) from None

    # --- the steps ----------------------------------------------------------------------------------------------------------------

    def _package(self, target: Path) -> bool:
        self._begin("package")
        began = time.perf_counter()
        try:
            self.archive = write_archive(self.definition.files(), target)
        except DetJupyterError as error:
            self.error = TrialError(error.message, hint=error.hint)
            self._end("package", time.perf_counter() - began, False, error.message)
            return False
        self.notes += [f"{file.path} was not packed, because {file.reason}." for file in self.archive.left_out]
        files = "1 file" if self.archive.files == 1 else f"{self.archive.files:,} files"
        detail = f"{files}, {self.archive.total_bytes:,} bytes, bundle {self.archive.bundle_hash[:12]}"
        self._end("package", time.perf_counter() - began, True, detail)
        return True

    def _train_elsewhere(self, scratch: Path, config: bytes, timeout_s: float | None) -> bool:
        definition = self.definition
        (scratch / "config.pickle").write_bytes(config)
        (scratch / "state").mkdir()
        messages, specification = scratch / "messages.jsonl", scratch / "specification.json"
        Specification(
            archive=str(scratch / "bundle.tar.gz"),
            directory=str(scratch / "unpacked" / definition.root.name),  # some definitions import by the name of their directory
            file=definition.path.name if definition.is_file else "",
            entrypoint=self.entrypoint,
            config=str(scratch / "config.pickle"),
            seed=self.seed,
            device=self.device,
            batches=self.batches,
            state=str(scratch / "state"),
            messages=str(messages),
            origin=str(definition.path),
        ).write(specification)
        (scratch / "unpacked").mkdir()
        began = time.monotonic()
        process = CleanProcess(specification, messages, scratch, definition.root)
        ending = process.follow(self._receive, timeout_s)
        self.output = process.printed()
        if ending is not None:
            self._died(ending, time.monotonic() - began)
        return self.error is None and all(step.ok is not False for step in self.steps.values())

    def _compare(self) -> None:
        self._begin("compare")
        began = time.perf_counter()
        try:
            here = self._train_here()
            self.difference = first_difference(here, self.shipped, self.batches)
            self.identical = self.difference is None
            if self.difference is not None:
                self._explain(here)
        except TrialError as error:
            self.error = error
            detail = "trains from the archive, but not from the directory"
            self._end("compare", time.perf_counter() - began, False, detail)
            return
        many = "1 batch" if self.batches == 1 else f"{self.batches:,} batches"
        detail = f"the metrics of {many} are identical to the kernel's" if self.difference is None else str(self.difference)
        self._end("compare", time.perf_counter() - began, self.identical, detail)

    def _explain(self, here: dict[str, list[float]]) -> None:
        """Look for the reason of a difference: settings of the kernel, or a training that cannot be reproduced."""
        for name, value in self.kernel_settings.items():
            if value != self.settings.get(name):
                self.notes.append(f"{name} is {value} in the kernel and {self.settings.get(name)} in a clean process.")
        again = first_difference(here, self._train_here(), self.batches)
        if again is not None:
            self.notes.append(
                f"Two trainings in the kernel differ as well ({again.metric} of batch {again.batches_trained}): "
                "the training depends on something that the seed does not control. Shipping does not change it."
            )
        else:
            self.notes.append(
                "Two trainings in the kernel are identical: the results depend on the state of the kernel, or on a file that does not ship."
            )

    def _train_here(self) -> dict[str, list[float]]:
        """Train the same batches from the directory, in this process.

        Raises:
            TrialError: The code raised an exception.
        """
        failure: TrialError
        settings = ProcessSettings().active(foreground=f"the check of {self.definition.name}")
        with find_framework(self.framework).kept_random_states(), settings, ambient.kept(), silenced():
            try:
                loaded = self.definition.load(self.entrypoint)
                try:
                    with working_directory.at(self.definition.root):
                        adapter = build_adapter(TrialOptions(loaded.trial_class, self.config, self.seed, self.device))
                        self.kernel_settings = settings_of(loaded.trial_class.framework)
                        try:
                            with adapter.active():
                                adapter.begin(0)
                                return columns(adapter, [adapter.train_batch(batch_idx)[0] for batch_idx in range(self.batches)])
                        finally:
                            adapter.release()
                            adapter.shut_down()
                finally:
                    loaded.scope.release()
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # the user's code may raise any exception
                failure = describe(error, [self.definition.root], "training it from the directory")
        raise failure

    # --- messages of the clean process --------------------------------------------------------------------------------------------

    def _receive(self, message: dict[str, Any]) -> None:
        if "begin" in message:
            self._begin(message["begin"])
        elif "end" in message:
            if message["error"]:
                self.error = self._reported_error(message["error"])
            self._end(message["end"], message["seconds"], message["ok"], message["detail"])
        elif "device" in message:
            self.trained_on, self.framework, self.settings = message["device"], message["framework"], message["settings"]
        elif "metrics" in message:
            self.shipped = from_bits(message["metrics"])
        elif message["opened"]:
            self.notes.append(
                f"The code opened files by absolute path, which would fail on another machine: {', '.join(message['opened'])}. "
                "Relative paths start at the root of the definition."
            )

    def _reported_error(self, report: Mapping[str, str]) -> TrialError:
        text = "\n".join(report[part] for part in ("user_traceback", "exception", "message"))
        hint = left_out_hint(text, self.definition.root, defaults=self.definition.defaults) or report["hint"] or None
        return TrialError(report["message"], exception=report["exception"], user_traceback=report["user_traceback"], hint=hint)

    def _died(self, ending: str, seconds: float) -> None:
        """Record that the process ended in the middle of a step."""
        step = self._running or next((step.name for step in self.steps.values() if step.ok is None), STEPS[1])
        self.error = TrialError(f"{ending[:1].upper()}{ending[1:]}, during the step {step!r}.")
        self._end(step, seconds, False, ending)

    def _begin(self, name: str) -> None:
        self._running = name
        self.progress(CheckStep(name, detail="running"))

    def _end(self, name: str, seconds: float, ok: bool | None, detail: str) -> None:
        self._running = None
        self.steps[name] = replace(self.steps[name], seconds=seconds, ok=ok, detail=_one_line(detail))
        self.progress(self.steps[name])


def _one_line(text: str) -> str:
    lines = text.strip().splitlines() or [""]
    return lines[0] + (" …" if len(lines) > 1 else "")
