"""What Determined's uploader would ship, and what was packed: ``%det_files --as determined`` and ``%det_package``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from detjupyter.widgets._figures import format_bytes, format_count
from detjupyter.widgets._folders import legible
from detjupyter.widgets._html import escape, framed, with_code

if TYPE_CHECKING:
    from detjupyter.bundle import DeterminedReport
    from detjupyter.bundle.archive import ArchiveReport

_MOST_ROWS = 2000
_FOLDED_FROM = 30
_STYLE = """\
.{id} ul{{list-style:none;margin:0;padding:0}}
.{id} li{{display:flex;gap:0 12px;padding:1px 0;list-style:none}}
.{id} li .n{{flex:1 1 8em;min-width:0}}
.{id} li .s{{flex:none;min-width:5em;text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}}
.{id} li .d{{flex:none;color:#d68a00;font-size:12px}}
.{id} .p{{border-left:3px solid #d68a00;padding:2px 10px;margin:0 0 8px}}
.{id} .p+.p{{margin-top:-4px}}
.{id} dl{{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:2px 14px;margin:0}}
.{id} dt{{float:none;width:auto;padding:0;color:var(--jp-ui-font-color2,inherit);opacity:.85;font-weight:400}}
.{id} dd{{margin:0;padding:0}}
"""


@dataclass(frozen=True, slots=True)
class DeterminedList:
    """What ``%det_files --as determined`` returns.

    Attributes:
        report: The list, whole.
        name: What the model definition is called.
        differences: Where `.detignore` as git reads it, with detjupyter's own rules, decides otherwise, by path.
    """

    report: DeterminedReport
    name: str
    differences: Mapping[str, str] = field(default_factory=dict)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        del include, exclude  # IPython filters the bundle itself
        return {"text/html": self._html(), "text/plain": self._text()}

    def _problems(self) -> list[str]:
        return [legible(problem).replace("Its uploader", "Determined's uploader", 1) for problem in self.report.problems]

    def _totals(self) -> str:
        report = self.report
        if report.fails and not report.files:
            return "Determined's uploader would fail"
        files = "1 file" if len(report.files) == 1 else f"{format_count(len(report.files))} files"
        total = f"{files}, {format_bytes(report.total_bytes)} of {format_bytes(report.limit_bytes)}"
        return f"as Determined's uploader would ship it: {total}{', but it would fail' if report.fails else ''}"

    def _rows(self) -> list[tuple[str, str, str]]:
        """Return name, size and mark of what ships; after it, what ships only here."""
        holding = {path[:end] for path, _ in self.report.files for end, sign in enumerate(path) if sign == "/"}
        sizes = [(path, format_bytes(size_bytes)) for path, size_bytes in self.report.files]
        sizes += [(f"{path}/", "empty") for path in self.report.directories if path not in holding]
        rows = [(legible(path), size, "left out here" if path in self.differences else "") for path, size in sorted(sizes)]
        return rows + [(legible(path), "stays", "ships here") for path, where in self.differences.items() if where == "only here"]

    def _html(self) -> str:
        rows = self._rows()
        shown = "".join(
            f'<li><span class="n m">{escape(name)}</span>{f"""<span class="d">≠ {mark}</span>""" if mark else ""}'
            f'<span class="s f">{size}</span></li>'
            for name, size, mark in rows[:_MOST_ROWS]
        )
        head = f'<div class="h"><b>{escape(legible(self.name))}</b><span class="f">{escape(self._totals())}</span></div>'
        problems = "".join(f'<div class="p">{with_code(problem)}</div>' for problem in self._problems())
        listing = f"<ul>{shown}</ul>{self._more(rows)}"
        if len(rows) > _FOLDED_FROM:
            listing = f"<details><summary>{format_count(len(rows))} paths</summary>{listing}</details>"
        return framed(f"{head}{problems}{listing}", _STYLE)

    def _more(self, rows: Sequence[object]) -> str:
        more = len(rows) - _MOST_ROWS
        return f"<div>and {format_count(more)} more, all in `.report.files`</div>" if more > 0 else ""

    def _text(self) -> str:
        rows = self._rows()
        width = min(48, max((len(name) for name, _, _ in rows), default=0))
        lines = [f"{legible(self.name)}, {self._totals()}", *(f"  ! {problem}" for problem in self._problems())]
        lines += [f"  {name:<{width}}  {size:>9}  {f'≠ {mark}' if mark else ''}".rstrip() for name, size, mark in rows[:_MOST_ROWS]]
        return "\n".join([*lines, *([f"  and {format_count(len(rows) - _MOST_ROWS)} more"] if len(rows) > _MOST_ROWS else [])])


@dataclass(frozen=True, slots=True)
class Package:
    """What ``%det_package`` returns.

    Attributes:
        report: The archive: where, how much, its hashes.
        warnings: Sentences about what was used and is not in it.
    """

    report: ArchiveReport
    warnings: tuple[str, ...] = ()

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        del include, exclude  # IPython filters the bundle itself
        report = self.report
        files = "1 file" if report.files == 1 else f"{format_count(report.files)} files"
        facts = [
            ("archive", legible(str(report.path))),
            ("holds", f"{files}, {report.total_bytes:,} bytes"),
            ("size", f"{report.size_bytes:,} bytes"),
            ("sha256", report.sha256),
            ("code", report.bundle_hash),
        ]
        left_out = [f"{legible(one.path)} is not in it, because {one.reason}." for one in report.left_out]
        warnings = [*left_out, *map(legible, self.warnings)]
        width = max(len(name) for name, _ in facts)
        text = [f"Packed {report.path.name}", *(f"  ! {warning}" for warning in warnings), *(f"  {n:<{width}}  {v}" for n, v in facts)]
        rows = "".join(f"<dt>{name}</dt><dd><code>{escape(value)}</code></dd>" for name, value in facts)
        head = f'<div class="h"><b>{escape(legible(report.path.name))}</b><span class="f">packed</span></div>'
        told = "".join(f'<div class="p">{with_code(warning)}</div>' for warning in warnings)
        return {"text/html": framed(f"{head}{told}<dl>{rows}</dl>", _STYLE), "text/plain": legible("\n".join(text))}
