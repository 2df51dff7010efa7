"""``torch.compile`` for the models of a trial, with the way back where it does not work."""

from __future__ import annotations

import logging
from typing import Any

import torch

logger = logging.getLogger("detjupyter")

_COMPILERS = ("torch._dynamo", "torch._inductor")


def compile_model(model: torch.nn.Module) -> None:
    """Have ``model`` compiled at its first call; its parameters keep their names, and it may be saved and copied as before.

    Where the compiler fails (there may be no C compiler on the machine, or code that it cannot follow), one sentence says so and the model
    goes on as it is. What the model itself raises passes through.
    """
    compiled: Any = torch.compile(model._call_impl)

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return compiled(*args, **kwargs)
        except Exception as error:
            if not _is_compilers(error):
                raise
            model._compiled_call_impl = None
            what = str(error).strip().partition("\n")[0]
            logger.warning("%s is not compiled, it runs as it is: %s: %s", type(model).__name__, type(error).__name__, what)
            return model._call_impl(*args, **kwargs)  # type: ignore[no-untyped-call]

    model._compiled_call_impl = call


def _is_compilers(error: Exception) -> bool:
    return any(kind.__module__.startswith(_COMPILERS) for kind in type(error).__mro__)
