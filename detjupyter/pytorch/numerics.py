"""The settings of torch on which the result of the same code depends."""

from __future__ import annotations

import torch


def numeric_settings() -> dict[str, str]:
    """Return the process-wide settings that can change the bits of a result, under the names of the functions that read them."""
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
