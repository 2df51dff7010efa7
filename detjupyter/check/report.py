"""The result of a ship check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from detjupyter.bundle.archive import ArchiveReport
from detjupyter.errors import TrialError
from detjupyter.text import one_line, printable

STEPS = (
    "package",
    "unpack",
    "import",
    "build",
    "first batch",
    "batches",
    "validation batch",
    "checkpoint",
    "restore",
    "compare",
)
"""All steps in order. The first and the last run in this process, the others in the clean process."""


@dataclass(frozen=True, slots=True)
class CheckStep:
    """One step.

    Attributes:
        name: One of `STEPS`.
        seconds: Its duration.
        ok: Whether it passed; None if it did not run, or is still running.
        detail: Its result in a few words.
    """

    name: str
    seconds: float = 0.0
    ok: bool | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class FirstDifference:
    """The first metric that differs in any bit.

    Attributes:
        batches_trained: The number of batches trained, from 1.
        metric: The name of the metric.
        kernel: Its value in the kernel; None if it is missing there.
        shipped: Its value in the clean process; None if it is missing there.
    """

    batches_trained: int
    metric: str
    kernel: float | None
    shipped: float | None

    def __str__(self) -> str:
        kernel, shipped = ("missing" if value is None else repr(value) for value in (self.kernel, self.shipped))
        return f"{one_line(self.metric)} of batch {self.batches_trained} is {kernel} in the kernel and {shipped} in the clean process"


@dataclass(frozen=True, slots=True)
class CheckReport:
    """The result of a ship check. As text it is a table of the steps, then the error.

    Attributes:
        entrypoint: The checked entrypoint.
        device: The device of the clean process, None if nothing was trained.
        seed: The seed of both trials.
        steps: All steps in order, including those that were not reached.
        archive: The packed archive; None if packing failed.
        identical: Whether the metrics of the first batches are identical to those of the kernel; None if they were not compared.
        first_difference: The first difference between the two.
        error: The error of the failed step, with the user's frames; paths are as in the archive.
        notes: Remarks about the definition that may matter in other places, one sentence each.
        output: The last lines of output of the clean process.
    """

    entrypoint: str
    device: str | None
    seed: int
    steps: tuple[CheckStep, ...]
    archive: ArchiveReport | None = None
    identical: bool | None = None
    first_difference: FirstDifference | None = None
    error: TrialError | None = None
    notes: tuple[str, ...] = ()
    output: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing failed and the two trainings are identical."""
        return self.identical is True and all(step.ok is not False for step in self.steps)

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        where = f" on {self.device}" if self.device else ""
        lines = [f"Ship check of {self.entrypoint}{where}, seed {self.seed}: {'passed' if self.ok else 'failed'}", *_table(self.steps)]
        if self.error is not None:
            lines += ["", *str(self.error).splitlines()]
            if self.output:
                lines += ["", "Last lines of output:", *(f"  {line}" for line in self.output)]
        if self.notes:
            lines += ["", *self.notes]
        return printable("\n".join(lines))


def _table(steps: Sequence[CheckStep]) -> list[str]:
    width = max(len(name) for name in STEPS)
    verdicts = {True: "ok", False: "FAILED", None: "–"}
    rows = []
    for step in steps:
        took = f"{step.seconds:.2f} s" if step.ok is not None else ""
        rows.append(f"  {step.name:<{width}}  {took:>9}  {verdicts[step.ok]:<6}  {step.detail}".rstrip())
    return rows
