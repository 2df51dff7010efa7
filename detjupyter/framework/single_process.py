"""The object ``context.distributed`` for training in a single process."""

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
        """Return a list with the argument of every process, here only one."""
        return [stuff]

    gather_local = allgather = allgather_local = gather

    def broadcast(self, stuff: Any) -> Any:
        """Return the argument of the first process, which is this one."""
        return stuff

    broadcast_local = broadcast
