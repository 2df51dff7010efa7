"""The trainings whose continuation is tested, and the script that runs them in separate processes.

``python continuation.py ROLE DIRECTORY DEVICE`` trains every case in one of three ways and writes the results to ``DIRECTORY/ROLE.json``:

* ``killed``: N batches, a checkpoint, some more batches; at the end one training that runs until the test kills the process.
* ``restored``: restores those checkpoints and trains M more batches.
* ``whole``: N + M batches at once.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DEFINITIONS = Path(__file__).parents[1] / "definitions"
SEED = 20
READY = "ready to be killed"
MORE_AFTER_A_KILL = 10


@dataclass(frozen=True)
class Case:
    """One training and where it is cut in two.

    Attributes:
        definition: The directory's name.
        before: Batches before the checkpoint.
        after: Batches after it.
        why: What the cut hits.
        hparams: Hyperparameters of all three processes.
        hparams_restored: What the restoring process has otherwise.
        way: How both halves are trained: ``at once``, in ``steps``, or with ``pauses``.
        validate_every: How often ``whole``, ``killed`` and ``restored`` validate; None: at the end.
    """

    definition: str
    before: int
    after: int
    why: str
    hparams: Mapping[str, Any] = field(default_factory=dict)
    hparams_restored: Mapping[str, Any] = field(default_factory=dict)
    way: str = "at once"
    validate_every: tuple[int | None, int | None, int | None] = (None, None, None)

    @property
    def name(self) -> str:
        """Words that tell it from the others."""
        workers = self.hparams.get("workers", 0)
        return f"{self.definition}, {self.why}, {self.way}, {workers} workers"


NO_WORKERS: Mapping[str, Any] = {"workers": 0, "shuffle": True}
TWO_WORKERS: Mapping[str, Any] = {"workers": 2, "shuffle": True}

CASES = (
    Case("rings_2020", 17, 17, "mid-epoch", NO_WORKERS),
    Case("rings_2020", 11, 14, "between two epochs", TWO_WORKERS),
    Case("rings_2020", 4, 21, "across an epoch", NO_WORKERS, way="steps"),
    Case("shapes_cnn", 14, 13, "mid-epoch and mid-aggregation", NO_WORKERS),
    Case("shapes_cnn", 10, 13, "between two epochs and mid-aggregation", TWO_WORKERS),
    Case("shapes_cnn", 8, 11, "between two aggregations", NO_WORKERS, way="pauses"),
    Case("shapes_cnn", 7, 12, "mid-aggregation", TWO_WORKERS, way="steps", validate_every=(None, 1, 2)),
    Case("gan_points", 9, 10, "mid-epoch", NO_WORKERS),
    Case("gan_points", 6, 9, "between two epochs", TWO_WORKERS, way="pauses"),
    Case("amp_automatic", 8, 9, "mid-epoch", NO_WORKERS),
    Case("amp_automatic", 6, 7, "between two epochs", TWO_WORKERS),
    Case("amp_by_hand", 9, 11, "mid-epoch and mid-aggregation, scale about to grow", NO_WORKERS),
    Case("stateful_callbacks", 13, 14, "mid-epoch, states of callbacks", NO_WORKERS),
    Case("stateful_callbacks", 8, 12, "between two epochs, states of callbacks", TWO_WORKERS, way="steps"),
    Case("augmentation", 13, 13, "mid-epoch", NO_WORKERS, validate_every=(None, 1, 4)),
    Case("augmentation", 13, 13, "mid-epoch", TWO_WORKERS, validate_every=(5, None, 1)),
    Case("augmentation", 9, 12, "between two epochs", NO_WORKERS, way="pauses", validate_every=(2, 3, None)),
    Case("augmentation", 18, 11, "between two epochs", TWO_WORKERS, way="pauses", validate_every=(2, 3, None)),
    Case("augmentation", 5, 16, "across an epoch", NO_WORKERS, way="steps"),
    Case("augmentation", 5, 16, "other number of workers", TWO_WORKERS, hparams_restored={"workers": 3}, way="steps"),
    Case("streaming", 11, 11, "within a pass of unknown length"),
    Case(
        "sources",
        13,
        9,
        "a class that draws in its second pass",
        {"source": "generator", "moment": "second pass"},
        validate_every=(None, 3, 4),
    ),
    Case("sources", 5, 7, "a loader that draws, with workers", {"source": "noisy stream, workers", "moment": "always"}, way="steps"),
    Case("sources", 10, 9, "a list", {"source": "list", "moment": "always"}, way="pauses"),
)


def main(role: str, directory: Path, device: str) -> None:
    """Train every case as ``role`` does and write what came of it."""
    import torch

    if device != "cpu":
        torch.use_deterministic_algorithms(True, warn_only=True)
    results: dict[str, Any] = {}
    if role != "killed":
        try:  # first: the newest run in the history is then the one that was killed
            results["the newest of many"] = _restore_newest(device) if role == "restored" else _repeat_newest(directory, device)
        except Exception:
            results["the newest of many"] = {"error": traceback.format_exc()}
    earlier = _read(directory / "killed.json") if role == "restored" else {}
    for case in CASES:
        try:
            results[case.name] = _train(role, case, device, earlier.get(case.name, {}).get("checkpoint"))
        except Exception:  # the other cases must still run
            results[case.name] = {"error": traceback.format_exc()}
    _write(directory / f"{role}.json", results)
    if role == "killed":
        _train_until_killed(device)


def load(case: Case, role: str, device: str) -> Any:
    """Load the definition of a case."""
    import detjupyter as dj

    hparams = {**case.hparams, **(case.hparams_restored if role == "restored" else {})}
    return dj.load(None, path=DEFINITIONS / case.definition, seed=SEED, device=device, hparams=hparams)


def _train(role: str, case: Case, device: str, checkpoint: str | None) -> dict[str, Any]:
    session = load(case, role, device)
    whole_every, killed_every, restored_every = case.validate_every
    try:
        if role == "whole":
            session.train(batches=case.before + case.after, validate_every=whole_every, wait=True)
            return outcome(session)
        if role == "killed":
            advance(session, case.before, case.way, killed_every)
            record = session.checkpoint()
            result = outcome(session) | {"checkpoint": str(record.path)}
            finish(session)
            session.train(batches=3, wait=True)  # what a kill takes with it
            return result
        session.restore(Path(str(checkpoint)))
        advance(session, case.after, case.way, restored_every)
        return outcome(session)
    finally:
        session.close()


def advance(session: Any, batches: int, way: str, validate_every: int | None) -> None:
    """Train a number of further batches; with ``pauses`` the training remains paused, in the middle of a longer one."""
    goal = session.batches_trained + batches
    if way == "at once":
        session.train(batches=batches, validate_every=validate_every, wait=True)
    elif way == "steps":
        for step in itertools.cycle((1, 3, 2)):
            session.step(min(step, goal - session.batches_trained))
            if session.batches_trained == goal:
                break
            if validate_every:
                session.validate()
    else:
        session.step(1)
        _train_one_batch_of_many(session, batches + 1000, validate_every)
        while session.batches_trained < goal:
            session.step(min(2, goal - session.batches_trained))
            session.validate()
    assert session.batches_trained == goal, (session.batches_trained, goal)


def _train_one_batch_of_many(session: Any, batches: int, validate_every: int | None) -> None:
    """Begin a training and pause it after its first batch, which waits for the request: a busy machine would let many more pass."""
    context, requested = session.context, threading.Event()
    backward = context.backward

    def wait_and_go_backward(*args: Any, **kwargs: Any) -> Any:
        requested.wait()
        return backward(*args, **kwargs)

    context.backward = wait_and_go_backward
    try:
        session.train(batches=batches, validate_every=validate_every)
        session.pause_soon(0)
        requested.set()
        session.pause()
    finally:
        requested.set()
        del context.backward


def finish(session: Any) -> None:
    """Close the paused session."""
    from detjupyter.errors import SessionError

    with suppress(SessionError):
        session.stop()


def outcome(session: Any) -> dict[str, Any]:
    """Return the metrics to the bit, with the numbers of their batches, and a digest of every tensor."""
    context = session.context
    digests: dict[str, str] = {}
    for kind, owners in (("model", context.models), ("optimizer", context.optimizers)):
        for index, owner in enumerate(owners):
            digests.update(_digests(f"{kind} {index}", owner.state_dict()))
    for index, scheduler in enumerate(context.lr_schedulers):
        digests.update(_digests(f"scheduler {index}", scheduler.state_dict()))
    return {"metrics": {name: _exact(*session.metrics(name)) for name in session.run.metric_names()}, "digests": digests}


def _exact(batches: Any, values: Any) -> dict[int, str]:
    return {int(batch): float(value).hex() for batch, value in zip(batches, values, strict=True)}


def _digests(name: str, value: Any) -> dict[str, str]:
    import torch

    if isinstance(value, Mapping):
        parts = [_digests(f"{name}.{key}", inner) for key, inner in value.items()]
        return {key: digest for part in parts for key, digest in part.items()}
    if isinstance(value, torch.Tensor):
        return {name: hashlib.sha256(value.detach().cpu().contiguous().numpy().tobytes()).hexdigest()[:16]}
    return {name: repr(value)} if isinstance(value, (int, float, str, list)) else {}


# --- killed at any moment ---------------------------------------------------------------------------------------------------------------

_LAST = Case("augmentation", 0, 0, "killed at any moment", TWO_WORKERS)


def _train_until_killed(device: str) -> None:
    session = load(_LAST, "killed", device)
    session.train(batches=1_000_000, validate_every=4, checkpoint_every=3)
    while session.batches_trained < 20 and session.state == "running":
        time.sleep(0.01)
    print(READY, flush=True)  # noqa: T201
    session.wait()


def _restore_newest(device: str) -> dict[str, Any]:
    import detjupyter as dj

    run = dj.runs()[0]
    newest = max(run.checkpoints(), key=lambda checkpoint: checkpoint.batches_trained)
    session = load(_LAST, "restored", device)
    session.restore(newest.id)
    session.train(batches=MORE_AFTER_A_KILL, wait=True)
    kept = {name: _exact(*run.metrics(name)) for name in run.metric_names()}
    recorded = {checkpoint.id for checkpoint in run.checkpoints()}
    on_disk = {path.name for path in Path(newest.path).parent.iterdir() if not path.name.startswith(".")}
    unknown = sorted(on_disk - recorded)
    return outcome(session) | {"before": newest.batches_trained, "kept": kept, "unknown": unknown}


def _repeat_newest(directory: Path, device: str) -> dict[str, Any]:
    before = _read(directory / "restored.json")["the newest of many"]["before"]
    session = load(_LAST, "whole", device)
    session.train(batches=before + MORE_AFTER_A_KILL, wait=True)
    return outcome(session)


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


def _write(path: Path, results: dict[str, Any]) -> None:
    path.write_text(json.dumps(results), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
