"""The Restore button of each checkpoint in the panel."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect
from support.environments import Lab
from support.pages import LabPage
from support.waiting import Busy, wait_until

from detjupyter.store import open_store

LOAD = "%load_ext detjupyter\nsession = %det_load model_def:DigitsTrial"
OFF = "Stop the training before you restore a checkpoint"
WAITING = """

import pathlib
import time

from detjupyter.pytorch import PyTorchCallback


class Waiting(PyTorchCallback):
    def state_dict(self):
        return {{"is_saved": True}}

    def load_state_dict(self, state):
        while not pathlib.Path("go").exists():
            time.sleep(0.01)
        if {fails}:
            raise ValueError("too bad")


class WaitingTrial(DigitsTrial):
    def build_callbacks(self):
        return {{"waiting": Waiting()}}
"""
"""A definition whose restore waits for a file, and then fails or not."""
ENDED = "endend"  # as printed; the cell's source does not hold it


@pytest.fixture
def trained(open_lab: Callable[..., Lab], open_page: Callable[..., LabPage]) -> LabPage:
    """A page whose session has trained 40 batches with checkpoints at 20 and 40; its run is open in the panel."""
    page = open_page(open_lab()).open()
    page.panel()
    page.run_new(LOAD)
    page.run_new("%det_train --batches 40 --checkpoint-every 20 --wait")
    open_run(page)
    return page


def test_a_click_restores_the_checkpoint_and_says_how_to_return(trained: LabPage) -> None:
    """The batch count and the curve move back, the command is recorded as the panel's, and the message names the way to return."""
    button = restore(trained, 20)
    expect(button).to_have_text("Restore")
    button.focus()
    trained.page.keyboard.press("Enter")
    said = answer(trained, 20)
    expect(said).to_contain_text("Restored batch 20. To return to batch 40, restore ")
    expect(button).to_be_focused()
    expect(trained.page.locator("#detjupyter-panel .dj-Live")).to_contain_text("20 batches")
    assert said.evaluate(
        "e => e.getBoundingClientRect().bottom <= document.querySelector('#detjupyter-panel').getBoundingClientRect().bottom"
    )
    recorded = "last = session.run.commands[-1]; last['command'], last['origin'], len(session.metrics('loss')[0]), session.batches_trained"
    expect(output(trained, recorded)).to_contain_text("('restore', 'panel', 20, 20)")
    trained.screenshot("restored")
    expect(said.locator("code")).to_have_text(checkpoints(trained).locator("li").first.get_attribute("data-checkpoint") or "")
    restore(trained, 40).click()
    expect(answer(trained, 40)).to_contain_text("Restored batch 40. To return to batch 20")
    expect(said).to_be_empty()
    expect(output(trained, "session.batches_trained")).to_contain_text("40")


def test_a_state_that_no_checkpoint_holds_is_lost_only_if_the_user_agrees(trained: LabPage) -> None:
    """After a step, which saves none, the button asks; Cancel changes nothing, and there is nothing to return to after the restore."""
    trained.run_new("%det_step")
    expect(restore(trained, 20)).to_have_attribute("aria-disabled", "false")
    dialog = trained.page.get_by_role("dialog")
    restore(trained, 20).click()
    expect(dialog).to_contain_text("no checkpoint of the weights after batch 41")
    trained.screenshot("restore-asks")
    dialog.get_by_role("button", name="Cancel").click()
    expect(output(trained, "session.batches_trained")).to_contain_text("41")
    restore(trained, 20).click()
    dialog.get_by_role("button", name="Restore").click()
    expect(answer(trained, 20)).to_have_text("Restored batch 20.")
    expect(output(trained, "session.batches_trained")).to_contain_text("20")


def test_while_a_training_runs_or_is_paused_the_button_is_off_and_says_why(trained: LabPage) -> None:
    """It is on again after the stop; what it says follows what the session allows."""
    button = restore(trained, 20)
    trained.run_new("%det_train --batches 1000000")
    expect(button).to_have_attribute("aria-disabled", "true")
    expect(button).to_have_attribute("title", OFF)
    trained.run_new("%det_pause")
    expect(trained.page.locator("#detjupyter-panel .dj-Live")).to_have_attribute("data-state", "paused")
    expect(button).to_have_attribute("aria-disabled", "true")
    expect(button).to_have_attribute("title", OFF)
    button.click(force=True)  # Playwright waits for a button that is on
    trained.screenshot("restore-off")
    expect(output(trained, "session.state, 'restore' in [one['command'] for one in session.run.commands]")).to_contain_text(
        "('paused', False)"
    )
    trained.run_new("%det_stop")
    expect(button).to_have_attribute("aria-disabled", "false")
    button.click()
    trained.page.get_by_role("dialog").get_by_role("button", name="Restore").click()  # a stop saves no checkpoint
    expect(answer(trained, 20)).to_contain_text("Restored batch 20.")


