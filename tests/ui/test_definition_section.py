"""The section Definition: the tree of files, edits of `.detignore`, and what changes on disk."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Route, expect
from support.environments import Lab
from support.pages import LabPage

LOAD = "%load_ext detjupyter\nsession = %det_load model_def:DigitsTrial"
IN_ORDER = "e => [...e.querySelectorAll('.dj-File')].sort((a, b) => a.offsetTop - b.offsetTop).map(row => row.dataset.path)"


@dataclass(frozen=True)
class Opened:
    """A page with a notebook in the test's own copy of the quickstart, and with the panel."""

    page: LabPage
    panel: Locator
    root: Path

    def row(self, path: str) -> Locator:
        """Return the row of a path; that of a folder ends in a slash."""
        return self.panel.locator(f'.dj-File[data-path="{path}"]')

    def write(self, files: dict[str, str]) -> None:
        """Write files of the definition, as another program does."""
        write(self.root, files)


@pytest.fixture
def open_digits(open_lab: Callable[..., Lab], open_page: Callable[..., LabPage]) -> Callable[..., Opened]:
    """Open the panel on a definition with data, networks and logs; ``prepare`` changes it first."""

    def open_(prepare: Callable[[Path], None] = lambda _: None, on: Callable[[LabPage], None] = lambda _: None) -> Opened:
        lab = open_lab()
        root = lab.directory / "quickstart"
        write(root, {"nets/deep/layers.py": "x" * 3_000, "nets/small.py": "x" * 500, "data/train.csv": "x" * 9_000})
        write(root, {"notes.log": "", ".detignore": "data/\n*.log\n"})
        prepare(root)
        page = open_page(lab)
        on(page)
        page.open()
        return Opened(page, page.panel(), root)

    return open_


def test_the_tree_says_what_ships_and_why(open_digits: Callable[..., Opened]) -> None:
    """Folders show what ships of them, each path its rule; biggest first on request; a search keeps the folders of what it finds."""
    digits = open_digits()
    page, panel = digits.page, digits.panel
    data = digits.row("data/")
    expect(digits.row("nets/")).to_contain_text("3.5 kB")
    expect(data).to_have_attribute("data-included", "false")
    expect(data).to_contain_text(".detignore:1")
    expect(data).to_have_attribute("title", "data\nLeft out: .detignore line 1: data/")
    expect(digits.row(".detignore")).to_contain_text("always")
    expect(data).to_have_attribute("aria-posinset", "2")  # after .ipynb_checkpoints/
    expect(data).to_have_attribute("aria-setsize", re.compile(r"^1\d$"))
    page.screenshot("definition-tree")

    (digits.root / "weights.bin").write_bytes(b"x" * 70_000)
    expect(digits.row("weights.bin")).to_be_visible()
    assert panel.evaluate(IN_ORDER)[:3] == [".ipynb_checkpoints/", "data/", "nets/"]
    panel.get_by_role("button", name="Biggest first").click()
    expect(panel.locator('.dj-File[data-path="weights.bin"][style*="top: 0px"]')).to_be_visible()

    search = panel.get_by_role("searchbox", name="Search files")
    search.fill("LAYER")
    expect(panel.locator(".dj-File")).to_have_count(3)
    expect(panel.locator(".dj-File mark")).to_have_text("layer")
    page.screenshot("definition-search")
    search.fill("nothing like it")
    expect(panel).to_contain_text("No path contains “nothing like it”.")
    search.fill("small")
    search.press("Enter")
    page.page.keyboard.press("Enter")
    expect(page.page.locator(".lm-TabBar-tabLabel", has_text="small.py")).to_be_visible()
    search.press("Escape")
    digits.row("const.yaml").click()
    expect(page.page.locator(".lm-TabBar-tabLabel", has_text="const.yaml")).to_be_visible()


