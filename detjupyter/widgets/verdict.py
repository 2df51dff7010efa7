"""Why one path ships or stays, and what an edit of `.detignore` would do: ``%det_files --why``, ``--exclude`` and ``--include``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from detjupyter.widgets._figures import format_bytes, format_count
from detjupyter.widgets._folders import legible
from detjupyter.widgets._html import escape, framed, with_code

if TYPE_CHECKING:
    from detjupyter.bundle import Effect, Explanation, Proposal, Rule

_LINE_STYLE = """\
.{id} pre{{margin:6px 0;padding:0;font-size:12px;white-space:pre-wrap;overflow-wrap:anywhere;background:none;color:inherit;\
font-family:var(--jp-code-font-family,ui-monospace,Menlo,Consolas,monospace)}}
.{id} pre span{{display:block;padding:0 6px}}
.{id} .a{{background:rgba(46,160,67,.18)}}
.{id} .z{{background:rgba(248,81,73,.18)}}
"""


@dataclass(frozen=True, slots=True)
class Why:
    """What ``%det_files --why`` returns: the verdict on one path, in words and in the form of ``git check-ignore -v``.

    Attributes:
        explanation: The verdict and the rule.
        exists: Whether there is such a path.
    """

    explanation: Explanation
    exists: bool = True

    def __str__(self) -> str:
        return f"{self.sentence()}\n{legible(self.explanation.text)}"

    def sentence(self) -> str:
        """Return the verdict in words."""
        told = self.explanation
        path, rule = legible(told.path), told.rule
        missing = "" if self.exists else " There is no such path now."
        if told.included:
            ships = "is looked into" if path.endswith("/") else "ships"
            return f"{path} {ships}: {'no rule speaks of it' if rule is None else f'{_named(rule)} takes it back'}.{missing}"
        if rule is None:
            return f"{path} does not ship: the model definition is a single file, which ships alone.{missing}"
        if told.decided_at.rstrip("/") != told.path.rstrip("/"):
            at = legible(told.decided_at)
            return f"{path} does not ship: {_named(rule)} leaves out {at}, and nothing below it comes back.{missing}"
        if rule.source == "always":
            return f"{path} does not ship, whatever `.detignore` says: {rule.pattern}.{missing}"
        back = f"; a line `!{rule.pattern}` in `.detignore` takes it back" if rule.source == "default" else ""
        return f"{path} does not ship: {_named(rule)} leaves it out{back}.{missing}"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        del include, exclude  # IPython filters the bundle itself
        line = f'<div class="m f" style="white-space:pre-wrap">{escape(legible(self.explanation.text))}</div>'
        return {"text/html": framed(f"<div>{with_code(self.sentence())}</div>{line}"), "text/plain": str(self)}


def proposal_bundle(proposal: Proposal) -> dict[str, str]:
    """Return ``text/html`` and ``text/plain`` of an edit of `.detignore` that is not made yet: its lines, and what they change."""
    doing = f"To {'include' if proposal.include else 'leave out'} {legible(proposal.path)}, `.detignore`"
    gains = f"{'loses and gains' if proposal.added and proposal.removed else 'gains' if proposal.added else 'loses'}"
    lines = [("-", line.number, line.text) for line in proposal.removed] + [("+", line.number, line.text) for line in proposal.added]
    told = effect_lines(proposal.effect)
    text = [f"{doing} {gains}:", *(f"  {sign} {number}  {legible(line)}" for sign, number, line in lines), *told]
    shown = "".join(f'<span class="{"a" if sign == "+" else "z"}">{sign} {n}  {escape(legible(line))}</span>' for sign, n, line in lines)
    html = f"<div>{with_code(f'{doing} {gains}:')}</div><pre>{shown}</pre>{''.join(f'<div>{escape(line)}</div>' for line in told)}"
    return {"text/html": framed(html, _LINE_STYLE), "text/plain": "\n".join(text)}


def effect_lines(effect: Effect) -> list[str]:
    """Return what a change of `.detignore` does, a sentence each for what ships now and what stays now, with the first few names."""
    lines = []
    if effect.newly_shipped:
        files = "1 file more ships" if effect.newly_shipped == 1 else f"{format_count(effect.newly_shipped)} files more ship"
        names = _listed(effect.names[: effect.newly_shipped], effect.newly_shipped)
        lines.append(f"{files} ({format_bytes(effect.newly_shipped_bytes)}){names}.")
    if effect.newly_left_out:
        files = "1 file no longer ships" if effect.newly_left_out == 1 else f"{format_count(effect.newly_left_out)} files no longer ship"
        names = _listed(effect.names[effect.newly_shipped :], effect.newly_left_out)
        lines.append(f"{files} ({format_bytes(effect.newly_left_out_bytes)}){names}.")
    return lines or ["Of what is there now, nothing ships or stays because of it."]


def _listed(names: Sequence[str], changed: int) -> str:
    more = changed - len(names)
    shown = ", ".join(map(legible, names)) + (f" and {format_count(more)} more" if more > 0 else "")
    return f": {shown}" if names else ""


def _named(rule: Rule) -> str:
    if rule.source == ".detignore":
        return f"`.detignore` line {rule.line} `{legible(rule.pattern)}`"
    return f"the default rule `{rule.pattern}`"
