"""The result of a ship check, while it runs and after it ends: ``%det_check``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from detjupyter.picture.html import NOTHING, Html, output, with_code
from detjupyter.picture.numbers import format_bytes, format_count, format_duration
from detjupyter.text import one_line

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
        report: The result; None while the check runs.
        running: The name of the step that runs.
        ended: Why the check ended without a report: the user interrupted it.
        usage: The files that the session has used, None if there is no session.
        notes: Remarks about the checked definition, one sentence each.
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
        """The result or the current step, in a word or two."""
        if self.report is not None:
            return "passed" if self.report.ok else "failed"
        return self.ended or f"{self.running or 'starting'} …"


def check_bundle(view: CheckView) -> dict[str, str]:
    """Return ``text/html`` and ``text/plain`` of a ship check."""
    return output(_html(view), _text(view), _STYLE)


def usage_lines(usage: UsageRecord | None) -> tuple[list[str], list[str]]:
    """Return sentences about files that are used but would not ship, and a hint about files that ship but were not used."""
    if usage is None:
        return [], []
    unused = []
    if usage.unused_files:
        names = ", ".join(map(one_line, usage.unused)) + (", …" if usage.unused_files > len(usage.unused) else "")
        files = "1 file ships" if usage.unused_files == 1 else f"{format_count(usage.unused_files)} files ship"
        was = "was" if usage.unused_files == 1 else "were"
        unused = [f"{files} and {was} not used so far: {names} ({format_bytes(usage.unused_bytes)})."]
    return [one.sentence for one in usage.unshipped], unused


def _facts(view: CheckView) -> str:
    report = view.report
    parts = [view.verdict]
    if report is not None:
        parts += [f"on {report.device}" if report.device else "", f"seed {report.seed}"]
        parts.append(format_duration(sum(step.seconds for step in report.steps)))
    return " · ".join(part for part in parts if part)


def _html(view: CheckView) -> Html:
    report = view.report
    tone = "on" if report is None else "ok" if report.ok else "no"
    parts = [
        Html('<div class="h"><b class="m">{}</b><span class="{}">{}</span></div>').format(view.entrypoint, tone, _facts(view)),
        Html("<table>{}</table>").format(NOTHING.join(_row(step, view) for step in view.steps)),
    ]
    if report is not None and report.error is not None:
        parts.append(Html("<pre>{}</pre>").format(report.error))
        if report.output:
            printed = Html('<div class="k f">Last lines of output:</div><pre class="o">{}</pre>')
            parts.append(printed.format("\n".join(report.output)))
    notes, unshipped, unused = _sentences(view)
    parts += [Html('<div class="p">{}</div>').format(with_code(sentence)) for sentence in unshipped]
    parts += [Html('<div class="k">{}</div>').format(with_code(note)) for note in notes]
    parts += [Html('<div class="k f">{}</div>').format(with_code(hint)) for hint in unused]
    return Html("\n").join(parts)


def _row(step: CheckStep, view: CheckView) -> Html:
    running = step.name == view.running
    if running:
        sign, tone, took, detail = "›", "on", "", "…"
    else:
        sign, tone = _SIGNS[step.ok], {True: "ok", False: "no", None: ""}[step.ok]
        took = f"{step.seconds:.2f} s" if step.ok is not None or step.seconds else ""
        detail = step.detail
    waits = NOTHING if running or step.ok is not None else Html(' class="w"')
    row = Html('<tr{}><td class="i {}">{}</td><td class="n">{}</td><td class="t f">{}</td><td class="d">{}</td></tr>')
    return row.format(waits, tone, sign, step.name, took, detail)


def _sentences(view: CheckView) -> tuple[list[str], list[str], list[str]]:
    notes = [*view.notes, *(view.report.notes if view.report is not None else ())]
    unshipped, unused = usage_lines(view.usage)
    return notes, unshipped, unused


def _text(view: CheckView) -> str:
    notes, unshipped, unused = _sentences(view)
    if view.report is not None:
        lines = [str(view.report)]
        lines += view.notes  # the report's own notes are in its text
    else:
        lines = [f"Ship check of {view.entrypoint}: {view.verdict}"]
        lines += [f"  {step.name}  {_SIGNS[step.ok]}  {step.detail}".rstrip() for step in view.steps if step.ok is not None]
        lines += notes
    return "\n".join([*lines, *(f"  ! {sentence}" for sentence in unshipped), *(f"  {hint}" for hint in unused)])