def test_it_acts_while_a_cell_is_busy(trained: LabPage) -> None:
    """The restore is in the history before the cell ends."""
    store = open_store(Path(trained.lab.home) / "detjupyter/runs.sqlite")
    with Busy(trained.lab.home) as cell:
        script = Path(trained.lab.home) / "busy.py"
        script.write_text(cell.code(), encoding="utf-8")
        busy = trained.run_new(f"exec(open({str(script)!r}).read()); print('end' * 2)", wait=False)
        wait_until(lambda: cell.has_begun)
        restore(trained, 20).click()
        wait_until(lambda: store.runs()[0].batches_trained == 20, "the restore in the history")
        expect(answer(trained, 20)).to_contain_text("Restored batch 20.")
        expect(busy).not_to_contain_text(ENDED)
    store.close()


def test_after_a_reload_of_the_page_it_restores_in_the_same_session(trained: LabPage) -> None:
    """The page asks the kernel what is loaded."""
    trained.save()
    trained.reload()
    trained.panel()
    open_run(trained)
    restore(trained, 20).click()
    expect(answer(trained, 20)).to_contain_text("Restored batch 20.")


def test_without_a_session_it_offers_the_lines_that_load_the_checkpoint(trained: LabPage) -> None:
    """After a restart of the kernel: the lines are shown and copied, and restore exactly this checkpoint."""
    trained.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    trained.page.evaluate("async () => { await window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart(); }")
    trained.wait_ready()
    button = restore(trained, 20)
    expect(button).to_have_text("Restore…")
    button.click()
    expect(button).to_have_attribute("aria-expanded", "true")
    code = checkpoints(trained).locator("li .dj-Code")
    lines = code.inner_text()
    assert trained.page.evaluate("() => navigator.clipboard.readText()") == lines
    code.scroll_into_view_if_needed()
    trained.screenshot("restore-lines")
    trained.run_new(f"{lines}\nimport detjupyter")
    expect(output(trained, "detjupyter.sessions()[-1].batches_trained")).to_contain_text("20")
    button.click()  # now there is a session
    expect(button).to_have_text("Restore")


def test_a_run_that_continues_another_one_names_it(trained: LabPage) -> None:
    """Whether it is the session's run or an earlier one."""
    parent = output(trained, "session.run.id").inner_text().strip().strip("'")
    trained.run_new("session = %det_load model_def:DigitsTrial --from latest")
    trained.run_new("%det_train --batches 10 --wait")
    run = trained.page.locator(f"#detjupyter-panel .dj-Run:not([data-run='{parent}'])").first
    run.locator(".dj-Run-head").click()
    expect(run.locator(".dj-Facts")).to_contain_text(f"Continues{parent} after batch 40")
    run.locator(".dj-Facts").scroll_into_view_if_needed()
    trained.screenshot("continues")
    trained.run_new("%det_load model_def:DigitsTrial --name other")
    expect(run.locator(".dj-Facts")).to_contain_text(f"Continues{parent} after batch 40")


def test_the_live_view_of_a_run_that_continues_another_one_begins_with_it(trained: LabPage) -> None:
    """Its curves, and those of the picture that stays in the notebook, begin with the parent's first batch."""
    trained.run_new("continued = %det_load model_def:DigitsTrial --from latest --name continued")
    index = trained.add("%det_train --batches 100000")
    trained.run(index)
    trained.run_new("import time\nwhile continued.batches_trained < 60: time.sleep(0.02)\ncontinued.pause()")
    expect(trained.live).to_have_attribute("data-dj-state", "paused")
    trained.wait_still(trained.live.locator("canvas").first)
    trained.live.scroll_into_view_if_needed()
    trained.screenshot("continued-live")
    box = trained.live.locator(".u-over").first
    box.hover(position={"x": 2, "y": 20})
    expect(trained.live).to_contain_text(re.compile(r"batch [1-9]reset"))  # far before batch 41, with which its own training begins
    trained.run_new("continued.stop()")
    expect(trained.cell(index).locator("img, svg").first).to_be_visible()
    trained.screenshot("continued-picture")


def test_of_another_definition_it_offers_the_lines(trained: LabPage) -> None:
    """A session of another class is loaded: the button does not restore into it."""
    file = trained.lab.directory / "quickstart/other.py"
    file.write_text("from model_def import DigitsTrial\n\n\nclass OtherTrial(DigitsTrial):\n    pass\n", encoding="utf-8")
    trained.run_new("other = %det_load other:OtherTrial --name other")
    expect(restore(trained, 20)).to_have_text("Restore…")