def test_files_that_may_hold_credentials_are_named_once(open_digits: Callable[..., Opened]) -> None:
    """With the listing, before and after the load; the card of what is loaded has the same remark where the files are not listed."""
    digits = open_digits(lambda root: write(root, {".env": "TOKEN=1\n"}))
    remark = digits.panel.get_by_text("may hold credentials: .env")
    expect(remark).to_have_count(1)
    digits.page.run_new(LOAD)
    expect(digits.panel.locator(".dj-Card")).to_be_visible()
    expect(remark).to_have_count(1)
    expect(digits.panel.locator(".dj-Card")).not_to_contain_text("credentials")
    digits.page.screenshot("definition-credentials")


def test_a_change_of_the_rules_is_shown_saved_and_taken_back(open_digits: Callable[..., Opened]) -> None:
    """By the row's button, the context menu or the keyboard: first the lines and what would follow, then Save or Cancel, then Undo."""
    digits = open_digits()
    page, panel = digits.page, digits.panel
    change = panel.get_by_role("region", name="Change of .detignore")
    before = (digits.root / ".detignore").read_text(encoding="utf-8")

    digits.row("nets/").hover()
    digits.row("nets/").get_by_role("button", name="Exclude this").click()
    expect(change).to_contain_text("Exclude nets/?")
    expect(change.locator(".dj-mod-added")).to_have_text("+/nets/")
    expect(change).to_contain_text("2 files (3.5 kB) would no longer ship")
    page.screenshot("definition-exclude")
    page.page.keyboard.press("Escape")
    expect(change).to_have_count(0)
    assert (digits.root / ".detignore").read_text(encoding="utf-8") == before

    digits.row("notes.log").click(button="right")
    page.screenshot("definition-menu")
    page.page.get_by_role("menuitem", name="Include This…").click()
    expect(change).to_contain_text("1 file (0 B) would ship, too")
    change.get_by_role("button", name="Save").click()
    expect(digits.row("notes.log")).to_have_attribute("data-included", "true")
    expect(change).to_contain_text("notes.log ships now.")
    assert (digits.root / ".detignore").read_text(encoding="utf-8") == before + "!/notes.log\n"
    page.screenshot("definition-saved")
    change.get_by_role("button", name="Undo").click()
    expect(digits.row("notes.log")).to_have_attribute("data-included", "false")
    assert (digits.root / ".detignore").read_text(encoding="utf-8") == before

    panel.get_by_role("tree").focus()
    page.page.keyboard.press("Home")
    for key in ("ArrowDown", "e"):
        page.page.keyboard.press(key)
    expect(change).to_contain_text("Include data/?")
    expect(change.locator(".dj-mod-added")).to_have_text("+!/data/")
    digits.write({".detignore": "# somebody else\n"})
    page.page.keyboard.press("Enter")
    expect(change.get_by_role("alert")).to_contain_text("was changed after its effect was shown")
    expect(change).to_contain_text("It is already part of the bundle.")
    assert (digits.root / ".detignore").read_text(encoding="utf-8") == "# somebody else\n"
    page.screenshot("definition-conflict")


def test_edits_on_disk_show_at_once(open_digits: Callable[..., Opened]) -> None:
    """What another program writes shows in the tree, and on the card what of the loaded code is otherwise; Reload takes it in."""
    digits = open_digits()
    page, panel = digits.page, digits.panel
    page.run_new(LOAD)
    expect(panel.locator(".dj-Card")).to_be_visible()
    expect(panel.locator(".dj-Changed")).to_have_count(0)

    digits.write({"nets/extra.py": ""})
    expect(digits.row("nets/extra.py")).to_be_visible()
    model = (digits.root / "model_def.py").read_text(encoding="utf-8")
    digits.write({"model_def.py": model.replace("def train_batch(self", "def train_batch(  self", 1) + "\n\ndef added():\n    pass\n"})
    changed = panel.locator(".dj-Changed")
    expect(changed).to_contain_text("Code changed")
    expect(changed).to_contain_text("model_def.py added")
    page.screenshot("definition-changed")
    changed.get_by_role("button", name="Reload").click()
    expect(changed).to_have_count(0)

    digits.write({"model_def.py": "def half(:\n"})
    changed.get_by_role("button", name="Reload").click()
    expect(changed.get_by_role("alert")).to_contain_text("model_def.py")
    page.screenshot("definition-reload-failed")
    expect(page.run_new("session.state")).to_contain_text("ready")


