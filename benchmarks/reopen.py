"""How long a reopened notebook takes until the first chart of its trainings can be used, and what its outputs ask of the server.

    python benchmarks/reopen.py [--outputs 30] [--rounds 5]

A notebook with many trainings, each of its own run, is opened in a new context of Chromium on a real JupyterLab. Two times are taken of
each page, from its first request: until JupyterLab shows the notebook's outputs, and until a chart with its curves is on the page.
Another page scrolls through the notebook, and what all outputs together ask of the server is counted: once with the kernel that trained
(its sessions can still be steered), once without it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

from playwright.sync_api import Browser, Page, Request, WebSocket, sync_playwright
from report import print_machine, print_table, spread

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "tests"))

from support.environments import Lab, LabProcess, serve_this_build  # noqa: E402  the tests' own
from support.pages import LabPage  # noqa: E402

DEFINITION = HERE / "definitions" / "many_curves"
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}}
CHROMIUM = os.environ.get("DETJUPYTER_CHROMIUM") or shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
LIMIT_MS = 120_000
ROUTES = ("live", "kernels", "runs")
# Notes in which frame an output, and a chart of one, is on the page for the first time.
WATCH = """
window.found = {};
const look = () => {
    for (const [name, selector] of [['output', '.jp-OutputArea-child'], ['chart', '.dj-RunOutput canvas']]) {
        if (!(name in window.found) && document.querySelector(selector)?.getBoundingClientRect().width > 0) {
            window.found[name] = performance.now();
        }
    }
    if (!('chart' in window.found)) { requestAnimationFrame(look); }
};
requestAnimationFrame(look);
"""


# What is drawn above a cell moves it, so this is called until the cell's chart is there.
SCROLL = """index => {
    const notebook = window.jupyterapp.shell.currentWidget.content;
    void notebook.scrollToItem(index);
    return notebook.widgets[index].node.querySelector('.dj-RunOutput canvas') !== null;
}"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outputs", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print_machine("jupyterlab", "playwright")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        work = Path(scratch) / "work"
        work.mkdir()
        cell = {
            "cell_type": "code",
            "id": "first",
            "source": "%load_ext detjupyter",
            "metadata": {},
            "execution_count": None,
            "outputs": [],
        }
        (work / "trained.ipynb").write_text(json.dumps({"cells": [cell], "metadata": KERNEL, "nbformat": 4, "nbformat_minor": 5}))
        process = LabProcess(Path(scratch) / "home", work)
        serve_this_build(Path(scratch) / "home")
        with process as lab, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            _train(browser, lab, work, options.outputs)
            _open(browser, lab)  # not counted: the server reads its files for the first time
            asked = {"with its kernel": _asked(browser, lab)}
            lab.end_kernels()
            asked["without it"] = _asked(browser, lab)
            times = [_open(browser, lab) for _ in range(options.rounds)]
            browser.close()
    outputs, charts = zip(*times, strict=True)
    added = [chart - output for output, chart in times]
    ratios = [chart / output for output, chart in times]
    rows = [
        ("JupyterLab shows the outputs", *spread(outputs, 0)),
        ("a chart can be used", *spread(charts, 0)),
        ("difference (target: 1,000)", *spread(added, 0)),
        ("ratio", *spread(ratios, 2)),
    ]
    print_table((f"a notebook with {options.outputs} trainings", "ms", "min–max"), rows)
    header = (f"what {options.outputs} outputs ask of the server", "WebSockets", "questions to a kernel", "other requests")
    print_table(header, [(name, *(str(counts[route]) for route in ROUTES)) for name, counts in asked.items()])


def _train(browser: Browser, lab: Lab, work: Path, outputs: int) -> None:
    """Train as many runs in the notebook, and save it."""
    opened = browser.new_page(viewport={"width": 1500, "height": 1000})
    opened.set_default_timeout(LIMIT_MS)
    page = LabPage(opened, lab, work).open("trained.ipynb")
    page.run(0)
    for number in range(outputs):
        cell = page.run_new(f"%det_load --path {DEFINITION} --hparam metrics=4 --name s{number}\n%det_train --batches 200 --wait")
        cell.locator('.dj-live[data-dj-state="finished"] canvas').first.wait_for()
    page.save()
    page.page.close()


def _new_page(browser: Browser) -> Page:
    page = browser.new_context(viewport={"width": 1500, "height": 1000}).new_page()
    page.set_default_timeout(LIMIT_MS)
    page.add_init_script(WATCH)
    return page


def _open(browser: Browser, lab: Lab) -> tuple[float, float]:
    """Return the milliseconds until the outputs are shown, and until a chart is."""
    page = _new_page(browser)
    _go(page, lab)
    found: dict[str, float] = page.evaluate("() => window.found")
    page.context.close()
    return found["output"], found["chart"]


def _go(page: Page, lab: Lab) -> None:
    page.goto(f"{lab.url}/lab/tree/trained.ipynb?token={lab.token}&reset")
    page.wait_for_function("() => 'chart' in window.found")


def _asked(browser: Browser, lab: Lab) -> Counter[str]:
    """Return how many of each route all outputs of the notebook ask for."""
    page, counts = _new_page(browser), Counter[str]()

    def count(what: Request | WebSocket) -> None:
        _, api, route = what.url.partition("detjupyter/api/")
        if api:
            counts[route.partition("/")[0].partition("?")[0]] += 1

    page.on("request", count)
    page.on("websocket", count)
    _go(page, lab)
    for index in range(int(page.evaluate("() => window.jupyterapp.shell.currentWidget.content.widgets.length"))):
        if index:  # the first cell has loaded the extension
            page.wait_for_function(SCROLL, arg=index, polling=100)
    page.wait_for_timeout(1000)  # what they ask when they have been drawn
    page.context.close()
    return counts


if __name__ == "__main__":
    main()
