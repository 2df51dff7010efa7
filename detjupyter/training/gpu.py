"""Readings of the GPU in use, through NVML."""

from __future__ import annotations

import time
from typing import Any

from detjupyter.protocol.records import GpuRecord

READING_INTERVAL_S = 1.0


class GpuMonitor:
    """Read memory and utilisation of one GPU, at most once a second; silent where there is no NVML.

    Args:
        uuid: NVML's name of the GPU (``GPU-…``), None for no GPU.
    """

    def __init__(self, uuid: str | None) -> None:
        self._uuid = uuid
        self._nvml: Any = None  # the pynvml module, which has no types
        self._handle: Any = None
        self._name = ""
        self._last: GpuRecord | None = None
        self._next_reading = 0.0

    def read(self) -> GpuRecord | None:
        """Return the newest reading, None where there is none."""
        now = time.monotonic()
        if self._uuid is None or now < self._next_reading:
            return self._last
        self._next_reading = now + READING_INTERVAL_S
        try:
            self._last = self._read()
        except Exception:  # NVML raises its own family of errors; a missing reading must not touch a training
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
            utilisation = float(self._nvml.nvmlDeviceGetUtilizationRates(self._handle).gpu)
        except self._nvml.NVMLError:  # not offered for a part of a GPU (MIG)
            utilisation = None
        return GpuRecord(self._name, int(memory.used), int(memory.total), utilisation)
