"""The files that Determined's uploader would ship, and the packed archive: ``%det_files --as determined`` and ``%det_package``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from detjupyter.picture.html import NOTHING, Html, output, with_code
from detjupyter.picture.numbers import format_bytes, format_count

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
        report: The complete list.
        name: The name of the model definition.
        differences: Where detjupyter's rules (`.detignore` as git reads it, and its own) decide differently, by path.
    """

    report: DeterminedReport
    name: str
    differences: Mapping[str, str] = field(default_factory=dict)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        del include, exclude  # IPython filters the bundle itself
        return dict(output(self._html(), self._text(), _STYLE))

    def _totals(self) -> str:
        report = self.report
        if report.fails and not report.files:
            return "Determined's uploader would fail"
        files = "1 file" if len(report.files) == 1 else f"{format_count(len(report.files))} files"
        total = f"{files}, {format_bytes(report.total_bytes)} of {format_bytes(report.limit_bytes)}"
        return f"as Determined's uploader would ship it: {total}{', but it would fail' if report.fails else ''}"

    def _rows(self) -> list[tuple[str, str, str]]:
        """Return name, size and mark of the files that the uploader ships, then of those that ship only here."""
        holding = {path[:end] for path, _ in self.report.files for end, sign in enumerate(path) if sign == "/"}
        sizes = [(path, format_bytes(size_bytes)) for path, size_bytes in self.report.files]
        sizes += [(f"{path}/", "empty") for path in self.report.directories if path not in holding]
        rows = [(path, size, "left out here" if path in self.differences else "") for path, size in sorted(sizes)]
        return rows + [(path, "left out", "ships here") for path, where in self.differences.items() if where == "only here"]

    def _html(self) -> Html:
        rows = self._rows()
        row, marked = Html('<li><span class="n m">{}</span>{}<span class="s f">{}</span></li>'), Html('<span class="d">≠ {}</span>')
        shown = NOTHING.join(row.format(name, marked.format(mark) if mark else NOTHING, size) for name, size, mark in rows[:_MOST_ROWS])
        head = Html('<div class="h"><b>{}</b><span class="f">{}</span></div>').format(self.name, self._totals())
        problems = NOTHING.join(Html('<div class="p">{}</div>').format(with_code(problem)) for problem in self.report.problems)
        listing = Html("<ul>{}</ul>{}").format(shown, self._more(rows))
        if len(rows) > _FOLDED_FROM:
            listing = Html("<details><summary>{} paths</summary>{}</details>").format(format_count(len(rows)), listing)
        return head + problems + listing

    def _more(self, rows: Sequence[object]) -> Html:
        more = len(rows) - _MOST_ROWS
        return Html("<div>and {} more, all in `.report.files`</div>").format(format_count(more)) if more > 0 else NOTHING

    def _text(self) -> str:
        rows = self._rows()
        width = min(48, max((len(name) for name, _, _ in rows), default=0))
        lines = [f"{self.name}, {self._totals()}", *(f"  ! {problem}" for problem in self.report.problems)]
        lines += [f"  {name:<{width}}  {size:>9}  {f'≠ {mark}' if mark else ''}".rstrip() for name, size, mark in rows[:_MOST_ROWS]]
        return "\n".join([*lines, *([f"  and {format_count(len(rows) - _MOST_ROWS)} more"] if len(rows) > _MOST_ROWS else [])])


@dataclass(frozen=True, slots=True)
class Package:
    """What ``%det_package`` returns.

    Attributes:
        report: The archive: its path, its sizes, its hashes.
        warnings: Sentences about files that were used but are not in the archive.
    """

    report: ArchiveReport
    warnings: tuple[str, ...] = ()

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        del include, exclude  # IPython filters the bundle itself
        report = self.report
        files = "1 file" if report.files == 1 else f"{format_count(report.files)} files"
        facts = [
            ("archive", str(report.path)),
            ("contains", f"{files}, {report.total_bytes:,} bytes"),
            ("size", f"{report.size_bytes:,} bytes"),
            ("sha256", report.sha256),
            ("code", report.bundle_hash),
        ]
        left_out = [f"{file.path} is not in the archive, because {file.reason}." for file in report.left_out]
        warnings = [*left_out, *self.warnings]
        width = max(len(name) for name, _ in facts)
        text = [f"Packed {report.path.name}", *(f"  ! {warning}" for warning in warnings), *(f"  {n:<{width}}  {v}" for n, v in facts)]
        rows = NOTHING.join(Html("<dt>{}</dt><dd><code>{}</code></dd>").format(name, value) for name, value in facts)
        head = Html('<div class="h"><b>{}</b><span class="f">packed</span></div>').format(report.path.name)
        marked = NOTHING.join(Html('<div class="p">{}</div>').format(with_code(warning)) for warning in warnings)
        return dict(output(Html("{}{}<dl>{}</dl>").format(head, marked, rows), "\n".join(text), _STYLE))
