"""Buttons act while a cell keeps the kernel's main thread busy."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from environments import Lab, add_old_ipykernel
from pages import LabPage
from playwright.sync_api import Locator, expect

from detjupyter.store import open_store

BUSY = "import time; began = time.time(); time.sleep(5); time.time() - began"
WITHIN_S = 0.5


@pytest.mark.parametrize("command", ["pause", "stop"])
@pytest.mark.parametrize("ipykernel", [7, 6])
def test_the_panels_buttons_act_while_a_cell_is_busy(
    ipykernel: int, command: str, start_lab: Callable[..., Lab], open_page: Callable[..., LabPage]
) -> None:
    """From the click to the change in the history it takes at most half a second, with the new ipykernel and with the old one."""
    lab = start_lab()
    kernel = add_old_ipykernel(lab.home) if ipykernel == 6 else None
    page = _train(open_page(lab), kernel, ipykernel)
    panel = page.panel()
    expect(panel.locator(".dj-Live")).to_have_attribute("data-state", "running")
    button = panel.get_by_role("toolbar", name="Training").locator(f"button.dj-mod-{command}, .dj-mod-{command} button").first
    expect(button).to_be_enabled()
    busy = page.run_new(BUSY, wait=False)
    page.page.wait_for_timeout(1000)

    assert _seconds_until_changed(lab, button) <= WITHIN_S
    expect(busy).not_to_contain_text("5.0")  # the cell was still busy
    expect(busy).to_contain_text("5.0", timeout=15_000)


def test_the_widgets_buttons_act_while_a_cell_is_busy(start_lab: Callable[..., Lab], open_page: Callable[..., LabPage]) -> None:
    """Where the kernel has subshells, a click in the live view does not wait for the cell."""
    lab = start_lab()
    page = _train(open_page(lab), None, 7)
    button = page.live.locator('[data-dj-command="pause"]')
    expect(page.live).to_have_attribute("data-dj-state", "running")
    busy = page.run_new(BUSY, wait=False)
    page.page.wait_for_timeout(1000)

    assert _seconds_until_changed(lab, button) <= WITHIN_S
    expect(busy).not_to_contain_text("5.0")


def _train(page: LabPage, kernel: str | None, ipykernel: int) -> LabPage:
    page.open(kernel=kernel)
    version = page.run_new("import ipykernel; ipykernel.version_info[0]")
    expect(version.locator(".jp-OutputArea-output").last).to_contain_text(str(ipykernel))
    page.run_new("%load_ext detjupyter\nsession = %det_load model_def:DigitsTrial")
    page.run_new("%det_train --epochs 2000")
    return page


def _seconds_until_changed(lab: Lab, button: Locator) -> float:
    """Click, and return how long the history went on saying that the run is running."""
    store = open_store(Path(lab.home) / "detjupyter/runs.sqlite")
    try:
        assert store.runs()[0].state.value == "running"
        clicked = time.monotonic()
        button.click()
        while store.runs()[0].state.value == "running":
            assert time.monotonic() - clicked < 8, "nothing happened"
            time.sleep(0.005)
        return time.monotonic() - clicked
    finally:
        store.close()
