"""The tree of what would ship and what would not, and why: the answer of ``%det_files``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from detjupyter.widgets._figures import format_bytes, format_count
from detjupyter.widgets._html import escape, framed

if TYPE_CHECKING:
    from detjupyter.bundle.report import FileEntry, FileReport
    from detjupyter.bundle.rules import Rule

_MOST_ROWS = 2000
_OPEN_DEPTH = 2
_OPEN_CHILDREN = 30
_STYLE = """\
.{id} .bar{{height:6px;border-radius:3px;overflow:hidden;background:rgba(128,128,128,.25);margin:0 0 10px}}
.{id} .bar i{{display:block;height:100%;background:var(--jp-brand-color1,#1976d2)}}
.{id} .bar i.over{{background:#d32f2f}}
.{id} ul{{list-style:none;margin:0;padding:0}}
.{id} ul ul{{margin-left:6px;border-left:1px solid var(--jp-border-color2,rgba(128,128,128,.35));padding-left:6px}}
.{id} .r{{display:flex;gap:0 12px;padding:1px 0 1px 16px;list-style:none}}
.{id} summary.r{{padding-left:0}}
.{id} summary.r::-webkit-details-marker{{display:none}}
.{id} summary.r::before{{content:'▸';flex:none;width:16px;margin-right:-12px;opacity:.7}}
.{id} details[open]>summary.r::before{{content:'▾'}}
.{id} .n{{flex:1 1 auto;min-width:0}}
.{id} .s{{flex:none;font-variant-numeric:tabular-nums}}
.{id} .x .n{{opacity:.6}}
.{id} .w{{flex:0 1 auto;text-align:right;font-size:12px}}
.{id} .p{{border-left:3px solid #d68a00;padding:2px 10px;margin:0 0 8px}}
"""


@dataclass(slots=True)
class _Folder:
    """A folder with the entries below it; ``size_bytes`` and ``files`` count what ships."""

    name: str
    folders: dict[str, _Folder] = field(default_factory=dict)
    entries: list[tuple[str, FileEntry]] = field(default_factory=list)
    size_bytes: int = 0
    files: int = 0


def file_tree_bundle(report: FileReport, name: str) -> dict[str, str]:
    """Return ``text/html`` and ``text/plain`` of the files of the model definition ``name``.

    Every path has its size or, if it is left out, the rule that decided. At most 2,000 paths are listed; the totals count them all.
    """
    entries = [entry for _, entry in zip(range(_MOST_ROWS), report, strict=False)]
    folder = _tree(entries)
    hidden = len(report) - len(entries)
    return {"text/html": _html(report, folder, name, hidden), "text/plain": _text(report, folder, name, hidden)}


def _tree(entries: list[FileEntry]) -> _Folder:
    root = _Folder("")
    for entry in entries:
        *parents, name = entry.path.rstrip("/").split("/")
        folder = root
        trail = [root]
        for part in parents:
            folder = folder.folders.setdefault(part, _Folder(part))
            trail.append(folder)
        folder.entries.append((f"{name}/" if entry.path.endswith("/") else name, entry))
        if entry.included:
            for passed in trail:
                passed.size_bytes += entry.size_bytes
                passed.files += 1
    return root


def _totals(report: FileReport) -> str:
    share = 100 * report.total_bytes / report.limit_bytes
    percent = "over the limit" if share > 100 else f"{share:.1f}%" if share >= 0.1 else "under 0.1%"
    files = f"{format_count(len(report.included))} {'file ships' if len(report.included) == 1 else 'files ship'}"
    size = f"{format_bytes(report.total_bytes)} of {format_bytes(report.limit_bytes)} ({percent})"
    return f"{files}, {size} · {format_count(len(report.excluded))} left out"


def _reason(rule: Rule | None) -> str:
    if rule is None:
        return "left out"
    if rule.source == ".detignore":
        return f".detignore line {rule.line}: {rule.pattern}"
    return f"built in: {rule.pattern}" if rule.source == "default" else f"never ships: {rule.pattern}"


def _hidden_text(hidden: int) -> str:
    return f"and {format_count(hidden)} more {'path' if hidden == 1 else 'paths'}, counted but not listed"


def _html(report: FileReport, folder: _Folder, name: str, hidden: int) -> str:
    share = min(100.0, 100 * report.total_bytes / report.limit_bytes)
    over = ' class="over"' if report.total_bytes > report.limit_bytes else ""
    parts = [
        f'<div class="h"><b>{escape(name)}</b><span class="f">{escape(_totals(report))}</span></div>',
        f'<div class="bar"><i{over} style="width:{share:.2f}%"></i></div>',
        *(f'<div class="p">{escape(problem)}</div>' for problem in report.problems),
        f"<ul>{''.join(_html_rows(folder, 1))}</ul>",
    ]
    if hidden:
        parts.append(f'<div class="f">{escape(_hidden_text(hidden))}</div>')
    return framed("\n".join(parts), _STYLE)


def _html_rows(folder: _Folder, depth: int) -> Iterator[str]:
    for name, child in sorted(folder.folders.items()):
        size = format_bytes(child.size_bytes) if child.files else "nothing ships"
        opened = " open" if depth < _OPEN_DEPTH and len(child.folders) + len(child.entries) <= _OPEN_CHILDREN else ""
        row = f'<summary class="r"><span class="n m">{escape(name)}/</span><span class="s f">{size}</span></summary>'
        yield f"<li><details{opened}>{row}<ul>{''.join(_html_rows(child, depth + 1))}</ul></details></li>"
    for name, entry in folder.entries:
        if entry.included:
            yield f'<li class="r"><span class="n m">{escape(name)}</span><span class="s f">{format_bytes(entry.size_bytes)}</span></li>'
        else:
            yield f'<li class="r x"><span class="n m">{escape(name)}</span><span class="w f">{_reason_html(entry.rule)}</span></li>'


def _reason_html(rule: Rule | None) -> str:
    if rule is None:
        return "left out"
    lead = _reason(rule).removesuffix(rule.pattern)
    return f"{escape(lead)}<code>{escape(rule.pattern)}</code>"


def _text(report: FileReport, folder: _Folder, name: str, hidden: int) -> str:
    rows = list(_text_rows(folder, "  "))
    width = min(48, max((len(label) for label, _ in rows), default=0))
    lines = [f"{name}: {_totals(report)}", *(f"  ! {problem}" for problem in report.problems)]
    lines += [f"{label:<{width}}  {note}" for label, note in rows]
    return "\n".join([*lines, f"  {_hidden_text(hidden)}"] if hidden else lines)


def _text_rows(folder: _Folder, indent: str) -> Iterator[tuple[str, str]]:
    for name, child in sorted(folder.folders.items()):
        yield f"{indent}{name}/", format_bytes(child.size_bytes) if child.files else "nothing ships"
        yield from _text_rows(child, f"{indent}  ")
    for name, entry in folder.entries:
        mark = "" if entry.included else "- "
        yield f"{indent}{mark}{name}", format_bytes(entry.size_bytes) if entry.included else _reason(entry.rule)
