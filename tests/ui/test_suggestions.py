"""Lines that the panel suggests reach the notebook, its sections share the height by need, and the end of a training is noticed."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Locator, expect
from support.environments import Lab
from support.pages import LabPage
from support.waiting import wait_until

LOAD = "%load_ext detjupyter\nsession = %det_load model_def:DigitsTrial"
SOURCES = "() => window.jupyterapp.shell.currentWidget.content.widgets.map(one => one.model.sharedModel.getSource())"


def test_suggested_lines_are_copied_inserted_and_run(open_lab: Callable[..., Lab], open_page: Callable[..., LabPage]) -> None:
    """Copy says so; Insert adds a cell below the active one, which undo removes; Train inserts a cell and trains."""
    page = open_page(open_lab()).open()
    page.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    panel = page.panel()
    live = panel.locator(".dj-mod-live")
    before = page.page.evaluate(SOURCES)
    live.get_by_role("button", name="Copy").click()
    expect(live.get_by_role("button", name="Copied")).to_be_visible()
    assert "%det_load" in page.page.evaluate("() => navigator.clipboard.readText()")
    live.get_by_role("button", name="Insert").click()
    after = page.page.evaluate(SOURCES)
    assert len(after) == len(before) + 1
    assert "%load_ext detjupyter\n%det_load model_def:DigitsTrial" in after[1]
    page.command("notebook:undo-cell-action")
    page.page.wait_for_function(f"() => ({SOURCES})().length === {len(before)}")

    page.run_new(LOAD)
    live.get_by_role("button", name="Train", exact=True).click()
    expect(page.live).to_have_attribute("data-dj-state", "running")
    assert page.page.evaluate(SOURCES)[-1] == "%det_train --epochs 5"


def test_a_section_gets_the_height_that_it_needs(open_lab: Callable[..., Lab], open_page: Callable[..., LabPage]) -> None:
    """Nothing scrolls while another section is blank; a border that the user has moved stays."""
    page = open_page(open_lab()).open()
    panel = page.panel()
    page.run_new(LOAD)
    page.run_new("%det_train --epochs 5000")
    expect(panel.locator(".dj-Live")).to_have_attribute("data-state", "running")
    wait_until(lambda: has_its_height(panel), "the sections have the heights that they need")
    page.screenshot("sections")

    handle = panel.locator(".lm-SplitPanel-handle >> visible=true").last
    box = handle.bounding_box()
    if box is None:  # JupyterLab draws no handles between the sections of a sidebar: the titles are dragged
        box = panel.locator(".lm-AccordionPanel-title").last.bounding_box()
    assert box is not None
    page.page.mouse.move(box["x"] + 60, box["y"] + 1)
    page.page.mouse.down()
    page.page.mouse.move(box["x"] + 60, box["y"] - 120, steps=4)
    page.page.mouse.up()
    moved = height(panel, "runs")["shown"]
    page.command("detjupyter:stop")
    expect(panel.locator(".dj-Live")).to_have_attribute("data-state", "stopped")
    page.wait_still(panel)
    assert abs(height(panel, "runs")["shown"] - moved) < 3


def test_the_end_of_a_training_is_noticed(open_lab: Callable[..., Lab], open_page: Callable[..., LabPage]) -> None:
    """On request the browser notifies; the sidebar's tab is marked while it trains, and after the end until the panel is looked at."""
    page = open_page(open_lab()).open()
    page.page.context.grant_permissions(["notifications"])
    page.page.evaluate(
        "() => { window.shown = []; const Real = window.Notification;"
        " window.Notification = class extends Real {"
        " constructor(title, options) { super(title, options); window.shown.push([title, options]); } } }"
    )
    panel = page.panel()
    tab = page.page.locator('.jp-SideBar .lm-TabBar-tab[data-id="detjupyter-panel"]')
    page.run_new(LOAD)
    page.run_new("%det_train --epochs 5000")
    page.page.wait_for_function("() => document.querySelector('.jp-SideBar .lm-TabBar-tab.dj-mod-training') !== null")
    bell = panel.get_by_role("button", name="Notify when a training ends")
    expect(bell).to_have_attribute("aria-pressed", "false")
    bell.click()
    expect(bell).to_have_attribute("aria-pressed", "true")
    page.command("application:toggle-right-area")
    page.run_new("session.stop()")
    page.page.wait_for_function("() => window.shown.length === 1")
    ((title, options),) = page.page.evaluate("() => window.shown")
    assert title == "Stopped: model_def:DigitsTrial"
    assert "batch" in options["body"]
    page.page.wait_for_function("() => document.querySelector('.jp-SideBar .lm-TabBar-tab.dj-mod-ended') !== null")
    page.panel()
    page.page.wait_for_function("() => document.querySelector('.jp-SideBar .lm-TabBar-tab.dj-mod-ended') === null")
    expect(tab).to_have_count(1)


def has_its_height(panel: Locator) -> bool:
    """Return whether the live section has most of the room, and neither it nor the list of runs has blank room that the other needs."""
    live, runs = height(panel, "live"), height(panel, "runs")
    fits = runs["shown"] <= runs["needed"] + 24 or live["shown"] >= live["needed"] - 24
    return fits and live["shown"] > 1.5 * runs["shown"]


def height(panel: Locator, section: str) -> dict[str, float]:
    """Return the height of a section, and the height of its content."""
    measured = panel.locator(f".dj-mod-{section}").evaluate(
        "e => ({shown: e.offsetHeight, needed: e.querySelector('.dj-Section-content').offsetHeight})"
    )
    return dict(measured)
