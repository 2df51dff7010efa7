"""The processes that train a script together: there is one."""

from __future__ import annotations

import os
from typing import Any, NoReturn, Self

from detjupyter.errors import ArgumentError, NoLauncherError, UnsupportedError
from detjupyter.framework.single_process import SingleProcess


class DistributedContext(SingleProcess):
    """The world of one process.

    Args:
        rank, local_rank, cross_rank: 0.
        size, local_size, cross_size: 1.
        chief_ip: Not used: there is one process.

    Raises:
        UnsupportedError: The arguments describe several processes.
    """

    def __init__(
        self,
        *,
        rank: int = 0,
        size: int = 1,
        local_rank: int = 0,
        local_size: int = 1,
        cross_rank: int = 0,
        cross_size: int = 1,
        chief_ip: str | None = None,
        **_: Any,  # ports, and whether to force TCP
    ) -> None:
        del chief_ip
        if (rank, local_rank, cross_rank, size, local_size, cross_size) != (0, 0, 0, 1, 1, 1):
            raise UnsupportedError(f"detjupyter trains in one process, not as rank {rank} of {size}.", hint="Leave `distributed` out.")

    @classmethod
    def from_torch_distributed(cls, chief_ip: str | None = None) -> DistributedContext:
        """Return the world of one process if torch's launcher has started one.

        Raises:
            NoLauncherError: It has started none: the guard ``except KeyError`` of many scripts is right.
            UnsupportedError: It has started several.
        """
        return cls._launched("from_torch_distributed", "WORLD_SIZE", chief_ip)

    @classmethod
    def from_deepspeed(cls, chief_ip: str | None = None) -> DistributedContext:
        """Like :meth:`from_torch_distributed`: DeepSpeed's launcher sets the same variables."""
        return cls._launched("from_deepspeed", "WORLD_SIZE", chief_ip)

    @classmethod
    def from_horovod(cls, hvd: Any, chief_ip: str | None = None) -> DistributedContext:
        """Like :meth:`from_torch_distributed`, for horovod's launcher."""
        del hvd
        return cls._launched("from_horovod", "HOROVOD_SIZE", chief_ip)

    @classmethod
    def from_tf_config(cls) -> NoReturn:
        """Refuse: TensorFlow's own launchers are for several processes.

        Raises:
            NoLauncherError: Always.
        """
        raise NoLauncherError("DistributedContext.from_tf_config() needs several processes.", hint="Leave `distributed` out.")

    @classmethod
    def _launched(cls, name: str, variable: str, chief_ip: str | None) -> DistributedContext:
        size = os.environ.get(variable)
        if size is None:
            raise NoLauncherError(
                f"DistributedContext.{name}() needs a launcher of several processes; this process was started without one.",
                hint="Leave `distributed` out: a script in a notebook trains in one process.",
            )
        return cls(size=int(size), chief_ip=chief_ip)

    def close(self) -> None:
        """Do nothing: nothing is open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def require_one_process(distributed: Any) -> None:
    """Refuse a world of several processes.

    Raises:
        ArgumentError: There are several.
    """
    if distributed is not None and getattr(distributed, "size", 1) > 1:
        raise ArgumentError(f"detjupyter trains in one process, not in {distributed.size}.", hint="Leave `distributed` out.")
