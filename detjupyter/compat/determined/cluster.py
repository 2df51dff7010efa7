"""``determined.get_cluster_info`` and the classes of its answer."""

from __future__ import annotations

from detjupyter.scripts.cluster_info import ClusterInfo, TrialInfo, current_cluster_info

__all__ = ["ClusterInfo", "TrialInfo", "get_cluster_info"]


def get_cluster_info() -> ClusterInfo | None:
    """Return what is known about the script that ``%det_script`` runs, None if this is no such script."""
    return current_cluster_info()
