"""The output of a training is a reference to its run: it can be seen, and used, long after the training."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import nbformat
import pytest
from nbconvert import HTMLExporter
from nbformat.sign import NotebookNotary
from playwright.sync_api import Locator, Route, expect
from support.environments import Lab, LabProcess, serve_this_build
from support.pages import LabPage
from support.waiting import wait_until

MIME = "application/vnd.detjupyter.run+json"
LOAD = "%load_ext detjupyter\nsession = %det_load model_def:DigitsTrial"


@pytest.fixture
def page(open_lab: Callable[..., Lab], open_page: Callable[..., LabPage]) -> LabPage:
    """A page whose kernel has loaded the trial."""
    opened = open_page(open_lab()).open()
    opened.run_new(LOAD)
    return opened


def view_in(cell: Locator) -> Locator:
    """Return the view of a run in the outputs of a cell."""
    return cell.locator(".dj-live[data-dj-state]")


def look_at_end(page: LabPage) -> LabPage:
    """Scroll to the last cell: a notebook draws only what is looked at."""
    page.wait_ready()
    page.cell(int(page.page.evaluate("() => window.jupyterapp.shell.currentWidget.content.widgets.length - 1")))
    return page


def outputs(saved: dict[str, object]) -> list[dict[str, object]]:
    """Return the data of the outputs that refer to a run, from a saved notebook."""
    cells = saved["cells"]
    assert isinstance(cells, list)
    return [one["data"] for cell in cells for one in cell.get("outputs", []) if MIME in one.get("data", {})]


def pictures(saved: dict[str, object]) -> int:
    """Return how many outputs of a saved notebook have a picture."""
    return len([data for data in outputs(saved) if {"image/svg+xml", "image/png", "text/plain"} <= data.keys()])


def test_the_view_stays_when_the_training_ends(page: LabPage) -> None:
    """It says that the training has finished, offers what is allowed, keeps the log, and nothing jumps."""
    cell = page.run_new("%det_train --batches 30 --validate-every 10")
    view = view_in(cell)
    expect(view).to_have_attribute("data-dj-state", "finished")
    expect(view.locator("canvas").first).to_be_visible()
    expect(view.locator('[data-dj-command="validate"]')).to_have_attribute("aria-disabled", "false")
    expect(view.locator('[data-dj-command="pause"], [data-dj-command="resume"]').first).to_have_attribute("aria-disabled", "true")
    step = view.locator('[data-dj-command="step"]')
    step.click()
    expect(step).to_have_attribute("aria-busy", "false")
    expect(page.run_new("session.batches_trained")).to_contain_text("31")
    view.get_by_text("log", exact=True).first.click()
    expect(view.locator('[aria-pressed="true"]')).to_have_count(1)
    page.screenshot("output-finished")


def test_it_is_live_again_after_a_reload_and_over_after_the_end(page: LabPage) -> None:
    """A page that is reloaded in mid-training, not saved before the end, shows the live run; the end is seen, too."""
    cell = page.run_new("%det_train --epochs 5000")
    expect(view_in(cell)).to_have_attribute("data-dj-state", "running")
    page.save()
    page.reload()
    look_at_end(page)
    expect(page.live).to_have_attribute("data-dj-state", "running")
    page.live.locator('[data-dj-command="stop"]').click()
    expect(page.live).to_have_attribute("data-dj-state", "stopped")
    expect(page.live.locator("canvas").first).to_be_visible()


def test_the_file_has_the_picture_although_the_page_was_reloaded(page: LabPage) -> None:
    """Reloaded in mid-training, the cell out of sight at the end: the saved file shows the curves on any front end, and changes once."""
    page.run_new("%det_train --epochs 5000")
    expect(page.live).to_have_attribute("data-dj-state", "running")
    page.wait_moved(page.live.locator("canvas").first)
    page.save()
    page.reload()
    page.wait_ready()
    page.cell(0)
    page.run_new("session.stop(); session.wait()")
    wait_until(lambda: pictures(page.save()) == 1, "the picture is in the file")
    (data,) = outputs(page.save())
    assert len(json.dumps(data)) < 40_000 + 5_000  # the reference and the text
    assert "stopped" in str(data["text/plain"])
    assert data[MIME]["ended"]["state"] == "stopped"  # type: ignore[index]
    assert "application/vnd.jupyter.widget-view+json" not in data
    path = page.lab.directory / "quickstart/quickstart.ipynb"
    html, _ = HTMLExporter().from_filename(str(path))
    assert "data:image/svg+xml" in html
    page.reload()
    look_at_end(page)
    expect(page.live).to_have_attribute("data-dj-state", "stopped")
    assert not page.page.evaluate("() => window.jupyterapp.shell.currentWidget.context.model.dirty")
    page.screenshot("output-reloaded")


def test_of_two_pages_the_first_keeps_the_picture(page: LabPage) -> None:
    """Two pages of a browser show the notebook, both reloaded: one writes the picture, and the other one's file does not differ."""
    page.run_new("%det_train --epochs 5000")
    expect(page.live).to_have_attribute("data-dj-state", "running")
    page.save()
    page.reload()
    page.wait_ready()
    other = LabPage(page.page.context.new_page(), page.lab, page.lab.directory)
    look_at_end(other.open())
    expect(other.live).to_have_attribute("data-dj-state", "running")
    other.live.locator('[data-dj-command="stop"]').click()
    expect(other.live).to_have_attribute("data-dj-state", "stopped")
    wait_until(lambda: pictures(page.save()) == 1, "the picture is in the file")
    # The other page waits until the first one is closed, and then finds that the file has changed.
    locks = other.page.evaluate(
        "async () => { const {held, pending} = await navigator.locks.query(); return [held.length, pending.length]; }"
    )
    assert locks == [1, 1]
    assert not other.page.evaluate("() => window.jupyterapp.shell.currentWidget.context.model.dirty")
    assert other.errors == []


