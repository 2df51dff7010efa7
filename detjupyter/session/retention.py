"""Which checkpoints to keep: Determined's rule of the best and the latest ones."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from detjupyter.definition.config.keys import Settings
from detjupyter.protocol.records import CheckpointRecord


@dataclass(frozen=True, slots=True)
class Retention:
    """How many checkpoints to keep: the best of all trials, and of each trial the best and the latest."""

    experiment_best: int = 0
    trial_best: int = 1
    trial_latest: int = 1

    @classmethod
    def of(cls, settings: Settings) -> Retention:
        """Return the values of ``checkpoint_storage`` in a configuration."""
        return cls(settings.save_experiment_best, settings.save_trial_best, settings.save_trial_latest)

    def expired(self, checkpoints: Sequence[CheckpointRecord], *, smaller_is_better: bool) -> list[CheckpointRecord]:
        """Return the checkpoints of an experiment to delete, in the order in which they were written.

        Checkpoints that the user asked for are kept and not counted. A checkpoint whose metric is unknown or NaN never counts as one of
        the best; of equal ones, the earlier is better.
        """
        automatic = [one for one in checkpoints if one.automatic]
        kept = {one.id for one in best_first(automatic, smaller_is_better=smaller_is_better)[: self.experiment_best]}
        for run_id in dict.fromkeys(one.run_id for one in automatic):
            of_trial = [one for one in automatic if one.run_id == run_id]
            kept |= {one.id for one in best_first(of_trial, smaller_is_better=smaller_is_better)[: self.trial_best]}
            kept |= {one.id for one in of_trial[len(of_trial) - min(self.trial_latest, len(of_trial)) :]}
        return [one for one in automatic if one.id not in kept]


def best_first(checkpoints: Iterable[CheckpointRecord], *, smaller_is_better: bool) -> list[CheckpointRecord]:
    """Return the checkpoints whose metric is known, best first; equal ones in the order in which they were written."""
    known = [one for one in checkpoints if one.metric is not None and not math.isnan(one.metric)]
    sign = 1 if smaller_is_better else -1
    return sorted(known, key=lambda one: sign * (one.metric or 0.0))
