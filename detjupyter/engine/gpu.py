"""Reads the memory and the utilization of the trial's GPU, through NVML."""

from __future__ import annotations

import time
from typing import Any

from detjupyter.protocol.records import GpuRecord

READING_INTERVAL_S = 1.0


class GpuMonitor:
    """Reads the memory and the utilization of one GPU, at most once a second. Without NVML there are no readings and no errors.

    Args:
        uuid: The UUID of the GPU in NVML's form (``GPU-…``); None without a GPU.
    """

    def __init__(self, uuid: str | None) -> None:
        self._uuid = uuid
        self._nvml: Any = None  # the pynvml module, which has no types
        self._handle: Any = None
        self._name = ""
        self._last: GpuRecord | None = None
        self._next_reading = 0.0

    def is_due(self) -> bool:
        """Return whether there is a GPU whose last reading is at least a second old."""
        return self._uuid is not None and time.monotonic() >= self._next_reading

    def read(self) -> GpuRecord | None:
        """Return the newest reading, None if there is none."""
        now = time.monotonic()
        if self._uuid is None or now < self._next_reading:
            return self._last
        self._next_reading = now + READING_INTERVAL_S
        try:
            self._last = self._read()
        except Exception:  # NVML raises many classes of errors, and a failed reading must not affect the training
            self._uuid, self._last = None, None
        return self._last

    def _read(self) -> GpuRecord:
        if self._handle is None:
            import pynvml

            pynvml.nvmlInit()
            self._nvml = pynvml
            self._handle = pynvml.nvmlDeviceGetHandleByUUID(self._uuid)
            name = pynvml.nvmlDeviceGetName(self._handle)
            self._name = name.decode() if isinstance(name, bytes) else str(name)
        memory = self._nvml.nvmlDeviceGetMemoryInfo(self._handle)
        try:
            utilization = float(self._nvml.nvmlDeviceGetUtilizationRates(self._handle).gpu)
        except self._nvml.NVMLError:  # NVML does not support it for a part of a GPU (MIG)
            utilization = None
        return GpuRecord(self._name, int(memory.used), int(memory.total), utilization)
