"""Makes the pictures of the documentation and of the README from real sessions in JupyterLab: `make pictures`, after `make build`.

Look at them before a commit: they show the front end as it is now.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, expect, sync_playwright

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS.parent / "tests")]

from support.documented_cells import cells_of  # noqa: E402 -- the line above finds it
from support.environments import Lab, LabProcess, copy_quickstart, serve_this_build  # noqa: E402
from support.pages import LabPage  # noqa: E402

PICTURES = DOCS / "pictures"
FILM_SIZE = {"width": 1120, "height": 820}
MOST_BYTES = 1_500_000
NOTEBOOK = {
    "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}},
    "nbformat": 4,
    "nbformat_minor": 5,
}


class Film:
    """Screenshots of a page, as an animated GIF that begins again at its end."""

    def __init__(self, page: LabPage) -> None:
        self._page = page
        self._frames: list[Image.Image] = []
        self._durations_ms: list[int] = []

    def take(self, duration_s: float) -> None:
        """Take a frame, which is shown for a time; a frame equal to the last one prolongs it."""
        frame = Image.open(io.BytesIO(self._page.page.screenshot())).convert("RGB")
        if self._frames and frame.tobytes() == self._frames[-1].tobytes():
            self._durations_ms[-1] += round(1000 * duration_s)
        else:
            self._frames.append(frame)
            self._durations_ms.append(round(1000 * duration_s))

    def train(self, source: str, *, every_s: float) -> None:
        """Run a cell that trains, and take frames until the training has ended."""
        live = self._page.run_new(source).locator(".dj-live[data-dj-state]")
        expect(live).to_be_visible()
        while live.count() and live.get_attribute("data-dj-state") == "running":
            self.take(every_s)
            self._page.page.wait_for_timeout(1000 * every_s)
        self.take(1.5)

    def write(self, path: Path) -> None:
        """Write the frames with one palette, so that colors do not flicker; only what changes from one frame to the next is stored."""
        palette = self._frames[-1].quantize(128, dither=Image.Dither.NONE)
        first, *rest = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in self._frames]
        first.save(path, save_all=True, append_images=rest, duration=self._durations_ms, loop=0, optimize=True)
        assert path.stat().st_size <= MOST_BYTES, f"{path.name} has {path.stat().st_size:,} bytes."


def write_notebook(path: Path, title: str) -> None:
    """Write a notebook with nothing but a title."""
    cell = {"cell_type": "markdown", "id": "title", "metadata": {}, "source": f"# {title}"}
    path.write_text(json.dumps(NOTEBOOK | {"cells": [cell]}), encoding="utf-8")


def tutorial_in(directory: Path) -> None:
    """Write the definition of the tutorial and an empty notebook."""
    directory.mkdir()
    for cell in cells_of(DOCS / "tutorial.md"):
        magic, _, content = cell.code.partition("\n")
        if magic.startswith("%%det_file") and "--force" not in magic:
            (directory / magic.split()[1]).write_text(content, encoding="utf-8")
    write_notebook(directory / "spiral.ipynb", "Three arms of a spiral")


@contextmanager
def opened(browser: Browser, lab: Lab, notebook: str, size: dict[str, int], scale: float = 1.0) -> Iterator[LabPage]:
    """Open a notebook, without the file browser."""
    context = browser.new_context(viewport=size, device_scale_factor=scale)
    page = LabPage(context.new_page(), lab, PICTURES)
    page.open(notebook)
    page.command("application:toggle-left-area")
    yield page
    context.close()


def picture_of_quickstart(browser: Browser, lab: Lab) -> None:
    """Take `quickstart.png`: a training in the notebook and in the panel."""
    write_notebook(copy_quickstart(lab.directory / "quickstart") / "digits.ipynb", "Handwritten digits")
    with opened(browser, lab, "quickstart/digits.ipynb", {"width": 1440, "height": 1000}) as page:
        page.panel()
        page.run_new("%load_ext detjupyter\nsession = %det_load")
        page.run_new("%det_train --epochs 60")
        page.wait_trained(500)
        page.page.wait_for_timeout(300)
        page.page.screenshot(path=DOCS / "quickstart.png")
        page.run_new("session.stop()")


def pictures_of_the_tutorial(browser: Browser, lab: Lab) -> None:
    """Take `live.png` and `compare.png`: the outputs of two cells."""
    tutorial_in(lab.directory / "tutorial")
    with opened(browser, lab, "tutorial/spiral.ipynb", {"width": 1180, "height": 1400}, scale=1.5) as page:
        page.run_new("%load_ext detjupyter\nsession = %det_load")
        page.run_new("%det_train --epochs 12")
        page.wait_trained(800)
        page.live.screenshot(path=PICTURES / "live.png")
        page.run_new("session.wait()\nsession.train(epochs=6, wait=True)")
        page.run_new("session = %det_load --hparam learning_rate=1e-2\nsession.train(epochs=18, wait=True)")
        output = page.run_new("import detjupyter as dj\n\ndj.compare(*reversed(dj.runs(2)))").locator(".jp-RenderedHTMLCommon")
        output.last.screenshot(path=PICTURES / "compare.png")


def film_of_a_session(browser: Browser, lab: Lab) -> None:
    """Take `session.gif`: train, edit, reload, train on, and compare with a second run."""
    tutorial_in(lab.directory / "film")
    with opened(browser, lab, "film/spiral.ipynb", FILM_SIZE) as page:
        film = Film(page)
        page.run_new("%load_ext detjupyter\nsession = %det_load\nsession")
        film.take(2)
        film.train("%det_train --epochs 20", every_s=0.4)
        page.run_new("!sed -i 's/Tanh/GELU/' network.py    # an edit, as in an editor")
        film.take(2)
        page.run_new("%det_reload")
        film.take(2.5)
        film.train("%det_train --epochs 20", every_s=0.4)
        page.run_new("session = %det_load --hparam learning_rate=1e-2")
        film.train("%det_train --epochs 40", every_s=0.5)
        compared = page.run_new("import detjupyter as dj\n\ndj.compare(dj.runs(2))")
        compared.evaluate("cell => cell.scrollIntoView({block: 'start'})")
        film.take(5)
        film.write(PICTURES / "session.gif")


def main() -> None:
    """Make those that are named on the command line, else all of them."""
    makers = {"quickstart": picture_of_quickstart, "tutorial": pictures_of_the_tutorial, "session": film_of_a_session}
    chosen = sys.argv[1:] or list(makers)
    PICTURES.mkdir(exist_ok=True)
    executable = os.environ.get("DETJUPYTER_CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as scratch:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])
        for name in chosen:
            home, work = Path(scratch) / name / "home", Path(scratch) / name / "work"
            work.mkdir(parents=True)
            process = LabProcess(home, work)
            serve_this_build(home)
            with process as lab:
                makers[name](browser, lab)
        browser.close()


if __name__ == "__main__":
    main()
