"""The panel survives what happens to pages, kernels and notebooks."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from playwright.sync_api import Locator, expect
from support.environments import Lab
from support.pages import LabPage

LOAD = "%load_ext detjupyter\nsession = %det_load model_def:DigitsTrial"


def test_a_page_reload_brings_everything_back(open_lab: Callable[..., Lab], open_page: Callable[..., LabPage]) -> None:
    """After a reload in the middle of a training the panel shows definition, live run, moving curves and history again."""
    page = open_page(open_lab()).open()
    page.panel()
    page.run_new(LOAD)
    page.run_new("%det_train --epochs 1000")
    page.save()
    page.reload()
    panel = page.panel()
    expect(live(panel)).to_have_attribute("data-state", "running")
    expect(panel).to_contain_text("DigitsTrial")
    expect(runs(panel)).to_have_count(1)
    live(panel).locator(".dj-chart").scroll_into_view_if_needed()  # charts out of sight are not drawn
    chart = live(panel).locator("canvas").first
    expect(chart).to_be_visible()
    page.wait_moved(chart)
    panel.get_by_role("toolbar", name="Training").locator(".dj-mod-stop").first.click()
    expect(live(panel)).to_have_attribute("data-state", "stopped")


def test_the_sections_end_where_the_panel_ends(open_lab: Callable[..., Lab], open_page: Callable[..., LabPage]) -> None:
    """The end of the last section can be seen: the header is drawn after the sections have got their heights, and they get others then."""
    page = open_page(open_lab()).open()
    page.panel()
    page.page.wait_for_function(
        "() => { const end = e => document.querySelector(e).getBoundingClientRect().bottom;"
        " return Math.abs(end('#detjupyter-panel') - end('#detjupyter-panel .dj-mod-runs')) <= 1; }"
    )


def test_a_killed_kernel_leaves_an_interrupted_run(open_lab: Callable[..., Lab], open_page: Callable[..., LabPage]) -> None:
    """When the kernel's process is killed while it trains, the run is shown as interrupted, with curves, checkpoints and the way back."""
    page = open_page(open_lab()).open()
    panel = page.panel()
    page.run_new(LOAD)
    page.run_new("%det_train --epochs 1000")
    expect(live(panel)).to_have_attribute("data-state", "running")
    page.wait_trained(500)
    page.run_new("%det_checkpoint")
    page.run_new("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", wait=False)
    entry = runs(panel).first
    expect(entry).to_contain_text("Interrupted")
    page.page.get_by_role("dialog").get_by_role("button", name="Ok").click()  # JupyterLab's own word on the kernel
    page.screenshot("interrupted")
    entry.get_by_role("button").first.click()
    expect(panel.locator("canvas").last).to_be_visible()
    checkpoints = entry.get_by_role("region", name="Checkpoints")
    expect(checkpoints.locator("[data-checkpoint]").first).to_be_visible()
    line = checkpoints.locator(".dj-Code").inner_text()
    assert line == f"%det_load --from {entry.get_attribute('data-run')}"
    checkpoints.scroll_into_view_if_needed()
    page.screenshot("checkpoints")
    page.wait_ready()
    expect(live(panel).locator(".dj-Code").first).to_contain_text(line)
    page.run_new(f"%load_ext detjupyter\nagain = {line}\nprint(again.batches_trained > 500)")
    expect(page.page.locator(".jp-OutputArea-output").last).to_contain_text("True")


def test_a_restarted_kernel_keeps_the_history(open_lab: Callable[..., Lab], open_page: Callable[..., LabPage]) -> None:
    """After a restart the run is still listed, and loading and training again adds a second one."""
    page = open_page(open_lab()).open()
    panel = page.panel()
    page.run_new(LOAD)
    page.run_new("%det_train --batches 30 --wait")
    expect(runs(panel)).to_have_count(1)
    page.page.evaluate("async () => { await window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart(); }")
    page.wait_ready()
    expect(runs(panel)).to_have_count(1)
    page.run_new(LOAD)
    page.run_new("%det_train --batches 30 --wait")
    expect(runs(panel)).to_have_count(2)