@pytest.mark.parametrize("reason", ["untrusted", "read-only", "changed on disk"])
def test_a_notebook_that_must_not_be_changed_gets_no_picture(page: LabPage, open_page: Callable[..., LabPage], reason: str) -> None:
    """An untrusted notebook, a file without the right to write, and one that another program has saved since stay as they are."""
    page.run_new("%det_train --batches 20 --wait")
    saved = page.save()
    for data in outputs(saved):
        del data["image/svg+xml"], data["image/png"]
        data[MIME]["ended"] = None  # type: ignore[index]
    directory = page.lab.directory / "quickstart"
    notary = NotebookNotary(data_dir=str(page.lab.home / "data"))
    for name in ("kept", "free"):
        notebook = nbformat.reads(json.dumps({**saved, "cells": [*saved["cells"], {**saved["cells"][-1], "id": name}]}), as_version=4)
        (directory / f"{name}.ipynb").write_text(nbformat.writes(notebook), encoding="utf-8")
        if name == "free" or reason != "untrusted":
            notary.sign(notebook)
    other = open_page(page.lab)

    def change(route: Route) -> None:
        os.utime(directory / "kept.ipynb", (time.time() + 10, time.time() + 10))
        route.continue_()

    if reason == "read-only":
        is_kept = re.compile(r"/api/contents/.*kept\.ipynb(\?|$)")
        other.page.route(is_kept, lambda route: route.fulfill(json=route.fetch().json() | {"writable": False}))
    elif reason == "changed on disk":
        other.page.route("**/detjupyter/api/runs/*", change)
    other.open("quickstart/kept.ipynb")
    other.switch_to("quickstart/free.ipynb")
    # The page has had its time when the notebook that was opened later has got its pictures.
    wait_until(lambda: pictures(other.save()) == 2, "the pictures are in the other notebook")
    assert pictures(json.loads((directory / "kept.ipynb").read_text(encoding="utf-8"))) == 0
    dirty = "() => [...window.jupyterapp.shell.widgets('main')].filter(w => w.context?.model.dirty).map(w => w.context.path)"
    assert other.page.evaluate(dirty) == []


@pytest.mark.parametrize("how", ["shutdown", "restart"])
def test_it_is_shown_without_its_kernel(page: LabPage, how: str) -> None:
    """After the kernel is gone the run is interrupted, with its curves; no button does anything. A reopened notebook shows the same."""
    page.run_new("%det_train --epochs 5000")
    expect(page.live).to_have_attribute("data-dj-state", "running")
    page.wait_moved(page.live.locator("canvas").first)
    page.save()
    page.page.evaluate(f"() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.{how}()")
    expect(page.live).to_have_attribute("data-dj-state", "interrupted")
    expect(page.live.locator('.dj-live-button[aria-disabled="false"]')).to_have_count(0)
    page.reload()
    look_at_end(page)
    expect(page.live).to_have_attribute("data-dj-state", "interrupted")
    expect(page.live.locator("canvas").first).to_be_visible()
    page.screenshot(f"output-{how}")


