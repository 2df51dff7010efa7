"""The charts of the panel: what is drawn, what the tools do, and all of it by keyboard."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Locator, expect
from support.environments import Lab
from support.pages import LabPage
from support.runs import make_session, ready_run
from support.waiting import wait_until

from detjupyter.protocol.records import BestRecord, HyperparameterChange
from detjupyter.protocol.states import Group, State
from detjupyter.store import open_store

BATCHES = 6000
GROUPED = [f"encoder/layer{index}/gradient_norm_of_the_attention" for index in range(20)]


@pytest.fixture
def charts(open_lab: Callable[..., Lab], open_page: Callable[..., LabPage]) -> LabPage:
    """A page on which a finished run of many metrics is open in the panel."""
    lab = open_lab()
    write_run(lab)
    return open_run(open_page(lab, height=900))


def test_only_charts_in_view_are_drawn(charts: LabPage) -> None:
    """A chart has a canvas when it comes into view, and not before; its place has the same height then."""
    panel = charts.panel()
    everything = panel.locator(".dj-panel")
    expect(everything).to_have_count(24)
    drawn = panel.locator(".dj-panel canvas")
    expect(drawn.first).to_be_visible()
    charts.wait_still(panel)
    assert drawn.count() < 12
    last = everything.last
    assert last.locator("canvas").count() == 0
    last.scroll_into_view_if_needed()
    expect(last.locator("canvas")).to_be_visible()


def test_groups_filter_and_pins_are_kept_for_the_definition(charts: LabPage) -> None:
    """A group closes by keyboard, a filter finds words, a pin moves a chart to the top; a reload of the page changes neither."""
    panel = charts.panel()
    group = panel.locator("button.dj-section-head", has_text="encoder")
    group.focus()
    charts.page.keyboard.press("Enter")
    expect(group).to_have_attribute("aria-expanded", "false")
    expect(panel.locator("[data-dj-panel='encoder/layer3/gradient_norm_of_the_attention']")).to_be_hidden()
    panel.get_by_role("searchbox", name="Filter metrics").fill("LAYER3 norm")
    expect(panel.locator(".dj-panel >> visible=true")).to_have_count(1)
    expect(panel.locator(".dj-bar-found")).to_have_text("1 of 24")
    choose(charts, chart(panel, GROUPED[3]), "Pin to the top")
    panel.get_by_role("searchbox", name="Filter metrics").fill("")
    first = panel.locator(".dj-panel >> visible=true").first
    expect(first).to_have_attribute("data-dj-panel", GROUPED[3])
    charts.screenshot("charts-pinned")

    open_run(charts)
    expect(panel.locator(".dj-panel >> visible=true").first).to_have_attribute("data-dj-panel", GROUPED[3])
    expect(panel.locator("button.dj-section-head", has_text="encoder")).to_have_attribute("aria-expanded", "false")


def test_smoothing_outliers_and_axes_change_what_is_drawn(charts: LabPage) -> None:
    """The raw values stay while an average is added; a far value is left out and counted; epochs and times are on the x axis."""
    panel = charts.panel()
    loss, spiky = chart(panel, "loss"), chart(panel, "spiky")
    loss.scroll_into_view_if_needed()
    expect(loss.locator(".dj-legend-item")).to_have_count(2)
    panel.get_by_role("slider", name="Smoothing").fill("0.9")
    expect(loss.locator(".dj-legend-item")).to_have_count(3)
    expect(loss.locator(".dj-legend")).to_contain_text("smooth")
    panel.get_by_role("button", name="no outliers").click()
    spiky.scroll_into_view_if_needed()
    expect(spiky).to_have_attribute("data-dj-cut", "2")
    for axis, words in (("Epochs", r"^epoch [\d.]+$"), ("Time since start", r"^after (\d+ h )?\d+ (min|s)"), ("Time of day", r"^at .*\d")):
        panel.get_by_role("combobox", name="What the x axis counts").select_option(axis)
        spiky.locator(".u-over").hover(position={"x": 60, "y": 30})
        expect(spiky.locator(".dj-legend-batch")).to_have_text(re.compile(words))
        charts.screenshot(f"charts-{axis.split()[-1].lower()}")


def test_a_zoom_fetches_the_exact_points_and_keys_move_it(charts: LabPage) -> None:
    """Of a thousand points for six thousand batches all are there after a zoom; arrows move, Escape shows everything again."""
    panel = charts.panel()
    loss = chart(panel, "loss")
    plot = loss.locator(".dj-panel-plot")
    plot.focus()
    with charts.page.expect_response(re.compile(r"/series\?points=\d+&from=\d+&to=\d+")) as answered:
        for _ in range(3):
            charts.page.keyboard.press("+")
    patches = answered.value.json()["patches"]
    batches = next(patch["batches"] for patch in patches if patch["name"] == "loss" and patch["group"] == "training")
    assert batches == list(range(int(batches[0]), int(batches[-1]) + 1))
    assert 0 < batches[0] < BATCHES / 2 < batches[-1] < BATCHES
    expect(loss.get_by_text("reset zoom")).to_be_visible()
    with charts.page.expect_response(re.compile("&from=")) as later:
        charts.page.keyboard.press("ArrowRight")
    moved = next(patch["batches"] for patch in later.value.json()["patches"] if patch["name"] == "loss")
    assert moved[0] > batches[0]
    charts.page.keyboard.press("Escape")
    expect(loss.get_by_text("reset zoom")).to_be_hidden()


def test_shift_and_drag_moves_the_charts(charts: LabPage) -> None:
    """Without shift the same gesture selects a range."""
    panel = charts.panel()
    loss = chart(panel, "loss")
    loss.locator(".dj-panel-plot").focus()
    charts.page.keyboard.press("+")
    expect(loss.get_by_text("reset zoom")).to_be_visible()
    loss.scroll_into_view_if_needed()
    box = loss.locator(".u-over").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    with charts.page.expect_request(re.compile("&from=")) as asked:
        charts.page.keyboard.down("Shift")
        charts.page.mouse.move(x, y)
        charts.page.mouse.down()
        charts.page.mouse.move(x + box["width"] / 4, y, steps=4)
        charts.page.mouse.up()
        charts.page.keyboard.up("Shift")
    # The shown half began at a quarter, and moved by an eighth of everything; half of its width is fetched around it.
    first = int(re.search(r"from=(\d+)", asked.value.url)[1])  # type: ignore[index]
    assert first < BATCHES / 8


def test_one_chart_fills_the_page_and_escape_brings_it_back(charts: LabPage) -> None:
    """From the menu by keyboard alone; the focus returns to the button, and the chart to its place."""
    panel = charts.panel()
    loss = chart(panel, "loss")
    before = size(loss)
    choose(charts, loss, "Enlarge")
    window = charts.page.get_by_role("dialog", name="loss")
    expect(window.locator("canvas")).to_be_visible()
    expect(window.locator(".dj-panel-plot")).to_be_focused()
    charts.wait_still(window)
    large = window.locator("canvas").bounding_box()
    assert large is not None
    assert large["height"] > 500
    assert large["y"] + large["height"] <= 900
    charts.screenshot("charts-enlarged")
    charts.page.keyboard.press("Escape")
    expect(window).to_be_hidden()
    expect(loss.locator(".dj-menu-button")).to_be_focused()
    wait_until(lambda: size(loss) == before)


def test_a_chart_is_saved_as_picture_and_as_numbers(charts: LabPage, tmp_path: Path) -> None:
    """PNG and SVG show the curves with their names, CSV has every point that was recorded."""
    loss = chart(charts.panel(), "loss")
    saved = {}
    for kind in ("PNG", "SVG", "CSV"):
        with charts.page.expect_download() as download:
            choose(charts, loss, f"Download {kind}")
        saved[kind] = tmp_path / download.value.suggested_filename
        download.value.save_as(saved[kind])
    assert [path.name for path in saved.values()] == ["loss.png", "loss.svg", "loss.csv"]
    assert saved["PNG"].read_bytes().startswith(b"\x89PNG")
    svg = saved["SVG"].read_text(encoding="utf-8")
    for part in (">loss<", ">training<", ">validation<", "batches trained", "<path"):
        assert part in svg
    head, *rows = saved["CSV"].read_text(encoding="utf-8").splitlines()
    assert head == "batch,training loss,validation validation_loss"
    assert len(rows) == BATCHES
    assert rows[100].split(",")[1] == "NaN"


def test_the_values_are_a_table_and_what_happened_is_a_list(charts: LabPage) -> None:
    """What is only drawn can also be read."""
    panel = charts.panel()
    loss = chart(panel, "loss")
    choose(charts, loss, "Show the values as a table")
    table = charts.page.get_by_role("dialog").get_by_role("table")
    expect(table.get_by_role("columnheader")).to_have_text(["batch", "training loss", "validation validation_loss"])
    expect(table.get_by_role("rowheader").first).to_have_text("6,000")
    charts.page.keyboard.press("Escape")
    choose(charts, loss, "List what happened")
    items = charts.page.get_by_role("dialog").get_by_role("listitem")
    expect(items.filter(has_text="lr: 0.1 → 0.01")).to_contain_text("batch 2000")
    expect(items.filter(has_text="best accuracy 0.9")).to_have_count(1)
    expect(items.filter(has_text="validation: accuracy")).to_have_count(6)
    charts.page.keyboard.press("Escape")


def test_the_marks_are_drawn_and_say_what_they_are(charts: LabPage) -> None:
    """Where a hyperparameter changed the pixels differ from a chart without marks, and the pointer over them shows what happened."""
    loss = chart(charts.panel(), "loss")
    loss.scroll_into_view_if_needed()
    over = loss.locator(".u-over")
    width = over.evaluate("element => element.clientWidth")
    over.hover(position={"x": width * 2000 / BATCHES, "y": 40})
    expect(loss.locator(".dj-panel-plot")).to_have_attribute("title", re.compile("lr: 0.1 → 0.01"))
    over.hover(position={"x": width * 2500 / BATCHES, "y": 40})
    expect(loss.locator(".dj-panel-plot")).to_have_attribute("title", "")


def test_a_value_that_is_no_number_is_a_mark(charts: LabPage) -> None:
    """In its own chart only: with the batch, over the chart and in the list of what happened."""
    panel = charts.panel()
    loss = chart(panel, "loss")
    loss.scroll_into_view_if_needed()
    over = loss.locator(".u-over")
    width = over.evaluate("element => element.clientWidth")
    over.hover(position={"x": width * 101 / BATCHES, "y": 40})
    expect(loss.locator(".dj-panel-plot")).to_have_attribute("title", "▲ loss (training): not a number at batch 101")
    choose(charts, loss, "List what happened")
    items = charts.page.get_by_role("dialog").get_by_role("listitem")
    expect(items.filter(has_text="not a number")).to_have_text(["batch 101 ▲ loss (training): not a number at batch 101"])
    charts.page.keyboard.press("Escape")
    choose(charts, chart(panel, "spiky"), "List what happened")
    expect(items.filter(has_text="λ lr")).to_have_count(1)
    expect(items.filter(has_text="not a number")).to_have_count(0)


def test_validation_curves_are_dashed_in_the_chart_the_legend_and_the_picture(charts: LabPage, tmp_path: Path) -> None:
    """So that they differ from the training curves without colors, too."""
    loss = chart(charts.panel(), "loss")
    swatches = loss.locator(".dj-swatch").evaluate_all("all => all.map(one => getComputedStyle(one).backgroundImage)")
    assert [image.count("rgba(0, 0, 0, 0)") for image in swatches] == [0, 2]
    with charts.page.expect_download() as download:
        choose(charts, loss, "Download SVG")
    download.value.save_as(tmp_path / "loss.svg")
    svg = (tmp_path / "loss.svg").read_text(encoding="utf-8")
    assert re.findall(r'<path [^>]*stroke-dasharray="([^"]*)"', svg) == ["", "6 3"]


def test_a_still_pointer_keeps_its_readout_when_the_chart_is_made_again(charts: LabPage) -> None:
    """Also in the charts that follow the pointer; when it leaves, nothing is shown any more."""
    panel = charts.panel()
    loss, other = chart(panel, "loss"), chart(panel, "learning_rate")
    loss.scroll_into_view_if_needed()
    expect(other.locator("canvas")).to_be_visible()
    loss.locator(".u-over").hover(position={"x": 60, "y": 30})
    readout = loss.locator(".dj-legend-batch")
    expect(readout).to_have_text(re.compile(r"^batch \d"))
    before = readout.inner_text()
    of_other = other.locator(".dj-legend-batch")
    expect(of_other).to_have_text(re.compile(r"^batch \d"))
    before_there = of_other.inner_text()  # its points are at other batches
    canvas = loss.locator("canvas").element_handle()
    loss.get_by_role("button", name="log").evaluate("button => button.click()")
    charts.page.wait_for_function("canvas => !canvas.isConnected", arg=canvas)
    expect(loss.locator("canvas")).to_be_visible()
    expect(readout).to_have_text(before)
    canvas = other.locator("canvas").element_handle()
    other.get_by_role("button", name="log").evaluate("button => button.click()")
    charts.page.wait_for_function("canvas => !canvas.isConnected", arg=canvas)
    expect(of_other).to_have_text(before_there)
    charts.page.mouse.move(5, 5)
    expect(readout).to_have_text("")
    expect(of_other).to_have_text("")


def test_other_runs_are_laid_over_the_charts(charts: LabPage) -> None:
    """By keyboard, from a list that can be filtered; a run is removed with its curves, and the first run keeps its look."""
    store = open_store(charts.lab.home / "detjupyter/runs.sqlite")
    names = ("baseline", "wider", "deeper")
    for number, name in enumerate(names):
        other = replace(ready_run(f"other-{number}"), state=State.FINISHED, name=name, batches_trained=100)
        store.create_run(replace(other, session=make_session(error=None, batches_per_epoch=50), ended_at=time.time()))
        batches = np.arange(1, 3001)
        store.append_series(f"other-{number}", Group.TRAINING, "loss", batches, 1.2 - number / 10 - batches / 10_000)
        store.append_series(f"other-{number}", Group.VALIDATION, "only_here", batches[::500], batches[::500] / 3000)
    store.close()
    panel = charts.panel()
    loss = chart(panel, "loss")
    opener = panel.get_by_role("button", name="Compare with…")
    opener.focus()
    charts.page.keyboard.press("Enter")
    window = charts.page.get_by_role("dialog", name="Compare with other runs")
    expect(window.get_by_role("checkbox")).to_have_count(3)
    expect(window).to_contain_text("100 batches")
    window.get_by_role("searchbox").fill("WIDER 100")
    expect(window.locator(".dj-others-row >> visible=true")).to_have_count(1)
    window.get_by_role("searchbox").fill("")
    charts.screenshot("charts-others-window")
    for name in names[:2]:
        box = window.get_by_label(name)
        box.focus()
        charts.page.keyboard.press("Space")
        expect(box).to_be_checked()
        expect(box).to_be_enabled()
    charts.page.keyboard.press("Escape")
    expect(opener).to_be_focused()
    expect(panel.locator(".dj-bar-name")).to_have_count(3)
    loss.scroll_into_view_if_needed()
    expect(loss.locator(".dj-legend-item")).to_have_count(4)
    expect(chart(panel, "only_here")).to_have_count(1)
    loss.locator(".u-over").hover(position={"x": 60, "y": 30})
    charts.screenshot("charts-others")
    panel.get_by_role("button", name="Remove baseline from the charts").click()
    expect(panel.locator(".dj-bar-name")).to_have_count(2)
    expect(loss.locator(".dj-legend-item")).to_have_count(3)
    panel.get_by_role("button", name="Remove wider from the charts").click()
    expect(panel.locator(".dj-bar-name")).to_have_count(0)
    expect(chart(panel, "only_here")).to_have_count(0)
    expect(loss.locator(".dj-legend-label")).to_have_text(["training", "validation"])


@pytest.mark.parametrize("width", [250, 700])
def test_nothing_is_cut_without_a_tooltip(width: int, charts: LabPage) -> None:
    """Names are cut in their middle, so that their ends are visible, and no control is wider than the panel."""
    panel = charts.panel()
    charts.set_panel_width(width)
    panel.get_by_role("slider", name="Smoothing").fill("0.6")
    name = chart(panel, GROUPED[0]).locator(".dj-panel-name")
    name.scroll_into_view_if_needed()
    expect(name.locator(".dj-name-end")).to_be_in_viewport(ratio=1)
    expect(name).to_have_attribute("title", GROUPED[0])
    charts.assert_readable(panel.locator(".dj-Curves"))
    charts.screenshot(f"charts-{width}")


def chart(panel: Locator, metric: str) -> Locator:
    """Return the chart of a metric."""
    return panel.page.locator(f"[data-dj-panel='{metric}']")


def size(one: Locator) -> tuple[float, float]:
    """Return the width and height of the canvas of a chart; zeros while it has none."""
    canvas = one.locator("canvas")
    box = canvas.bounding_box() if canvas.count() else None
    return (0, 0) if box is None else (box["width"], box["height"])


def choose(page: LabPage, one: Locator, label: str) -> None:
    """Choose a line of a chart's menu by keyboard."""
    one.locator(".dj-menu-button").focus()
    page.page.keyboard.press("Enter")
    item = page.page.locator(".dj-menu-item", has_text=label)
    expect(item).to_be_visible()
    for _ in range(10):
        if item.evaluate("element => element === document.activeElement"):
            break
        page.page.keyboard.press("ArrowDown")
    page.page.keyboard.press("Enter")


