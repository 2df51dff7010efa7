"""The clean process: unpack an archive and train a few batches of it. Run as ``python -m detjupyter.check.process SPECIFICATION``.

It reports its progress as lines of JSON in a separate file, so that output of the user's code, or a stream that it closes, cannot disturb
them.

* ``{"begin": step}``, and after it ``{"end": step, "seconds": …, "ok": true | false | null, "detail": …, "error": {…} | null}``
* ``{"device": …, "framework": …, "settings": {…}}`` when the trial is built
* ``{"metrics": …}`` of the batches (see :func:`detjupyter.check.batches.to_bits`)
* ``{"opened": […]}`` at the end: files of the packed directory that the code opened although they do not ship
"""

from __future__ import annotations

import faulthandler
import json
import os
import pickle
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detjupyter.check.batches import settings_of
from detjupyter.check.specification import Specification

if TYPE_CHECKING:
    from detjupyter.definition.config import Config
    from detjupyter.definition.resolution import LoadedClass
    from detjupyter.framework.adapter import TrialAdapter

_PARENT_POLL_S = 1.0
_MOST_OPENED = 20


class StepFailedError(Exception):
    """A step has failed and has reported it; the later steps are skipped."""


class Steps:
    """One check: a sequence of steps, each based on the results of the earlier ones."""

    def __init__(self, specification: Specification) -> None:
        self._specification = specification
        self._root = Path(os.path.realpath(specification.directory))
        self._config: Config
        self._loaded: LoadedClass
        self._adapter: TrialAdapter
        self._rows: list[Any] = []  # metrics as the trial returned them

    def take(self) -> None:
        """Run every step.

        Raises:
            StepFailedError: A step failed.
        """
        from detjupyter.definition.isolation import working_directory

        self._step("unpack", "unpacking the archive", self._unpack)
        with working_directory.at(self._root):
            self._step("import", "importing the definition", self._import)
            self._step("build", f"building {self._loaded.trial_class.__name__}", self._build)
            self._step("first batch", "training on the first batch", self._train_first)
            self._step("batches", "training", self._train)
            self._step("validation batch", "validating", self._validate)
            self._step("checkpoint", "writing a checkpoint", self._save)
            self._step("restore", "restoring the checkpoint", self._restore)

    def say(self, **message: Any) -> None:
        """Append a message."""
        with Path(self._specification.messages).open("a", encoding="utf-8") as file:
            file.write(json.dumps(message) + "\n")

    def _step(self, name: str, doing: str, run: Callable[[], tuple[bool | None, str]]) -> None:
        self.say(begin=name)
        began = time.perf_counter()
        try:
            ok, detail = run()
        except BaseException as error:  # the user's code may raise any exception, even SystemExit
            seconds = time.perf_counter() - began
            report = self._describe(error, doing)
            self.say(end=name, seconds=seconds, ok=False, detail=report["exception"] or report["message"], error=report)
        else:
            self.say(end=name, seconds=time.perf_counter() - began, ok=ok, detail=detail, error=None)
            if ok is not False:
                return
        raise StepFailedError from None

    def _describe(self, error: BaseException, doing: str) -> dict[str, str]:
        """Return the fields of a :class:`TrialError`, with paths as in the archive."""
        from detjupyter.engine.failure import describe
        from detjupyter.errors import DetJupyterError

        where = error.where if isinstance(error, DetJupyterError) else None
        failure = describe(error, [self._root], doing)
        report = {name: str(getattr(failure, name) or "") for name in ("message", "exception", "user_traceback", "hint")}
        if where and not report["user_traceback"]:
            report["user_traceback"] = f"  in {where}"
        return {name: text.replace(f"{self._root}{os.sep}", "").replace(str(self._root), self._root.name) for name, text in report.items()}

    # --- the steps ----------------------------------------------------------------------------------------------------------------

    def _unpack(self) -> tuple[bool, str]:
        from detjupyter.bundle.archive import extract_archive

        names = extract_archive(Path(self._specification.archive), self._root)
        return True, f"{len(names):,} {'file' if len(names) == 1 else 'files'}"

    def _import(self) -> tuple[bool, str]:
        from detjupyter.definition.model_definition import ModelDefinition

        self._config = pickle.loads(Path(self._specification.config).read_bytes())  # the kernel has written it, into a private directory
        self._loaded = ModelDefinition(self._root / self._specification.file, any_size=True).load(self._specification.entrypoint)
        return True, self._loaded.trial_class.__name__

    def _build(self) -> tuple[bool, str]:
        self._adapter = self._built()
        framework = self._loaded.trial_class.framework
        self.say(device=self._adapter.device, framework=framework, settings=settings_of(framework))
        return True, f"on {self._adapter.device}"

    def _built(self) -> TrialAdapter:
        from detjupyter.framework.adapter import TrialOptions
        from detjupyter.framework.framework import build_adapter

        specification = self._specification
        return build_adapter(TrialOptions(self._loaded.trial_class, self._config, specification.seed, specification.device))

    def _train_first(self) -> tuple[bool, str]:
        with self._adapter.active():
            self._adapter.begin(0)
            metrics, records = self._adapter.train_batch(0)
        self._rows = [metrics]
        self._adapter.fetch(self._rows)  # waits for the device, so that its errors belong to this step
        return True, f"{records:,} {'record' if records == 1 else 'records'}"

    def _train(self) -> tuple[bool, str]:
        from detjupyter.check.batches import columns, to_bits

        with self._adapter.active():
            self._rows += [self._adapter.train_batch(batch_idx)[0] for batch_idx in range(1, self._specification.batches)]
        metrics = columns(self._adapter, self._rows)
        self.say(metrics=to_bits(metrics))
        last = ", ".join(f"{name} {values[-1]:.6g}" for name, values in metrics.items())
        return True, f"{len(self._rows):,} batches" + (f"; last metrics: {last}" if last else "")

    def _validate(self) -> tuple[bool | None, str]:
        steps = self._adapter.validate()
        with self._adapter.active():
            try:
                done, total = next(steps)
            finally:
                steps.close()
        if not done:
            return None, "not run: evaluate_full_dataset() would use all the data"
        return True, f"1 of {total:,} batches" if total else "1 batch"

    def _save(self) -> tuple[bool, str]:
        directory = Path(self._specification.state) / "trained"
        directory.mkdir()
        self._adapter.save(directory, self._specification.batches)
        size_bytes = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
        return True, f"{size_bytes:,} bytes"

    def _restore(self) -> tuple[bool | None, str]:
        from detjupyter.framework.framework import framework_of

        trained, restored = (Path(self._specification.state) / name for name in ("trained", "restored"))
        self._adapter.release()
        self._rows = []
        del self._adapter  # two adapters might not fit into the device's memory
        fresh = self._built()
        fresh.restore(trained)
        restored.mkdir()
        fresh.save(restored, self._specification.batches)
        found = framework_of(self._loaded.trial_class).first_difference(trained, restored)
        return found is None, "the restored state is identical" if found is None else f"the restored state differs: {found}"