def test_a_notebook_saved_in_mid_training_shows_the_whole_run_later(page: LabPage, open_page: Callable[..., LabPage]) -> None:
    """Saved, left, and opened again after the end: the run as it ended. So does an untrusted copy of the notebook."""
    page.run_new("%det_train --epochs 5000")
    expect(page.live).to_have_attribute("data-dj-state", "running")
    saved = page.save()
    page.run_new("session.stop(); session.wait()")
    copy = page.lab.directory / "quickstart/copy.ipynb"
    copy.write_text(json.dumps(saved), encoding="utf-8")
    for name in ("quickstart/copy.ipynb", "quickstart/quickstart.ipynb"):
        other = look_at_end(open_page(page.lab).open(name))
        expect(other.live).to_have_attribute("data-dj-state", "stopped")
        expect(other.live.locator("canvas").first).to_be_visible()


def test_each_cell_shows_its_own_training_of_the_run(page: LabPage) -> None:
    """A run that trains twice is shown up to the end of the first training in the first cell, also after a reload."""
    first = page.run_new("%det_train --batches 20")
    expect(view_in(first)).to_have_attribute("data-dj-state", "finished")
    second = page.run_new("%det_train --batches 30")
    expect(view_in(second)).to_have_attribute("data-dj-state", "finished")
    for _ in ("now", "after a reload"):
        shown = page.page.locator(".dj-live[data-dj-state]")
        expect(shown.nth(0).locator('[data-dj-fact="batches"]')).to_have_text("20 of 20 batches")
        expect(shown.nth(1).locator('[data-dj-fact="batches"]')).to_have_text("30 of 30 batches")
        expect(shown.nth(0).locator('.dj-live-button[aria-disabled="false"]')).to_have_count(0)
        expect(shown.nth(1).locator('[data-dj-command="validate"]')).to_have_attribute("aria-disabled", "false")
        page.save()
        page.reload()
        look_at_end(page)


def test_every_way_to_a_run_gives_the_same_output(page: LabPage) -> None:
    """`%det_show`, `%det_show RUN`, `dj.run(…)` and the session alone: the same view of the same run."""
    page.run_new("%det_train --batches 20 --wait\nimport detjupyter as dj")
    for source in ("%det_show", "%det_show latest", "dj.run(session.run.id)", "session"):
        cell = page.run_new(source)
        expect(view_in(cell)).to_have_attribute("data-dj-state", "finished")
    shown = outputs(page.save())
    assert len(shown) == 5
    assert len({data[MIME]["run_id"] for data in shown}) == 1  # type: ignore[index]
    assert all({"image/svg+xml", "image/png", "text/plain"} <= data.keys() for data in shown)


def test_two_pages_steer_one_training(page: LabPage, open_page: Callable[..., LabPage]) -> None:
    """What one browser does to the training the other one shows."""
    page.run_new("%det_train --epochs 5000")
    expect(page.live).to_have_attribute("data-dj-state", "running")
    page.save()
    other = look_at_end(open_page(page.lab).open())
    expect(other.live).to_have_attribute("data-dj-state", "running")
    other.live.locator('[data-dj-command="pause"]').click()
    expect(page.live).to_have_attribute("data-dj-state", "paused")
    page.live.locator('[data-dj-command="resume"]').click()
    expect(other.live).to_have_attribute("data-dj-state", "running")
    other.live.locator('[data-dj-command="stop"]').click()
    expect(page.live).to_have_attribute("data-dj-state", "stopped")


def test_a_run_that_the_server_does_not_have_is_shown_as_elsewhere(page: LabPage) -> None:
    """A deleted run, or one of another machine: the picture, and a sentence that says why."""
    page.run_new("%det_train --batches 20 --wait")
    expect(page.live).to_have_attribute("data-dj-state", "finished")
    page.save()
    page.run_new("session.close(); import detjupyter as dj; dj.runs().delete()")
    page.reload()
    look_at_end(page)
    output = page.page.locator(".dj-RunOutput").first
    expect(output.locator(".jp-RenderedSVG, .jp-RenderedImage").first).to_be_visible()
    expect(output).to_contain_text("No run has the id")
    page.screenshot("output-deleted")


