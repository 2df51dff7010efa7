"""The second notebook: a transformer on text, run in a real kernel, and as it is kept in the repository."""

from __future__ import annotations

import ast
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.cells import Seen, kernel_in
from support.environments import ROOT

DIRECTORY = ROOT / "notebooks/characters"
SMALLER = "--hparam width=48 layers=2"


def code_cells(notebook: Path) -> list[dict[str, Any]]:
    """Return the code cells of a notebook file."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def source(cell: dict[str, Any]) -> str:
    """Return the text of a cell."""
    return "".join(cell["source"])


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Seen]]:
    """Run all cells in a copy of the directory, with a smaller network and 120 batches; return what each source shows."""
    directory = Path(shutil.copytree(DIRECTORY, tmp_path_factory.mktemp("work") / "characters"))
    smaller = {"%det_load": f"%det_load {SMALLER}", "%det_train": "%det_train --batches 120 --validate-every 40", "< 250": "< 10"}
    shown: dict[str, list[Seen]] = {}
    with kernel_in(directory, tmp_path_factory.mktemp("home")) as kernel:
        for cell in code_cells(directory / "characters.ipynb"):
            text = source(cell)
            for piece, other in smaller.items():
                text = text.replace(piece, other)
            shown.setdefault(source(cell), []).append(kernel.ok(text))
    return shown


def only(seen: dict[str, list[Seen]], piece: str) -> list[Seen]:
    """Return what the cells show that hold ``piece``."""
    return [what for text, several in seen.items() if piece in text for what in several]


def test_it_loads_trains_is_held_and_goes_on(seen: dict[str, list[Seen]]) -> None:
    """The card names the class, three steps are three batches, and the bits fall from validation to validation."""
    (card,) = only(seen, "%det_load")
    assert "CharactersTrial" in card.text
    assert "const.yaml" in card.text
    (files,) = only(seen, "%det_files")
    assert "network.py" in files.text
    (meanwhile,) = only(seen, "at_batch(lambda trial")
    assert meanwhile.text.startswith("The import statement ")
    (paused,) = only(seen, "%det_pause")
    assert paused.text.startswith("paused")
    (stepped,) = only(seen, "%det_step 3")
    (last_three,) = only(seen, "[-3:]")
    batches = list(ast.literal_eval(last_three.text))
    assert f"{batches[-1]} of 120 batches" in stepped.text
    assert batches == list(range(batches[-1] - 2, batches[-1] + 1))
    (learned,) = only(seen, '"validation")')
    bits = ast.literal_eval(learned.text)
    assert list(bits) == [40, 80, 120]
    assert 6.5 > bits[40] > bits[120] > 1


def test_a_checkpoint_takes_back_what_was_spoilt(seen: dict[str, list[Seen]]) -> None:
    """Noise on the weights costs bits, the restored trial writes and measures as before, and its future comes twice."""
    spoilt, restored = only(seen, "%det_validate")
    before = ast.literal_eval(only(seen, '"validation")')[0].text)[120]
    after = [ast.literal_eval(what.text)["bits_per_character"] for what in (spoilt, restored)]
    assert after[0] > before
    assert after[1] == pytest.approx(before, abs=0.01)
    short = [what.text for what in only(seen, 'statement ", 60)')]
    (long,) = only(seen, 'statement ", 600)')
    assert long.text.startswith(short[1].rstrip("\n"))
    assert not long.text.startswith(short[0].rstrip("\n"))
    (twice,) = only(seen, "bits_after_twenty_batches")
    first, second = ast.literal_eval(twice.text)
    assert first == second


def test_it_is_kept_as_it_ran() -> None:
    """Every cell was run once, in order and without an error; the picture of the training is there, and what was learned is English."""
    cells = code_cells(DIRECTORY / "characters.ipynb")
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = {source(cell): cell["outputs"] for cell in cells}
    assert all(output["output_type"] != "error" and output.get("name") != "stderr" for some in outputs.values() for output in some)
    (live,) = outputs["%det_train"]
    assert set(live["data"]) == {"image/png", "image/svg+xml", "text/plain"}
    assert "finished" in "".join(live["data"]["text/plain"])
    (bits,) = [output for text, some in outputs.items() if '"validation")' in text for output in some]
    assert list(ast.literal_eval("".join(bits["data"]["text/plain"])).values())[-1] < 2.5
    (written,) = [output for text, some in outputs.items() if "600)" in text for output in some]
    words = "".join(written["text"]).split()
    assert sum(word in {"the", "of", "is", "to", "a", "in", "and"} for word in words) > 10
    assert len((DIRECTORY / "characters.ipynb").read_bytes()) < 150_000
