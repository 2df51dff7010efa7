"""``determined.ExperimentConfig``: a config with questions that it answers."""

from __future__ import annotations

from typing import Any


class ExperimentConfig(dict[str, Any]):
    """A config as a dict."""

    def debug_enabled(self) -> bool:
        """Return whether more is to be logged."""
        return bool(self.get("debug", False))

    def get_data(self) -> dict[str, Any]:
        """Return the key ``data``."""
        return dict(self.get("data") or {})

    def get_records_per_epoch(self) -> int | None:
        """Return how many records an epoch has, None if it is not said."""
        records = self.get("records_per_epoch")
        return int(records) if records else None

    def slots_per_trial(self) -> int:
        """Return on how many GPUs a trial trains: 1."""
        return 1
