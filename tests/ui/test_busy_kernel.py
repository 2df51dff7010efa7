"""Buttons act while a cell keeps the kernel's main thread busy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect
from support.environments import Lab, add_old_ipykernel
from support.pages import LabPage
from support.waiting import Busy, wait_until

from detjupyter.store import open_store

ENDED = "endend"  # as printed; the cell's source does not hold it


@pytest.mark.parametrize("command", ["pause", "stop"])
@pytest.mark.parametrize("ipykernel", [7, 6])
def test_the_panels_buttons_act_while_a_cell_is_busy(
    ipykernel: int, command: str, open_lab: Callable[..., Lab], open_page: Callable[..., LabPage]
) -> None:
    """The click changes the history before the cell ends, with the new ipykernel and with the old one."""
    lab = open_lab()
    kernel = add_old_ipykernel(lab.home) if ipykernel == 6 else None
    page = _train(open_page(lab), kernel, ipykernel)
    panel = page.panel()
    expect(panel.locator(".dj-Live")).to_have_attribute("data-state", "running")
    button = panel.get_by_role("toolbar", name="Training").locator(f"button.dj-mod-{command}, .dj-mod-{command} button").first
    expect(button).to_be_enabled()
    with Busy(lab.home) as cell:
        busy = _begin(page, cell, lab)
        _click_until_changed(lab, button)
        expect(busy).not_to_contain_text(ENDED)
    expect(busy).to_contain_text(ENDED)


def test_the_widgets_buttons_act_while_a_cell_is_busy(open_lab: Callable[..., Lab], open_page: Callable[..., LabPage]) -> None:
    """Where the kernel has subshells, a click in the live view does not wait for the cell."""
    lab = open_lab()
    page = _train(open_page(lab), None, 7)
    button = page.live.locator('[data-dj-command="pause"]')
    expect(page.live).to_have_attribute("data-dj-state", "running")
    with Busy(lab.home) as cell:
        busy = _begin(page, cell, lab)
        _click_until_changed(lab, button)
        expect(busy).not_to_contain_text(ENDED)


def _begin(page: LabPage, cell: Busy, lab: Lab) -> Locator:
    """Run a cell that is busy until the test ends it, and return it once it runs."""
    script = Path(lab.home) / "busy.py"
    script.write_text(cell.code(), encoding="utf-8")
    busy = page.run_new(f"exec(open({str(script)!r}).read()); print('end' * 2)", wait=False)
    wait_until(lambda: cell.has_begun)
    return busy


def _train(page: LabPage, kernel: str | None, ipykernel: int) -> LabPage:
    page.open(kernel=kernel)
    version = page.run_new("import ipykernel; ipykernel.version_info[0]")
    expect(version.locator(".jp-OutputArea-output").last).to_contain_text(str(ipykernel))
    page.run_new("%load_ext detjupyter\nsession = %det_load model_def:DigitsTrial")
    page.run_new("%det_train --epochs 200000")
    return page


def _click_until_changed(lab: Lab, button: Locator) -> None:
    """Click, and wait until the history no longer says that the run is running."""
    store = open_store(Path(lab.home) / "detjupyter/runs.sqlite")
    try:
        assert store.runs()[0].state.value == "running"
        button.click()
        wait_until(lambda: store.runs()[0].state.value != "running", "the change in the history")
    finally:
        store.close()
