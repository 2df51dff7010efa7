"""Clock readings in passing."""

import time

EVERY = 20


class Stopwatch:
    """Read the clocks at every twentieth tick: (wall ns, CPU ns of all threads of the process)."""

    def __init__(self) -> None:
        self.readings: list[tuple[int, int]] = []
        self._ticks = 0

    def tick(self) -> None:
        """Count one batch."""
        if self._ticks % EVERY == 0:
            self.readings.append((time.perf_counter_ns(), time.process_time_ns()))
        self._ticks += 1

    def per_batch_us(self, skip: int) -> tuple[float, float]:
        """Return microseconds of wall and of CPU per batch, from the batch ``skip`` to the last reading."""
        (wall, cpu), (wall_end, cpu_end) = self.readings[skip // EVERY], self.readings[-1]
        batches = (len(self.readings) - 1 - skip // EVERY) * EVERY
        return (wall_end - wall) / batches / 1e3, (cpu_end - cpu) / batches / 1e3
