"""A real kernel in a copy of the quickstart's directory, shared by the tests of a module: torch takes seconds to import."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cells import Cells, kernel_in
from support.environments import copy_quickstart

CLOSE_ALL = """
import detjupyter, os
for _session in detjupyter.sessions():
    _session.close()
os.chdir(_directory)
"""


@pytest.fixture(scope="module")
def shared_kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cells]:
    """Start a kernel with the extension loaded."""
    directory = copy_quickstart(tmp_path_factory.mktemp("work") / "quickstart")
    with kernel_in(directory, tmp_path_factory.mktemp("home")) as cells:
        cells.ok("%load_ext detjupyter")
        cells.ok(f"_directory = {str(directory)!r}")
        yield cells


@pytest.fixture
def cells(shared_kernel: Cells) -> Iterator[Cells]:
    """Return the kernel with nothing loaded, in the quickstart's directory, every file of which is as it should be."""
    shared_kernel.ok(CLOSE_ALL)
    directory = Path(shared_kernel.value("_directory").strip("'"))
    files = {path: path.read_bytes() for path in directory.glob("*.*") if path.is_file()}
    yield shared_kernel
    for path in directory.glob("*.*"):
        if path in files:
            path.write_bytes(files[path])
        elif path.is_file():
            path.unlink()


@pytest.fixture
def directory(cells: Cells) -> Path:
    """Return the kernel's working directory."""
    return Path(cells.value("_directory").strip("'"))
