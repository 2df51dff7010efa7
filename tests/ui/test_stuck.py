"""A batch that does not end is shown where it is, with a way out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect
from support.environments import Lab
from support.pages import LabPage

WORDS = "No batch has ended for a while"
VIEW = "from detjupyter.widgets.live import LiveView\nLiveView(session.channel)"


@pytest.fixture
def start_stuck(open_lab: Callable[..., Lab], open_page: Callable[..., LabPage]) -> Callable[..., LabPage]:
    """Open a page with both views on a training whose batches wait while the definition's directory holds the file ``hold``."""

    def start(dark: bool = False) -> LabPage:
        lab = open_lab(theme="JupyterLab Dark" if dark else "JupyterLab Light")
        file = lab.directory / "quickstart/model_def.py"
        source = file.read_text(encoding="utf-8")
        line = "        images, digits = batch\n"
        wait = "        import pathlib, time\n        while pathlib.Path('hold').exists():\n            time.sleep(0.01)\n"
        file.write_text(source.replace(line, wait + line, 1), encoding="utf-8")
        page = open_page(lab, dark=dark).open()
        page.panel()
        page.run_new("%load_ext detjupyter\nsession = %det_load model_def:DigitsTrial")
        page.run_new(VIEW)
        page.run_new("session.train(epochs=200_000)")
        expect(page.live).to_have_attribute("data-dj-state", "running")
        expect(section(page)).to_have_attribute("data-state", "running")
        hold(page).touch()
        return page

    return start


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_both_views_show_where_a_batch_is_that_does_not_end(dark: bool, start_stuck: Callable[..., LabPage]) -> None:
    """Both name the user's function that does not return, and say nothing any more when it has returned."""
    page = start_stuck(dark)
    notices = [page.live.locator(".dj-live-stuck"), section(page).locator(".dj-Stuck")]
    for notice in notices:
        expect(notice.get_by_role("status")).to_have_text(WORDS)
        notice.get_by_text("What the training is doing").click()
        expect(notice.locator("pre")).to_contain_text("train_batch")
    page.page.wait_for_timeout(2500)  # the stack is read again, and stays open
    for notice in notices:
        expect(notice.locator("pre")).to_be_visible()
    for part in (page.live, section(page)):
        assert part.evaluate("e => e.scrollWidth <= e.clientWidth + 1")
    page.screenshot(f"stuck-{'dark' if dark else 'light'}")
    hold(page).unlink()
    expect(page.live.get_by_text(WORDS)).to_have_count(0)
    expect(section(page).locator(".dj-Stuck")).to_have_count(0)


def test_the_panel_closes_a_session_with_a_batch_that_does_not_end(start_stuck: Callable[..., LabPage]) -> None:
    """Force Close asks first; then the run is interrupted and kept, and nothing more is offered."""
    page = start_stuck()
    force_close = section(page).get_by_role("button", name="Force Close…")
    dialog = page.page.get_by_role("dialog")
    force_close.click()
    dialog.get_by_role("button", name="Cancel").click()
    expect(page.live).to_have_attribute("data-dj-state", "running")
    force_close.click()
    page.screenshot("stuck-dialog")
    dialog.get_by_role("button", name="Force Close").click()
    expect(page.live).to_have_attribute("data-dj-state", "interrupted")
    expect(page.page.locator("#detjupyter-panel .dj-Run").first).to_have_attribute("data-state", "interrupted")
    expect(section(page).locator('.dj-Buttons button[aria-disabled="false"]')).to_have_count(0)
    expect(page.live.locator('[data-dj-command]:not([aria-disabled="true"])')).to_have_count(0)
    page.screenshot("stuck-closed")


def section(page: LabPage) -> Locator:
    """Return the panel's section of the live run."""
    return page.page.locator("#detjupyter-panel .dj-Live")


def hold(page: LabPage) -> Path:
    """Return the file that holds the batches up while it exists."""
    return page.lab.directory / "quickstart/hold"
