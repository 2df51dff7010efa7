"""Counting what a piece of code asks of torch's devices."""

from __future__ import annotations

from collections import Counter
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode


class Transfers(TorchDispatchMode):
    """Count what reads values of tensors on the host, below Python: ``.item()``, ``float()``, and copies between devices or types."""

    def __init__(self) -> None:
        super().__init__()
        self.count: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Note the operation, and do it."""
        del types
        self.count[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))
