"""The picture that stays in the notebook when a training has ended."""

from __future__ import annotations

import base64
import io
import math
import xml.etree.ElementTree as ET
from collections.abc import Callable

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from detjupyter.picture.plot import nice_ticks
from detjupyter.picture.training import static_picture
from detjupyter.protocol.records import UNKNOWN_DEVICE, ErrorRecord, SeriesPatch, SessionRecord
from detjupyter.protocol.states import Group, State

SVG = "{http://www.w3.org/2000/svg}"
MakeSession = Callable[..., SessionRecord]
MakeCurve = Callable[..., SeriesPatch]


def texts(svg: str) -> str:
    """Return all the text of an SVG document; fails if it is not XML."""
    return "\n".join("".join(element.itertext()) for element in ET.fromstring(svg).iter(f"{SVG}text"))


@pytest.mark.parametrize("metrics", [1, 2, 4, 12, 300])
def test_ten_thousand_batches_take_little_room_in_the_notebook(make_session: MakeSession, make_curve: MakeCurve, metrics: int) -> None:
    """PNG in base64 and SVG together are below 40 kB for any metrics."""
    patches = [make_curve(f"metric_{index}", n=10_000, seed=index) for index in range(metrics)]
    patches += [make_curve(f"val_metric_{index}", Group.VALIDATION, n=60, seed=index) for index in range(metrics)]
    bundle = static_picture(make_session(), patches)
    assert len(base64.b64encode(bundle["image/png"])) + len(bundle["image/svg+xml"]) < 40_000


def test_the_same_training_gives_the_same_bytes(make_session: MakeSession, make_curve: MakeCurve) -> None:
    """So that running a notebook again does not change what was not changed."""
    patches = [make_curve(), make_curve("val_loss", Group.VALIDATION, n=5)]
    assert static_picture(make_session(), patches) == static_picture(make_session(), patches)


def test_the_persons_matplotlib_style_neither_shows_nor_changes(make_session: MakeSession, make_curve: MakeCurve) -> None:
    """A style that would ruin the picture (TeX that is not installed, a sketch, another font) has no effect on it."""
    plain = static_picture(make_session(), [make_curve()])
    with mpl.rc_context({"text.usetex": True, "path.sketch": (9, 9, 9), "font.size": 40, "lines.linewidth": 9, "savefig.dpi": 9}):
        before = dict(mpl.rcParams)
        assert static_picture(make_session(), [make_curve()]) == plain
        assert dict(mpl.rcParams) == before


def test_a_training_and_a_validation_curve_share_a_panel(make_session: MakeSession, make_curve: MakeCurve) -> None:
    """`val_loss` is drawn with `loss`; a curve of the same group is not."""
    patches = [make_curve("loss"), make_curve("val_loss", Group.VALIDATION, n=5), make_curve("train_loss")]
    lines = texts(static_picture(make_session(), patches)["image/svg+xml"]).splitlines()
    assert [line for line in lines if line in ("loss", "val_loss", "train_loss")] == ["loss", "train_loss"]


def test_what_has_no_place_on_the_axis_is_marked_and_named(make_session: MakeSession, make_curve: MakeCurve) -> None:
    """NaN and infinity leave a gap, get a triangle each, and the first of them is named."""
    curve = make_curve(n=10_000)
    curve.values[4321] = math.nan
    curve.values[7000] = math.inf
    svg = static_picture(make_session(), [curve])["image/svg+xml"]
    assert "NaN at batch 4,322" in texts(svg)
    root = ET.fromstring(svg)
    triangles = [path for path in root.iter(f"{SVG}path") if path.attrib["fill"] == "#d0479b"]
    assert sum(path.attrib["d"].count("z") for path in triangles) == 2
    assert len([line for line in root.iter(f"{SVG}polyline") if len(line.attrib["points"].split()) > 2]) == 3


def test_a_picture_names_the_warnings(make_session: MakeSession, make_curve: MakeCurve) -> None:
    """A long one in a few lines, with a mark before them; the text form has them, too."""
    warnings = ("No parameter changed in 10 batches.", "word " * 400)
    bundle = static_picture(make_session(warnings=warnings), [make_curve()])
    shown = texts(bundle["image/svg+xml"]).replace("\u00a0", " ")
    assert "2 warnings:" in shown
    assert "! No parameter changed in 10 batches." in shown
    assert len([line for line in shown.splitlines() if "word word" in line]) == 3
    assert "! No parameter changed in 10 batches." in bundle["text/plain"]


