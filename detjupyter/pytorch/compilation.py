"""Compiles the models of a trial with ``torch.compile``, and falls back to the uncompiled model if that fails."""

from __future__ import annotations

from typing import Any

import torch

from detjupyter.framework.warning import warn

_COMPILERS = ("torch._dynamo", "torch._inductor")


def compile_model(model: torch.nn.Module) -> None:
    """Compile ``model`` at its first call. Its parameters keep their names, and it can be saved and copied as before.

    If the compiler fails, for example because the machine has no C compiler, a warning says so and the model runs uncompiled. Exceptions of
    the model itself are raised unchanged.
    """
    # Like `Module.compile()`. `torch.compile(model)` would return a wrapper whose parameters have other names: `_orig_mod.…`.
    compiled: Any = torch.compile(model._call_impl)

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return compiled(*args, **kwargs)
        except Exception as error:
            if not _is_compilers(error):
                raise
            model._compiled_call_impl = None
            what = str(error).strip().partition("\n")[0]
            warn(f"{type(model).__name__} runs uncompiled, because torch.compile failed: {type(error).__name__}: {what}")
            return model._call_impl(*args, **kwargs)  # type: ignore[no-untyped-call]

    model._compiled_call_impl = call


def _is_compilers(error: Exception) -> bool:
    return any(kind.__module__.startswith(_COMPILERS) for kind in type(error).__mro__)
