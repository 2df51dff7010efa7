"""A real browser on a real JupyterLab."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from environments import ROOT, Lab, LabProcess, copy_quickstart
from pages import LabPage
from playwright.sync_api import Browser, Page, sync_playwright

SCREENSHOTS = ROOT / "screenshots"
# Chromium must not reach out of the machine, and a container gives it little shared memory.
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, headless."""
    executable = os.environ.get("DETJUPYTER_CHROMIUM") or shutil.which("chromium")
    assert executable, "Chromium is not installed: `make browser` installs it or says how."
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def start_lab(tmp_path: Path) -> Iterator[Callable[..., Lab]]:
    """Start JupyterLab servers, each with a copy of the quickstart's directory as ``quickstart``; all stop at the end."""
    running: list[LabProcess] = []

    def start(theme: str = "JupyterLab Light") -> Lab:
        directory = tmp_path / f"work{len(running)}"
        directory.mkdir()
        copy_quickstart(directory / "quickstart")
        process = LabProcess(tmp_path / f"home{len(running)}", directory, theme=theme)
        lab = process.__enter__()
        running.append(process)
        return lab

    yield start
    for process in running:
        process.__exit__()


@pytest.fixture(scope="module")
def shared_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Start one JupyterLab server for the tests of a module that keep to directories of their own."""
    root = tmp_path_factory.mktemp("shared")
    (root / "work").mkdir()
    with LabProcess(root / "home", root / "work") as lab:
        yield lab


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., LabPage]]:
    """Open JupyterLab pages; what the console says of errors fails the test."""
    pages: list[LabPage] = []

    def open_(lab: Lab, *, width: int = 1500, height: int = 1000, dark: bool = False) -> LabPage:
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light")
        context.set_default_timeout(30_000)
        page: Page = context.new_page()
        pages.append(LabPage(page, lab, SCREENSHOTS))
        return pages[-1]

    yield open_
    for page in pages:
        page.page.context.close()
    for page in pages:
        assert page.errors == []