def open_run(page: LabPage) -> LabPage:
    """Open the page, and in its panel the only run of the history, with most of the panel's room."""
    page.open()
    panel = page.panel()
    page.set_panel_width(700)
    panel.locator(".dj-Run-head").click()
    expect(panel.locator(".dj-bar")).to_be_visible()
    for section in ("Definition", "Live"):
        panel.locator(".lm-AccordionPanel-title", has_text=section).click()
    expect(panel.locator("canvas").first).to_be_visible()
    return page


def write_run(lab: Lab) -> None:
    """Write a finished run of two hours, with a spike, a NaN, validations and a change of a hyperparameter."""
    now = time.time()
    store = open_store(lab.home / "detjupyter/runs.sqlite")
    change = HyperparameterChange("lr", 0.1, 0.01, 2000)
    session = make_session(
        state=State.FINISHED, batches_trained=BATCHES, batches_per_epoch=500, error=None, hyperparameter_changes=(change,)
    )
    best = BestRecord("accuracy", 0.9, 5000, smaller_is_better=False)
    run = replace(ready_run("charts"), state=State.FINISHED, session=session, best=best, created_at=now - 7200, batches_trained=BATCHES)
    store.create_run(replace(run, ended_at=now, updated_at=now))
    random, batches = np.random.default_rng(0), np.arange(1, BATCHES + 1)
    for name in ("loss", "learning_rate", "spiky", *GROUPED):
        values = 1 / (1 + batches / 500) + 0.1 * random.random(BATCHES)
        if name == "spiky":
            values[[1000, 3000]] = 500
        if name == "loss":
            values[100] = np.nan
        store.append_series("charts", Group.TRAINING, name, batches, values)
    validated = np.arange(1000, BATCHES + 1, 1000)
    store.append_series("charts", Group.VALIDATION, "validation_loss", validated, 1 / (1 + validated / 500))
    store.append_series("charts", Group.VALIDATION, "accuracy", validated, 0.9 - 100 / validated)
    began = {"kind": "state", "state": "running", "batches_trained": 0, "at": now - 7100}
    validations = [
        {"kind": "validation", "batches_trained": int(batch), "at": now - 7100 + batch, "metrics": {"accuracy": 0.9 - 100 / batch}}
        for batch in validated
    ]
    store.append_events("charts", [began, *validations])
    store.close()
