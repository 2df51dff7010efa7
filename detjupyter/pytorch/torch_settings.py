"""The settings of torch: those of the process, and those of a thread.

Since torch 2.12 the compiler's options (``torch._dynamo.config``, ``torch._inductor.config``) belong to a ``contextvars`` context. The
engine's thread runs in a copy of the caller's context. That copy still shares lists and dicts with the caller, so they are copied here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import torch

from detjupyter.engine.libraries import Library, Plain, Setting, Value
from detjupyter.pytorch import randomness

_C: Any = torch._C  # Any: incompletely typed. These are the functions that torch's public ones call; some settings have no public reader.
_AUTOCAST_DEVICES = ("cpu", "cuda", "mps")
_COMPILERS = ("torch._dynamo.config", "torch._inductor.config")

_precision = getattr(_C, "_get_fp32_precision_getter", lambda *_: "")  # missing before torch 2.9

#: The backends and operations that have a float32 precision since torch 2.9. The order matters: setting an entry also sets the entries
#: after it that are not set.
_PRECISIONS = (
    ("generic", "all"),
    ("cuda", "all"),
    ("cuda", "matmul"),
    ("cuda", "conv"),
    ("cuda", "rnn"),
    ("mkldnn", "all"),
    ("mkldnn", "matmul"),
    ("mkldnn", "conv"),
    ("mkldnn", "rnn"),
)


class _Float32Precision(Setting):
    """``torch.set_float32_matmul_precision``, ``allow_tf32`` and ``fp32_precision``: three interfaces to the same settings.

    A value consists of the precision of matrix products, whether convolutions can use TF32, and the precisions of :data:`_PRECISIONS`. The
    first two are None if the user has set ``fp32_precision``: torch then refuses to read them.
    """

    name = "torch.set_float32_matmul_precision"

    def read(self) -> tuple[str | None, bool | None, tuple[str, ...]]:
        """Return all three parts."""
        precisions = tuple([_precision(*entry) for entry in _PRECISIONS])
        return _if_named(_C._get_float32_matmul_precision), _if_named(_C._get_cudnn_allow_tf32), precisions

    def initial(self) -> tuple[str | None, bool | None, tuple[str, ...]]:
        """Return torch's defaults: TF32 in convolutions only."""
        return "highest", True, tuple([_initial_precision(*entry) for entry in _PRECISIONS])

    def write(self, value: tuple[str | None, bool | None, tuple[str, ...]]) -> None:
        """Set all three parts. The old interfaces come first: they overwrite ``fp32_precision``."""
        products, convolutions, precisions = value
        if products is not None:
            _C._set_float32_matmul_precision(products)
        if convolutions is not None:
            _C._set_cudnn_allow_tf32(convolutions)
        for entry, precision in zip(_PRECISIONS, precisions, strict=True):
            if _precision(*entry) != precision:
                _C._set_fp32_precision_setter(*entry, precision)


def _initial_precision(backend: str, operation: str) -> str:
    if not hasattr(_C, "_get_fp32_precision_getter"):
        return ""
    return "tf32" if backend == "cuda" and operation in ("conv", "rnn") else "none"


