"""What `%det_files`, `%%det_file` and `%det_check` leave below their cells, in a real page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect
from support.environments import Lab, copy_quickstart
from support.pages import LabPage


def prepare(root: Path) -> None:
    """Give the quickstart a folder, a long name, an environment, and a module that does not ship."""
    copy_quickstart(root)
    for name in ("nets/deep/layers.py", ".venv/site.py", f"{'a_name_that_somebody_will_write_' * 4}.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x = 1\n", encoding="utf-8")
    (root / ".detignore").write_text("data/\n*.ipynb\nnetwork.py\n", encoding="utf-8")
    (root / "weights.bin").write_bytes(bytes(90_000_000))


def output(cell: Locator) -> Locator:
    """Return the output below a cell."""
    return cell.locator(".jp-OutputArea-output").first


def assert_fits(cell: Locator) -> None:
    """Nothing in the output is wider than it, and the output not wider than the cell."""
    frame = output(cell).locator('div[class^="dj-"]').first
    assert frame.evaluate("e => e.scrollWidth <= e.clientWidth + 1")
    assert frame.evaluate("e => e.getBoundingClientRect().right <= e.closest('.jp-Cell').getBoundingClientRect().right")


@pytest.mark.parametrize(("name", "dark", "width"), [("light", False, 1300), ("dark-narrow", True, 720)], ids=["light", "dark narrow"])
def test_the_outputs_fit_their_cells_and_names_open_files(
    name: str, dark: bool, width: int, open_lab: Callable[..., Lab], open_page: Callable[..., LabPage]
) -> None:
    """Nothing is wider than its place; folders open; a click on a name opens the file in JupyterLab; a question can be answered."""
    lab = open_lab(theme="JupyterLab Dark" if dark else "JupyterLab Light")
    root = lab.directory / "files"
    prepare(root)
    page = open_page(lab, width=width, dark=dark).open("files/quickstart.ipynb")
    page.command("application:toggle-left-area")
    page.run_new("%load_ext detjupyter")
    tree = page.run_new("%det_files")
    expect(output(tree)).to_contain_text("Largest: weights.bin")
    expect(output(tree)).to_contain_text("≠ Determined ships 1 file of it")
    assert_fits(tree)
    page.screenshot(f"files-{name}")
    tree.locator("summary", has_text="deep/").click()
    tree.get_by_role("link", name="layers.py").click()
    opened = f"{lab.prefix}files/nets/deep/layers.py"
    page.page.wait_for_function(f"() => window.jupyterapp.shell.currentWidget?.context?.path === '{opened}'")
    page.switch_to("files/quickstart.ipynb")
    asking = page.run_new("%%det_file network.py --no-reload\nfrom torch import nn\n\nclass DigitsNet(nn.Module):\n    pass\n", wait=False)
    expect(asking.locator(".jp-Stdin-input")).to_be_visible()
    assert_fits(asking)
    page.screenshot(f"difference-{name}")
    asking.locator(".jp-Stdin-input").fill("n")
    asking.locator(".jp-Stdin-input").press("Enter")
    expect(asking).to_contain_text("Nothing was written.")
    page.run_new("session = %det_load")
    check = page.run_new("%det_check")
    expect(output(check)).to_contain_text("network.py was imported but .detignore line 3 network.py leaves it out")
    page.screenshot(f"check-{name}")
    assert_fits(check)