@pytest.mark.parametrize("values", [[math.nan] * 3, [0.0, 0.0, 0.0], [1e-12, 1e-12, 2e-12], [1.0, 1e30, 1.0], [-1e9, 5.0, 1e9], [3.0]])
def test_any_values_can_be_drawn(make_session: MakeSession, values: list[float]) -> None:
    """Constant, tiny, huge, undrawable or lonely values make a picture too."""
    patch = SeriesPatch(Group.TRAINING, "loss", 0, np.arange(1.0, len(values) + 1), np.array(values))
    bundle = static_picture(make_session(), [patch])
    assert "nan" not in bundle["image/svg+xml"]
    assert "loss" in texts(bundle["image/svg+xml"])


def test_a_training_without_any_curve_has_a_picture(make_session: MakeSession) -> None:
    """It failed in the first batch: the facts and the error are there."""
    error = ErrorRecord("ValueError", "ValueError: \x1b[31mno <data> & no\x00thing\x1b[0m", "  File model_def.py, line 3")
    bundle = static_picture(make_session(state=State.FAILED, batches_trained=0, latest={}, best=None, error=error), [])
    assert r"ValueError: \x1b[31mno <data> & no\x00thing\x1b[0m" in texts(bundle["image/svg+xml"])
    assert "model_def.py, line 3" in bundle["text/plain"]
    assert bundle["text/plain"].startswith("model_def:DigitsTrial: failed · 0 batches")


def test_a_failed_training_shows_the_persons_frames_and_the_way_on(make_session: MakeSession) -> None:
    """File and line as seen from the definition, the whole message, and the hint; a hundred frames are cut in the middle."""
    frames = "".join(f'  File "/there/quickstart/model_def.py", line {n}, in train_batch\n    step_{n}()\n    ^^^^\n' for n in range(100))
    error = ErrorRecord("ValueError", "ValueError: " + "long " * 60, f"Traceback (most recent call last):\n{frames}", "Fix it.")
    shown = texts(static_picture(make_session(state=State.FAILED, error=error), [])["image/svg+xml"])
    assert 'File "model_def.py", line 99, in train_batch' in shown.replace("\u00a0", " ")
    assert "step_99()" in shown
    assert "step_50()" not in shown
    assert "^^^" not in shown
    assert shown.count("long") == 60
    assert "→ Fix it." in shown


def test_long_names_are_cut_not_overflowing(make_session: MakeSession, make_curve: MakeCurve) -> None:
    """A name of 300 characters neither widens the picture nor leaves it."""
    bundle = static_picture(make_session(entrypoint="m:" + "T" * 300), [make_curve("m" * 300), make_curve("b"), make_curve("c")])
    assert max(map(len, texts(bundle["image/svg+xml"]).splitlines())) < 110
    assert Image.open(io.BytesIO(bundle["image/png"])).size[0] == 760


def test_a_legend_stays_in_its_panel(make_session: MakeSession, make_curve: MakeCurve) -> None:
    """With three panels in a row, the values of the first do not reach into the second."""
    patches = [make_curve("loss"), make_curve("val_loss", Group.VALIDATION, n=5), make_curve("b"), make_curve("c")]
    svg = ET.fromstring(static_picture(make_session(), patches)["image/svg+xml"])
    placed = [(float(one.get("x", 0)), float(one.get("font-size", 0)), "".join(one.itertext())) for one in svg.iter(f"{SVG}text")]
    (end,) = [left + 0.56 * size * len(text) for left, size, text in placed if text.startswith("validation ")]
    (following,) = [left for left, _, text in placed if text == "b"]
    assert end < following


def test_a_device_that_nobody_knows_is_left_out(make_session: MakeSession) -> None:
    """That of a script."""
    text = static_picture(make_session(device=UNKNOWN_DEVICE), [])["text/plain"]
    assert "finished · 875 batches · epoch 5 · 23 s\n" in text


def test_the_png_has_a_transparent_ground(make_session: MakeSession, make_curve: MakeCurve) -> None:
    """It is read on light and on dark pages."""
    image = Image.open(io.BytesIO(static_picture(make_session(), [make_curve()])["image/png"])).convert("RGBA")
    assert image.getpixel((image.width - 1, image.height - 1))[3] == 0
    assert np.asarray(image)[..., 3].max() > 200


def test_ticks_are_round_and_few() -> None:
    """At most slightly more than the requested number, inside the range."""
    for low, high in [(0, 1), (0.93, 0.97), (-5e6, 3e7), (1, 875), (0, 1e-9)]:
        ticks = nice_ticks(low, high, 5, smallest=0)
        assert 2 <= len(ticks) <= 7
        assert low - 1e-9 * (high - low) <= ticks[0]
        assert ticks[-1] <= high + 1e-9 * (high - low)
    assert nice_ticks(1, 4, 9, smallest=1) == [1, 2, 3, 4]
