"""The table of runs in a tab of JupyterLab."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Locator, expect
from support.environments import Lab
from support.pages import CUT_WITHOUT_TOOLTIP, LabPage
from support.runs import make_run, make_session, points
from support.waiting import wait_until

from detjupyter.protocol.records import BestRecord, CheckpointRecord
from detjupyter.protocol.states import Group, State
from detjupyter.store import Store, open_store
from detjupyter.store.annotation import Annotation

LONG = "a_very_long_name_of_a_run_that_certainly_does_not_fit_into_its_column"


def add(store: Store, number: int, **changes: Any) -> None:
    """Add a finished run; its accuracy rises with its number."""
    accuracy = number / 100
    latest = {"training": {"loss": 1 - accuracy}, "validation": {"accuracy": accuracy}}
    best = BestRecord("accuracy", accuracy, 9, smaller_is_better=False)
    values: dict[str, Any] = {"state": State.FINISHED, "ended_at": 1.0, "batches_trained": 9, "best": best}
    values |= {"created_at": time.time() - 86_400 + number, "session": make_session(latest=latest, best=best, error=None)}
    values |= {"hyperparameters": {"lr": 10.0 ** -(1 + number % 4), "width": 3}}
    store.create_run(make_run(f"run-{number:04}", **values | changes))


@pytest.fixture
def lab(open_lab: Callable[..., Lab]) -> Lab:
    """Return a JupyterLab."""
    return open_lab()


@pytest.fixture
def store(lab: Lab) -> Iterator[Store]:
    """Return its history, with twenty runs of which two failed at once."""
    store = open_store(lab.home / "detjupyter/runs.sqlite")
    with store.transaction():
        for number in range(20):
            add(store, number, **({"state": State.FAILED, "batches_trained": 0, "best": None, "session": None} if number in (3, 4) else {}))
    yield store
    for run in store.summaries():
        if not run.state.is_live:
            store.delete_run(run.id)
    store.close()


@pytest.fixture
def page(lab: Lab, store: Store, open_page: Callable[..., LabPage]) -> LabPage:
    """Return a page with the table of runs."""
    del store
    page = open_page(lab).open()
    page.command("application:toggle-left-area")
    page.command("detjupyter:open-runs")
    expect(rows(page).first).to_be_visible()
    return page


def tab(page: LabPage) -> Locator:
    """Return the tab."""
    return page.page.locator(".dj-RunsTab")


def rows(page: LabPage) -> Locator:
    """Return the rows of runs in view."""
    return tab(page).locator(".dj-Row[data-run]")


def row(page: LabPage, number: int) -> Locator:
    """Return the row of a run."""
    return tab(page).locator(f'[data-run="run-{number:04}"]')


def listed(page: LabPage) -> list[int]:
    """Return the numbers of the runs in view, from top to bottom."""
    found = rows(page).evaluate_all("rows => rows.map(row => [row.offsetTop, row.dataset.run])")
    return [int(run.removeprefix("run-")) for _, run in sorted(found)]


def test_it_is_opened_from_the_panel_and_lists_the_runs(lab: Lab, store: Store, open_page: Callable[..., LabPage]) -> None:
    """Newest first, with the hyperparameters that differ and the metrics; runs that failed at once are folded."""
    del store
    page = open_page(lab).open()
    page.panel().get_by_role("button", name="Open table").click()
    expect(row(page, 19)).to_be_visible()
    assert listed(page)[:3] == [19, 18, 17]
    head = tab(page).get_by_role("columnheader").all_inner_texts()
    assert [name.strip() for name in head if name.strip()][:7] == [
        "State",
        "Run",
        "Definition",
        "lr",
        "Best",
        "accuracy",
        "loss (training)",
    ]
    expect(row(page, 19)).to_contain_text("0.1900")
    folded = tab(page).locator(".dj-Row-group")
    expect(folded).to_contain_text("Failed before their first batch2")
    expect(row(page, 3)).to_have_count(0)
    folded.click()
    expect(row(page, 3)).to_be_visible()
    page.command("detjupyter:open-runs")
    expect(tab(page)).to_have_count(1)


def test_it_is_sorted_searched_filtered_and_grouped(page: LabPage) -> None:
    """A mistake in a condition is pointed at, and the rows stay until it is right."""
    tab(page).get_by_role("button", name="lr", exact=True).click()
    expect(tab(page).get_by_role("columnheader", name="lr")).to_have_attribute("aria-sort", "descending")
    wait_until(lambda: listed(page)[:3] == [16, 12, 8])
    tab(page).get_by_role("button", name="lr", exact=True).click()
    wait_until(lambda: listed(page)[:3] == [19, 15, 11])
    condition = tab(page).get_by_label("Condition")
    condition.fill("lr < 0.01 and accuracy >")
    mistake = tab(page).locator(".dj-Table-mistake")
    expect(mistake).to_contain_text("cannot be read")
    lines = mistake.locator(".dj-Message-text").inner_text().splitlines()
    assert lines[2].index("^") == lines[1].index("accuracy >") + len("accuracy >")
    assert len(listed(page)) == 18
    condition.fill("lr < 0.01 and accuracy > 0.1")
    expect(mistake).to_have_count(0)
    expect(tab(page).locator(".dj-Table-count")).to_have_text("5 of 20 runs")
    assert sorted(listed(page)) == [11, 14, 15, 18, 19]
    tab(page).get_by_label("Search runs").fill("0015")
    wait_until(lambda: listed(page) == [15])
    tab(page).get_by_label("Search runs").fill("nothing like it")
    tab(page).get_by_role("button", name="Show all runs").click()
    expect(tab(page).locator(".dj-Table-count")).to_have_text("20 runs")
    expect(condition).to_have_value("")
    tab(page).get_by_label("Groups").select_option("definition")
    expect(tab(page).locator(".dj-Row-group").first).to_contain_text("digits · model_def:Trial18")


def test_columns_are_chosen_and_remembered(page: LabPage) -> None:
    """Also after the page was loaded again."""
    tab(page).get_by_role("button", name="Columns").click()
    chooser = tab(page).get_by_role("dialog", name="Columns")
    chooser.get_by_label("width").check()
    chooser.get_by_label("Tags").uncheck()
    page.page.keyboard.press("Escape")
    expect(chooser).to_have_count(0)
    expect(row(page, 19).get_by_role("gridcell")).to_have_count(13)
    expect(tab(page).get_by_role("columnheader", name="width")).to_be_visible()
    page.wait_saved_layout("detjupyter-runs:detjupyter-runs")
    page.page.reload()
    expect(tab(page).get_by_role("columnheader", name="width")).to_be_visible()
    expect(tab(page).get_by_role("columnheader", name="Tags")).to_have_count(0)
    expect(row(page, 19)).to_contain_text("3")


def test_the_tab_is_there_again_after_the_page_was_loaded_again(page: LabPage) -> None:
    """In front, where it was, with the same search, order and groups; so is a comparison, and a closed tab stays closed."""
    tab(page).get_by_label("Search runs").fill("model_def")
    tab(page).get_by_label("Groups").select_option("definition")
    tab(page).get_by_role("button", name="lr", exact=True).click()
    expect(tab(page).get_by_role("columnheader", name="lr")).to_have_attribute("aria-sort", "descending")
    page.wait_saved_layout('"sort":"lr"')
    page.page.reload()
    expect(tab(page).get_by_role("columnheader", name="lr")).to_have_attribute("aria-sort", "descending")
    expect(tab(page).get_by_label("Search runs")).to_have_value("model_def")
    expect(tab(page).get_by_label("Groups")).to_have_value("definition")
    page.command("detjupyter:open-runs")
    expect(tab(page)).to_have_count(1)
    row(page, 16).click()
    row(page, 12).click(modifiers=["ControlOrMeta"])
    tab(page).get_by_role("button", name="Compare", exact=True).click()
    expect(tab(page).locator(".dj-Comparison-tables thead th")).to_have_text(["Run", "run-0016", "run-0012"])
    page.wait_saved_layout('"compared":["run-0016","run-0012"]')
    page.page.reload()
    expect(tab(page).locator(".dj-Comparison-tables thead th")).to_have_text(["Run", "run-0016", "run-0012"])
    tab(page).get_by_role("button", name="All runs").click()
    expect(row(page, 16)).to_be_visible()
    page.page.get_by_role("tab", name="Runs").locator(".lm-TabBar-tabCloseIcon").click()
    expect(tab(page)).to_have_count(0)
    page.wait_saved_layout('"current":"notebook:')
    page.page.reload()
    page.wait_ready()
    expect(tab(page)).to_have_count(0)


def test_runs_are_starred_named_tagged_noted_and_archived_by_keyboard(page: LabPage, store: Store) -> None:
    """What is written is in the history at once; the text is text."""
    keyboard = page.page.keyboard
    tab(page).get_by_label("Rows of runs").focus()
    keyboard.press("ArrowDown")
    keyboard.press("s")
    expect(row(page, 18).get_by_label("starred")).to_be_visible()
    keyboard.press("F2")
    page.page.get_by_label("Name (empty for none)").fill(f"<b>{LONG}")
    keyboard.press("Enter")
    expect(row(page, 18)).to_contain_text(f"<b>{LONG}")
    keyboard.press("Shift+ArrowDown")
    expect(tab(page).locator(".dj-Table-selected")).to_have_text("2 selected")
    keyboard.press("t")
    page.page.get_by_label("Tags that all of them have").fill("paper, v2")
    keyboard.press("Enter")
    expect(row(page, 17).locator(".dj-Tag")).to_have_text(["paper", "v2"])
    keyboard.press("n")
    page.page.get_by_label("It takes the place of their notes").fill("first line")
    keyboard.press("Enter")
    keyboard.type("second")
    keyboard.press("Control+Enter")
    expect(row(page, 17)).to_contain_text("first line second")
    assert [(run.name, run.tags, run.note, run.starred) for run in store.summaries_of(["run-0018", "run-0017"])] == [
        (f"<b>{LONG}", ("paper", "v2"), "first line\nsecond", True),
        ("", ("paper", "v2"), "first line\nsecond", False),
    ]
    keyboard.press("a")
    expect(row(page, 18)).to_have_count(0)
    expect(tab(page).locator(".dj-Table-count")).to_have_text("18 runs")
    tab(page).get_by_role("button", name="Archived").click()
    expect(row(page, 18)).to_contain_text("(archived)")


def test_deleted_runs_come_back_when_it_is_undone(page: LabPage, store: Store) -> None:
    """The size of the checkpoints is named; without an undo the runs are deleted after ten seconds."""
    store.add_checkpoint(CheckpointRecord("c", "run-0018", 1, 1.0, "/nowhere", 5_000_000))
    row(page, 18).click()
    page.page.keyboard.press("Shift+ArrowDown")
    page.page.keyboard.press("Delete")
    notice = tab(page).locator(".dj-Table-notice")
    expect(notice).to_contain_text("2 runs are deleted in a few seconds. This frees 5.0 MB of checkpoints.")
    expect(row(page, 18)).to_have_class(re.compile("dj-mod-deleted"))
    notice.get_by_role("button", name="Undo").click()
    expect(notice).to_have_count(0)
    expect(row(page, 18)).not_to_have_class(re.compile("dj-mod-deleted"))
    row(page, 16).click()
    page.page.keyboard.press("Delete")
    asked_at = time.monotonic()
    expect(notice).to_contain_text("The run is deleted in a few seconds.")
    assert len(store.summaries()) == 20
    expect(row(page, 16)).to_have_count(0)
    assert time.monotonic() - asked_at > 8
    assert [run.id for run in store.summaries() if run.id in ("run-0016", "run-0018")] == ["run-0018"]


def test_all_that_match_are_selected_at_once(page: LabPage, store: Store) -> None:
    """Also those that were never in view; a running one among them keeps all of them."""
    with store.transaction():
        for number in range(100, 260):
            add(store, number, created_at=float(number))
    expect(tab(page).locator(".dj-Table-count")).to_have_text("180 runs")
    tab(page).get_by_label("Condition").fill("accuracy >= 1")
    expect(tab(page).locator(".dj-Table-count")).to_have_text("160 of 180 runs")
    tab(page).get_by_label("Select all runs").click()
    expect(tab(page).locator(".dj-Table-selected")).to_have_text("160 selected")
    tab(page).get_by_role("button", name="Archive", exact=True).click()
    expect(tab(page).locator(".dj-Table-count")).to_have_text("0 of 20 runs")
    assert sum(run.archived for run in store.summaries()) == 160
    tab(page).get_by_role("button", name="Show all runs").click()
    store.update_run("run-0019", state=State.RUNNING, session=None, best=None, batches_trained=10, ended_at=None)
    expect(row(page, 19)).to_contain_text("Running")
    row(page, 19).click()
    page.page.keyboard.press("Delete")
    expect(tab(page).get_by_role("alert")).to_contain_text("A run is running or paused.")
    store.update_run("run-0019", state=State.FINISHED, session=None, best=None, batches_trained=10, ended_at=1.0)


@pytest.mark.parametrize(("name", "dark", "width"), [("light", False, 1440), ("dark", True, 1900), ("narrow", False, 420)])
def test_it_fits_its_page(name: str, dark: bool, width: int, open_lab: Callable[..., Lab], open_page: Callable[..., LabPage]) -> None:
    """No text is cut without a tooltip; only the grid scrolls sideways."""
    lab = open_lab(theme="JupyterLab Dark" if dark else "JupyterLab Light")
    store = open_store(lab.home / "detjupyter/runs.sqlite")
    for number in range(30):
        add(store, number, name=LONG if number == 28 else "", starred=number == 28, tags=("paper", "v2") if number % 7 == 0 else ())
    store.annotate_runs(["run-0029"], Annotation(note=f"{LONG} {LONG}"))
    page = open_page(lab, width=width, dark=dark).open()
    page.command("application:toggle-left-area")
    page.command("detjupyter:open-runs")
    row(page, 28).click()
    page.screenshot(f"runs-{name}")
    view = tab(page)
    assert view.evaluate("e => e.scrollWidth <= e.clientWidth + 1")
    assert view.evaluate(CUT_WITHOUT_TOOLTIP) == []
    view.get_by_role("button", name="Columns").click()
    page.screenshot(f"runs-{name}-columns")
    page.page.emulate_media(forced_colors="active")
    page.screenshot(f"runs-{name}-forced-colors")
    store.close()


def test_selected_runs_are_compared(page: LabPage, store: Store) -> None:
    """By the keyboard: curves in the same charts, what differs, the values; Escape goes back to the table."""
    for number in (17, 18, 19):
        store.append_series(f"run-{number:04}", Group.VALIDATION, "accuracy", *points(1, 50, number))
    store.annotate_runs(["run-0018"], Annotation("baseline"))
    tab(page).get_by_label("Rows of runs").focus()
    keyboard = page.page.keyboard
    keyboard.press(" ")
    expect(tab(page).get_by_role("button", name="Compare", exact=True)).to_be_disabled()
    keyboard.press("ArrowDown")
    keyboard.press(" ")
    keyboard.press("ArrowDown")
    keyboard.press(" ")
    keyboard.press("c")
    chart = tab(page).locator("[data-dj-panel='accuracy']")
    expect(chart.locator("canvas")).to_be_visible()
    expect(tab(page).locator(".dj-Comparison-tables thead th")).to_have_text(["Run", "run-0019", "baseline", "run-0017"])
    expect(tab(page).get_by_role("row", name="lr", exact=False).first).to_contain_text("0.0001")
    expect(tab(page).get_by_role("row", name="accuracy (validation)")).to_contain_text("950.0 (19 – 950)".replace("950.0", "950"))
    plot = chart.locator(".u-over")
    box = plot.bounding_box()
    assert box is not None
    page.page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 4)
    expect(chart.locator(".dj-mod-focused")).to_contain_text("run-0019 validation 950")
    expect(chart.locator(".dj-legend-batch")).to_have_text("batch 50")
    page.screenshot("runs-compared")
    keyboard.press("Escape")
    expect(tab(page).get_by_label("Rows of runs")).to_be_focused()
    expect(tab(page).locator(".dj-Table-selected")).to_have_text("3 selected")


def test_twenty_compared_runs_have_the_tools_of_the_charts_and_differ(page: LabPage, store: Store) -> None:
    """Each has its own color and dash, in the charts, in the table and in the list of names; axes and a zoom are those of each run."""
    now = time.time()
    with store.transaction():
        for number in range(40, 60):
            session = make_session(error=None, batches_per_epoch=10 if number % 2 else 20)
            add(store, number, created_at=now + number, ended_at=now + number + 60, batches_trained=200, session=session)
            batches = np.arange(1, 201)
            store.append_series(f"run-{number:04}", Group.TRAINING, "loss", batches, number / batches)
            store.append_series(f"run-{number:04}", Group.VALIDATION, "val_loss", batches[19::20], number / batches[19::20])
    tab(page).get_by_label("Search runs").fill(["run-004", "run-005"][0])
    expect(tab(page).locator(".dj-Table-count")).to_have_text("10 of 40 runs")
    tab(page).get_by_label("Search runs").fill("")
    tab(page).get_by_label("Condition").fill("batches == 200")
    expect(tab(page).locator(".dj-Table-count")).to_have_text("20 of 40 runs")
    tab(page).get_by_label("Select all runs").click()
    expect(tab(page).locator(".dj-Table-selected")).to_have_text("20 selected")
    tab(page).get_by_role("button", name="Compare", exact=True).click()
    loss = tab(page).locator("[data-dj-panel='loss']")
    expect(loss.locator("canvas")).to_be_visible()
    items = loss.locator(".dj-legend-item")
    expect(items).to_have_count(40)
    looks = items.locator(".dj-swatch").evaluate_all("all => all.map(one => one.className + getComputedStyle(one).backgroundImage)")
    assert len(set(looks)) == 40
    lines = tab(page).locator(".dj-Compared .dj-Swatch line").evaluate_all("all => all.map(one => one.outerHTML)")
    assert len(set(lines)) == 20
    page.screenshot("runs-compared-20")
    tab(page).get_by_role("combobox", name="What the x axis counts").select_option("Epochs")
    loss.locator(".u-over").hover(position={"x": 100, "y": 30})
    expect(loss.locator(".dj-legend-batch")).to_have_text(re.compile(r"^epoch [\d.]+$"))
    with page.page.expect_response(re.compile(r"/runs/run-0040/series\?points=\d+&from=\d+&to=\d+")) as asked:
        loss.locator(".dj-panel-plot").focus()
        page.page.keyboard.press("+")
    patches = asked.value.json()["patches"]
    assert next(patch["batches"] for patch in patches if patch["name"] == "loss")[0] > 0
    page.page.keyboard.press("Escape")
    tab(page).get_by_role("slider", name="Smoothing").fill("0.8")
    expect(loss.locator(".dj-legend-item >> visible=true")).to_have_count(40)
    page.screenshot("runs-compared-smooth")


def test_hyperparameters_and_events_of_many_runs_are_compared(page: LabPage, store: Store) -> None:
    """A range on an axis keeps the runs in it, by mouse and keyboard; these can be compared alone. Events are next to each other."""
    store.append_events("run-0018", [{"kind": "loaded", "batches_trained": 5}, {"kind": "validation", "batches_trained": 7, "metrics": {}}])
    tab(page).get_by_label("Rows of runs").focus()
    keyboard = page.page.keyboard
    for _ in range(12):
        keyboard.press(" ")
        keyboard.press("ArrowDown")
    keyboard.press("c")
    explore = tab(page).locator(".dj-Explore")
    count = explore.locator(".dj-Explore-count")
    expect(count).to_have_text("12 runs")
    axis = explore.locator(".dj-Plot-brush").first
    axis.scroll_into_view_if_needed()
    box = axis.bounding_box()
    assert box is not None
    page.page.mouse.move(box["x"] + 12, box["y"] + 2)
    page.page.mouse.down()
    page.page.mouse.move(box["x"] + 12, box["y"] + box["height"] / 2, steps=3)
    page.page.mouse.up()
    expect(count).to_have_text("6 of 12 runs")
    page.page.mouse.click(box["x"] + 12, box["y"] + 20)
    expect(count).to_have_text("12 runs")
    explore.get_by_text("Axes and ranges").click()
    explore.get_by_label("lr to").fill("0.001")
    expect(count).to_have_text("6 of 12 runs")
    explore.get_by_role("img", name="Parallel coordinates").focus()
    keyboard.press("ArrowRight")
    active = explore.locator(".dj-Explore-active")
    expect(active).to_contain_text("run-0019")
    expect(active).to_contain_text("lr 0.0001")
    explore.get_by_text("The values as a table").click()
    expect(explore.get_by_role("row")).to_have_count(7)
    explore.get_by_label("Hyperparameter", exact=False).last.scroll_into_view_if_needed()
    page.screenshot("runs-explored")
    events = tab(page).get_by_role("region", name="Events of the runs")
    expect(events.get_by_role("row", name="5 code reloaded")).to_be_visible()
    tab(page).get_by_role("group", name="Kinds of events").get_by_label("Reloads").uncheck()
    expect(events.get_by_role("row", name="5 code reloaded")).to_have_count(0)
    view = tab(page)
    assert view.evaluate("e => e.scrollWidth <= e.clientWidth + 1")
    assert view.evaluate(CUT_WITHOUT_TOOLTIP) == []
    explore.get_by_role("button", name="Compare these").click()
    expect(count).to_have_text("6 runs")


def test_an_empty_history_says_what_to_do(lab: Lab, open_page: Callable[..., LabPage]) -> None:
    """With the line that trains."""
    page = open_page(lab).open()
    page.command("detjupyter:open-runs")
    expect(tab(page)).to_contain_text("No runs yet")
    expect(tab(page)).to_contain_text("%det_train")
