"""Pictures to check by eye: light and dark, wide and narrow, running and failed, short names and long ones."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect
from support.environments import Lab
from support.pages import LabPage


@pytest.mark.parametrize(
    ("name", "dark", "width"), [("light", False, 1440), ("dark", True, 1440), ("narrow", False, 760)], ids=["light", "dark", "narrow"]
)
def test_the_running_quickstart_fits_its_page(
    name: str, dark: bool, width: int, open_lab: Callable[..., Lab], open_page: Callable[..., LabPage]
) -> None:
    """No part of the view or of the panel is wider than its container, and the view uses the theme's colors."""
    lab = open_lab(theme="JupyterLab Dark" if dark else "JupyterLab Light")
    page = open_page(lab, width=width, height=1000, dark=dark).open()
    page.command("application:toggle-left-area")
    panel = page.panel()
    for index in (1, 3, 5):
        page.run(index)
    page.screenshot(f"{name}-loaded")
    page.run_new("%det_train --epochs 2000")
    expect(page.live).to_have_attribute("data-dj-state", "running")
    page.wait_trained(500)
    page.cell(14)
    for part in (page.live, panel):
        assert part.evaluate("e => e.scrollWidth <= e.clientWidth + 1")
    background = page.live.evaluate("e => getComputedStyle(e.closest('.jp-NotebookPanel')).backgroundColor")
    text = page.live.locator('[data-dj-fact="percent"]').evaluate("e => getComputedStyle(e).color")
    assert (_lightness(text) > _lightness(background)) == dark
    page.screenshot(f"{name}-running")
    page.page.emulate_media(forced_colors="active")  # backgrounds are the system's now, and the bars are made of backgrounds
    for bar, fill in ((page.live.locator(".dj-live-bar"), "::before"), (panel.locator(".dj-Bar.dj-mod-progress"), "> span")):
        colors = bar.evaluate(
            """(bar, fill) => [
                getComputedStyle(bar),
                fill.startsWith("::") ? getComputedStyle(bar, fill) : getComputedStyle(bar.firstElementChild)
            ].map(style => style.backgroundColor)""",
            fill,
        )
        assert len(set(colors)) == 2
    page.screenshot(f"{name}-forced-colors")


def test_long_names_and_many_metrics_fit(open_lab: Callable[..., Lab], open_page: Callable[..., LabPage]) -> None:
    """A definition with a long name, long metrics and values that are not finite stays readable."""
    lab = open_lab()
    directory = lab.directory / "quickstart"
    source = (directory / "model_def.py").read_text(encoding="utf-8")
    name = "ExtraordinarilyLongAndDescriptiveHandwrittenDigitsClassificationTrial"
    metrics = '"mean_per_class_intersection_over_union_on_training_batches": loss * 1e-7, '
    metrics += '"gradient_norm": loss / (0.0 if batch_idx % 50 == 9 else 1.0), '
    source = source.replace("DigitsTrial", name).replace('{"loss": loss, "acc', '{"loss": loss, ' + metrics + '"acc', 1)
    source = source.replace('"accuracy": (scores', '"mean_per_class_intersection_over_union": (scores')
    config = (directory / "const.yaml").read_text(encoding="utf-8")
    (directory / "const.yaml").write_text(config.replace("metric: accuracy", "metric: mean_per_class_intersection_over_union"))
    source += f"\n\nclass {name}Again({name}):\n    pass\n"
    (directory / "model_def.py").write_text(source, encoding="utf-8")
    Path(directory / "a_helper_module_with_a_name_that_nobody_would_call_short_but_somebody_will_write.py").touch()
    page = open_page(lab, width=1200).open()
    panel = page.panel()
    page.run_new(f"%load_ext detjupyter\nsession = %det_load model_def:{name}")
    page.run_new("session")
    page.run_new("%det_train --epochs 2000")
    expect(page.live).to_have_attribute("data-dj-state", "running")
    page.wait_trained(500)
    for part in (page.live, panel):
        assert part.evaluate("e => e.scrollWidth <= e.clientWidth + 1")
    for other in panel.get_by_text("Also here:").locator("[title]").all():
        assert other.evaluate("e => e.getBoundingClientRect().right <= e.parentElement.getBoundingClientRect().right")
    expect(panel.get_by_title(f"model_def:{name}Again", exact=True)).to_be_visible()
    expect(page.live.locator(".dj-chart, [data-dj-panel]").first).to_be_visible()
    expect(page.live).to_contain_text("batch")
    page.screenshot("long-names")
    page.run_new("session.stop(); session.validate();")
    best = panel.locator(".dj-Latest tfoot th")
    for width in (250, 700):
        page.set_panel_width(width)
        best.scroll_into_view_if_needed()
        assert best.locator("span").last.evaluate("e => e.getBoundingClientRect().right <= e.closest('th').getBoundingClientRect().right")
        expect(best).to_have_attribute("title", re.compile("mean_per_class_intersection_over_union: larger is better"))
        expect(best).to_contain_text(re.compile(r"^Best mean_per_class_intersection_over_union at [\d,]+$"))
        page.screenshot(f"best-{width}")
        page.assert_readable(panel)


def _lightness(colour: str) -> float:
    red, green, blue = (float(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3])
    return 0.3 * red + 0.59 * green + 0.11 * blue
