"""What the panel says while the server cannot watch the history, a run, or the files."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from playwright.sync_api import Locator, WebSocketRoute, expect
from support.environments import Lab
from support.pages import LabPage

LOAD = "%load_ext detjupyter\nsession = %det_load model_def:DigitsTrial"


def test_a_history_that_cannot_be_read_is_named_until_it_can(open_lab: Callable[..., Lab], open_page: Callable[..., LabPage]) -> None:
    """The header says so in a line, the other sections stay, and "Try now" does not wait for the server's next attempt."""
    lab = open_lab()
    page = open_page(lab).open()
    panel = page.panel()
    page.run_new(LOAD)
    page.run_new("%det_train --batches 30 --wait")
    notice = panel.locator(".dj-Cut")
    expect(panel.locator(".dj-Run")).to_have_count(1)
    expect(notice).to_have_count(0)
    with without_table(lab, "runs"):
        expect(notice).to_contain_text("history")
        expect(panel.locator(".dj-Live")).to_be_visible()
        pictures(page, panel, notice, "history-unread")
    notice.get_by_role("button", name="Try now").click()
    expect(notice).to_have_count(0)
    expect(panel.locator(".dj-Run")).to_have_count(1)


def test_curves_that_cannot_be_read_are_named_where_they_would_be(open_lab: Callable[..., Lab], open_page: Callable[..., LabPage]) -> None:
    """The other parts of the panel are as always, and the curves are back by themselves."""
    lab = open_lab()
    page = open_page(lab).open()
    panel = page.panel()
    page.run_new(LOAD)
    page.run_new("%det_train --batches 30 --wait")
    live = panel.locator(".dj-Live")
    expect(live.locator(".dj-chart").first).to_be_attached()
    with without_table(lab, "series"):
        page.reload()
        page.panel()
        notice = live.locator(".dj-Failure")
        expect(notice).to_be_visible()
        expect(panel.locator(".dj-Cut")).to_have_count(0)
        expect(panel.locator(".dj-Run")).to_have_count(1)
        pictures(page, panel, notice, "curves-unread")
    expect(notice).to_have_count(0)
    expect(live.locator(".dj-chart").first).to_be_attached()


def test_edits_that_are_not_noticed_are_named_above_the_files(open_lab: Callable[..., Lab], open_page: Callable[..., LabPage]) -> None:
    """Until the server can watch the files again."""
    page = open_page(open_lab())
    reason = "Edits on disk are not noticed: OS file watch limit reached."
    failure: dict[str, str] | None = {"message": reason, "hint": "Refresh, at the top, reads the files again."}
    sockets: list[WebSocketRoute] = []

    def connect(socket: WebSocketRoute) -> None:
        sockets.append(socket)
        socket.connect_to_server().on_message(lambda text: socket.send(as_failed(text)))

    def as_failed(text: str | bytes) -> str | bytes:
        """Return what the server sends where the system cannot watch: a test cannot reach that limit without harm to other programs."""
        message = json.loads(text)
        if message["kind"] == "definition_watched" and failure is not None:
            return json.dumps(message | {"watched": False, "failure": failure})
        return text

    page.page.route_web_socket("**/detjupyter/api/live*", connect)
    page.open()
    panel = page.panel()
    notice = panel.locator(".dj-Unwatched")
    expect(notice).to_contain_text(reason)
    expect(panel.locator(".dj-File").first).to_be_visible()
    pictures(page, panel, notice, "files-unwatched")
    failure = None
    sockets[-1].send(json.dumps({"kind": "definition_watched", "path": f"{page.lab.prefix}quickstart", "watched": True, "failure": None}))
    expect(notice).to_have_count(0)


@contextmanager
def without_table(lab: Lab, table: str) -> Iterator[None]:
    """Damage the history: a table is missing inside the block."""
    execute(lab, f"ALTER TABLE {table} RENAME TO away")
    try:
        yield
    finally:
        execute(lab, f"ALTER TABLE away RENAME TO {table}")


def execute(lab: Lab, statement: str) -> None:
    """Execute a statement in the history."""
    with closing(sqlite3.connect(Path(lab.home) / "detjupyter/runs.sqlite", timeout=30)) as database, database:
        database.execute(statement)


def pictures(page: LabPage, panel: Locator, notice: Locator, name: str) -> None:
    """Take pictures in both themes, narrow and wide, and check that all can be read."""
    for theme in ("Dark", "Light"):
        page.set_theme(theme)
        for width in (700, 250):
            page.set_panel_width(width)
            notice.scroll_into_view_if_needed()
            page.screenshot(f"{name}-{theme.lower()}-{width}")
            page.assert_readable(panel)
