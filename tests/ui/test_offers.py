"""What the live view and the panel offer is what the session takes, and both say when a busy cell slows the training."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, expect
from support.environments import Lab
from support.pages import LabPage
from support.waiting import LIMIT_S

from detjupyter.picture.numbers import format_count

LOAD = "%load_ext detjupyter\nsession = %det_load model_def:DigitsTrial"
VIEW = "from detjupyter.widgets.live import LiveView\nLiveView(session.channel)"
TRAIN = "session.train(epochs=200_000)"
AT_REST = {"step", "validate", "checkpoint"}
NEWS = "from detjupyter.protocol.events import SlowedChanged\nsession._publisher.publish(SlowedChanged({}))"
"""What the engine says when its probe finds that a busy cell slows it; how soon it does depends on the machine."""


@pytest.fixture
def loaded(open_lab: Callable[..., Lab], open_page: Callable[..., LabPage]) -> LabPage:
    """A page with the panel and a live view of a session that has not trained."""
    page = open_page(open_lab()).open()
    page.panel()
    page.run_new(LOAD)
    page.run_new(VIEW)
    expect(page.live).to_have_attribute("data-dj-state", "ready")
    return page


def test_both_views_offer_exactly_what_the_session_takes(loaded: LabPage) -> None:
    """In every state the same buttons are on in both views; a step outside of a training leaves nothing to resume."""
    expect_offers(loaded, AT_REST)
    press(loaded, "step")  # before any training
    expect(loaded.live).to_have_attribute("data-dj-state", "paused")
    expect_offers(loaded, AT_REST | {"stop"})
    press(loaded, "stop")
    expect_offers(loaded, AT_REST)
    loaded.run_new(TRAIN)
    expect_offers(loaded, AT_REST | {"pause", "stop"})
    press(loaded, "step")  # of a running training: one more batch, then pause
    expect_offers(loaded, AT_REST | {"resume", "stop"})
    press(loaded, "resume")
    expect_offers(loaded, AT_REST | {"pause", "stop"})
    press(loaded, "stop")
    expect(loaded.live).to_have_attribute("data-dj-state", "stopped")
    expect_offers(loaded, AT_REST)
    loaded.screenshot("offers-stopped")
    press(loaded, "checkpoint")
    expect(command(loaded.live, "checkpoint")).to_have_attribute("aria-busy", "false")
    expect(loaded.run_new("[not one.automatic for one in session.run.checkpoints()]")).to_contain_text("True")


def test_a_session_whose_kernel_is_gone_offers_nothing(loaded: LabPage) -> None:
    """After a restart the run is still shown, with every button off in both views."""
    loaded.run_new(TRAIN)
    expect_offers(loaded, AT_REST | {"pause", "stop"})
    loaded.page.evaluate("async () => { await window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart(); }")
    loaded.wait_ready()
    expect_offers(loaded, set())
    loaded.screenshot("offers-nothing")


def test_both_views_print_one_line_and_their_buttons_are_one_stop_of_the_tab_key(loaded: LabPage) -> None:
    """Of a second training, paused: its own percentage, epoch, batches and time, with the totals apart; arrow keys reach every button."""
    loaded.run_new("session.train(batches=30, wait=True)")
    loaded.run_new("session.train(epochs=20_000)")
    expect_offers(loaded, AT_REST | {"pause", "stop"})
    press(loaded, "pause")
    expect_offers(loaded, AT_REST | {"resume", "stop"})
    trained = int(loaded.run_new("session.batches_trained").locator(".jp-OutputArea-output").last.inner_text())
    expect(fact(loaded.live, "batches")).to_have_text(f"{format_count(trained - 30)} of {format_count(20_000 * 90)} batches")
    expect(fact(loaded.live, "total")).to_contain_text(f"{format_count(trained)} batches")
    panel = loaded.page.locator("#detjupyter-panel .dj-Live")
    expect(panel.locator("[data-dj-fact]")).to_have_text(loaded.live.locator("[data-dj-fact]").all_inner_texts())
    loaded.screenshot("second-training")

    for toolbar in (loaded.live.get_by_role("toolbar"), panel.get_by_role("toolbar")):
        buttons = toolbar.get_by_role("button")
        assert toolbar.locator('button[tabindex="0"]').count() == 1
        buttons.first.focus()
        for key, at in (("ArrowRight", 1), ("End", 4), ("ArrowRight", 0), ("ArrowLeft", 4)):
            loaded.page.keyboard.press(key)
            expect(buttons.nth(at)).to_be_focused()


def test_no_button_moves_when_the_line_of_the_training_comes_and_goes(loaded: LabPage) -> None:
    """Before a training, in it and paused, also in a second one with totals, the buttons are at one height in both views."""
    tops = {button_tops(loaded)}
    loaded.run_new("session.train(batches=30, wait=True)")
    tops.add(button_tops(loaded))
    loaded.run_new("session.train(epochs=20_000)")
    expect_offers(loaded, AT_REST | {"pause", "stop"})
    expect(fact(loaded.live, "speed")).to_be_visible()
    tops.add(button_tops(loaded))
    press(loaded, "pause")
    expect_offers(loaded, AT_REST | {"resume", "stop"})
    tops.add(button_tops(loaded))
    loaded.screenshot("buttons-above")
    assert len(tops) == 1


@pytest.mark.parametrize("is_trained", [False, True], ids=["untrained", "trained"])
def test_a_validation_is_pending_until_it_is_answered(
    is_trained: bool, open_lab: Callable[..., Lab], open_page: Callable[..., LabPage]
) -> None:
    """While it runs, its button says so and no view offers a second one, also if it is the first thing that the session does."""
    lab = open_lab()
    (lab.directory / "quickstart/go").touch()
    file = lab.directory / "quickstart/model_def.py"
    source = file.read_text(encoding="utf-8")
    wait = "import pathlib, time\n        while not pathlib.Path('go').exists():\n            time.sleep(0.01)\n        "
    head, rest = source.split("def evaluate_batch", 1)
    signature, body = rest.split("\n        ", 1)
    file.write_text(f"{head}def evaluate_batch{signature}\n        {wait}{body}", encoding="utf-8")
    page = open_page(lab).open()
    page.panel()
    page.run_new(LOAD)
    page.run_new(VIEW)
    if is_trained:
        page.run_new("session.train(batches=1)")
        expect(page.live).to_have_attribute("data-dj-state", "finished")
    expect_offers(page, AT_REST)
    (lab.directory / "quickstart/go").unlink()
    press(page, "validate")
    button = command(page.live, "validate")
    expect(page.live).to_have_attribute("data-dj-activity", "validating")
    expect(button).to_have_text("Validating…")
    expect(button).to_have_attribute("aria-busy", "true")
    expect_offers(page, {"step", "checkpoint", "stop"}, pending="validate")
    page.screenshot("offers-validating")
    (lab.directory / "quickstart/go").touch()
    expect(button).to_have_text("Validate")
    expect_offers(page, AT_REST)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_both_views_say_that_a_busy_cell_slows_the_training(
    dark: bool, open_lab: Callable[..., Lab], open_page: Callable[..., LabPage]
) -> None:
    """Both views show it as soon as the engine reports it, on existing lines, and no longer after it ends."""
    lab = open_lab(theme="JupyterLab Dark" if dark else "JupyterLab Light")
    page = open_page(lab, dark=dark).open()
    panel = page.panel()
    page.run_new(LOAD)
    page.run_new(VIEW)
    page.run_new(TRAIN)
    expect_offers(page, AT_REST | {"pause", "stop"})
    heads = [page.live.locator(".dj-live-head"), panel.locator(".dj-Live-head")]
    heights = [height(head) for head in heads]
    for head in heads:
        expect(head.get_by_role("status")).not_to_contain_text("Slowed")
    page.run_new(NEWS.format(True))
    for head in heads:
        expect(head.get_by_role("status").get_by_text("Slowed by a busy cell")).to_be_visible()
    page.screenshot(f"slowed-{'dark' if dark else 'light'}")
    assert [height(head) for head in heads] == heights
    page.run_new(NEWS.format(False))
    for head in heads:
        expect(head.get_by_role("status")).not_to_contain_text("Slowed")


def command(live: Locator, kind: str) -> Locator:
    """Return the live view's button that sends ``kind``."""
    return live.locator(f'[data-dj-command="{kind}"]')


