"""Several sessions in one kernel, and runs of several directories: the panel tells them apart and shows each."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, expect
from support.environments import Lab
from support.pages import LabPage

LOAD = "%load_ext detjupyter\nsession = %det_load model_def:DigitsTrial --name first"
LOAD_SECOND = "second = %det_load model_def:DigitsTrial --name a-second-session-with-a-long-name --path ../other/quickstart --seed 2"


@pytest.fixture
def several(open_lab: Callable[..., Lab], open_page: Callable[..., LabPage]) -> LabPage:
    """A page whose kernel holds a session in training and, as its current one, a paused session of a copy in another directory."""
    lab = open_lab()
    shutil.copytree(lab.directory / "quickstart", lab.directory / "other/quickstart")
    page = open_page(lab).open()
    page.panel()
    page.run_new(LOAD)
    page.run_new("%det_train --epochs 2000")
    page.run_new(LOAD_SECOND)
    page.run_new("%det_train --batches 40 --validate-every 20")
    page.run_new("second.wait()")
    page.run_new("%det_train --batches 1000000")
    page.run_new("second.pause()")
    return page


def test_each_session_of_a_kernel_is_seen_and_can_be_shown(several: LabPage) -> None:
    """State and progress move while another one is shown; a click shows a session with its card, curves and buttons."""
    panel = several.page.locator("#detjupyter-panel")
    live = panel.locator(".dj-Live")
    first, second = entry(panel, "first"), entry(panel, "a-second-session-with-a-long-name")
    expect(live).to_have_attribute("data-session", "a-second-session-with-a-long-name")
    expect(live).to_have_attribute("data-state", "paused")
    expect(second).to_have_attribute("aria-current", "true")
    expect(second).to_contain_text("Paused")
    expect(first).to_contain_text("Running")
    several.wait_moved(first)

    first.focus()
    several.page.keyboard.press("Enter")
    expect(live).to_have_attribute("data-session", "first")
    expect(live).to_have_attribute("data-state", "running")
    expect(first).to_be_focused()
    live.locator(".dj-chart").first.scroll_into_view_if_needed()  # charts out of sight are not drawn
    several.wait_moved(live.locator("canvas").first)
    live.get_by_role("button", name="Pause").click()
    expect(first).to_contain_text("Paused")
    expect(several.run_new("session.state, second.state").locator(".jp-OutputArea-output").last).to_contain_text("('paused', 'paused')")
    live.get_by_role("button", name="Resume").click()
    expect(first).to_contain_text("Running")
    expect(second).to_contain_text("Paused")

    several.run_new("second.close()")
    expect(panel.locator(".dj-Session")).to_have_count(0)
    expect(live).to_have_attribute("data-session", "first")


def test_an_opened_run_keeps_its_curves_while_sessions_are_switched(several: LabPage) -> None:
    """The run of the session that is shown is drawn from what the Live section has; when that shows another session, from the history."""
    panel = several.page.locator("#detjupyter-panel")
    run = runs(panel).first
    run.get_by_role("button").first.click()
    expect(run.locator("canvas").first).to_be_visible()
    entry(panel, "first").click()
    expect(panel.locator(".dj-Live")).to_have_attribute("data-session", "first")
    chart = run.locator("canvas").first
    expect(chart).to_be_visible()
    chart.scroll_into_view_if_needed()
    several.wait_still(chart)  # it is paused; the other one trains


def test_runs_of_several_directories_have_several_titles(several: LabPage) -> None:
    """The directory that differs is in front of the class, and the tooltip has the path."""
    panel = several.page.locator("#detjupyter-panel")
    titles = runs(panel).locator(".dj-Run-title")
    expect(titles).to_have_count(2)
    expect(titles.first).to_contain_text("other")
    for title, part in zip(titles.all(), ("other/quickstart", "quickstart"), strict=True):
        assert f"{several.lab.directory / part}\n" in (title.get_attribute("title") or "")
    assert len({title.inner_text() for title in titles.all()}) == 2


def test_several_sessions_fit_narrow_and_wide_light_and_dark(several: LabPage) -> None:
    """Nothing is wider than the panel, and what is cut has a tooltip; also in a run that continues another one."""
    panel = several.page.locator("#detjupyter-panel")
    several.run_new("second.stop(); second.checkpoint()")
    several.run_new("third = %det_load --name third --from {second.run.id}\nthird.step(3)\nthird.validate();")
    expect(runs(panel)).to_have_count(3)
    entry(panel, "a-second-session-with-a-long-name").click()
    for theme in ("Light", "Dark"):
        several.set_theme(theme)
        for width in (250, 700):
            several.set_panel_width(width)
            several.page.locator(".dj-Sessions").scroll_into_view_if_needed()
            several.screenshot(f"sessions-{theme.lower()}-{width}")
            several.assert_readable(panel)
    runs(panel).first.get_by_role("button").first.click()
    continues = runs(panel).first.get_by_text("Continues")
    for theme in ("Light", "Dark"):
        several.set_theme(theme)
        for width in (250, 700):
            several.set_panel_width(width)
            continues.scroll_into_view_if_needed()
            several.screenshot(f"continues-{theme.lower()}-{width}")
            several.assert_readable(panel)
    fact = runs(panel).first.locator("dd").filter(has_text="after batch")
    several.set_panel_width(250)
    assert fact.evaluate("e => e.scrollWidth <= e.clientWidth")
    several.set_theme("Light")


def entry(panel: Locator, name: str) -> Locator:
    """Return the entry of a session in the list of the kernel's sessions."""
    return panel.locator(f'.dj-Session[data-session="{name}"]')


def runs(panel: Locator) -> Locator:
    """Return the entries of the history."""
    return panel.get_by_label("Runs, newest first").get_by_role("listitem")
