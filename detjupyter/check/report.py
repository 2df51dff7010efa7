"""What a ship check found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from detjupyter.bundle.archive import ArchiveReport
from detjupyter.errors import TrialError

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
"""Every step in order. The first and the last run here, the others in the clean process."""


@dataclass(frozen=True, slots=True)
class CheckStep:
    """One step.

    Attributes:
        name: One of `STEPS`.
        seconds: How long it took.
        ok: Whether it passed; None if it did not run, or is still running.
        detail: What there is to say of it, in a few words.
    """

    name: str
    seconds: float = 0.0
    ok: bool | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class FirstDifference:
    """The first metric that is not the same, bit for bit.

    Attributes:
        batches_trained: After how many batches, from 1.
        metric: Its name.
        kernel: Its value in the kernel; None if it has none there.
        shipped: Its value in the clean process; None if it has none there.
    """

    batches_trained: int
    metric: str
    kernel: float | None
    shipped: float | None

    def __str__(self) -> str:
        kernel, shipped = ("missing" if value is None else repr(value) for value in (self.kernel, self.shipped))
        return f"{self.metric} of batch {self.batches_trained} is {kernel} in the kernel and {shipped} in the clean process"


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a ship check found. As text it is a table of the steps, then what went wrong.

    Attributes:
        entrypoint: What was checked.
        device: Where it trained, None if it came to no training.
        seed: With which seed.
        steps: Every step in order, those that were not reached too.
        archive: What was packed; None if that failed.
        identical: Whether the metrics of the first batches are those of the kernel, bit for bit; None if it did not come to that.
        first_difference: Where they differ first.
        error: What failed, with the user's frames; paths are as in the archive.
        notes: Sentences about what passed here and may not elsewhere.
        output: The last lines that the clean process printed.
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
        """Whether nothing failed and the two trainings are the same."""
        return self.identical is True and all(step.ok is not False for step in self.steps)

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        where = f" on {self.device}" if self.device else ""
        lines = [f"Ship check of {self.entrypoint}{where}, seed {self.seed}: {'passed' if self.ok else 'failed'}", *_table(self.steps)]
        if self.error is not None:
            lines += ["", *str(self.error).splitlines()]
            if self.output:
                lines += ["", "The last that it printed:", *(f"  {line}" for line in self.output)]
        if self.notes:
            lines += ["", *self.notes]
        return "\n".join(lines)


def _table(steps: Sequence[CheckStep]) -> list[str]:
    width = max(len(name) for name in STEPS)
    verdicts = {True: "ok", False: "FAILED", None: "–"}
    rows = []
    for step in steps:
        took = f"{step.seconds:.2f} s" if step.ok is not None else ""
        rows.append(f"  {step.name:<{width}}  {took:>9}  {verdicts[step.ok]:<6}  {step.detail}".rstrip())
    return rows
