"""How much a training adds to the saved notebook: a run of 10,000 batches, executed by nbclient.

    python benchmarks/notebook_size.py [--batches 10000]

The same notebook is executed with and without its training cell. nbclient saves the state of every widget that was ever opened, closed
ones too; JupyterLab saves those that are still open, and only if the user has enabled that.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from kernel import QUIET, TIMEOUT_S, kernel_environment
from nbclient import NotebookClient
from report import print_machine, print_table

DEFINITION = Path(__file__).parent / "definitions" / "tiny_mlp"
TARGET_KB = 150


def execute(cells: list[str], directory: Path) -> nbformat.NotebookNode:
    """Return the notebook of these cells as it is saved after running it."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell, id=f"cell-{index}") for index, cell in enumerate(cells)])
    where = {"metadata": {"path": str(directory)}}
    client = NotebookClient(notebook, timeout=TIMEOUT_S, kernel_name="python3", extra_arguments=QUIET, resources=where)
    executed: nbformat.NotebookNode = client.execute()
    return executed


def size_bytes(notebook: Any) -> int:
    """Return the size of the file."""
    return len(nbformat.writes(notebook).encode())


def without_widgets(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return a copy that has lost its widget state."""
    copy = nbformat.from_dict(json.loads(nbformat.writes(notebook)))
    copy.metadata.pop("widgets", None)
    return copy


def _kilobytes(value: Any) -> str:
    return f"{len(json.dumps(value)) / 1e3:.1f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=10_000)
    batches = parser.parse_args().batches
    print_machine("nbclient", "nbformat", "matplotlib", "anywidget")
    opening = ["%load_ext detjupyter", f"session = %det_load model_def:TinyMLPTrial --path {DEFINITION}"]
    training = f"%det_train --batches {batches} --wait"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        os.environ.update(kernel_environment(Path(scratch)))
        idle = execute([*opening, "pass" + " " * (len(training) - 4)], Path(scratch))
        trained = execute([*opening, training], Path(scratch))
    outputs = size_bytes(without_widgets(trained)) - size_bytes(without_widgets(idle))
    total = size_bytes(trained) - size_bytes(idle)
    rows = [
        (f"- {output.output_type}, `{mime}`", _kilobytes(data))
        for output in trained.cells[-1].outputs
        for mime, data in output.get("data", {}).items()
    ]
    models = trained.metadata.get("widgets", {}).get("application/vnd.jupyter.widget-state+json", {}).get("state", {}).values()
    states = [
        (f"- {model['model_name']} (of it the browser module: {_kilobytes(model['state'].get('_esm', ''))})", _kilobytes(model))
        for model in models
    ]
    print_table(
        (f"{batches:,} batches, one curve", "kB added"),
        (
            ("outputs", f"**{outputs / 1e3:.1f}**"),
            *rows,
            ("widget state, as nbclient saves it", f"**{(total - outputs) / 1e3:.1f}**"),
            *states,
            (f"in all (target: {TARGET_KB})", f"**{total / 1e3:.1f}**"),
        ),
    )


if __name__ == "__main__":
    main()
