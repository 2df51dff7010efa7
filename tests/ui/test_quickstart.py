"""The quickstart, as a new user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

from playwright.sync_api import expect
from support.environments import Lab
from support.pages import LabPage

from detjupyter.protocol.outputs import RUN_MIME_TYPE

LOAD, CARD, FILES, TRAIN, MEANWHILE, RESULT, MORE, SECOND, RUNS, COMPARE = 1, 3, 5, 7, 8, 10, 12, 14, 15, 16


def test_the_quickstart_runs_cell_by_cell_and_shows_what_it_promises(
    open_lab: Callable[..., Lab], open_page: Callable[..., LabPage]
) -> None:
    """Card, file preview, live view, a usable notebook during the training, the result, the comparison, and the panel next to it."""
    page = open_page(open_lab(), width=1440, height=1040).open()
    page.command("application:toggle-left-area")
    panel = page.panel()
    expect(panel).to_contain_text("Nothing is loaded in this kernel")
    expect(panel).to_contain_text("No runs yet")

    page.run(LOAD)
    card = page.run(CARD)
    expect(card).to_contain_text("DigitsTrial")
    expect(card).to_contain_text("learning_rate")
    expect(card).to_contain_text("const.yaml")
    expect(panel).to_contain_text("DigitsTrial")

    files = page.run(FILES)
    expect(files).to_contain_text("network.py")
    expect(files).to_contain_text(".detignore line 2")

    page.run(TRAIN)
    meanwhile = page.run(MEANWHILE)
    expect(meanwhile).to_contain_text("running")
    expect(page.cell(TRAIN).locator('.dj-live[data-dj-state="running"] canvas').first).to_be_visible()
    page.screenshot("quickstart-running")
    result = page.run(RESULT)
    expect(result.locator(".jp-OutputArea-output").last).to_contain_text("450: 0.9")
    last = result.locator(".jp-OutputArea-output").last.inner_text()
    assert float(last.rsplit(":", 1)[1].strip(" }\n")) >= 0.97

    expect(page.cell(TRAIN).locator('.dj-live[data-dj-state="finished"] canvas').first).to_be_visible()
    expect(panel.locator(".dj-Live")).to_have_attribute("data-state", "finished")
    expect(panel.get_by_label("Runs, newest first").get_by_role("listitem")).to_have_count(1)

    page.run(MORE)
    page.run(SECOND)
    rows = page.run(RUNS).locator("tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("model_def:DigitsTrial")
    comparison = page.run(COMPARE)
    expect(comparison.get_by_role("row").filter(has_text="learning_rate")).to_contain_text("0.003")
    expect(comparison.get_by_role("row").filter(has_text="learning_rate")).to_contain_text("0.0003")
    expect(comparison.locator("svg").first).to_be_visible()
    page.screenshot("quickstart-compared")
    page.cell(TRAIN)
    page.screenshot("quickstart-finished")


def test_a_saved_notebook_shows_the_result_without_a_kernel(open_lab: Callable[..., Lab], open_page: Callable[..., LabPage]) -> None:
    """The output holds a reference, a picture in two forms and text, no widget; a fresh page without a kernel and nbconvert show it."""
    lab = open_lab()
    page = open_page(lab).open()
    for index in (LOAD, CARD, TRAIN, RESULT):
        page.run(index)
    expect(page.cell(TRAIN).locator('.dj-live[data-dj-state="finished"]')).to_be_visible()
    notebook = page.save()
    (output,) = notebook["cells"][TRAIN]["outputs"]
    assert set(output["data"]) == {RUN_MIME_TYPE, "image/png", "image/svg+xml", "text/plain"}
    assert "finished" in "".join(output["data"]["text/plain"])
    assert len(json.dumps(output)) < 40_000

    page.command("kernelmenu:shutdown")
    page.reload()
    expect(page.cell(TRAIN).locator('.dj-live[data-dj-state="finished"] canvas').first).to_be_visible()
    page.screenshot("saved-notebook")

    path = lab.directory / "quickstart/quickstart.ipynb"
    html = path.with_suffix(".html")
    subprocess.run([sys.executable, "-m", "nbconvert", "--to", "html", str(path)], check=True, capture_output=True)
    text = html.read_text(encoding="utf-8")
    assert "data:image/svg+xml" in text or "data:image/png" in text
    assert "DigitsTrial" in text
