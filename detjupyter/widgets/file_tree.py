"""The tree of what would ship and what would not, and why: the output of ``%det_files``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from detjupyter.bundle import FileEntry, FileReport, Remarks, Rule, largest_items, remarks_on
from detjupyter.next_step import worded
from detjupyter.picture.html import NOTHING, Html, output, with_code
from detjupyter.picture.numbers import format_bytes, format_count
from detjupyter.text import one_line
from detjupyter.widgets._folders import Folder, Marks, Tree, choose, gather, listed

_OPEN_DEPTH = 2
_OPEN_CHILDREN = 30
_OPEN_FOUND = 200
_NEAR_THE_LIMIT = 0.8
_WORTH_NAMING = 0.01
_STYLE = """\
.{id} .bar{{height:6px;border-radius:3px;overflow:hidden;background:rgba(128,128,128,.25);margin:0 0 10px}}
.{id} .bar i{{display:block;height:100%;background:var(--jp-brand-color1,#1976d2)}}
.{id} .bar i.near{{background:#d68a00}}
.{id} .bar i.over{{background:#d32f2f}}
.{id} ul{{list-style:none;margin:0;padding:0}}
.{id} ul ul{{margin-left:6px;border-left:1px solid var(--jp-border-color2,rgba(128,128,128,.35));padding-left:6px}}
.{id} .r{{display:flex;flex-wrap:wrap;gap:0 12px;padding:1px 0 1px 16px;list-style:none}}
.{id} summary.r{{padding-left:0}}
.{id} summary.r::-webkit-details-marker{{display:none}}
.{id} summary.r::before{{content:'▸';flex:none;width:16px;margin-right:-12px;opacity:.7}}
.{id} details[open]>summary.r::before{{content:'▾'}}
.{id} .n{{flex:1 1 8em;min-width:0}}
.{id} .n a{{color:inherit;text-decoration:none}}
.{id} .n a:hover{{text-decoration:underline}}
.{id} .s{{flex:none;min-width:5em;text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}}
.{id} .x .n{{opacity:.6}}
.{id} .w{{flex:0 1 auto;min-width:0;text-align:right;font-size:12px}}
.{id} .d{{flex:none;color:#d68a00;font-size:12px;white-space:nowrap}}
.{id} .q{{padding:1px 0 1px 22px;font-size:12px}}
.{id} .p{{border-left:3px solid #d68a00;padding:2px 10px;margin:0 0 8px}}
.{id} .p+.p{{margin-top:-4px}}
.{id} .k{{margin:0 0 8px}}
"""


@dataclass(frozen=True, slots=True)
class TreeOptions:
    """How a tree is shown.

    Attributes:
        biggest: Whether folders and files are sorted by size; if not, by name.
        find: Show only paths that contain this text, ignoring case, and their folders; None for all.
        marks: Where Determined's uploader decides differently, as `bundle.differences` returns it; None if the two were not compared.
        notes: Sentences to show above the tree.
        links: The path of the root relative to the notebook (``""`` or ``nets/``): each name then links to its file. None: no links.
    """

    biggest: bool = False
    find: str | None = None
    marks: Marks | None = None
    notes: tuple[str, ...] = ()
    links: str | None = None


@dataclass(frozen=True, slots=True)
class FileTree:
    """What ``%det_files`` returns: a report, shown as a tree.

    Attributes:
        report: The files, each with the rule that decided.
        name: The name of the model definition.
        options: How the tree is shown.
    """

    report: FileReport
    name: str
    options: TreeOptions = field(default_factory=TreeOptions)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        del include, exclude  # IPython filters the bundle itself
        return dict(file_tree_bundle(self.report, self.name, self.options))


def file_tree_bundle(report: FileReport, name: str, options: TreeOptions | None = None) -> dict[str, str]:
    """Return ``text/html`` and ``text/plain`` of the files of the model definition ``name``.

    Every path has its size or, if it is left out, the rule that decided; folders have the totals of everything below them. At most 2,000
    paths and 500 folders have their own rows, those of the largest folders; the totals count all of them.
    """
    options = options or TreeOptions()
    wanted = options.find.lower() if options.find else ""
    entries = (entry for entry in report if wanted in entry.path.lower()) if wanted else report
    marks = {path: mark for path, mark in (options.marks or {}).items() if wanted in path.lower()}
    tree = gather(entries, marks)
    choose(tree.root, biggest=options.biggest)
    view = _View(report, name, options, tree, remarks_on(report))
    return output(view.html(), view.text(), _STYLE)


def reason(rule: Rule | None) -> str:
    """Return why a path is left out, in a few words."""
    if rule is None:
        return "left out"
    if rule.source == ".detignore":
        return f".detignore line {rule.line}: {rule.pattern}"
    return f"built in: {rule.pattern}" if rule.source == "default" else f"never ships: {rule.pattern}"


@dataclass(frozen=True, slots=True)
class _View:
    """One tree, rendered as HTML and as text."""

    report: FileReport
    name: str
    options: TreeOptions
    tree: Tree
    remarks: Remarks

    # --- shared by both forms -----------------------------------------------------------------------------------------------------

    def totals(self) -> str:
        report = self.report
        share = report.total_bytes / report.limit_bytes
        percent = "over the limit" if share > 1 else f"{100 * share:.1f}%" if share >= 0.001 else "under 0.1%"
        size = f"{format_bytes(report.total_bytes)} of {format_bytes(report.limit_bytes)} ({percent})"
        ships = "file ships" if report.included_files == 1 else "files ship"
        return f"{format_count(report.included_files)} {ships}, {size} · {format_count(report.excluded_entries)} left out"

    def notes(self) -> list[str]:
        """Return the sentences above the tree."""
        notes = list(self.report.problems)
        share = self.report.total_bytes / self.report.limit_bytes
        if share > _NEAR_THE_LIMIT:
            largest = [
                f"{item.path} ({format_bytes(item.size_bytes)}{f', {item.files:,} files' if item.files > 1 else ''})"
                for item in largest_items(self.report)
                if item.size_bytes >= _WORTH_NAMING * self.report.total_bytes
            ]
            left = self.report.limit_bytes - self.report.total_bytes
            distance = f"{format_bytes(left)} below the limit" if left >= 0 else f"{format_bytes(-left)} over the limit"
            notes.append(f"{distance}. Largest: {', '.join(largest)}.")
        return [*notes, *map(worded, self.remarks.sentences), *self.options.notes]

    def legend(self) -> str | None:
        marks = self.tree.root.marks
        if not marks:
            return None
        paths = "1 path" if marks == 1 else f"{format_count(marks)} paths"
        return f"≠ Determined's uploader decides differently about {paths}: `%det_files --as determined` lists what it would ship."

    def found(self) -> str | None:
        if not self.options.find:
            return None
        root, wanted = self.tree.root, self.options.find
        if not root.paths:
            return f"No path contains {wanted!r}. With `--all`, directories that are left out are searched as well."
        paths = "1 path contains" if root.paths == 1 else f"{format_count(root.paths)} paths contain"
        ships = "1 ships" if root.files == 1 else f"{format_count(root.files)} ship"
        return f"{paths} {wanted!r}: {ships}, {format_bytes(root.size_bytes)}."

    def below(self, folder: Folder) -> str:
        """Return the number of files below a folder."""
        files = f"{format_count(folder.files)} {'file' if folder.files == 1 else 'files'}" if folder.files else ""
        stays = f"{format_count(folder.left_out)} left out" if folder.left_out else ""
        return ", ".join(part for part in (files, stays) if part)

    def hidden(self, folder: Folder) -> str:
        hidden = folder.hidden
        where = f" in {folder.path}" if folder.path else ""
        return f"and {format_count(hidden)} more {'path' if hidden == 1 else 'paths'}{where}, counted but not listed: `--find` finds them"

    def kept(self, entry: FileEntry) -> str:
        """Return remarks about a file that ships: it may hold credentials, it is a link, or a line of `.detignore` includes it."""
        kept_by = f"kept by {entry.rule.source} line {entry.rule.line}: {entry.rule.pattern}" if entry.rule else ""
        link = "a link: its target ships" if entry.kind == "symlink" else ""
        secret = "may hold credentials" if entry.path in self.remarks.credentials else ""
        return ", ".join(part for part in (secret, link, kept_by) if part)

    # --- HTML ---------------------------------------------------------------------------------------------------------------------

    def html(self) -> Html:
        share = self.report.total_bytes / self.report.limit_bytes
        tone = Html(' class="{}"').format("over" if share > 1 else "near") if share > _NEAR_THE_LIMIT else NOTHING
        parts = [
            Html('<div class="h"><b>{}</b><span class="f">{}</span></div>').format(self.name, self.totals()),
            Html('<div class="bar"><i{} style="width:{:.2f}%"></i></div>').format(tone, min(100.0, 100 * share)),
            *(Html('<div class="p">{}</div>').format(with_code(note)) for note in self.notes()),
            *(Html('<div class="k">{}</div>').format(with_code(line)) for line in (self.found(), self.legend()) if line),
            Html("<ul>{}</ul>").format(NOTHING.join(self.html_rows(self.tree.root, 1))),
        ]
        if self.tree.root.hidden:
            parts.append(Html('<div class="f">{}</div>').format(with_code(self.hidden(self.tree.root))))
        return Html("\n").join(parts)

    def html_rows(self, folder: Folder, depth: int) -> Iterator[Html]:
        for row in listed(folder, biggest=self.options.biggest):
            if isinstance(row, Folder):
                yield self.html_folder(row, depth)
            elif row.included:
                kept = self.kept(row)
                why = Html('<span class="w f">{}</span>').format(kept) if kept else NOTHING
                item = Html('<li class="r"><span class="n m">{}</span>{}{}<span class="s f">{}</span></li>')
                yield item.format(self.html_name(row), why, self.html_mark(row), format_bytes(row.size_bytes))
            else:
                item = Html('<li class="r x"><span class="n m">{}</span>{}<span class="w f">{}</span></li>')
                yield item.format(self.html_name(row), self.html_mark(row), _reason_html(row.rule))

    def html_folder(self, folder: Folder, depth: int) -> Html:
        size = format_bytes(folder.size_bytes) if folder.files else "nothing ships"
        marks, own = NOTHING, NOTHING
        if folder.marks:
            marks = Html('<span class="d" title="Determined decides differently">≠ {}</span>').format(format_count(folder.marks))
        if folder.entry:
            own = Html("{} · ").format(_reason_html(folder.entry.rule))
        row = Html('<span class="n m">{}/</span><span class="w f">{}{}</span>{}<span class="s f">{}</span>')
        row = row.format(one_line(folder.name), own, self.below(folder), marks, size)
        if not folder.is_open:
            return Html('<li class="r">{}</li>').format(row)
        few = len(folder.listed_folders) + len(folder.listed_entries) <= _OPEN_CHILDREN
        found = bool(self.options.find) and self.tree.root.paths <= _OPEN_FOUND
        opened = " open" if found or (few and depth < _OPEN_DEPTH) else ""
        rows = Html("<ul>{}</ul>").format(NOTHING.join(self.html_rows(folder, depth + 1)))
        if folder.hidden:
            rows += Html('<div class="q f">{}</div>').format(with_code(self.hidden(folder)))
        return Html('<li><details{}><summary class="r">{}</summary>{}</details></li>').format(opened, row, rows)

    def html_name(self, entry: FileEntry) -> Html:
        name = Html.escape(_name(entry))
        # JupyterLab does not open hidden files, and a directory is not a document.
        if self.options.links is None or entry.path.endswith("/") or any(part.startswith(".") for part in entry.path.split("/")):
            return name
        return Html('<a href="{}">{}</a>').format(quote(self.options.links + entry.path, safe="/", errors="surrogateescape"), name)

    def html_mark(self, entry: FileEntry) -> Html:
        mark = self.tree.mark_of(entry)
        return Html('<span class="d">≠ {}</span>').format(mark) if mark else NOTHING

    # --- text ---------------------------------------------------------------------------------------------------------------------

    def text(self) -> str:
        rows = list(self.text_rows(self.tree.root, "  "))
        width = min(48, max((len(label) for label, note in rows if note), default=0))
        lines = [f"{self.name}: {self.totals()}", *(f"  ! {note}" for note in self.notes())]
        lines += [f"  {line}" for line in (self.found(), self.legend()) if line]
        lines += [f"{label:<{width}}  {note}".rstrip() for label, note in rows]
        return "\n".join([*lines, f"  {self.hidden(self.tree.root)}"] if self.tree.root.hidden else lines)

    def text_rows(self, folder: Folder, indent: str) -> Iterator[tuple[str, str]]:
        for row in listed(folder, biggest=self.options.biggest):
            if isinstance(row, Folder):
                size = format_bytes(row.size_bytes) if row.files else "nothing ships"
                marks = f"  ≠ {format_count(row.marks)}" if row.marks else ""
                closed = "" if row.is_open else f" ({self.below(row)})"
                stays = f"  {reason(row.entry.rule)}" if row.entry else ""
                yield f"{indent}{'- ' if row.entry else ''}{one_line(row.name)}/", f"{size}{closed}{stays}{marks}"
                yield from self.text_rows(row, f"{indent}  ")
                if row.is_open and row.hidden:
                    yield f"{indent}  {self.hidden(row)}", ""
                continue
            mark = self.tree.mark_of(row)
            notes = [format_bytes(row.size_bytes), self.kept(row)] if row.included else [reason(row.rule)]
            notes += [f"≠ {mark}"] if mark else []
            yield f"{indent}{'' if row.included else '- '}{_name(row)}", "  ".join(note for note in notes if note)


def _name(entry: FileEntry) -> str:
    name = one_line(entry.path.rstrip("/").rpartition("/")[2])
    return f"{name}/" if entry.path.endswith("/") else name


def _reason_html(rule: Rule | None) -> Html:
    if rule is None:
        return Html("left out")
    return Html("{}<code>{}</code>").format(reason(rule).removesuffix(rule.pattern), rule.pattern)
