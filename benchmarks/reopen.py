"""How long a reopened notebook takes until the charts of its runs can be used, and how much a training adds to its file.

    python benchmarks/reopen.py [--rounds 5] [--metrics 4] [--batches 20000]

A notebook with one training is opened in a new browser context of Chromium on a real JupyterLab, after the training's kernel has ended.
The time runs from the moment at which JupyterLab shows the cell with the output to the moment at which a chart with its curves is on the
page. A notebook whose cell holds only the picture (SVG) is the base.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright
from report import print_machine, print_table, spread

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "tests"))

from support.environments import Lab, LabProcess  # noqa: E402  the tests' own
from support.pages import LabPage  # noqa: E402

KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}}
MIME = "application/vnd.detjupyter.run+json"
CHROMIUM = os.environ.get("DETJUPYTER_CHROMIUM") or shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
TRIAL = """
import math
import torch
from determined import pytorch

METRICS = {metrics}

class Trial(pytorch.PyTorchTrial):
    def __init__(self, context):
        context.experimental.disable_dataset_reproducibility_checks()  # the loader is a list
        self.model = context.wrap_model(torch.nn.Linear(1, 1))
        self.optimizer = context.wrap_optimizer(torch.optim.SGD(self.model.parameters(), lr=0.01))
        self.context = context
    def build_training_data_loader(self):
        return [torch.zeros(1, 1)] * 100
    def build_validation_data_loader(self):
        return [torch.zeros(1, 1)]
    def train_batch(self, batch, epoch_idx, batch_idx):
        return {{f"metric_{{i}}": math.exp(-batch_idx / 5000) + 0.1 * math.sin(batch_idx * (i + 1)) for i in range(METRICS)}}
    def evaluate_batch(self, batch):
        return {{"loss": 1.0}}
"""
# Notes when an element that the selector matches is on the page, and has a size, for the first time.
WATCH = """
window.found = {};
new MutationObserver(() => {
    for (const [name, selector] of [['cell', '.jp-OutputArea-child'], ['chart', '.dj-RunOutput canvas'], ['picture', '.jp-RenderedSVG']]) {
        const element = document.querySelector(selector);
        if (element && element.getBoundingClientRect().width > 0 && !(name in window.found)) { window.found[name] = performance.now(); }
    }
}).observe(document, {subtree: true, childList: true, attributes: true});
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--metrics", type=int, default=4)
    parser.add_argument("--batches", type=int, default=20_000)
    options = parser.parse_args()
    print_machine("jupyterlab", "playwright")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        work = Path(scratch) / "work"
        (work / "definition").mkdir(parents=True)
        (work / "definition/model_def.py").write_text(TRIAL.format(metrics=options.metrics))
        (work / "trained.ipynb").write_text(json.dumps(_notebook([])))
        with LabProcess(Path(scratch) / "home", work) as lab, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            grown = _train(browser, lab, work, options.batches)
            rows = []
            for name, what in (("trained", "chart"), ("plain", "picture")):
                times = [_open(browser, lab, f"{name}.ipynb", what) for _ in range(options.rounds)]
                rows.append((f"{name} notebook, {what}", *spread(times, 0)))
            print_table(("after the cell is shown", "ms", "min–max"), rows)
            print(f"The training with {options.metrics} metrics added {grown / 1e3:.1f} kB to the notebook.")
            browser.close()


def _train(browser: Browser, lab: Lab, work: Path, batches: int) -> int:
    """Train in the notebook, end its kernel, and write another notebook that holds only the picture; return the bytes added."""
    opened = browser.new_page(viewport={"width": 1500, "height": 1000})
    opened.set_default_timeout(120_000)
    page = LabPage(opened, lab, work).open("trained.ipynb")
    page.run_new("%load_ext detjupyter\nsession = %det_load model_def:Trial --path definition")
    page.run_new(f"%det_train --batches {batches} --wait")
    page.page.wait_for_selector('.dj-live[data-dj-state="finished"]')
    page.page.wait_for_timeout(1000)
    saved = page.save()
    page.page.close()
    lab.end_kernels()
    (output,) = (one for cell in saved["cells"] for one in cell.get("outputs", []) if MIME in one.get("data", {}))
    saved["cells"] = saved["cells"][-1:]
    (work / "trained.ipynb").write_text(json.dumps(saved))
    (work / "plain.ipynb").write_text(json.dumps(_notebook([{**output, "data": {"image/svg+xml": output["data"]["image/svg+xml"]}}])))
    return len(json.dumps(output))


def _open(browser: Browser, lab: Lab, name: str, what: str) -> float:
    """Return the milliseconds from the cell to what it shows."""
    context = browser.new_context(viewport={"width": 1500, "height": 1000})
    page = context.new_page()
    page.add_init_script(WATCH)
    page.goto(f"{lab.url}/lab/tree/{lab.prefix}{name}?token={lab.token}&reset")
    page.wait_for_function(f"() => '{what}' in window.found", timeout=120_000)
    found: dict[str, float] = page.evaluate("() => window.found")
    context.close()
    return found[what] - found["cell"]


def _notebook(outputs: list[dict[str, Any]]) -> dict[str, Any]:
    cell = {"cell_type": "code", "source": "", "metadata": {}, "execution_count": 1, "outputs": outputs, "id": "one"}
    return {"cells": [cell], "metadata": KERNEL, "nbformat": 4, "nbformat_minor": 5}


if __name__ == "__main__":
    main()
