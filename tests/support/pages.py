"""JupyterLab as a user operates it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import ConsoleMessage, Error, Locator, Page, expect

from support.environments import Lab
from support.waiting import LIMIT_S, wait_until

# What JupyterLab itself says in a closed network, or when a kernel is restarted under it.
NOT_OURS = (
    "favicon",
    "net::ERR_",
    "Failed to load resource",
    "api.github",
    "404 (Not Found)",
    "Kernel connection",
    "Comm not found",
    "lsp/status",
)


CUT_WITHOUT_TOOLTIP = """part => [...part.querySelectorAll('*')]
    .filter(e => e.clientWidth > 1 && e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX === 'hidden')
    .filter(e => e.textContent.trim() !== '' && !e.closest('[title]') && !e.querySelector('[title]'))
    .map(e => `${e.className}: ${e.textContent}`)"""
"""The texts in an element of a page that are cut although no tooltip has them."""


class LabPage:
    """One page of JupyterLab on one notebook."""

    def __init__(self, page: Page, lab: Lab, screenshots: Path) -> None:
        self.page = page
        self.lab = lab
        self.errors: list[str] = []
        self._screenshots = screenshots
        page.on("console", self._on_console)
        page.on("pageerror", self._on_page_error)

    def open(self, path: str = "quickstart/quickstart.ipynb", *, kernel: str | None = None, app: str = "lab") -> LabPage:
        """Open the notebook, without what other pages have left open, and wait for its kernel; ``kernel`` chooses one by name."""
        if kernel is not None:
            file = self.lab.directory / path
            notebook = json.loads(file.read_text(encoding="utf-8"))
            notebook["metadata"]["kernelspec"] = {"name": kernel, "display_name": kernel, "language": "python"}
            file.write_text(json.dumps(notebook), encoding="utf-8")
        tree = "notebooks" if app == "notebook" else "lab/tree"
        self.page.goto(f"{self.lab.url}/{tree}/{self.lab.prefix}{path}?token={self.lab.token}&reset")
        self.wait_ready()
        return self

    def wait_ready(self) -> None:
        """Wait until the notebook is drawn and its kernel idle."""
        self.page.wait_for_selector(".jp-Notebook .jp-Cell >> visible=true")
        self.page.wait_for_function(
            "() => { const w = window.jupyterapp?.shell.currentWidget; return w?.sessionContext?.session?.kernel?.status === 'idle'; }"
        )

    def switch_to(self, path: str) -> None:
        """Open another notebook in the same page, or come back to it."""
        place = json.dumps(f"{self.lab.prefix}{path}")
        self.page.evaluate(f"async () => {{ await window.jupyterapp.commands.execute('docmanager:open', {{path: {place}}}); }}")
        self.wait_ready()

    def run(self, index: int, *, wait: bool = True) -> Locator:
        """Run the cell ``index`` (from 0, Markdown cells counted) and return it."""
        # In one go: a click just before may still be about to make its own cell the active one.
        self._notebook(f"n.content.activeCellIndex = {index}; window.jupyterapp.commands.execute('notebook:run-cell')")
        if wait:
            self.wait_run(index)
        return self.cell(index)

    def wait_run(self, index: int) -> None:
        """Wait until the cell ``index`` has been executed."""
        self.page.wait_for_function(
            f"() => {{ const n = window.jupyterapp.shell.currentWidget; const c = n.content.widgets[{index}].model;"
            " return c.type !== 'code' || (c.executionCount !== null && c.executionState !== 'running'); }"
        )

    def add(self, source: str) -> int:
        """Append a code cell and return its index."""
        return int(
            self._notebook(
                f"n.model.sharedModel.addCell({{cell_type: 'code', source: {json.dumps(source)}, metadata: {{}}}});"
                " return n.content.widgets.length - 1"
            )
        )

    def run_new(self, source: str, *, wait: bool = True) -> Locator:
        """Append a code cell, run it, and return it."""
        return self.run(self.add(source), wait=wait)

    def cell(self, index: int) -> Locator:
        """Return the cell ``index``, scrolled into view."""
        self._notebook(f"n.content.scrollToItem({index})")
        return self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Notebook .jp-Cell").nth(index)

    def command(self, name: str) -> None:
        """Execute a JupyterLab command."""
        self.page.evaluate(f"async () => {{ await window.jupyterapp.commands.execute({json.dumps(name)}); }}")

    def save(self) -> dict[str, Any]:
        """Save the notebook and return what is on disk."""
        self.command("docmanager:save")
        path = str(self._notebook("return n.context.path")).removeprefix(self.lab.prefix)
        return dict(json.loads((self.lab.directory / path).read_text(encoding="utf-8")))

    def reload(self) -> None:
        """Reload the page."""
        self.page.reload()
        self.page.wait_for_selector(".jp-Notebook .jp-Cell")

    def wait_saved_layout(self, *texts: str) -> None:
        """Wait until the layout that the server has stored contains these texts: JupyterLab sends it a moment after a change."""
        read = """async () => {
            const { baseUrl } = window.jupyterapp.serviceManager.serverSettings;
            const answer = await fetch(`${baseUrl}lab/api/workspaces/default`);
            return answer.ok ? JSON.stringify(await answer.json()) : '';
        }"""
        wait_until(lambda: all(text in self.page.evaluate(read) for text in texts))

    @property
    def live(self) -> Locator:
        """The live view that is on the page."""
        return self.page.locator(".dj-live[data-dj-state]").last

    def panel(self) -> Locator:
        """Show the sidebar's panel and return it."""
        self.command("detjupyter:show-panel")
        panel = self.page.locator("#detjupyter-panel")
        expect(panel).to_be_visible()
        return panel

    def wait_trained(self, batches: int) -> None:
        """Wait until ``session`` has trained a number of batches."""
        self.run_new(f"import time\nwhile session.batches_trained < {batches}: time.sleep(0.02)")

    def wait_moved(self, element: Locator) -> None:
        """Wait until the pixels of an element are not what they were."""
        before, deadline = element.screenshot(), time.monotonic() + LIMIT_S
        while element.screenshot() == before:
            assert time.monotonic() < deadline, "nothing moves"
            self.page.wait_for_timeout(100)

    def wait_still(self, element: Locator) -> None:
        """Wait until the pixels of an element have stayed what they were for a while."""
        before, deadline = b"", time.monotonic() + LIMIT_S
        while (now := element.screenshot()) != before:
            assert time.monotonic() < deadline, "its position never settles"
            before = now
            self.page.wait_for_timeout(700)

    def set_theme(self, theme: str) -> None:
        """Use JupyterLab's theme ``Light`` or ``Dark``."""
        self.page.evaluate(f"() => window.jupyterapp.commands.execute('apputils:change-theme', {{theme: 'JupyterLab {theme}'}})")

    def set_panel_width(self, width: int) -> None:
        """Give the sidebar a width in pixels, on a page of 1,500 pixels, and wait until it has settled."""
        self.page.evaluate(f"() => window.jupyterapp.shell._hsplitPanel.setRelativeSizes([200, {1236 - width}, {width}])")
        self.page.wait_for_timeout(300)

    def assert_readable(self, part: Locator) -> None:
        """Check that nothing is wider than ``part``, and that all text in it that is cut has a tooltip."""
        assert part.evaluate("e => e.scrollWidth <= e.clientWidth + 1")
        assert part.evaluate(CUT_WITHOUT_TOOLTIP) == []

    def screenshot(self, name: str) -> Path:
        """Write a picture of the page to the folder of screenshots."""
        self._screenshots.mkdir(exist_ok=True)
        path = self._screenshots / f"{name}.png"
        self.page.screenshot(path=path)
        return path

    def _notebook(self, code: str) -> Any:
        return self.page.evaluate(f"() => {{ const n = window.jupyterapp.shell.currentWidget; {code} }}")

    def _on_page_error(self, error: Error) -> None:
        # Notebook 7 trips over its own settings at start, with or without us.
        if "static/notebook/notebook_core" not in (error.stack or ""):
            self.errors.append(str(error))

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not any(known in message.text for known in NOT_OURS):
            self.errors.append(message.text)
