"""Memory of a browser, and of its kernel, while a million batches are trained with the views open.

    python benchmarks/browser_memory.py [--batches 1000000]

A real JupyterLab in Chromium, the live view and the panel open, the tiny network training: four minutes in which the page receives
the usual messages. The heap is read after a garbage collection; DOM nodes are counted because a leaking chart leaks these.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import psutil
from playwright.sync_api import expect, sync_playwright
from report import print_machine, print_table

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "tests"))

from support.environments import LabProcess, copy_quickstart  # noqa: E402  the tests' own
from support.pages import LabPage  # noqa: E402

DEFINITION = HERE / "definitions" / "tiny_mlp"
CHROMIUM = os.environ.get("DETJUPYTER_CHROMIUM") or shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=1_000_000)
    batches = parser.parse_args().batches
    print_machine("torch", "ipykernel", "anywidget", "jupyterlab", "playwright")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        work = Path(scratch) / "work"
        copy_quickstart(work / "quickstart")
        with LabProcess(Path(scratch) / "home", work) as lab, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            page = LabPage(browser.new_page(), lab, Path(scratch)).open()
            page.page.set_default_timeout(60_000)
            measure(page, batches)
            browser.close()


def measure(page: LabPage, batches: int) -> None:
    """Train in the page, and read its memory at every tenth of the way."""
    page.panel()
    page.run_new(f"%load_ext detjupyter\nsession = %det_load --path {DEFINITION}")
    pid = page.run_new("import os; print('pid', os.getpid())").locator(".jp-OutputArea-output").last.inner_text()
    kernel = psutil.Process(int(pid.split()[-1]))
    began = time.monotonic()
    page.run_new(f"%det_train --batches {batches}")
    devtools = page.page.context.new_cdp_session(page.page)
    rows = []
    for percent in range(10, 101, 10):
        if percent < 100:
            while int(page.live.locator(".dj-live-bar").get_attribute("aria-valuenow") or 0) < percent:
                page.page.wait_for_timeout(500)
        else:
            expect(page.live).to_have_attribute("data-dj-state", "finished", timeout=600_000)
        devtools.send("HeapProfiler.collectGarbage")
        heap = devtools.send("Runtime.getHeapUsage")["usedSize"]
        nodes = devtools.send("Memory.getDOMCounters")["nodes"]
        memory = kernel.memory_info().rss
        rows.append((f"{batches * percent // 100:,}", f"{heap / 1e6:.1f}", f"{nodes:,}", f"{memory / 1e6:.0f}"))
    print_table(("batches", "page's heap MB", "DOM nodes", "kernel MB"), rows)
    print(f"{time.monotonic() - began:.0f} s.")


if __name__ == "__main__":
    main()