def fact(live: Locator, name: str) -> Locator:
    """Return a piece of the line that says how far the training is."""
    return live.locator(f'[data-dj-fact="{name}"]')


def press(page: LabPage, kind: str) -> None:
    """Click the live view's button that sends ``kind``."""
    command(page.live, kind).click()


def expect_offers(page: LabPage, kinds: set[str], *, pending: str | None = None) -> None:
    """Wait until the buttons that are on are those of ``kinds`` in both views; a pending one of the live view counts as off."""
    offered = """() => {
        const live = Array.from(document.querySelectorAll('.dj-live')).at(-1);
        const inView = Array.from(live.querySelectorAll('[data-dj-command]:not([aria-disabled="true"])'), b => b.dataset.djCommand);
        const inPanel = Array.from(
            document.querySelectorAll('#detjupyter-panel .dj-Buttons button[aria-disabled="false"]'),
            b => /dj-mod-(\\w+)/.exec(b.className)[1]
        );
        return {view: inView.sort(), panel: inPanel.sort()};
    }"""
    expected = {"view": sorted({*kinds, pending} - {None}), "panel": sorted(kinds)}
    deadline = time.monotonic() + LIMIT_S
    while (found := page.page.evaluate(offered)) != expected:
        assert time.monotonic() < deadline, f"The views offer {found}, and not {expected}."
        page.page.wait_for_timeout(100)


def button_tops(page: LabPage) -> tuple[int, int]:
    """Return how far below the top of the live view, and of the panel's section, the buttons are, in pixels."""
    below = "e => Math.round(e.getBoundingClientRect().top - e.closest('.dj-live, .dj-Live').getBoundingClientRect().top)"
    panel = page.page.locator("#detjupyter-panel .dj-Live")
    view, section = (part.get_by_role("toolbar", name="Training").evaluate(below) for part in (page.live, panel))
    return view, section


def height(element: Locator) -> float:
    """Return the height of an element in pixels."""
    box = element.bounding_box()
    assert box is not None
    return box["height"]