@pytest.mark.parametrize("how", ["the extension is disabled", "the history is of a newer version"])
def test_another_server_shows_what_the_notebook_holds(page: LabPage, open_page: Callable[..., LabPage], tmp_path: Path, how: str) -> None:
    """Where the run cannot be read, the output is the picture and a sentence that says why and what helps; nothing breaks."""
    page.run_new("%det_train --batches 20 --wait")
    page.save()
    process = LabProcess(tmp_path / "home", page.lab.directory)
    serve_this_build(tmp_path / "home")
    if how == "the extension is disabled":
        says = "The server does not know detjupyter. Run jupyter server extension enable detjupyter"
        disabled = {"ServerApp": {"jpserver_extensions": {"detjupyter": False}}}
        (tmp_path / "home/config/jupyter_server_config.json").write_text(json.dumps(disabled), encoding="utf-8")
    else:
        says = "The history was written by a newer detjupyter"
        (tmp_path / "home/detjupyter").mkdir()
        with closing(sqlite3.connect(tmp_path / "home/detjupyter/runs.sqlite")) as connection:
            connection.execute("PRAGMA user_version = 999")
    with process as lab:
        other = look_at_end(open_page(lab).open())
        output = other.page.locator(".dj-RunOutput").last
        expect(output.locator(".jp-RenderedSVG, .jp-RenderedImage").first).to_be_visible()
        expect(output).to_contain_text(says)
        other.screenshot(f"output-{how.replace(' ', '-')}")
        other.page.context.close()
    # Chromium notes each time that the panel looks whether the extension is there.
    other.errors[:] = [error for error in other.errors if "/detjupyter/api/live' failed" not in error]


def test_names_of_metrics_are_text_and_can_be_many(page: LabPage) -> None:
    """Names with markup are shown as they are, in the view and in the picture; of 2,000 metrics the picture stays small."""
    path = page.lab.directory / "quickstart/model_def.py"
    text = path.read_text(encoding="utf-8")
    assert 'return {"loss": loss' in text
    names = """**{"<img src=x onerror=alert(1)>": 1.0, "</script><b>b</b>": 2.0}, **{f"many/{i}": float(i) for i in range(2000)}"""
    path.write_text(text.replace('return {"loss": loss', "return {" + names + ', "loss": loss', 1), encoding="utf-8")
    page.run_new("%det_reload")
    cell = page.run_new("%det_train --batches 3 --wait")
    expect(view_in(cell)).to_have_attribute("data-dj-state", "finished")
    expect(view_in(cell)).to_contain_text("<img src=x onerror=alert(1)>")
    expect(page.page.locator('img[src="x"]')).to_have_count(0)
    (data,) = outputs(page.save())
    assert len(str(data["image/svg+xml"])) + len(str(data["image/png"])) < 40_000
    assert "<img" not in str(data["image/svg+xml"])
    page.screenshot("output-many-names")


def test_a_damaged_reference_shows_the_rest_of_its_output(page: LabPage, open_page: Callable[..., LabPage]) -> None:
    """A notebook from another machine can refer to anything: nothing breaks, and no other route of the server is asked."""
    page.run_new("%det_train --batches 20 --wait")
    saved = page.save()
    (reference,) = (data[MIME] for data in outputs(saved))
    assert isinstance(reference, dict)
    damaged = [
        None,
        [1],
        reference | {"run_id": "."},
        reference | {"run_id": "<img src=x onerror=alert(1)>"},
        reference | {"ended": "x"},
        reference | {"ended": {"trainings": 0}},
        reference | {"ended": reference["ended"] | {"trainings": 0, "error": "boom"}},
    ]
    shown = [{"output_type": "display_data", "metadata": {}, "data": {MIME: one, "text/plain": "the rest"}} for one in damaged]
    cells = [
        {"cell_type": "code", "id": f"c{number}", "metadata": {}, "execution_count": 1, "source": "", "outputs": [one]}
        for number, one in enumerate(shown)
    ]
    (page.lab.directory / "quickstart/damaged.ipynb").write_text(json.dumps({**saved, "cells": cells}), encoding="utf-8")
    other = open_page(page.lab).open("quickstart/damaged.ipynb")
    for number in range(len(cells)):
        expect(other.cell(number)).to_contain_text("the rest")
        expect(other.cell(number)).to_contain_text("This output was written by another version")
    assert other.errors == []


def test_notebook_7_draws_the_run(open_lab: Callable[..., Lab], open_page: Callable[..., LabPage]) -> None:
    """The same renderer works in Notebook 7."""
    page = open_page(open_lab()).open(app="notebook")
    page.run_new(LOAD)
    cell = page.run_new("%det_train --batches 20 --wait")
    expect(view_in(cell)).to_have_attribute("data-dj-state", "finished")
    expect(cell.locator(".dj-RunOutput")).to_have_count(1)
