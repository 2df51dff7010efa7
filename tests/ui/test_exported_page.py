"""A run that was exported as one HTML file, opened in a browser without a server."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect
from support.runs import make_run, make_session

from detjupyter.protocol.records import LogLine
from detjupyter.protocol.states import Group, State
from detjupyter.store import open_store
from detjupyter.store.history import Run

SCREENSHOTS = Path(__file__).parents[2] / "screenshots"
EVIL = "</script><img src=x onerror=alert(1)>"


@pytest.fixture
def page_file(tmp_path: Path) -> Iterator[Path]:
    """Export a run with a long curve, a curve with a NaN, a validation and a name that is HTML."""
    store = open_store(tmp_path / "home" / "runs.sqlite")
    session = make_session(state=State.FINISHED, error=None, batches_trained=50_000, allowed=("pause", "step"))
    store.create_run(make_run("r1", state=State.FINISHED, ended_at=2.0, session=session, hyperparameters={"lr": 0.1, EVIL: EVIL}))
    batches = np.arange(1, 50_001)
    store.append_series("r1", Group.TRAINING, "loss", batches, 1.0 / batches)
    store.append_series("r1", Group.VALIDATION, "loss", batches[::10_000], np.array([1.0, 0.5, math.nan, 0.25, 0.125]))
    store.append_series("r1", Group.TRAINING, EVIL, batches[:10], np.arange(10.0))
    store.append_log("r1", [LogLine(0.0, "stdout", f"first line {EVIL}")])
    store.append_event("r1", {"kind": "state", "state": "finished", "at": 1.0, "batches_trained": 50_000})
    yield Run(store, "r1").export(tmp_path / "run.html")
    store.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[tuple[Page, list[str]]]:
    """Return an empty page without a network, and the list of what goes wrong on it."""
    context = browser.new_context(offline=True, viewport={"width": 1000, "height": 900})
    page, problems = context.new_page(), []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("dialog", lambda dialog: problems.append(dialog.message))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    yield page, problems
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_shows_the_live_view_with_all_points(scheme: str, page_file: Path, page: tuple[Page, list[str]]) -> None:
    """The crosshair reads the values; the log, the hyperparameters and the events are there; nothing offers a command."""
    tab, problems = page
    tab.emulate_media(color_scheme=scheme)
    tab.goto(page_file.as_uri())
    live = tab.locator(".dj-live")
    expect(live).to_have_attribute("data-dj-state", "finished")
    expect(live.locator("canvas")).to_have_count(2)
    live.locator(".u-over").first.hover(position={"x": 1, "y": 20})
    expect(live).to_contain_text("batch 1")
    expect(live.get_by_role("button", name="Pause")).not_to_be_visible()
    expect(tab.locator("table").first).to_contain_text("lr0.1")
    live.get_by_text("Log (1 line)").click()
    expect(live).to_contain_text("first line </script><img src=x onerror=alert(1)>")
    tab.get_by_text("Events").click()
    expect(tab.locator("table").last).to_contain_text("50000finished")
    tab.screenshot(path=SCREENSHOTS / f"exported-{scheme}.png")
    assert problems == []


def test_it_fits_a_narrow_window(page_file: Path, page: tuple[Page, list[str]]) -> None:
    """Nothing scrolls sideways."""
    tab, _ = page
    tab.set_viewport_size({"width": 320, "height": 700})
    tab.goto(page_file.as_uri())
    expect(tab.locator(".dj-live")).to_have_attribute("data-dj-state", "finished")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 320
    tab.screenshot(path=SCREENSHOTS / "exported-narrow.png")


def test_a_damaged_file_says_so(page_file: Path, page: tuple[Page, list[str]]) -> None:
    """In a sentence instead of an empty page."""
    tab, _ = page
    page_file.write_text(page_file.read_text(encoding="utf-8").replace("H4sI", "AAAA"), encoding="utf-8")
    tab.goto(page_file.as_uri())
    expect(tab.get_by_role("alert")).to_contain_text("The charts cannot be shown")
