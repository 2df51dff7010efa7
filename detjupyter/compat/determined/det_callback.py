"""``DetCallback``: a callback with which Hugging Face's ``Trainer`` reports into a run of the history."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from detjupyter.compat.core_api.context import Context

_USER_DATA = "user_data.json"
_SUMMARY = "train_runtime"
"""Is among what the Trainer logs once, at the end of a training, about the whole of it."""


class DetCallback(TrainerCallback):
    """Reports metrics, keeps the Trainer's checkpoints, ends the training at a stop request, and continues from a checkpoint.

    If ``core_context.info`` has a ``latest_checkpoint``, its files are copied below ``args.output_dir``, and
    ``args.resume_from_checkpoint`` becomes their directory; pass it on with ``trainer.train(resume_from_checkpoint=…)``.

    Args:
        core_context: What ``determined.core.init()`` gave, entered.
        args: The ``TrainingArguments``.
        filter_metrics: Parts of the names of the metrics to report; by default all.
        user_data: JSON that is kept with every checkpoint. After a restore the attribute of this name has that of the checkpoint.

    Attributes:
        user_data: As given, or that of the restored checkpoint.
    """

    def __init__(
        self,
        core_context: Context,
        args: Any,
        filter_metrics: list[str] | None = None,
        user_data: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.core_context = core_context
        self.user_data = user_data
        self._filter = filter_metrics
        info = core_context.info
        if info is not None and info.latest_checkpoint is not None:
            self._restore(args, info.latest_checkpoint)

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **_: Any) -> None:
        """Report what the Trainer logs: names that begin with ``eval_`` as a validation, the others as training metrics.

        The summary at the end of a training is a line in the run's log.
        """
        del args, control
        if _SUMMARY in (logs or {}):
            self.core_context.train.set_status(" · ".join(f"{name} {value}" for name, value in (logs or {}).items()))
            return
        wanted = {name: value for name, value in (logs or {}).items() if self._is_wanted(name)}
        validation = {name: value for name, value in wanted.items() if name.startswith("eval_")}
        training = {name: value for name, value in wanted.items() if name not in validation}
        if validation:
            self.core_context.train.report_validation_metrics(state.global_step, validation)
        elif training:
            self.core_context.train.report_training_metrics(state.global_step, training)
        if state.max_steps > 0:
            self.core_context.train.report_progress(min(state.global_step / state.max_steps, 1.0))

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """End the training, with a checkpoint, after a stop request."""
        del args, state
        if self.core_context.preempt.should_preempt():
            control.should_save = control.should_training_stop = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Keep a copy of the checkpoint that the Trainer wrote."""
        del control
        saved = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if self.user_data is not None:
            (saved / _USER_DATA).write_text(json.dumps(self.user_data), encoding="utf-8")
        self.core_context.checkpoint.upload(saved, {"steps_completed": state.global_step})

    def _restore(self, args: Any, checkpoint_id: str) -> None:
        steps = int(self.core_context.checkpoint.get_metadata(checkpoint_id).get("steps_completed", 0))
        target = Path(args.output_dir) / f"checkpoint-{steps}"
        self.core_context.checkpoint.download(checkpoint_id, target)
        if (target / _USER_DATA).is_file():
            self.user_data = json.loads((target / _USER_DATA).read_text(encoding="utf-8"))
        args.resume_from_checkpoint = str(target)

    def _is_wanted(self, name: str) -> bool:
        return self._filter is None or any(part in name for part in self._filter)
