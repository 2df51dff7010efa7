"""Repeat a run from its record alone: the recipe, the code, and the commands with the batches at which they took effect."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import detjupyter as dj
from detjupyter.protocol.commands import AtBatch, MakeCheckpoint, Step, Train, Validate
from detjupyter.protocol.lengths import Batch, Epoch, Records
from detjupyter.store.history import Run

LIMIT_S = 120.0
_UNITS = {"batches": Batch, "epochs": Epoch, "records": Records}


class Replay:
    """The session that repeats ``run``, with its definition in ``directory``."""

    def __init__(self, run: Run, directory: Path) -> None:
        record, recipe = run.record, run.recipe
        assert recipe is not None
        self._run = run
        self._directory = directory
        self._versions = {version.load: version.bundle_hash for version in run.code_versions[1:]}
        self._checkpoints: dict[str, str] = {}
        self._is_training = False
        _lay_out(run.code, directory)
        self.session = dj.load(
            recipe.entrypoint,
            path=directory,
            config=record.config,
            hparams=recipe.hparams,
            seed=recipe.seed,
            device=recipe.device,
            name="replay",
        )

    def do(self) -> dj.Session:
        """Do everything that was done, and return the session."""
        events = self._run.events()
        order = {event["id"]: place for place, event in enumerate(events) if event["kind"] == "command"}
        ends = [place for place, event in enumerate(events) if event["kind"] == "state" and event["state"] == "finished"]
        commands = [command for command in self._run.commands if command["outcome"] != "refused"]
        for command in commands:
            before_this = [end for end in ends if end < order[command["id"]]]
            if self._is_training and len(before_this) > self._ended:
                self._finish()
            self._bring_to(command["at_batch"])
            self._repeat(command)
        if self._is_training:
            self._finish()
        return self.session

    _ended = 0

    def _repeat(self, command: dict[str, Any]) -> None:
        kind, arguments = command["command"], command["arguments"]
        if kind == "train":
            self._begin(Train(**{name: _value(value) for name, value in arguments.items()}))
        elif kind == "step":
            self._settle(Step(command["answered_at_batch"] - command["at_batch"]))
        elif kind == "checkpoint":
            self._checkpoints[command["details"]["checkpoint"]] = self._settle(MakeCheckpoint()).path
        elif kind == "validate":
            self._settle(Validate())
        elif kind == "restore":
            self.session.restore(self._checkpoints[arguments["path"]])
        elif kind == "reload":
            bundle_hash = self._versions.get(command["details"]["load"])  # none: the same code was loaded again
            if bundle_hash is not None:
                _lay_out(self._run._code(bundle_hash), self._directory)
            self.session.reload()
        elif kind == "at_batch":
            self._settle(AtBatch(arguments["source"], eval(arguments["source"])))
        elif kind == "stop":
            self.session.stop()
            self._is_training = False

    def _begin(self, command: Train) -> None:
        """Begin a training that is paused before its first batch: the engine waits until both commands are in its inbox."""
        began, go = threading.Event(), threading.Event()

        def hold(_: object) -> None:
            began.set()
            go.wait(LIMIT_S)

        held = self.session.send(AtBatch("hold", hold))
        assert began.wait(LIMIT_S)
        self._futures = [held, self.session.send(command), self.session.send(Step(1))]
        go.set()
        for future in self._futures:
            future.result(LIMIT_S)
        self._is_training = True

    def _bring_to(self, batch: int) -> None:
        missing = batch - self.session.batches_trained
        if self._is_training and missing > 0:
            self._settle(Step(missing))

    def _finish(self) -> None:
        if self.session.state == "paused":
            self.session.resume()
        self.session.wait(LIMIT_S)
        self._is_training = False
        self._ended += 1

    def _settle(self, command: Any) -> Any:
        return self.session.send(command).result(LIMIT_S)


def _value(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value["kind"] == "range":
        return range(value["start"], value["stop"], value["step"])
    return _UNITS[value["kind"]](_value(value["value"]))


def _lay_out(code: Any, directory: Path) -> None:
    for path in code:
        file = directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(code[path])
