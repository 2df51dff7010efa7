"""The line of ``%det_script``: which words are options, which one the script, and which its arguments."""

from __future__ import annotations

from typing import Any

import pytest
from IPython.core.error import UsageError

from detjupyter.errors import HyperparameterError
from detjupyter.magics.script import ScriptMagics
from detjupyter.scripts import running

Call = tuple[Any, ...]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    """Return the arguments of each script that would have run."""
    made: list[Call] = []
    monkeypatch.setattr(running, "run_script", lambda *arguments: made.append(arguments) or [])
    return made


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("train.py --hparam lr=0.1 epochs=2 --steps 3", ("train.py", ["--steps", "3"], None, {"lr": 0.1, "epochs": 2})),
        ("--hparam lr=0.1 train.py 3", ("train.py", ["3"], None, {"lr": 0.1})),
        ("--config c.yaml train.py -- --hparam x", ("train.py", ["--hparam", "x"], "c.yaml", {})),
        ("train.py first --config c.yaml", ("train.py", ["first", "--config", "c.yaml"], None, {})),
    ],
)
def test_options_stand_before_or_after_the_script(line: str, expected: Call, calls: list[Call]) -> None:
    """What comes after the script and its options is the script's."""
    ScriptMagics(None).det_script(line)

    assert calls[0][:4] == expected


@pytest.mark.parametrize("line", ["train.py --hparam lr:0.1 --config c.yaml", "--hparam lr:0.1 train.py"])
def test_a_misspelled_hyperparameter_is_corrected(line: str, calls: list[Call]) -> None:
    """As by `%det_load`."""
    with pytest.raises(HyperparameterError) as caught:
        ScriptMagics(None).det_script(line)

    assert caught.value.hint == "Did you mean `--hparam lr=0.1`?"
    assert not calls


def test_only_the_script_is_required(calls: list[Call]) -> None:
    """Its arguments are not."""
    with pytest.raises(UsageError, match=r"arguments are required: script\. "):
        ScriptMagics(None).det_script("")