def test_what_is_used_but_would_not_ship_is_a_warning(open_digits: Callable[..., Opened]) -> None:
    """A module that the definition imports though a rule leaves it out is named with the rule, and can be included from there."""
    digits = open_digits(lambda root: write(root, {".detignore": "data/\nnet*.py\n", "startup-hook.sh": "true\n"}))
    page, panel = digits.page, digits.panel
    page.run_new(LOAD)
    warning = panel.locator(".dj-Unshipped")
    expect(warning).to_contain_text("network.py")
    expect(warning).to_contain_text(".detignore line 2")
    expect(panel.locator(".dj-Card")).to_contain_text("startup-hook.sh is here; it runs only with --startup-hook.")
    page.screenshot("definition-unshipped")
    warning.get_by_role("button", name="Include this").click()
    change = panel.get_by_role("region", name="Change of .detignore")
    expect(change.locator(".dj-mod-added")).to_have_text("+!/network.py")
    change.get_by_role("button", name="Save").click()
    panel.get_by_role("searchbox", name="Search files").fill("network")
    expect(digits.row("network.py")).to_have_attribute("data-included", "true")
    expect(warning).to_have_count(0)


def test_where_determined_would_decide_otherwise_is_marked(open_digits: Callable[..., Opened]) -> None:
    """Each such path carries a mark that says what its uploader would do, and a click on their number shows only those."""
    digits = open_digits(lambda root: write(root, {".detignore": "*\n!*/\n!*.py\n!*.yaml\n"}))
    page, panel = digits.page, digits.panel
    mark = digits.row("nets/deep/layers.py").locator(".dj-File-differs")
    expect(mark).to_have_attribute("title", "Determined would leave this out")
    folder = digits.row(".ipynb_checkpoints/").locator(".dj-File-differs")
    count = panel.get_by_role("button", name="Determined: 2 paths differ")
    count.click()
    expect(digits.row("model_def.py")).to_have_count(0)
    expect(digits.row("nets/small.py")).to_be_visible()
    page.screenshot("definition-determined")
    assert folder.count() <= 1
    count.click()
    expect(digits.row("model_def.py")).to_be_visible()


def test_near_the_limit_the_heaviest_are_named(open_digits: Callable[..., Opened]) -> None:
    """The bar changes color, and the largest entries are listed, when the total is near the limit or over it."""
    digits = open_digits()
    page, panel = digits.page, digits.panel
    digits.write({"weights/a.bin": ""})
    os.truncate(digits.root / "weights/a.bin", 85_000_000)
    expect(panel.locator(".dj-Largest")).to_contain_text("14.6 MB below the limit.")
    expect(panel.locator(".dj-Largest li").first).to_contain_text("weights/a.bin")
    os.truncate(digits.root / "weights/a.bin", 120_000_000)
    expect(panel.locator(".dj-Largest")).to_contain_text("20.4 MB over the limit.")
    page.screenshot("definition-over-the-limit")


def test_a_scan_that_takes_long_can_be_stopped(open_digits: Callable[..., Opened]) -> None:
    """After a second the panel says that it reads the directory; Stop ends that, and trying again works."""
    held: list[Route] = []
    digits = open_digits(on=lambda page: page.page.route("**/detjupyter/api/definition?*", lambda route: held.append(route)))
    page, panel = digits.page, digits.panel
    expect(panel.locator(".dj-Scanning")).to_contain_text("Reading the directory…")
    page.screenshot("definition-scanning")
    panel.get_by_role("button", name="Stop").click()
    expect(panel.locator(".dj-Scanning")).to_have_count(0)
    expect(panel).to_contain_text("The scan was stopped.")
    page.page.unroute("**/detjupyter/api/definition?*")
    panel.get_by_role("button", name="Try again").click()
    expect(digits.row("model_def.py")).to_be_visible()


