"""What ``context.distributed`` says where one process trains alone."""

from __future__ import annotations

from typing import Any


class SingleProcess:
    """A world of one process."""

    rank = local_rank = cross_rank = 0
    size = local_size = cross_size = num_agents = 1

    def get_rank(self) -> int:
        """Return 0."""
        return 0

    def get_local_rank(self) -> int:
        """Return 0."""
        return 0

    def get_size(self) -> int:
        """Return 1."""
        return 1

    def get_num_agents(self) -> int:
        """Return 1."""
        return 1

    def gather(self, stuff: Any) -> list[Any]:
        """Return what every process gave: this one's alone."""
        return [stuff]

    gather_local = allgather = allgather_local = gather

    def broadcast(self, stuff: Any) -> Any:
        """Return what the first process gave: this one's."""
        return stuff

    broadcast_local = broadcast