@pytest.mark.parametrize("fails", [False, True], ids=["done", "failed"])
def test_a_restore_that_takes_long_is_pending_until_it_has_ended(
    fails: bool, open_lab: Callable[..., Lab], open_page: Callable[..., LabPage]
) -> None:
    """The button says so, no other one is on, and the result or the error is shown although it comes after the first answer."""
    lab = open_lab()
    file = lab.directory / "quickstart/model_def.py"
    file.write_text(file.read_text(encoding="utf-8") + WAITING.format(fails=fails), encoding="utf-8")
    page = open_page(lab).open()
    page.panel()
    page.run_new("%load_ext detjupyter\nsession = %det_load model_def:WaitingTrial")
    page.run_new("%det_train --batches 40 --checkpoint-every 20 --wait")
    open_run(page)
    with page.page.expect_response(re.compile(r"/kernels/[^/]+/command(\?|$)")):  # the first answer: it has not ended yet
        restore(page, 20).click()
    pending = checkpoints(page).get_by_role("button", name="Restoring… checkpoint at batch 20", exact=True)
    expect(pending).to_have_text("Restoring…")
    expect(pending).to_have_attribute("aria-busy", "true")
    expect(restore(page, 40)).to_have_attribute("title", "A checkpoint is being restored")
    expect(pending).to_be_visible()
    page.screenshot("restore-pending")
    (lab.directory / "quickstart/go").touch()
    if fails:
        expect(answer(page, 20).get_by_role("alert")).to_contain_text("too bad")
    else:
        expect(answer(page, 20)).to_contain_text("Restored batch 20. To return to batch 40")
    expect(restore(page, 20)).to_have_attribute("aria-busy", "false")
    expect(restore(page, 40)).to_have_attribute("aria-disabled", "false")
    expect(output(page, "session.batches_trained")).to_contain_text("40" if fails else "20")


def test_a_checkpoint_whose_files_are_gone_gives_the_error_at_the_button(trained: LabPage) -> None:
    """What Python says, and nothing has changed."""
    trained.run_new("import shutil; shutil.rmtree(session.run.checkpoints()[0].path)")
    restore(trained, 20).click()
    alert = answer(trained, 20).get_by_role("alert")
    expect(alert).to_contain_text("checkpoint")
    alert.scroll_into_view_if_needed()
    trained.screenshot("restore-refused")
    expect(output(trained, "session.batches_trained")).to_contain_text("40")


def test_the_list_fits_narrow_and_wide_light_and_dark(open_lab: Callable[..., Lab], open_page: Callable[..., LabPage]) -> None:
    """With a long name and 200 checkpoints, of which five are shown until the user asks for the others."""
    lab = open_lab()
    name = "ExtraordinarilyLongAndDescriptiveHandwrittenDigitsClassificationTrial"
    file = lab.directory / "quickstart/model_def.py"
    file.write_text(file.read_text(encoding="utf-8").replace("DigitsTrial", name), encoding="utf-8")
    page = open_page(lab).open()
    panel = page.panel()
    page.run_new(f"%load_ext detjupyter\nsession = %det_load model_def:{name}")
    page.run_new("%det_train --batches 200 --checkpoint-every 1 --wait")
    open_run(page)
    rows = checkpoints(page).locator("li")
    expect(rows).to_have_count(5)
    for theme in ("Light", "Dark"):
        page.page.evaluate(f"() => window.jupyterapp.commands.execute('apputils:change-theme', {{theme: 'JupyterLab {theme}'}})")
        for width in (250, 700):
            page.page.evaluate(f"() => window.jupyterapp.shell._hsplitPanel.setRelativeSizes([200, {1236 - width}, {width}])")
            page.wait_still(panel)
            checkpoints(page).scroll_into_view_if_needed()
            page.screenshot(f"checkpoints-{theme.lower()}-{width}")
            assert checkpoints(page).evaluate(
                "e => [...e.querySelectorAll('*')].every(part => part.getBoundingClientRect().right <= e.getBoundingClientRect().right + 1)"
            )
    page.page.evaluate("() => window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Light'})")
    checkpoints(page).get_by_role("button", name="Show 195 older").click()
    expect(rows).to_have_count(200)
    restore(page, 1).scroll_into_view_if_needed()
    page.screenshot("checkpoints-200")
    restore(page, 1).click()
    expect(answer(page, 1)).to_contain_text("Restored batch 1.")


def open_run(page: LabPage) -> None:
    """Open the newest run in the panel."""
    runs = page.page.locator("#detjupyter-panel").get_by_label("Runs, newest first").get_by_role("listitem")
    runs.first.get_by_role("button").first.click()
    checkpoints(page).scroll_into_view_if_needed()


def checkpoints(page: LabPage) -> Locator:
    """Return the list of the checkpoints of the open run."""
    return page.page.locator("#detjupyter-panel").get_by_role("region", name="Checkpoints")


def restore(page: LabPage, batch: int) -> Locator:
    """Return the Restore button of the checkpoint at a batch, by its name for a screen reader."""
    return checkpoints(page).locator(button(page, batch))


def answer(page: LabPage, batch: int) -> Locator:
    """Return the answer below the checkpoint at a batch."""
    return checkpoints(page).get_by_role("listitem").filter(has=button(page, batch)).get_by_role("status")


def button(page: LabPage, batch: int) -> Locator:
    """Return the buttons of this name, wherever they are."""
    return page.page.get_by_role("button", name=f"Restore checkpoint at batch {batch}", exact=True)


def output(page: LabPage, code: str) -> Locator:
    """Run a cell that shows a value, and return its output."""
    return page.run_new(code).locator(".jp-OutputArea-output").last