def _if_named(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except RuntimeError:  # the user has set fp32_precision
        return None


def _set_default_type(value: tuple[torch.dtype, str]) -> None:
    """Set the default dtype, and the device of ``torch.set_default_tensor_type`` if that differs."""
    dtype, device = value
    if _C._get_default_device() != device:
        name = torch.empty(0, dtype=dtype, device="cpu").type().rpartition(".")[2]  # FloatTensor
        _C._set_default_tensor_type(getattr(torch if device == "cpu" else getattr(torch, device), name))
    torch.set_default_dtype(dtype)


def _flags(initial: bool, *names: str) -> Iterator[Setting]:
    """Yield the flags of ``names`` that ``torch._C`` can read and set, as with ``_get_cudnn_enabled`` and ``_set_cudnn_enabled``."""
    for name in names:
        read, write = getattr(_C, f"_get_{name}", None), getattr(_C, f"_set_{name}", None)
        if read is not None and write is not None:
            yield Value(f"torch.backends: {name}", read, write, initial=initial)


def _reduction(kind: str) -> Iterator[Setting]:
    """Yield the flag that allows sums in half precision in products of half precision: one boolean, or two since torch 2.9."""
    name = f"cublas_allow_{kind}_reduced_precision_reduction"
    read, write = getattr(_C, f"_get_{name}", None), getattr(_C, f"_set_{name}", None)
    if read is not None and write is not None:
        initial = (True, True) if isinstance(read(), tuple) else True
        set_both = write if initial is True else lambda flags: write(*flags)
        yield Value(f"torch.backends: {name}", read, set_both, initial=initial)


def _settings() -> tuple[Setting, ...]:
    return (
        Value(
            "torch.set_default_dtype",
            lambda: (torch.get_default_dtype(), _C._get_default_device()),
            _set_default_type,
            initial=(torch.float32, "cpu"),
        ),
        Value(
            "torch.use_deterministic_algorithms",
            lambda: (_C._get_deterministic_algorithms(), _C._get_deterministic_algorithms_warn_only()),
            # Not torch.use_deterministic_algorithms: it also sets an option of the compiler, which belongs to the thread.
            lambda flags: _C._set_deterministic_algorithms(flags[0], warn_only=flags[1]),
            initial=(False, False),
        ),
        Value(
            "torch.autograd.set_detect_anomaly",
            lambda: (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
            lambda flags: torch.set_anomaly_enabled(*flags),
            initial=(False, True),
        ),
        Value("torch.set_num_threads", torch.get_num_threads, torch.set_num_threads),
        Value("torch.set_warn_always", torch.is_warn_always_enabled, torch.set_warn_always, initial=False),
        Value("torch.multiprocessing.set_sharing_strategy", _sharing_strategy, torch.multiprocessing.set_sharing_strategy),
        _Float32Precision(),
        Value("torch.set_printoptions", _print_options, _set_print_options),
        *_flags(True, "cudnn_enabled", "mkldnn_enabled", "nnpack_enabled", "deterministic_fill_uninitialized_memory"),
        *_flags(False, "cudnn_benchmark", "cudnn_deterministic", "mkldnn_deterministic", "cublas_allow_fp16_accumulation"),
        *_attributes("torch.backends.mha", "_is_fastpath_enabled"),
        *_attributes("torch.backends.opt_einsum", "enabled", "strategy"),
        *_attributes("torch.__future__", "_overwrite_module_params_on_conversion", "_swap_module_params_on_conversion"),
        *_attributes("torch.distributions.distribution", "Distribution._validate_args"),
        *_reduction("fp16"),
        *_reduction("bf16"),
        *_attention("flash", "mem_efficient", "math", "cudnn"),
    )


def _sharing_strategy() -> str:
    return str(torch.multiprocessing.get_sharing_strategy())  # type: ignore[no-untyped-call]


def _attributes(module: str, *paths: str) -> Iterator[Setting]:
    """Yield the settings that torch stores in attributes of a module, or of a class in it."""
    for path in paths:
        owner, (*parents, name) = sys.modules.get(module), path.split(".")
        for parent in parents:
            owner = getattr(owner, parent, None)
        if hasattr(owner, name):
            yield Value(f"{module}.{path}", partial(getattr, owner, name), partial(setattr, owner, name))


def _print_options() -> dict[str, Any]:
    return dict(vars(torch._tensor_str.PRINT_OPTS))


def _set_print_options(options: Mapping[str, Any]) -> None:
    vars(torch._tensor_str.PRINT_OPTS).update(options)


def _attention(*kinds: str) -> Iterator[Setting]:
    """Yield the flags that enable the implementations of attention. Their setters are named differently from their getters."""
    for kind in kinds:
        read, write = getattr(_C, f"_get_{kind}_sdp_enabled", None), getattr(_C, f"_set_sdp_use_{kind}", None)
        if read is not None and write is not None:
            yield Value(f"torch.backends.cuda.enable_{kind}_sdp", read, write, initial=True)


# --- the settings of a thread -------------------------------------------------------------------------------------------------------------


def _default_device() -> str | None:
    """Return this thread's default device as the user has set it, None if it is not set.

    A device without an index follows ``torch.cuda.set_device``. ``torch.get_default_device`` is not used, because it allocates on the
    device to find the index, and so initializes the GPU.
    """
    if not _C._len_torch_function_stack():
        return None
    from torch.overrides import _get_current_function_mode_stack
    from torch.utils._device import DeviceContext

    modes: list[Any] = _get_current_function_mode_stack()  # type: ignore[no-untyped-call]
    return next((str(mode.device) for mode in reversed(modes) if isinstance(mode, DeviceContext)), None)


def _capture() -> dict[str, Plain]:
    values: dict[str, Plain] = {
        "torch.default_device": _default_device() or "",
        "torch.grad_enabled": torch.is_grad_enabled(),
        "torch.autocast_cache": torch.is_autocast_cache_enabled(),
    }
    for device in _AUTOCAST_DEVICES if hasattr(torch, "get_autocast_dtype") else ():  # since torch 2.4
        values[f"torch.autocast.{device}"] = torch.is_autocast_enabled(device)
        values[f"torch.autocast_dtype.{device}"] = _name(torch.get_autocast_dtype(device))
    for module in _COMPILERS:
        values.update({f"{module}.{name}": value for name, value in _set_by_the_user(module) if isinstance(value, (bool, int, float, str))})
    return values


def _apply(values: Mapping[str, Plain]) -> None:
    if "torch.default_device" in values and (_default_device() or "") != values["torch.default_device"]:
        torch.set_default_device(str(values["torch.default_device"]) or None)
    if values.get("torch.grad_enabled", torch.is_grad_enabled()) != torch.is_grad_enabled():
        torch.set_grad_enabled(bool(values["torch.grad_enabled"]))
    for device in _AUTOCAST_DEVICES:
        is_enabled, dtype = values.get(f"torch.autocast.{device}"), values.get(f"torch.autocast_dtype.{device}")
        if is_enabled is not None and is_enabled != torch.is_autocast_enabled(device):
            torch.set_autocast_enabled(device, bool(is_enabled))
        if dtype is not None and dtype != _name(torch.get_autocast_dtype(device)):
            torch.set_autocast_dtype(device, getattr(torch, str(dtype)))
    torch.set_autocast_cache_enabled(bool(values.get("torch.autocast_cache", torch.is_autocast_cache_enabled())))
    for module in _COMPILERS:
        _apply_compiler(module, values)


def _apply_compiler(module: str, values: Mapping[str, Plain]) -> None:
    """Set the options of a compiler that differ from ``values``, and copy the lists and dicts that the caller's context shares."""
    wanted = {name[len(module) + 1 :]: value for name, value in values.items() if name.startswith(f"{module}.")}
    if wanted:
        __import__(module)
    config: Any = sys.modules.get(module)
    changed = getattr(config, "_get_dict_dirty_keys_var", None)
    if changed is not None:
        # Torch iterates over this set without a lock, and both contexts share it. None makes torch create a new one.
        changed.set(None)
    for name, value in _set_by_the_user(module):
        if isinstance(value, (list, dict, set)):
            setattr(config, name, value.copy())
    for name, value in wanted.items():
        with suppress(AttributeError):  # the values may come from a process with another version of torch
            if getattr(config, name) != value:
                setattr(config, name, value)


def _set_by_the_user(module: str) -> list[tuple[str, Any]]:
    """Return the options of a compiler that were set in this context; none if it is not imported, or keeps no context variables."""
    entries = getattr(sys.modules.get(module), "_config", {})
    found = []
    for name, entry in entries.items():
        value = getattr(entry.user_override, "get", lambda: None)()
        if value is not None and type(value) is not object and getattr(entry, "alias", None) is None:
            found.append((name, value))
    return found


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


LIBRARY = Library(_settings(), _capture, _apply, randomness.abandon, randomness.fresh_random_states, randomness.seed_again)
