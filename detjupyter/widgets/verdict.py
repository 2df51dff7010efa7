"""Why a path ships or not, and the effect of an edit of `.detignore`: ``%det_files --why``, ``--exclude`` and ``--include``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from detjupyter.picture.html import NOTHING, Html, output, with_code
from detjupyter.picture.numbers import format_bytes, format_count
from detjupyter.text import printable

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
        exists: Whether the path exists.
    """

    explanation: Explanation
    exists: bool = True

    def __str__(self) -> str:
        return f"{self.sentence()}\n{printable(self.explanation.text)}"

    def sentence(self) -> str:
        """Return the verdict in words."""
        verdict = self.explanation
        path, rule = printable(verdict.path), verdict.rule
        missing = "" if self.exists else " The path does not exist."
        if verdict.included:
            ships = "is included" if path.endswith("/") else "ships"
            return f"{path} {ships}: {'no rule matches it' if rule is None else f'{_named(rule)} re-includes it'}.{missing}"
        if rule is None:
            return f"{path} does not ship: the model definition is a single file, which ships alone.{missing}"
        if verdict.decided_at.rstrip("/") != verdict.path.rstrip("/"):
            at = printable(verdict.decided_at)
            return f"{path} does not ship: {_named(rule)} leaves out {at}, and no rule can re-include a path below it.{missing}"
        if rule.source == "always":
            return f"{path} does not ship, whatever `.detignore` says: {rule.pattern}.{missing}"
        back = f"; the line `!{rule.pattern}` in `.detignore` re-includes it" if rule.source == "default" else ""
        return f"{path} does not ship: {_named(rule)} leaves it out{back}.{missing}"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        del include, exclude  # IPython filters the bundle itself
        body = Html('<div>{}</div><div class="m f" style="white-space:pre-wrap">{}</div>')
        return dict(output(body.format(with_code(self.sentence()), self.explanation.text), str(self)))


def proposal_bundle(proposal: Proposal) -> dict[str, str]:
    """Return ``text/html`` and ``text/plain`` of a proposed edit of `.detignore`: its lines, and their effect."""
    doing = f"To {'include' if proposal.include else 'leave out'} {proposal.path}, `.detignore`"
    gains = f"{'loses and gains' if proposal.added and proposal.removed else 'gains' if proposal.added else 'loses'}"
    lines = [("-", line.number, line.text) for line in proposal.removed] + [("+", line.number, line.text) for line in proposal.added]
    sentences = effect_lines(proposal.effect)
    text = [f"{doing} {gains}:", *(f"  {sign} {number}  {line}" for sign, number, line in lines), *sentences]
    shown = [Html('<span class="{}">{} {}  {}</span>').format("a" if sign == "+" else "z", sign, n, line) for sign, n, line in lines]
    effect = [Html("<div>{}</div>").format(line) for line in sentences]
    html = Html("<div>{}</div><pre>{}</pre>{}").format(with_code(f"{doing} {gains}:"), NOTHING.join(shown), NOTHING.join(effect))
    return output(html, "\n".join(text), _LINE_STYLE)


def effect_lines(effect: Effect) -> list[str]:
    """Return the effect of a change of `.detignore`: a sentence for newly shipped and for newly excluded files, with the first names."""
    lines = []
    if effect.newly_shipped:
        files = "1 more file ships" if effect.newly_shipped == 1 else f"{format_count(effect.newly_shipped)} more files ship"
        names = _listed(effect.names[: effect.newly_shipped], effect.newly_shipped)
        lines.append(f"{files} ({format_bytes(effect.newly_shipped_bytes)}){names}.")
    if effect.newly_left_out:
        files = "1 file no longer ships" if effect.newly_left_out == 1 else f"{format_count(effect.newly_left_out)} files no longer ship"
        names = _listed(effect.names[effect.newly_shipped :], effect.newly_left_out)
        lines.append(f"{files} ({format_bytes(effect.newly_left_out_bytes)}){names}.")
    return lines or ["No existing file is affected."]


def _listed(names: Sequence[str], changed: int) -> str:
    more = changed - len(names)
    shown = ", ".join(map(printable, names)) + (f" and {format_count(more)} more" if more > 0 else "")
    return f": {shown}" if names else ""


def _named(rule: Rule) -> str:
    if rule.source == ".detignore":
        return f"`.detignore` line {rule.line} `{printable(rule.pattern)}`"
    return f"the default rule `{rule.pattern}`"
