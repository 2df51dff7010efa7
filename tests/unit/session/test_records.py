"""The record of a run at its beginning."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.bench import Bench

from detjupyter.session.kernel import Kernel
from detjupyter.session.records import new_run


def notebook_of(bench: Bench, kernel: Kernel) -> str | None:
    """Return the notebook of a new run."""
    record = bench.session.record()
    return new_run(record, "r1", seed=1, hyperparameters={}, config={}, bundle_hash="", kernel=kernel).notebook


def test_a_run_knows_the_notebook_in_which_it_began(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless it is not there, because it was renamed since the kernel started, or the process is not the notebook's kernel."""
    notebook = tmp_path / "train.ipynb"
    notebook.touch()
    monkeypatch.setenv("JPY_SESSION_NAME", str(notebook))
    assert notebook_of(bench, Kernel("k1")) == str(notebook)
    assert notebook_of(bench, Kernel()) is None
    notebook.rename(tmp_path / "other.ipynb")
    assert notebook_of(bench, Kernel("k1")) is None
    for name in ("", "relative.ipynb"):
        monkeypatch.setenv("JPY_SESSION_NAME", name)
        assert notebook_of(bench, Kernel("k1")) is None