def test_a_directory_of_very_many_files_is_asked_about_and_stays_quick(open_digits: Callable[..., Opened]) -> None:
    """What the server would rather not scan is scanned when that is meant; of thousands of paths only the rows in sight are on the page."""

    def fill(root: Path) -> None:
        for folder in range(20):
            (root / f"many/part{folder:02}").mkdir(parents=True)
            for file in range(1_000):
                os.close(os.open(root / f"many/part{folder:02}/image{file:04}.png", os.O_CREAT | os.O_WRONLY))

    def ask_first(route: Route) -> None:  # as the server does from 200,000 entries on; so many take minutes to write on a slow disk
        if "any_size=1" in route.request.url:
            route.continue_()
        else:
            route.fulfill(status=413, json={"message": "This directory holds more than 200,000 entries.", "hint": "Scan it anyway."})

    digits = open_digits(fill, on=lambda page: page.page.route("**/detjupyter/api/definition?*", ask_first))
    page, panel = digits.page, digits.panel
    expect(panel).to_contain_text("This directory holds more than 200,000 entries.")
    page.screenshot("definition-too-large")
    panel.get_by_role("button", name="Scan anyway").click()
    expect(panel.get_by_role("tree")).to_be_visible()
    expect(panel).to_contain_text("20,007 files ship")
    panel.get_by_role("searchbox", name="Search files").fill("image0")
    expect(panel.locator(".dj-Search-count")).to_have_text("20,000")
    digits.row("many/").click()
    digits.row("many/part00/").click()
    expect(digits.row("many/part00/image0000.png")).to_be_visible()
    panel.get_by_role("tree").press("End")
    expect(digits.row("many/part19/")).to_be_visible()
    assert panel.locator(".dj-File").count() < 60
    page.screenshot("definition-many")


def test_the_section_fits_narrow_and_wide_light_and_dark(open_digits: Callable[..., Opened]) -> None:
    """Long names, long rules and a proposal fit a panel of 240 pixels and one of 600, in both themes."""
    long = "a_directory_with_a_name_that_nobody_would_call_short"

    def fill(root: Path) -> None:
        write(root, {f"{long}/and_a_module_in_it_whose_name_goes_on_and_on_as_well.py": "x" * 1_200, f"{long}/x.tmp": "x"})
        write(root, {".detignore": "# nothing\nan_excluded_directory_with_a_rather_long_name/\n*.tmp\n"})
        write(root, {"an_excluded_directory_with_a_rather_long_name/x.txt": "x"})

    digits = open_digits(fill)
    page, panel = digits.page, digits.panel
    section = panel.locator(".dj-Section.dj-mod-definition")
    page.run_new(LOAD)
    expect(panel.locator(".dj-Card")).to_be_visible()
    for name, theme, share in (("wide", "Light", 2.5), ("narrow", "Dark", 0.9)):
        page.page.evaluate(f"() => window.jupyterapp.commands.execute('apputils:change-theme', {{theme: 'JupyterLab {theme}'}})")
        page.page.evaluate(f"() => window.jupyterapp.shell._hsplitPanel.setRelativeSizes([1, 3, {share}])")
        digits.row(f"{long}/").hover()
        digits.row(f"{long}/").get_by_role("button", name="Exclude this").click()
        expect(panel.get_by_role("region", name="Change of .detignore")).to_contain_text("would no longer ship")
        page.screenshot(f"definition-{name}")
        assert section.evaluate("e => e.scrollWidth <= e.clientWidth + 1")
        panel.get_by_role("button", name="Cancel").click()
        digits.row(f"{long}/x.tmp").scroll_into_view_if_needed()
        page.screenshot(f"definition-{name}-tree")
    page.page.evaluate("() => window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Light'})")


def write(root: Path, files: dict[str, str]) -> None:
    """Write files under ``root``."""
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