def _watch(origin: str, scratch: str, seen: set[str]) -> None:
    """Record files below ``origin`` that are opened from now on, although they are not in the archive."""
    below, apart = origin.rstrip(os.sep) + os.sep, (scratch.rstrip(os.sep) + os.sep, sys.prefix + os.sep, sys.base_prefix + os.sep)

    def audit(event: str, args: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(args[0], (str, bytes)) and len(seen) < _MOST_OPENED:
            path = os.path.abspath(os.fsdecode(args[0]))  # noqa: PTH100 -- it must not access the disk
            if path.startswith(below) and not path.startswith(apart) and "site-packages" not in path:
                seen.add(path[len(below) :])

    sys.addaudithook(audit)


def _end_with_parent(parent: int) -> None:
    """Exit when the kernel has ended: then no process reads the result."""

    def watch() -> None:
        while os.getppid() == parent:  # the system gives a process whose parent has ended another one
            time.sleep(_PARENT_POLL_S)
        os._exit(1)

    threading.Thread(target=watch, name="detjupyter parent", daemon=True).start()


def main(path: str) -> None:
    """Run every step of the specification at ``path``."""
    faulthandler.enable()  # a crash in C code leaves a traceback in the output
    _end_with_parent(os.getppid())
    specification = Specification.read(Path(path))
    steps = Steps(specification)
    opened: set[str] = set()
    _watch(specification.origin, os.path.dirname(specification.directory), opened)  # noqa: PTH120
    with suppress(StepFailedError):
        steps.take()
    steps.say(opened=sorted(opened))


if __name__ == "__main__":
    main(sys.argv[1])
