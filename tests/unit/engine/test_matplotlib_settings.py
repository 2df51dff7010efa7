"""What a trial sets in ``plt.rcParams``, where matplotlib is imported."""

from __future__ import annotations

from pathlib import Path

from support.engine_thread import EngineThread
from support.python import run_python


class TestMatplotlib:
    """``plt.rcParams``, where matplotlib is imported."""

    def test_parameters_of_the_trial_and_of_a_cell_do_not_mix(self, engine: EngineThread) -> None:
        """Set by the trial, one remains the trial's; set by a cell, another counts for both."""
        import matplotlib

        parameters = matplotlib.rcParams
        before = dict(dict.items(parameters))
        try:
            engine.work(lambda: parameters.__setitem__("lines.linewidth", 17.0))
            assert parameters["lines.linewidth"] != 17.0
            parameters["font.size"] = 21.0
            assert engine.work(lambda: (parameters["lines.linewidth"], parameters["font.size"])) == (17.0, 21.0)
            assert (parameters["lines.linewidth"], parameters["font.size"]) == (before["lines.linewidth"], 21.0)
        finally:
            dict.update(parameters, before)

    def test_the_backend_is_left_alone(self, engine: EngineThread) -> None:
        """Other parts of pyplot refer to it, too: restoring it only here would make them inconsistent."""
        import matplotlib

        before = dict.get(matplotlib.rcParams, "backend")
        try:
            engine.work(lambda: matplotlib.use("svg"))
            assert matplotlib.rcParams["backend"] == "svg"
        finally:
            dict.__setitem__(matplotlib.rcParams, "backend", before)

    def test_a_library_that_another_thread_is_importing_is_left_for_later(self, tmp_path: Path) -> None:
        """To wait for it could take long, and the import may fail."""
        package = tmp_path / "matplotlib"
        package.mkdir()
        (package / "__init__.py").write_text("import threading\nbegun.set()\nassert over.wait(60)\nraise ImportError('in vain')\n")
        code = f"""
            import builtins, sys, threading
            from detjupyter.engine.settings import ProcessSettings
            builtins.begun, builtins.over = threading.Event(), threading.Event()
            sys.path.insert(0, {str(tmp_path)!r})
            def cell():
                try:
                    import matplotlib
                except ImportError as error:
                    assert str(error) == "in vain"
            thread = threading.Thread(target=cell)
            thread.start()
            assert begun.wait(60)
            trial = ProcessSettings()
            with trial.active():
                pass
            assert thread.is_alive()
            over.set()
            thread.join()
            with trial.active():
                pass
        """
        run_python(code)

    def test_a_trial_that_imports_matplotlib_first_changes_nothing_in_cells(self) -> None:
        """The process's own parameters are then those that matplotlib began with."""
        code = """
            from detjupyter.engine.settings import ProcessSettings
            trial = ProcessSettings()
            with trial.active():
                import matplotlib
                wanted = matplotlib.rcParams["lines.linewidth"]
                matplotlib.rcParams["lines.linewidth"] = 17.0
            assert matplotlib.rcParams["lines.linewidth"] == wanted, matplotlib.rcParams["lines.linewidth"]
            with trial.active():
                assert matplotlib.rcParams["lines.linewidth"] == 17.0
        """
        run_python(code)
