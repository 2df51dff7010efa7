"""What the table of runs costs with a large history: the server's pages, and the table in a browser.

    python benchmarks/run_table.py [--runs 20000] [--rounds 5] [--browser]

The history is created in a temporary directory. `--browser` starts JupyterLab and Chromium, and measures from a key or a scroll until the
new rows are drawn.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from report import print_machine, print_table, spread
from run_listing import fill

SELECTIONS: dict[str, dict[str, Any]] = {
    "the next page": {},
    "search for `run12`": {"text": "run12"},
    "`lr < 1e-3 and accuracy > 0.9`": {"where": "lr < 1e-3 and accuracy > 0.9"},
    "sort by accuracy": {"sort": "validation.accuracy"},
    "group by definition": {"group": "definition"},
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--browser", action="store_true")
    asked = parser.parse_args()
    print_machine("sqlalchemy")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        os.environ["DETJUPYTER_HOME"] = str(Path(scratch) / "home" / "detjupyter")
        fill(asked.runs)
        rows = pages(asked.rounds)
        print_table((f"a page of {asked.runs:,} runs", "CPU ms", "min–max"), rows)
        if asked.browser:
            print_table((f"in the browser, {asked.runs:,} runs", "ms", "min–max"), in_browser(Path(scratch), asked.rounds))


def pages(rounds: int) -> list[tuple[str, ...]]:
    """Return the CPU time of the server for 100 rows as JSON, of selections that it has not answered before."""
    from detjupyter.protocol.wire import to_json
    from detjupyter.server.run_table import RunTable, Selection
    from detjupyter.store import open_store

    store = open_store()

    def ask(table: RunTable, offset: int = 0, **changes: Any) -> None:
        to_json(table.page(store, Selection(**changes), ["lr", "validation.accuracy"], offset, 100))

    rows = [("the first one", *spread([1000 * timed(lambda: ask(RunTable())) for _ in range(rounds)], 0))]
    for name, changes in SELECTIONS.items():
        taken = []
        for number in range(rounds):
            table = RunTable()
            ask(table)
            taken.append(1000 * timed(partial(ask, table, 100 * number, **changes)))
        rows.append((name, *spread(taken, 0)))
    store.close()
    return rows


def timed(call: Callable[[], object]) -> float:
    """Return the CPU time of a call, in seconds."""
    began = time.process_time()
    call()
    return time.process_time() - began


def in_browser(scratch: Path, rounds: int) -> list[tuple[str, ...]]:
    """Return the time from the last input to the frame with its rows; typing waits 150 ms for more, which is subtracted."""
    sys.path[:0] = [str(Path(__file__).parents[1] / "tests"), str(Path(__file__).parents[1])]
    from playwright.sync_api import sync_playwright
    from support.environments import LabProcess, serve_this_build

    from tests.ui.conftest import FLAGS

    work = scratch / "work"
    work.mkdir()
    process = LabProcess(scratch / "home", work)
    serve_this_build(scratch / "home")
    executable = os.environ.get("DETJUPYTER_CHROMIUM") or shutil.which("chromium")
    with process as lab, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(f"{lab.url}/lab?token={lab.token}&reset")
        page.wait_for_function("() => window.jupyterapp?.commands.hasCommand('detjupyter:open-runs')")
        page.evaluate("() => window.jupyterapp.commands.execute('detjupyter:open-runs')")
        page.wait_for_selector(".dj-RunsTab .dj-Row[data-run]")
        page.wait_for_timeout(1000)
        found = [
            ("scroll to another place", [scrolled(page, (number + 1) / (rounds + 1)) for number in range(rounds)]),
            ("sort by a column", [sorted_by(page, ("lr", "Best")[number % 2]) for number in range(rounds)]),
            ("filter by a condition", [typed(page, f"lr < 1e-3 and accuracy > 0.{number + 1}") for number in range(rounds)]),
        ]
        browser.close()
    return [(name, *spread(taken, 0)) for name, taken in found]


WHEN_DRAWN = """(isThere) => new Promise(done => {
    const began = performance.now();
    const look = () => isThere() ? requestAnimationFrame(() => done(performance.now() - began)) : requestAnimationFrame(look);
    look();
})"""


def scrolled(page: Any, share: float) -> float:
    """Scroll to a share of the table and return when its rows are there, in ms."""
    return float(
        page.evaluate(
            f"""async share => {{
                const view = document.querySelector('.dj-Table-scroll');
                const row = Math.floor(share * view.scrollHeight / 30);
                view.scrollTop = row * 30;
                return await ({WHEN_DRAWN})(() => {{
                    const box = view.getBoundingClientRect();
                    const shown = document.elementFromPoint(box.left + 200, box.top + box.height / 2)?.closest('[data-run]');
                    return shown !== null && shown !== undefined;
                }});
            }}""",
            share,
        )
    )


def sorted_by(page: Any, column: str) -> float:
    """Click on the head of a column and return when the first row is another one, in ms."""
    page.evaluate("() => { document.querySelector('.dj-Table-scroll').scrollTop = 0; }")
    page.wait_for_selector('[aria-rowindex="2"][data-run]')
    return float(
        page.evaluate(
            f"""async column => {{
                const first = () => document.querySelector('[aria-rowindex="2"]')?.dataset.run;
                const before = first();
                [...document.querySelectorAll('.dj-Head')].find(head => head.textContent === column).click();
                return await ({WHEN_DRAWN})(() => ![before, undefined].includes(first()));
            }}""",
            column,
        )
    )


def typed(page: Any, condition: str) -> float:
    """Type a condition and return when the count of its runs is shown, in ms."""
    before = page.locator(".dj-Table-count").inner_text()
    field = page.get_by_label("Condition")
    field.fill("")
    page.wait_for_function("text => document.querySelector('.dj-Table-count').textContent !== text || text.indexOf(' of ') < 0", arg=before)
    page.wait_for_timeout(300)
    before = page.locator(".dj-Table-count").inner_text()
    field.fill(condition)
    waited = page.evaluate(
        f"before => ({WHEN_DRAWN})(() => document.querySelector('.dj-Table-count').textContent !== before)",
        before,
    )
    return float(waited) - 150


if __name__ == "__main__":
    main()
