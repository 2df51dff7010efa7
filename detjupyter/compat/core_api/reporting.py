"""``context.train``: metrics become those of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detjupyter.compat.core_api.modes import EarlyExitReason
from detjupyter.errors import ArgumentError
from detjupyter.scripts.reported_run import ReportedRun
from detjupyter.store.location import create_directory


class TrainContext:
    """``context.train``: where metrics are reported."""

    def __init__(self, run: ReportedRun) -> None:
        self._run = run

    def report_training_metrics(self, steps_completed: int, metrics: Mapping[str, Any], batch_metrics: Any = None) -> None:
        """Keep training metrics; ``batch_metrics`` add nothing here."""
        del batch_metrics
        self._run.report_training(steps_completed, metrics)

    def report_validation_metrics(self, steps_completed: int, metrics: Mapping[str, Any]) -> None:
        """Keep validation metrics."""
        self._run.report_validation(steps_completed, metrics)

    def report_metrics(self, group: str, steps_completed: int, metrics: Mapping[str, Any]) -> None:
        """Keep metrics of a group. The metrics of groups other than ``validation`` and ``training`` get its name as a prefix."""
        if group == "validation":
            self._run.report_validation(steps_completed, metrics)
        else:
            named = metrics if group == "training" else {f"{group}/{name}": value for name, value in metrics.items()}
            self._run.report_training(steps_completed, named)

    def report_progress(self, progress: float) -> None:
        """Check the value, and do nothing with it: a run counts batches, and the script does not say how many are left.

        Raises:
            ArgumentError: ``progress`` is not from 0 to 1.
        """
        if not 0 <= progress <= 1:
            raise ArgumentError(f"Progress must be from 0 to 1, not {progress!r}.")

    def report_early_exit(self, reason: EarlyExitReason) -> None:
        """Note why the script ends; the run counts as stopped."""
        self._run.end_early(f"The script ends early: {getattr(reason, 'name', reason)}.")

    def set_status(self, status: str) -> None:
        """Note what the script does."""
        self._run.say(status)

    def get_experiment_best_validation(self) -> float | None:
        """Return the best validation so far, None if there was none."""
        best = self._run.best
        return None if best is None else best.value

    def get_tensorboard_path(self) -> Path:
        """Return a directory for TensorBoard's files, which exists."""
        directory = self._run.directory / "tensorboard"
        create_directory(directory)
        return directory

    def upload_tensorboard_files(self, *_: Any, **__: Any) -> None:
        """Do nothing: the files stay where they are."""
