"""The live view: what moves, and what the buttons and keys do."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, expect
from support.environments import Lab
from support.pages import LabPage

LONG = "%det_train --epochs 5000"


@pytest.fixture
def training(open_lab: Callable[..., Lab], open_page: Callable[..., LabPage]) -> LabPage:
    """A page on which a training of many epochs runs."""
    page = open_page(open_lab()).open()
    page.run_new("%load_ext detjupyter\nsession = %det_load model_def:DigitsTrial")
    page.run_new(LONG)
    expect(page.live).to_have_attribute("data-dj-state", "running")
    return page


def test_the_curves_move_while_training(training: LabPage) -> None:
    """The pixels of the chart change from one second to the next, and do not change while paused."""
    chart = training.live.locator("canvas").first
    expect(chart).to_be_visible()
    training.wait_moved(chart)

    button(training, "pause").click()
    expect(training.live).to_have_attribute("data-dj-state", "paused")
    training.wait_still(chart)
    training.screenshot("live-paused")


def test_the_buttons_steer_the_training(training: LabPage) -> None:
    """Pause pauses it, Step adds exactly one batch, Validate and Checkpoint work while it is paused, Resume resumes it, Stop ends it."""
    button(training, "pause").click()
    expect(training.live).to_have_attribute("data-dj-state", "paused")
    before = trained(training)
    button(training, "step").click()
    expect_trained(training, before + 1)

    for command in ("validate", "checkpoint"):
        button(training, command).click()
        expect(button(training, command)).to_have_attribute("aria-busy", "false")
        expect(training.live).to_have_attribute("data-dj-state", "paused")
    saved = training.run_new("sum(not one.automatic for one in session.run.checkpoints()), session.batches_trained")
    expect(saved).to_contain_text(f"(1, {before + 1})")

    button(training, "resume").click()
    expect(training.live).to_have_attribute("data-dj-state", "running")
    button(training, "stop").click()
    expect(training.live).to_have_attribute("data-dj-state", "stopped")
    expect(training.run_new("session.state")).to_contain_text("stopped")


def test_the_keyboard_steers_the_training(training: LabPage) -> None:
    """With the view focused, space pauses and resumes and s steps."""
    training.live.focus()
    training.page.keyboard.press("Space")
    expect(training.live).to_have_attribute("data-dj-state", "paused")
    before = trained(training)
    training.live.focus()
    training.page.keyboard.press("s")
    expect_trained(training, before + 1)
    training.live.focus()
    training.page.keyboard.press("Space")
    expect(training.live).to_have_attribute("data-dj-state", "running")


def test_other_cells_run_at_once_while_training(training: LabPage) -> None:
    """A cell's answer does not wait for the training."""
    cell = training.run_new("import time; began = time.perf_counter(); 6 * 7")
    expect(cell).to_contain_text("42")
    expect(training.live).to_have_attribute("data-dj-state", "running")


def test_a_failing_trial_shows_the_users_frames_and_training_goes_on_after_the_fix(
    open_lab: Callable[..., Lab], open_page: Callable[..., LabPage]
) -> None:
    """An error in train_batch ends in state failed with file and line; after the edit and %det_reload the same weights train on."""
    lab = open_lab()
    file = lab.directory / "quickstart/model_def.py"
    good = file.read_text(encoding="utf-8")
    broken = "scores = self.model(images[:, 0])"
    file.write_text(good.replace("scores = self.model(images)", broken, 1), encoding="utf-8")
    page = open_page(lab).open()
    panel = page.panel()
    page.run_new("%load_ext detjupyter\nsession = %det_load model_def:DigitsTrial")
    cell = page.run_new("%det_train --epochs 1")
    expect(cell.locator(".dj-live")).to_have_attribute("data-dj-state", "failed")
    expect(cell.locator(".dj-live-error")).to_contain_text("model_def.py")
    expect(panel.locator(".dj-Live")).to_have_attribute("data-state", "failed")
    expect(panel).to_contain_text("RuntimeError")
    page.screenshot("failed")
    shown = page.run_new("session.wait()")
    expect(shown).to_contain_text("model_def.py")
    expect(shown).not_to_contain_text("driver.py")

    file.write_text(good, encoding="utf-8")
    page.run_new("%det_reload")
    page.run_new("%det_train --batches 20 --wait")
    expect(page.run_new("session.state, session.batches_trained")).to_contain_text("('finished', 20)")


def button(page: LabPage, command: str) -> Locator:
    """Return the live view's button for ``command``."""
    return page.live.locator(f'[data-dj-command="{command}"]')


def trained(page: LabPage) -> int:
    """Return how many batches the session says are trained."""
    return int(page.run_new("session.batches_trained").locator(".jp-OutputArea-output").last.inner_text())


def expect_trained(page: LabPage, count: int) -> None:
    """Wait until the session has trained ``count`` batches, and be sure that it stays at that."""
    wait = f"while session.batches_trained < {count} and time.monotonic() < until: time.sleep(0.01)"
    page.run_new(f"import time\nuntil = time.monotonic() + 60\n{wait}")
    expect(page.live).to_have_attribute("data-dj-state", "paused")
    assert trained(page) == count
