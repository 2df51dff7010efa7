"""What definitions written for Determined raise and catch."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support.definition import Definition

from detjupyter.compat import determined as det
from detjupyter.compat.determined import errors
from detjupyter.compat.determined.common import check as newer_check
from detjupyter.compat.determined_common import check
from detjupyter.definition.isolation.imports import DefinitionScope
from detjupyter.errors import TrialError

CHECKS: list[tuple[str, str, tuple[Any, ...], tuple[Any, ...]]] = [
    ("true", "check_true", (1,), (0,)),
    ("false", "check_false", (0,), (1,)),
    ("is_none", "check_none", (None,), (0,)),
    ("is_not_none", "check_not_none", (0,), (None,)),
    ("eq", "check_eq", (1, 1), (1, 2)),
    ("not_eq", "check_not_eq", (1, 2), (1, 1)),
    ("gt", "check_gt", (2, 1), (1, 1)),
    ("gt_eq", "check_gt_eq", (1, 1), (0, 1)),
    ("lt", "check_lt", (1, 2), (1, 1)),
    ("lt_eq", "check_lt_eq", (1, 1), (2, 1)),
    ("equal_lengths", "check_eq_len", ([1], [2]), ([1], [])),
    ("len_eq", "check_len", ([1], 1), ([1], 2)),
    ("is_in", "check_in", (1, [1]), (2, [1])),
    ("not_in", "check_not_in", (2, [1]), (1, [1])),
    ("is_type", "check_type", (1, int), (True, int)),
    ("is_instance", "check_isinstance", (True, int), ("1", int)),
    ("is_not_instance", "check_not_isinstance", ("1", int), (True, int)),
    ("is_subclass", "check_issubclass", (bool, int), (str, int)),
]


class TestErrors:
    """What definitions raise and catch."""

    @pytest.mark.parametrize(("name", "older_name", "holds", "fails"), CHECKS, ids=[name for name, *_ in CHECKS])
    def test_each_check_raises_with_its_reason(self, name: str, older_name: str, holds: tuple[Any, ...], fails: tuple[Any, ...]) -> None:
        """By both names, in both packages; one that fails raises with the reason, given last or by name."""
        for module in (check, newer_check):
            for function in (getattr(module, name), getattr(module, older_name)):
                function(*holds)
                function(*holds, "as it must be")
                function(*holds, reason=None)
                with pytest.raises(module.CheckFailedError, match="CHECK FAILED"):
                    function(*fails)
                with pytest.raises(module.CheckFailedError, match="as it must be"):
                    function(*fails, reason="as it must be")

    def test_the_family_of_errors(self) -> None:
        """All but `InvalidExperimentException` are an `Exception`; one of a type of data keeps it."""
        assert issubclass(errors.InvalidExperimentException, BaseException)
        for name in ("InternalException", "SkipWorkloadException", "StopLoadingImplementation", "WorkerError", "InvalidDataTypeException"):
            assert issubclass(getattr(errors, name), Exception), name
        error = errors.InvalidDataTypeException(int, "no data")
        assert (error.data_type, error.message) == (int, "no data")
        assert issubclass(det.InvalidHP, Exception)
        assert isinstance(det.InvalidHP(), det.InvalidHP)

    @pytest.mark.parametrize("where", ["__init__", "train_batch", "evaluate_batch"])
    def test_one_that_is_not_an_exception_is_reported_like_any_other(self, line: Definition, where: str) -> None:
        """`InvalidExperimentException` passes the definition's own `except Exception`, and then the session names it and continues."""
        line.edit("import torch\n", "import torch\nfrom determined.errors import InvalidExperimentException\n")
        pieces = {
            "__init__": "        self.context = context\n",
            "train_batch": '        return {"loss": loss}\n',
            "evaluate_batch": '        return {"error"',
        }
        raising = (
            "        try:\n            raise InvalidExperimentException('no such data')\n        except Exception:\n            pass\n"
        )
        line.edit(pieces[where], raising + pieces[where])
        with pytest.raises(TrialError, match="InvalidExperimentException: no such data"):
            line.load().train(batches=1, wait=True)


def load(root: Path, text: str) -> ModuleType:
    """Import a definition of one module in its own scope."""
    root.mkdir(exist_ok=True)
    (root / "model_def.py").write_text(text)
    return DefinitionScope(root).import_module("model_def")


def test_the_check_functions_raise_what_definitions_catch(tmp_path: Path) -> None:
    """`CheckFailedError` is an Exception, not an AssertionError; `except Exception` does not swallow `InvalidExperimentException`."""
    loaded = load(tmp_path, "from determined_common import check\nfrom determined import errors\n")
    assert issubclass(loaded.check.CheckFailedError, Exception)
    assert not issubclass(loaded.check.CheckFailedError, AssertionError)
    assert not issubclass(loaded.errors.InvalidExperimentException, Exception)
    error = loaded.errors.InvalidDataTypeException(int, "no data")
    assert "no data" in str(error)
