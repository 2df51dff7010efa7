"""The switches of torch that change what the same code computes."""

from __future__ import annotations

import torch


def numeric_settings() -> dict[str, str]:
    """Return the process-wide settings on which the bits of a result depend, by the names that people know them by."""
    return {
        "torch": torch.__version__,
        "torch.get_default_dtype()": str(torch.get_default_dtype()),
        "torch.get_num_threads()": str(torch.get_num_threads()),
        "torch.are_deterministic_algorithms_enabled()": str(torch.are_deterministic_algorithms_enabled()),
        "torch.get_float32_matmul_precision()": torch.get_float32_matmul_precision(),
        "torch.is_grad_enabled()": str(torch.is_grad_enabled()),
        "torch.backends.cudnn.benchmark": str(torch.backends.cudnn.benchmark),
        "torch.backends.cudnn.deterministic": str(torch.backends.cudnn.deterministic),
        "torch.backends.cudnn.allow_tf32": str(torch.backends.cudnn.allow_tf32),
    }
