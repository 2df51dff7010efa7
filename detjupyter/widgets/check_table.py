"""What a ship check found, while it runs and when it is over: ``%det_check``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from detjupyter.widgets._figures import format_bytes, format_count, format_duration
from detjupyter.widgets._folders import legible
from detjupyter.widgets._html import escape, framed, with_code

if TYPE_CHECKING:
    from detjupyter.check import CheckReport, CheckStep
    from detjupyter.protocol.records import UsageRecord

_SIGNS = {True: "✓", False: "✗", None: "–"}
_STYLE = """\
.{id} table{{border-collapse:collapse;table-layout:auto;font-size:12px;margin:0;width:100%}}
.{id} tr{{background:none!important}}
.{id} td{{text-align:left;vertical-align:top;padding:2px 12px 2px 0;border:0}}
.{id} td.i{{width:1em;padding-right:8px;font-weight:600;text-align:center}}
.{id} td.n{{white-space:nowrap}}
.{id} td.t{{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}}
.{id} td.d{{width:99%;overflow-wrap:anywhere}}
.{id} tr.w td{{opacity:.55}}
.{id} .ok{{color:#008e6e}}
.{id} .no{{color:#d32f2f}}
.{id} .on{{color:#1976d2}}
.{id} pre{{margin:8px 0 0;padding:6px 10px;font-size:12px;white-space:pre-wrap;overflow-wrap:anywhere;background:none;color:inherit;\
border-left:3px solid #d32f2f;font-family:var(--jp-code-font-family,ui-monospace,Menlo,Consolas,monospace)}}
.{id} pre.o{{border-color:rgba(128,128,128,.35)}}
.{id} .p{{border-left:3px solid #d68a00;padding:2px 10px;margin:8px 0 0}}
.{id} .k{{margin:8px 0 0}}
"""


@dataclass(frozen=True, slots=True)
class CheckView:
    """A ship check at one moment.

    Attributes:
        entrypoint: What is checked.
        steps: The steps in order; those that were not reached have no verdict.
        report: What was found; None while it runs.
        running: The name of the step under way.
        ended: Why there is no report though nothing runs any more: a person interrupted.
        usage: What the session used of its files, None if there is none.
        notes: Sentences that are worth saying about what was checked.
    """

    entrypoint: str
    steps: tuple[CheckStep, ...]
    report: CheckReport | None = None
    running: str | None = None
    ended: str | None = None
    usage: UsageRecord | None = None
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """The result in a word or two, as far as there is one."""
        if self.report is not None:
            return "passed" if self.report.ok else "failed"
        return self.ended or f"{self.running or 'begins'} …"


def check_bundle(view: CheckView) -> dict[str, str]:
    """Return ``text/html`` and ``text/plain`` of a ship check."""
    return {"text/html": _html(view), "text/plain": _text(view)}


def usage_lines(usage: UsageRecord | None) -> tuple[list[str], list[str]]:
    """Return sentences about files that are used but would not ship, and (a hint) about files that ship but were not used."""
    if usage is None:
        return [], []
    unused = []
    if usage.unused_files:
        names = ", ".join(map(legible, usage.unused)) + (", …" if usage.unused_files > len(usage.unused) else "")
        files = "1 file ships" if usage.unused_files == 1 else f"{format_count(usage.unused_files)} files ship"
        was = "was" if usage.unused_files == 1 else "were"
        unused = [f"{files} and {was} not used so far: {names} ({format_bytes(usage.unused_bytes)})."]
    return [legible(one.sentence) for one in usage.unshipped], unused


def _facts(view: CheckView) -> str:
    report = view.report
    parts = [view.verdict]
    if report is not None:
        parts += [f"on {report.device}" if report.device else "", f"seed {report.seed}"]
        parts.append(format_duration(sum(step.seconds for step in report.steps)))
    return " · ".join(part for part in parts if part)


def _html(view: CheckView) -> str:
    report = view.report
    tone = "on" if report is None else "ok" if report.ok else "no"
    parts = [
        f'<div class="h"><b class="m">{escape(view.entrypoint)}</b><span class="{tone}">{escape(_facts(view))}</span></div>',
        f"<table>{''.join(_row(step, view) for step in view.steps)}</table>",
    ]
    if report is not None and report.error is not None:
        parts.append(f"<pre>{escape(str(report.error))}</pre>")
        if report.output:
            parts.append(f'<div class="k f">The last that it printed:</div><pre class="o">{escape(_joined(report.output))}</pre>')
    notes, unshipped, unused = _sentences(view)
    parts += [f'<div class="p">{with_code(sentence)}</div>' for sentence in unshipped]
    parts += [f'<div class="k">{with_code(note)}</div>' for note in notes]
    parts += [f'<div class="k f">{with_code(hint)}</div>' for hint in unused]
    return framed("\n".join(parts), _STYLE)


def _row(step: CheckStep, view: CheckView) -> str:
    running = step.name == view.running
    if running:
        sign, tone, took, detail = "›", "on", "", "…"
    else:
        sign, tone = _SIGNS[step.ok], {True: "ok", False: "no", None: ""}[step.ok]
        took = f"{step.seconds:.2f} s" if step.ok is not None or step.seconds else ""
        detail = step.detail
    waits = "" if running or step.ok is not None else ' class="w"'
    cells = f'<td class="i {tone}">{sign}</td><td class="n">{escape(step.name)}</td><td class="t f">{took}</td>'
    return f'<tr{waits}>{cells}<td class="d">{escape(legible(detail))}</td></tr>'


def _sentences(view: CheckView) -> tuple[list[str], list[str], list[str]]:
    notes = [*view.notes, *(view.report.notes if view.report is not None else ())]
    unshipped, unused = usage_lines(view.usage)
    return [legible(note) for note in notes], unshipped, unused


def _text(view: CheckView) -> str:
    notes, unshipped, unused = _sentences(view)
    if view.report is not None:
        lines = [legible(str(view.report))]
        lines += view.notes  # its own are in its text
    else:
        lines = [f"Ship check of {view.entrypoint}: {view.verdict}"]
        lines += [f"  {step.name}  {_SIGNS[step.ok]}  {legible(step.detail)}".rstrip() for step in view.steps if step.ok is not None]
        lines += notes
    return "\n".join([*lines, *(f"  ! {sentence}" for sentence in unshipped), *(f"  {hint}" for hint in unused)])


def _joined(lines: Sequence[str]) -> str:
    return legible("\n".join(lines))
