"""The clean process: unpacks an archive and trains a little of what is in it. Run as ``python -m detjupyter.check.process SPECIFICATION``.

It says what it does by lines of JSON that it appends to a file of their own: what the user's code prints, or closes, cannot get among them.

* ``{"begin": step}``, and after it ``{"end": step, "seconds": …, "ok": true | false | null, "detail": …, "error": {…} | null}``
* ``{"device": …, "settings": {…}}`` when the trial is built
* ``{"metrics": …}`` of the batches (see :func:`detjupyter.check.batches.to_bits`)
* ``{"opened": […]}`` at the end: files of the directory that was packed which the code opened all the same
"""

from __future__ import annotations

import faulthandler
import importlib
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
    from detjupyter.training.adapter import TrialAdapter

_PARENT_POLL_S = 1.0
_MOST_OPENED = 20


class StepFailedError(Exception):
    """A step has failed, and has said so; nothing after it makes sense."""


class Steps:
    """One check: every step on what the steps before it left."""

    def __init__(self, specification: Specification) -> None:
        self._specification = specification
        self._root = Path(os.path.realpath(specification.directory))
        self._config: Config
        self._loaded: LoadedClass
        self._adapter: TrialAdapter
        self._rows: list[Any] = []  # metrics as the trial returned them

    def take(self) -> None:
        """Take every step.

        Raises:
            StepFailedError: one failed.
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
        """Append one message."""
        with Path(self._specification.messages).open("a", encoding="utf-8") as file:
            file.write(json.dumps(message) + "\n")

    def _step(self, name: str, doing: str, run: Callable[[], tuple[bool | None, str]]) -> None:
        self.say(begin=name)
        began = time.perf_counter()
        try:
            ok, detail = run()
        except BaseException as error:  # the user's code may raise anything, SystemExit too
            seconds = time.perf_counter() - began
            told = self._describe(error, doing)
            self.say(end=name, seconds=seconds, ok=False, detail=told["exception"] or told["message"], error=told)
        else:
            self.say(end=name, seconds=time.perf_counter() - began, ok=ok, detail=detail, error=None)
            if ok is not False:
                return
        raise StepFailedError from None

    def _describe(self, error: BaseException, doing: str) -> dict[str, str]:
        """Return what a :class:`TrialError` holds, paths as in the archive."""
        from detjupyter.errors import DetJupyterError
        from detjupyter.training.failure import describe

        where = error.where if isinstance(error, DetJupyterError) else None
        failure = describe(error, [self._root], doing)
        told = {name: str(getattr(failure, name) or "") for name in ("message", "exception", "user_traceback", "hint")}
        if where and not told["user_traceback"]:
            told["user_traceback"] = f"  in {where}"
        return {name: text.replace(f"{self._root}{os.sep}", "").replace(str(self._root), self._root.name) for name, text in told.items()}

    # --- the steps ----------------------------------------------------------------------------------------------------------------

    def _unpack(self) -> tuple[bool, str]:
        from detjupyter.bundle.archive import extract_archive

        names = extract_archive(Path(self._specification.archive), self._root)
        return True, f"{len(names):,} {'file' if len(names) == 1 else 'files'}"

    def _import(self) -> tuple[bool, str]:
        from detjupyter.definition.model_definition import ModelDefinition

        self._config = pickle.loads(Path(self._specification.config).read_bytes())
        self._loaded = ModelDefinition(self._root / self._specification.file, any_size=True).load(self._specification.entrypoint)
        return True, self._loaded.trial_class.__name__

    def _build(self) -> tuple[bool, str]:
        self._adapter = self._built()
        self.say(device=self._adapter.device, settings=settings_of(self._loaded.trial_class.framework))
        return True, f"on {self._adapter.device}"

    def _built(self) -> TrialAdapter:
        from detjupyter.training.adapter import TrialOptions, build_adapter

        told = self._specification
        return build_adapter(TrialOptions(self._loaded.trial_class, self._config, told.seed, told.device))

    def _train_first(self) -> tuple[bool, str]:
        with self._adapter.at_work():
            self._adapter.begin(0)
            metrics, records = self._adapter.train_batch(0)
        self._rows = [metrics]
        self._adapter.fetch(self._rows)  # waits for the device, so that its error shows in this step
        return True, f"{records:,} {'record' if records == 1 else 'records'}"

    def _train(self) -> tuple[bool, str]:
        from detjupyter.check.batches import columns, to_bits

        with self._adapter.at_work():
            self._rows += [self._adapter.train_batch(batch_idx)[0] for batch_idx in range(1, self._specification.batches)]
        metrics = columns(self._adapter, self._rows)
        self.say(metrics=to_bits(metrics))
        last = ", ".join(f"{name} {values[-1]:.6g}" for name, values in metrics.items())
        return True, f"{len(self._rows):,} in all" + (f"; the last: {last}" if last else "")

    def _validate(self) -> tuple[bool | None, str]:
        steps = self._adapter.validate()
        with self._adapter.at_work():
            try:
                done, total = next(steps)
            finally:
                steps.close()
        if not done:
            return None, "not run: evaluate_full_dataset() would take all of the data"
        return True, "1 of " + (f"{total:,}" if total else "an unknown number")

    def _save(self) -> tuple[bool, str]:
        directory = Path(self._specification.state) / "trained"
        directory.mkdir()
        self._adapter.save(directory, self._specification.batches)
        size_bytes = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
        return True, f"{size_bytes:,} bytes"

    def _restore(self) -> tuple[bool | None, str]:
        trained, restored = (Path(self._specification.state) / name for name in ("trained", "restored"))
        self._adapter.release()
        self._rows = []
        del self._adapter  # two of them may not fit on the device
        fresh = self._built()
        fresh.restore(trained)
        restored.mkdir()
        fresh.save(restored, self._specification.batches)
        room = importlib.import_module(f"detjupyter.{self._loaded.trial_class.framework}.saved_state")
        found: str | None = room.first_difference(trained, restored)
        return found is None, "the state is the same, bit for bit" if found is None else f"the restored state is another: {found}"


def _watch(origin: str, scratch: str, seen: set[str]) -> None:
    """Note which files below ``origin`` are opened from now on, though they are not the archive's."""
    below, apart = origin.rstrip(os.sep) + os.sep, (scratch.rstrip(os.sep) + os.sep, sys.prefix + os.sep, sys.base_prefix + os.sep)

    def hear(event: str, args: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(args[0], (str, bytes)) and len(seen) < _MOST_OPENED:
            path = os.path.abspath(os.fsdecode(args[0]))  # noqa: PTH100 -- it must not look at the disk
            if path.startswith(below) and not path.startswith(apart) and "site-packages" not in path:
                seen.add(path[len(below) :])

    sys.addaudithook(hear)


def _end_with_parent(parent: int) -> None:
    """Leave when the kernel is gone: nobody waits for the answer."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_PARENT_POLL_S)
        os._exit(1)

    threading.Thread(target=watch, name="detjupyter parent", daemon=True).start()


def main(path: str) -> None:
    """Take every step of the specification at ``path``."""
    faulthandler.enable()
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
