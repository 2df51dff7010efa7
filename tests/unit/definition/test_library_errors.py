"""Exceptions of libraries: what to write instead."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from detjupyter.definition.user_errors import trial_error


def hint_of(code: str, root: Path) -> str:
    """Run code that fails, and return the hint of its error."""
    try:
        exec(compile(code, str(root / "model_def.py"), "exec"), {})
    except Exception as error:  # whatever the code raises
        raised = error
    return trial_error(raised, [root], "importing model_def").hint or ""


@pytest.mark.parametrize(
    ("code", "now"),
    [
        ("import numpy as np, warnings\nwarnings.simplefilter('error')\nnp.sum(x for x in [1, 2])", "Write `sum(…)`"),
        ("import yaml\nyaml.load('a: 1')", "write `yaml.safe_load(…)`"),
        ("import yaml\nyaml.load_all('a: 1')", "write `yaml.safe_load_all(…)`"),
        ("from sklearn.preprocessing import OneHotEncoder\nOneHotEncoder(sparse=False)", "write `sparse_output`"),
        ("from collections import Mapping", "write `from collections.abc import Mapping`"),
        ("import collections\ncollections.Iterable", "write `from collections.abc import Iterable`"),
    ],
)
def test_old_code_is_translated(code: str, now: str, tmp_path: Path) -> None:
    """The exceptions are those of the installed libraries."""
    if "sklearn" in code:
        pytest.importorskip("sklearn")
    assert now in hint_of(code, tmp_path)


@pytest.mark.parametrize("code", ["from transformers import AdamW", "import transformers\ntransformers.AdamW"])
def test_the_adamw_of_transformers_is_torchs_now(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is a small one of this test: the real one has a module `__getattr__` and Python's own messages, too."""
    (tmp_path / "transformers").mkdir()
    (tmp_path / "transformers" / "__init__.py").write_text(
        "def __getattr__(name):\n    raise AttributeError(f'module {__name__} has no attribute {name}')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "transformers", raising=False)
    assert "torch.optim" in hint_of(code, tmp_path)
    sys.modules.pop("transformers", None)


def test_a_package_that_is_too_old_for_this_python_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the code of the user: attrdict has a successor, the others newer versions."""
    packages = tmp_path / "site-packages"
    packages.mkdir()
    monkeypatch.syspath_prepend(packages)
    for name in ("attrdict", "older_than_310"):
        (packages / f"{name}.py").write_text("from collections import Mapping\n")
    assert "attrdict3" in hint_of("import attrdict", tmp_path / "defn")
    assert hint_of("import older_than_310", tmp_path / "defn").startswith("The installed older_than_310 is older than Python 3.10")


@pytest.mark.parametrize(
    "text", ["Torch not compiled with CUDA enabled", "Found no NVIDIA driver on your system. Please …", "No CUDA GPUs are available"]
)
def test_a_gpu_that_is_not_there(text: str, tmp_path: Path) -> None:
    """The sentences of torch's builds with and without CUDA."""
    kind = "AssertionError" if "compiled" in text else "RuntimeError"
    assert "Omit `.cuda()`" in hint_of(f"raise {kind}({text!r})", tmp_path)


def test_other_names_of_collections_are_plain_mistakes(tmp_path: Path) -> None:
    """No advice."""
    assert hint_of("from collections import Nothing", tmp_path) == ""
