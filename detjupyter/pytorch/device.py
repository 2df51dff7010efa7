"""Chooses the device that a trial trains on."""

from __future__ import annotations

import torch

from detjupyter.errors import DeviceError


def choose_device(name: str | None) -> torch.device:
    """Return the device ``name``; without a name, the best available one: ``cuda``, else ``mps``, else ``cpu``.

    Raises:
        DeviceError: This machine has no such device.
    """
    there = available_devices()
    if name is None:
        return torch.device(there[0])
    try:
        device = torch.device(name)
    except RuntimeError:
        raise DeviceError(f"Unknown device {name!r}.", device=name, hint=f"Devices here: {', '.join(there)}.") from None
    if device.type == "cuda" and device.index is None and "cuda:0" in there:
        device = torch.device("cuda:0")
    if str(device) not in there and device.type != "meta":
        raise DeviceError(f"This machine has no device {name!r}.", device=name, hint=f"Devices here: {', '.join(there)}.")
    return device


def available_devices() -> list[str]:
    """Return the devices of this machine, the best one first."""
    devices = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    if torch.backends.mps.is_available():
        devices.append("mps")
    return [*devices, "cpu"]


def gpu_uuid(device: torch.device) -> str | None:
    """Return the UUID of the GPU ``device`` in the form that NVML uses; None for other devices."""
    if device.type != "cuda":
        return None
    # Not the index: CUDA_VISIBLE_DEVICES renumbers the GPUs for torch, but not for NVML.
    uuid = getattr(torch.cuda.get_device_properties(device), "uuid", None)
    return None if uuid is None else f"GPU-{uuid}"
