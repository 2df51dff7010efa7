"""A real browser on a real JupyterLab."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, BrowserContext, BrowserType, Page, expect, sync_playwright
from support.environments import ROOT, Lab, LabProcess, copy_quickstart, serve_this_build
from support.pages import LabPage
from support.waiting import LIMIT_S

from detjupyter.store import open_store

SCREENSHOTS = ROOT / "screenshots"
expect.set_options(timeout=1000 * LIMIT_S)  # the 5 s of the default are few on a busy machine
# Chromium must not reach out of the machine, and a container gives it little shared memory.
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


class Chromium(NamedTuple):
    """The browser's program, and what starts it."""

    type: BrowserType
    executable: str


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """Chromium, headless, not started yet."""
    executable = os.environ.get("DETJUPYTER_CHROMIUM") or shutil.which("chromium")
    assert executable, "Chromium is not installed: `make browser` installs it or says how."
    with sync_playwright() as playwright:
        yield Chromium(playwright.chromium, executable)


@pytest.fixture(scope="session")
def browser(chromium: Chromium) -> Iterator[Browser]:
    """A browser whose contexts share nothing."""
    browser = chromium.type.launch(executable_path=chromium.executable, args=FLAGS)
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def profile(chromium: Chromium, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    """A user's browser: it keeps the compiled JupyterLab, so that a page opens in two thirds of the time."""
    context = chromium.type.launch_persistent_context(
        tmp_path_factory.mktemp("profile"), executable_path=chromium.executable, args=FLAGS, no_viewport=True
    )
    context.set_default_timeout(1000 * LIMIT_S)
    yield context
    context.close()


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Lab]]:
    """Start one JupyterLab server for each theme, when it is first needed."""
    labs: dict[str, Lab] = {}
    with ExitStack() as running:

        def server(theme: str) -> Lab:
            if theme not in labs:
                root = tmp_path_factory.mktemp("lab")
                (root / "work").mkdir()
                process = LabProcess(root / "home", root / "work", theme=theme)
                serve_this_build(root / "home")
                labs[theme] = running.enter_context(process)
            return labs[theme]

        yield server


@pytest.fixture
def open_lab(servers: Callable[[str], Lab]) -> Iterator[Callable[..., Lab]]:
    """Give the test a new directory of a JupyterLab, with a copy of the quickstart's directory as ``quickstart``.

    At the end its kernels end and the history is empty again.
    """
    opened: list[Lab] = []

    def open_(theme: str = "JupyterLab Light") -> Lab:
        server = servers(theme)
        lab = server.below(f"{len(list(server.directory.iterdir()))}")
        copy_quickstart(lab.directory / "quickstart")
        opened.append(lab)
        return lab

    yield open_
    for lab in opened:
        lab.end_kernels()
        store = open_store(lab.home / "detjupyter/runs.sqlite")
        for run in store.runs():
            store.delete_run(run.id)
        store.close()


@pytest.fixture
def open_page(profile: BrowserContext, request: pytest.FixtureRequest) -> Iterator[Callable[..., LabPage]]:
    """Open JupyterLab pages; what the console says of errors fails the test.

    The first page is in the user's browser, each further one in another browser.
    """
    pages: list[LabPage] = []

    def open_(lab: Lab, *, width: int = 1500, height: int = 1000, dark: bool = False) -> LabPage:
        if pages:
            context = request.getfixturevalue("browser").new_context()
            context.set_default_timeout(1000 * LIMIT_S)
        else:
            context = profile
        page: Page = context.new_page()
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme="dark" if dark else "light")
        pages.append(LabPage(page, lab, SCREENSHOTS))
        return pages[-1]

    yield open_
    for page in pages:
        if page.page.context is profile:
            forget(page.page, page.lab.url)
        else:
            page.page.context.close()
    for page in pages:
        assert page.errors == []


def forget(page: Page, origin: str) -> None:
    """Close the page, and all others of its browser, and leave nothing of them there except what is cached."""
    context = page.context
    empty = context.new_page()
    for other in context.pages:
        if other is not empty:
            other.close()
    context.new_cdp_session(empty).send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "local_storage,indexeddb,websql"})
    context.clear_cookies()
    context.clear_permissions()
