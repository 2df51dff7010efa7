"""What the caller's thread has set when it loads a trial holds in the engine's thread."""

from __future__ import annotations

import decimal
from contextvars import ContextVar

import numpy as np
import pytest
from support.engine_thread import EngineThread
from support.python import run_python

from detjupyter.engine import ambient


class TestAmbient:
    """What the caller's thread has set when it loads a trial."""

    def test_numpys_errors_of_the_cell_hold_in_the_engine(self) -> None:
        """``np.seterr`` in a cell before the load; not after."""
        with np.errstate(over="raise", divide="ignore"), EngineThread() as engine:
            assert engine.work(np.geterr) == np.geterr()
        assert np.geterr()["over"] == "warn"

    def test_numpys_errors_of_the_trial_stay_the_trials(self, engine: EngineThread) -> None:
        """Set at import, they raise in ``train_batch``, and the cells' are as before."""
        before = np.geterr()
        engine.work(lambda: np.seterr(over="raise"))
        with pytest.raises(FloatingPointError):
            engine.work(lambda: np.float32(1e38) * np.float32(100))
        assert np.geterr() == before

    def test_a_decimal_context_of_the_trial_stays_the_trials(self) -> None:
        """``getcontext().prec = 5``, though the thread runs in a copy of the cell's context variables."""
        with decimal.localcontext() as cells:  # a cell that has used decimal before
            cells.prec = 31
            with EngineThread() as engine:
                assert engine.work(lambda: decimal.getcontext().prec) == 31
                engine.work(lambda: setattr(decimal.getcontext(), "prec", 5))
                assert engine.work(lambda: decimal.getcontext().prec) == 5
            assert decimal.getcontext().prec == 31

    def test_context_variables_hold_from_the_import_on_and_not_in_cells(self) -> None:
        """What a cell has set is there, what the trial sets stays there."""
        variable: ContextVar[str] = ContextVar("variable", default="nothing")
        token = variable.set("of the cell")
        with EngineThread() as engine:
            assert engine.work(variable.get) == "of the cell"
            engine.work(lambda: variable.set("of the trial"))
            assert engine.work(variable.get) == "of the trial"
            assert variable.get() == "of the cell"
        variable.reset(token)

    def test_what_is_captured_is_plain_data(self) -> None:
        """So it can travel to another process, where it has the same effect without any context variables."""
        with np.errstate(over="raise"), decimal.localcontext() as context:
            context.prec = 7
            context.rounding = decimal.ROUND_UP
            values = ambient.capture()
        assert all(type(value) in (str, int, float, bool) for value in values.values())
        code = f"""
            import decimal, numpy
            from detjupyter.engine import ambient
            ambient.apply({values!r})
            assert numpy.geterr()["over"] == "raise"
            assert (decimal.getcontext().prec, decimal.getcontext().rounding) == (7, "ROUND_UP")
        """
        run_python(code)

    def test_names_that_this_process_does_not_know_are_ignored(self, engine: EngineThread) -> None:
        """Another version may have captured them."""
        before = engine.work(ambient.capture)
        engine.work(lambda: ambient.apply({"numpy.nothing": "raise", "nothing.at.all": 1}))
        assert engine.work(ambient.capture) == before

    def test_a_trial_built_in_the_callers_thread_leaves_the_thread_as_it_was(self) -> None:
        """``kept`` restores what belongs to the thread, also after an error."""
        before = np.geterr(), decimal.getcontext().prec

        def build() -> None:
            np.seterr(over="raise")
            decimal.getcontext().prec = 5
            raise RuntimeError

        with pytest.raises(RuntimeError), ambient.kept():
            build()
        assert (np.geterr(), decimal.getcontext().prec) == before
