"""The tree of `%det_files` as the user reads it, and reports to create one."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

from detjupyter.bundle import FileEntry, FileReport, Rule


class Rows(HTMLParser):
    """The rows of a tree as the user reads them: depth, text and link; and whether each folder is open."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[tuple[int, str]] = []
        self.links: dict[str, str] = {}
        self.open: list[str] = []
        self.tags: list[str] = []
        self._depth = 0
        self._link: str | None = None
        self._is_open = False
        self._in_row = self._in_style = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: D102
        given = dict(attrs)
        self.tags.append(tag)
        self._depth += tag == "ul"
        self._is_open = "open" in given if tag == "details" else self._is_open
        self._in_style = self._in_style or tag == "style"
        if "r" in (given.get("class") or "").split():
            self.rows.append((self._depth, ""))
            self._in_row = True
        if tag == "a":
            self._link = given["href"]

    def handle_endtag(self, tag: str) -> None:  # noqa: D102
        self._depth -= tag == "ul"
        self._in_style = self._in_style and tag != "style"
        self._in_row = self._in_row and tag not in ("li", "summary")
        if tag == "summary" and self._is_open:
            self.open.append(self.rows[-1][1].split("/")[0])
        if tag == "a":
            self._link = None

    def handle_data(self, data: str) -> None:  # noqa: D102
        if self._link is not None:
            self.links[data] = self._link
        if self._in_row and not self._in_style:
            depth, text = self.rows[-1]
            self.rows[-1] = (depth, f"{text} {data}".strip())


def file(path: str, size_bytes: int = 100, rule: Rule | None = None, *, included: bool | None = None) -> FileEntry:
    """Return a file that ships unless there is a rule."""
    kind = "directory" if path.endswith("/") else "file"
    return FileEntry(path, kind, size_bytes, rule is None if included is None else included, rule)  # type: ignore[arg-type]


def report(*entries: FileEntry, problems: tuple[str, ...] = ()) -> FileReport:
    """Return a report of those entries."""
    return FileReport(Path("/there"), entries, problems)
