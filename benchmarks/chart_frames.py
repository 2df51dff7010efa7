"""Frames a second of the page while a training draws its curves: an idle page, then 2, 30 and 300 metrics.

    python benchmarks/chart_frames.py [--metrics 2 30 300] [--seconds 10] [--rounds 1] [--trees . ../before]

A real JupyterLab in Chromium, and a real kernel that trains the small network of `definitions/many_curves` as fast as it can.
Each row counts the page's animation frames for some seconds, once the curves have as many points as the kernel keeps, so that a drawing
costs what it costs in a long training. With several ``--trees`` (checkouts with the browser side built) each takes its turn in every round.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Browser, expect, sync_playwright
from report import print_machine, print_table

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "tests"))

from support.environments import LabProcess, copy_quickstart  # noqa: E402  the tests' own
from support.pages import LabPage  # noqa: E402

DEFINITION = HERE / "definitions" / "many_curves"
CHROMIUM = os.environ.get("DETJUPYTER_CHROMIUM") or shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
FULL_CURVES_BATCHES = 5000
FAR = 10**9
COUNT_FRAMES = """seconds => new Promise(resolve => {
    const times = [];
    const frame = at => {
        times.push(at);
        if (at - times[0] < 1000 * seconds) {
            requestAnimationFrame(frame);
        } else {
            const gaps = times.slice(1).map((time, index) => time - times[index]);
            resolve([1000 * gaps.length / (at - times[0]), Math.max(...gaps)]);
        }
    };
    requestAnimationFrame(frame);
})"""


class Frames(NamedTuple):
    """The animation frames of a page."""

    per_second: float
    longest_gap_ms: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--metrics", type=int, nargs="+", default=[2, 30, 300])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--trees", type=Path, nargs="+", default=[HERE.parent])
    asked = parser.parse_args()
    print_machine("torch", "ipykernel", "anywidget", "jupyterlab", "playwright")
    found: dict[tuple[str, str], list[Frames]] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for _ in range(asked.rounds):
            for tree in asked.trees:
                for page, frames in measure(browser, tree.resolve(), asked.metrics, asked.seconds):
                    found.setdefault((tree.resolve().name, page), []).append(frames)
                    print(tree.resolve().name, page, *(f"{value:.1f}" for value in frames), file=sys.stderr)
        browser.close()
    rows = [
        (*where, f"{statistics.median(one.per_second for one in all_):.1f}", f"{max(one.longest_gap_ms for one in all_):.0f}")
        for where, all_ in found.items()
    ]
    print_table(("tree", "page", "frames/s", "longest gap ms"), rows)


def measure(browser: Browser, tree: Path, metrics: list[int], seconds: float) -> Iterator[tuple[str, Frames]]:
    """Yield the frames of each page, with its name, for the detjupyter of ``tree``."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        home, work = Path(scratch) / "home", Path(scratch) / "work"
        copy_quickstart(work / "quickstart")
        process = LabProcess(home, work)
        serve(tree, home)
        with process as lab:
            page = LabPage(browser.new_page(viewport={"width": 1500, "height": 1000}), lab, Path(scratch)).open()
            page.page.set_default_timeout(120_000)
            yield "idle", count(page, seconds)
            for number in metrics:
                page.run_new(f"%load_ext detjupyter\nsession = %det_load --path {DEFINITION} --hparam metrics={number}")
                page.run_new(f"%det_train --batches {FAR}")
                expect(page.live).to_have_attribute("data-dj-state", "running")
                page.wait_trained(FULL_CURVES_BATCHES)
                page.live.scroll_into_view_if_needed()
                yield f"{number} metrics, live view", count(page, seconds)
                page.panel()
                yield f"{number} metrics, live view and panel", count(page, seconds)
                page.command("detjupyter:show-panel")
                page.page.evaluate("() => window.jupyterapp.shell.collapseRight()")
                page.run_new("session.stop(); session.close()")
            page.page.close()


def serve(tree: Path, home: Path) -> None:
    """Let the next JupyterLab of ``home`` and its kernels use the detjupyter of ``tree``."""
    os.environ["PYTHONPATH"] = str(tree)
    extensions = home / "labextensions"
    extensions.mkdir(parents=True)
    (extensions / "detjupyter").symlink_to(tree / "detjupyter/labextension", target_is_directory=True)
    settings = {"LabApp": {"extra_labextensions_path": [str(extensions)]}}
    (home / "config").mkdir(exist_ok=True)
    (home / "config/jupyter_lab_config.json").write_text(json.dumps(settings), encoding="utf-8")


def count(page: LabPage, seconds: float) -> Frames:
    """Count the animation frames of the page."""
    page.page.bring_to_front()
    page.page.wait_for_timeout(1000)
    return Frames(*page.page.evaluate(COUNT_FRAMES, seconds))


if __name__ == "__main__":
    main()
