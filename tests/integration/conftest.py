"""Model definitions written for one test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.definition import LINE, Definition


@pytest.fixture
def define(tmp_path: Path) -> Callable[..., Definition]:
    """Return a function that writes a model definition; by default one that fits a line."""

    def define(name: str = "line", **files: str) -> Definition:
        return Definition(tmp_path / name).write(**(files or {"model_def": LINE}))

    return define


@pytest.fixture
def line(define: Callable[..., Definition]) -> Definition:
    """Write the definition that fits a line."""
    return define()
