"""``determined.get_cluster_info``."""

from __future__ import annotations


def get_cluster_info() -> None:
    """Return None: this is not a cluster."""
    return