def test_the_panel_follows_the_notebook(open_lab: Callable[..., Lab], open_page: Callable[..., LabPage]) -> None:
    """Another notebook shows its own directory's definition, and a directory without one says so and what to do."""
    lab = open_lab()
    (lab.directory / "empty").mkdir()
    shutil.copy(lab.directory / "quickstart/quickstart.ipynb", lab.directory / "empty/other.ipynb")
    page = open_page(lab).open()
    panel = page.panel()
    page.run_new(LOAD)
    expect(panel).to_contain_text("DigitsTrial")
    page.switch_to("empty/other.ipynb")
    expect(panel.locator(".dj-Live")).to_have_count(0)
    expect(panel).to_contain_text("No model definition")
    page.screenshot("no-definition")
    message = page.run_new("%load_ext detjupyter\n%det_load model_def:DigitsTrial")
    expect(message).to_contain_text("model_def")
    expect(message).not_to_contain_text("Traceback")
    page.switch_to("quickstart/quickstart.ipynb")
    expect(panel).to_contain_text("DigitsTrial")
    expect(live(panel)).to_have_attribute("data-state", "ready")


def test_an_opened_run_stays_its_own_when_another_notebook_trains(open_lab: Callable[..., Lab], open_page: Callable[..., LabPage]) -> None:
    """Opened while its notebook is active, and shown next to the training of another notebook."""
    lab = open_lab()
    shutil.copytree(lab.directory / "quickstart", lab.directory / "second/quickstart")
    page = open_page(lab).open()
    panel = page.panel()
    page.run_new(LOAD)
    page.run_new("%det_train --batches 20 --wait")
    own = runs(panel).first
    run_id = own.get_attribute("data-run")
    own.get_by_role("button").first.click()
    curves = panel.locator(f'[data-run="{run_id}"] .dj-panel').first
    before = drawn(curves)

    page.switch_to("second/quickstart/quickstart.ipynb")
    page.run_new(LOAD)
    page.run_new("%det_train --epochs 5000")
    expect(live(panel)).to_have_attribute("data-state", "running")
    page.wait_moved(live(panel).locator("canvas").first)
    assert drawn(curves) == before
    page.switch_to("quickstart/quickstart.ipynb")
    expect(live(panel)).to_have_attribute("data-state", "finished")
    assert drawn(curves) == before


def drawn(chart: Locator) -> str:
    """Return the words of a chart, which is drawn only when it is in view."""
    chart.scroll_into_view_if_needed()
    expect(chart.locator("canvas")).to_be_visible()
    return chart.inner_text()


def test_notebook_7_has_the_live_view_and_the_panel(open_lab: Callable[..., Lab], open_page: Callable[..., LabPage]) -> None:
    """The same magics, widget and panel work in the classic-looking application."""
    page = open_page(open_lab()).open(app="notebook")
    page.run_new(LOAD)
    page.run_new("%det_train --epochs 1000")
    expect(page.live).to_have_attribute("data-dj-state", "running")
    panel = page.panel()
    expect(live(panel)).to_have_attribute("data-state", "running")
    page.screenshot("notebook7")
    page.live.locator('[data-dj-command="pause"]').click()
    expect(live(panel)).to_have_attribute("data-state", "paused")


def test_the_palette_has_the_commands(open_lab: Callable[..., Lab], open_page: Callable[..., LabPage]) -> None:
    """Every button's command can be found in the command palette."""
    page = open_page(open_lab()).open()
    page.command("apputils:activate-command-palette")
    page.page.keyboard.type("detjupyter")
    palette = page.page.locator(".lm-CommandPalette-content")
    for word in ("Panel", "Pause", "Resume", "One More Batch", "Stop", "Validate", "Checkpoint", "Reload"):
        expect(palette).to_contain_text(word)


def live(panel: Locator) -> Locator:
    """Return the section of the live run."""
    return panel.locator(".dj-Live")


def runs(panel: Locator) -> Locator:
    """Return the entries of the history."""
    return panel.get_by_label("Runs, newest first").get_by_role("listitem")
