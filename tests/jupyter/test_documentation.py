"""The pages of the documentation that a reader follows: every cell runs in a real kernel and shows what its page says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cells import Cells, kernel_in
from support.documented_cells import DocumentedCell, cells_of
from support.environments import ROOT

DOCS = ROOT / "docs"
TUTORIAL = DOCS / "tutorial.md"
FRESH = """
%unload_ext detjupyter
import detjupyter, os
for _session in detjupyter.sessions():
    _session.close()
detjupyter.runs(None).delete()
os.chdir({directory!r})
"""
NOTICE = re.compile(r"^(Loading|Reloading) .*: [\d.]+ s$\n?", re.MULTILINE)
"""What a cell shows only if something takes long, such as the first import of torch."""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cells]:
    """Start one kernel for all pages; each begins with no session, an empty history and a directory of its own."""
    with kernel_in(tmp_path_factory.mktemp("work"), tmp_path_factory.mktemp("home")) as cells:
        cells.ok("%load_ext detjupyter")
        yield cells


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return a directory with a notebook, with the name that the pages give it."""
    directory = tmp_path / "spiral"
    directory.mkdir()
    (directory / "spiral.ipynb").write_text("{}", encoding="utf-8")
    return directory


@pytest.fixture
def cells(kernel: Cells, directory: Path) -> Cells:
    """Return the kernel in the directory, and as it was before the extension was loaded."""
    kernel.ok(FRESH.format(directory=str(directory)))
    return kernel


def follow(page: Path, cells: Cells) -> None:
    """Run the cells of a page."""
    documented = cells_of(page)
    assert documented, f"{page} has no cells."
    for cell in documented:
        seen = cells.run(cell.code)
        where = f"{page.relative_to(ROOT)}:{cell.line}"
        assert seen.error is None, f"{where}: {seen.message}"
        assert "stderr" not in seen.printed, f"{where}: {seen.printed['stderr']}"
        shown = NOTICE.sub("", seen.text)
        assert cell.shows(shown), f"{where} shows:\n{shown}"


def test_the_tutorial(cells: Cells) -> None:
    """Load, train, edit, reload and compare, in a directory with nothing but the notebook."""
    follow(TUTORIAL, cells)


@pytest.mark.parametrize("page", sorted(set(DOCS.glob("how_to/*.md")) - {DOCS / "how_to/index.md"}), ids=lambda page: page.stem)
def test_a_how_to(page: Path, cells: Cells, directory: Path) -> None:
    """Each begins in the directory of the tutorial's definition."""
    for cell in cells_of(TUTORIAL):
        magic, _, content = cell.code.partition("\n")
        if re.fullmatch(r"%%det_file \S+", magic):
            (directory / magic.split()[1]).write_text(content, encoding="utf-8")
    follow(page, cells)


class TestCells:
    """What is a cell of a page, and what is its output."""

    def test_an_output_follows_its_cell(self, tmp_path: Path) -> None:
        """Text after a sentence is not an output, and neither are commands of a shell."""
        page = tmp_path / "page.md"
        page.write_text(
            "```python\n1\n```\n\n```text\n1\n```\nA\n```python\n2\n```\nB\n```text\n3\n```\n```sh\nls\n```\n", encoding="utf-8"
        )
        assert cells_of(page) == [DocumentedCell(1, "1\n", "1\n"), DocumentedCell(9, "2\n", None)]

    @pytest.mark.parametrize(
        ("output", "shown", "is_shown"),
        [("1 ... 3\n", "1 2 3", True), ("1\n", "1  \n", True), ("1\n", "2", False), ("...\n1\n...\n", "0\n1\n2", True), (None, "2", True)],
    )
    def test_what_is_compared(self, output: str | None, shown: str, is_shown: bool) -> None:
        """The whole text, where dots stand for any."""
        assert DocumentedCell(1, "", output).shows(shown) is is_shown
