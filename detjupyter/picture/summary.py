"""A session in a few lines of text, for terminals, saved notebooks and screen readers."""

from __future__ import annotations

from collections.abc import Mapping

from detjupyter.picture.numbers import format_bytes, format_count, format_duration, format_value
from detjupyter.picture.panels import metric_name
from detjupyter.protocol.records import UNKNOWN_DEVICE, BestRecord, CheckpointRecord, RunRecord, SessionRecord
from detjupyter.protocol.states import Group
from detjupyter.text import one_line, printable

_MOST_METRICS = 20


def headline(session: SessionRecord) -> str:
    """Return one line: the state, the batches trained, the duration and the device if it is known."""
    batches = f"{format_count(session.batches_trained)} batches" if session.batches_trained != 1 else "1 batch"
    target = session.plan_target_batches
    if session.state.is_live and target is not None:
        batches = f"{format_count(session.batches_trained)} of {format_count(target)} batches"
    parts = [session.state.value, batches]
    if session.batches_per_epoch:
        parts.append(f"epoch {session.batches_trained / session.batches_per_epoch:.4g}")
    device = [] if session.device == UNKNOWN_DEVICE else [session.device]
    return " · ".join([*parts, format_duration(session.elapsed_s), *device])


def best_line(session: SessionRecord) -> str | None:
    """Return the best value of the metric that ranks runs, None if there is none yet."""
    return None if session.best is None else f"best {best_text(session.best)}"


def best_text(best: BestRecord) -> str:
    """Return the metric, its best value and the batch."""
    return f"{one_line(best.name)} {format_value(best.value)} at batch {format_count(best.batches_trained)}"


def checkpoint_text(checkpoint: CheckpointRecord) -> str:
    """Return what a checkpoint contains, its path, and how to restore it."""
    batches = f"{format_count(checkpoint.batches_trained)} batches" if checkpoint.batches_trained != 1 else "1 batch"
    return printable(
        f"checkpoint after {batches}, {format_bytes(checkpoint.size_bytes)}\n"
        f"  {checkpoint.path}\n"
        f"  `%det_restore {checkpoint.id}` restores it."
    )


def annotation_text(run: RunRecord) -> str:
    """Return the id of a run with what the user has added to it."""
    name = f" {one_line(run.name)}" if run.name else ""
    marks = [mark for mark, is_set in (("★", run.starred), ("archived", run.archived)) if is_set]
    head = " · ".join([f"{one_line(run.id)}{name}", *marks, *([f"tags {', '.join(map(one_line, run.tags))}"] if run.tags else [])])
    return "\n".join([head, *(f"  {line}" for line in printable(run.note).splitlines())])


def warning_lines(session: SessionRecord) -> list[str]:
    """Return a mark with the number of warnings, then one line for each; empty if there are none."""
    count = len(session.warnings) + session.more_warnings
    if not count:
        return []
    more = [f"and {session.more_warnings} more in the log"] if session.more_warnings else []
    return [f"{count} warnings:" if count > 1 else "1 warning:", *(f"  ! {one_line(text)}" for text in session.warnings), *more]


def session_text(session: SessionRecord) -> str:
    """Return a compact summary: the headline, the newest value of every metric, the best one, the warnings, and the error."""
    lines = [f"{one_line(session.entrypoint)}: {headline(session)}"]
    rows = _latest_by_metric(session.latest)
    width = max((len(name) for name in rows), default=0)
    lines += [f"  {name:<{width}}  {values}" for name, values in list(rows.items())[:_MOST_METRICS]]
    if len(rows) > _MOST_METRICS:
        lines.append(f"  and {len(rows) - _MOST_METRICS} more metrics")
    best = best_line(session)
    if best is not None:
        lines.append(f"  {best}")
    lines += [f"  {line}" for line in warning_lines(session)]
    if session.error is not None:
        lines += [f"  {line}" for line in printable(session.error.message).splitlines()]
        lines += [f"  {line}" for line in printable(session.error.traceback).splitlines()]
    return printable("\n".join(lines))


def _latest_by_metric(latest: Mapping[str, Mapping[str, float]]) -> dict[str, str]:
    rows: dict[str, str] = {}
    for group in Group:
        for name, value in latest.get(group.value, {}).items():
            metric = one_line(metric_name(name))
            before = f"{rows[metric]}   " if metric in rows else ""
            rows[metric] = f"{before}{group.value} {format_value(value)}"
    return rows
