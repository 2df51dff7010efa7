"""Memory of a kernel, and size of what a page receives, over a million recorded batches.

    python benchmarks/long_run.py [--batches 1000000]

A training whose batch does next to nothing, with the live view open: what grows, grows by what detjupyter keeps. The memory is that of
the kernel's process, read at every tenth of the run; the page greets the view as the browser does, and its messages are counted.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import psutil
from kernel import Kernel, Page, kernel_environment
from report import print_machine, print_table

DEFINITION = Path(__file__).parent / "definitions" / "nothing"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=1_000_000)
    batches = parser.parse_args().batches
    print_machine("torch", "ipykernel", "anywidget", "sqlalchemy")
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch,
        Kernel(Path(scratch), kernel_environment(Path(scratch))) as kernel,
        Page(kernel) as page,
    ):
        kernel.run("import os\n%load_ext detjupyter")
        process = psutil.Process(kernel.run("", "os.getpid()"))
        kernel.run(f"session = get_ipython().run_line_magic('det_load', '--path {DEFINITION}')\n%det_train --batches {batches}")
        rows, began = [], time.monotonic()
        for tenth in range(1, 11):
            while page.newest_batch < batches * tenth // 10 and not page.closed.is_set():
                time.sleep(0.1)
            memory_mb = process.memory_info().rss / 1e6
            rows.append((f"{batches * tenth // 10:,}", f"{memory_mb:.0f}", f"{page.bytes_received / 1e6:.2f}", str(len(page.updates))))
        seconds = time.monotonic() - began
        count = kernel.run("", "len(session.metrics('loss')[0])")
        store_mb = sum(file.stat().st_size for file in Path(scratch).rglob("*.sqlite*")) / 1e6
    if count != batches:
        raise RuntimeError(f"The store holds {count:,} of {batches:,} batches.")
    print_table(("batches", "kernel MB", "MB received by the page", "messages"), rows)
    print(f"{seconds:.0f} s; all {count:,} losses are in the store, {store_mb:.0f} MB on disk.")


if __name__ == "__main__":
    main()
