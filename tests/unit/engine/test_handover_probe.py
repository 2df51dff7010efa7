"""When the views say that other Python code slows the training.

The recorded readings are of a tiny network in a session, with ten readings a second, on two cores: (elapsed ms, CPU ms, pauses, wait in µs,
pauses of the wait). ``benchmarks/busy_cell.py`` shows the same in a real kernel.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Callable, Iterator, Sequence

import pytest
from support.waiting import LIMIT_S

from detjupyter.engine.handover_probe import FREE_AT, READINGS, SLOWED_AT, HandoverProbe, HandoverReading, SlowdownDetector

Row = tuple[float, float, "int | None", float, "int | None"]

IDLE: list[Row] = [(101, 101, 0, 2, 0), (101, 101, 0, 3, 0), (102, 102, 0, 2, 0), (101, 100, 0, 4, 0), (102, 101, 0, 5, 0)] * 4
PURE_PYTHON: list[Row] = [
    (102, 67, 633, 62, 1),
    (102, 66, 649, 63, 1),
    (102, 65, 651, 81, 2),
    (104, 67, 639, 65, 1),
    (101, 65, 679, 153, 3),
    (102, 65, 660, 62, 1),
    (101, 63, 641, 103, 2),
    (101, 65, 653, 166, 3),
    (103, 65, 646, 64, 1),
    (102, 68, 591, 67, 1),
]
MATRICES: list[Row] = [(101, 101, 2, 2, 0), (101, 97, 6, 2, 0), (101, 101, 2, 66, 1), (104, 84, 6, 2, 0), (102, 70, 16, 1, 0)] * 4
BUSY_MACHINE: list[Row] = [
    (100, 23, 0, 264, 0),
    (115, 23, 0, 2, 0),
    (102, 20, 0, 8272, 0),
    (101, 25, 0, 17307, 0),
    (107, 16, 0, 2306, 0),
    (105, 5, 0, 6381, 0),
    (117, 16, 0, 3, 0),
]
BUSY_MACHINE_AND_MATRICES: list[Row] = [
    (149, 13, 1, 25728, 0),
    (119, 12, 2, 37173, 0),
    (102, 10, 1, 10227, 0),
    (140, 12, 1, 2363, 0),
    (117, 11, 0, 4, 0),
]
ONE_CORE_AND_MATRICES: list[Row] = [
    (104, 41, 8, 1, 0),
    (101, 45, 10, 8762, 0),
    (101, 51, 2, 2195, 0),
    (100, 39, 7, 1667, 2),
    (102, 36, 7, 1976, 0),
    (104, 47, 8, 51, 0),
]
# Not recorded but composed of the above: a slow loader or a GPU makes the thread wait often or long, and leaves the lock free.
SLOW_LOADER: list[Row] = [(105, 4, 21, 3, 0)] * 20
SLOW_LOADER_BESIDE_PURE_PYTHON: list[Row] = [(105, 6, 24, 65, 1)] * 20
WAITING_FOR_THE_GPU: list[Row] = [(100, 8, 3, 2, 0)] * 20
# Other systems do not count pauses.
IDLE_ELSEWHERE: list[Row] = [(101, 100, None, 4, None)] * 20
PURE_PYTHON_ELSEWHERE: list[Row] = [(102, 66, None, 65, None)] * 20
GPU_ELSEWHERE: list[Row] = [(100, 8, None, 3, None)] * 20


def readings(rows: Sequence[Row], interval_s: float = 5e-6) -> list[HandoverReading]:
    """Return recorded rows as readings, at least 20 of them."""
    repeated = [*rows] * (20 // len(rows) + 1)
    return [
        HandoverReading(elapsed / 1e3, cpu / 1e3, pauses, wait / 1e6, of_wait, interval_s)
        for elapsed, cpu, pauses, wait, of_wait in repeated
    ]


@pytest.mark.parametrize("rows", [PURE_PYTHON, PURE_PYTHON_ELSEWHERE], ids=["Linux", "elsewhere"])
def test_a_cell_in_pure_python_slows_the_training(rows: list[Row]) -> None:
    """It shows after the readings of a second, and stays while the cell runs."""
    detector = SlowdownDetector()
    verdicts = [detector.add(reading) for reading in readings(rows)]
    assert verdicts == [False] * (SLOWED_AT - 1) + [True] * (len(verdicts) - SLOWED_AT + 1)


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(IDLE, id="an idle kernel"),
        pytest.param(MATRICES, id="a cell that multiplies matrices"),
        pytest.param(BUSY_MACHINE, id="three busy processes and no cell"),
        pytest.param(BUSY_MACHINE_AND_MATRICES, id="three busy processes and a cell that multiplies matrices"),
        pytest.param(ONE_CORE_AND_MATRICES, id="one core and a cell that multiplies small matrices"),
        pytest.param(SLOW_LOADER, id="a slow loader"),
        pytest.param(SLOW_LOADER_BESIDE_PURE_PYTHON, id="a slow loader, which a busy cell does not make slower"),
        pytest.param(WAITING_FOR_THE_GPU, id="a GPU"),
        pytest.param(IDLE_ELSEWHERE, id="an idle kernel, where pauses are not counted"),
        pytest.param(GPU_ELSEWHERE, id="a GPU, where pauses are not counted"),
    ],
)
def test_a_training_that_is_slow_for_another_reason_is_not_reported(rows: list[Row]) -> None:
    """A training that is slow for another reason is not said to be slowed by other Python code."""
    detector = SlowdownDetector()
    assert not any(detector.add(reading) for reading in readings(rows))


def test_a_few_readings_change_nothing() -> None:
    """Short bursts of Python code (a cell that begins, a view that is drawn) do not make the word come and go."""
    busy, idle = readings(PURE_PYTHON), readings(IDLE)
    detector = SlowdownDetector()
    assert not any(detector.add(reading) for reading in [*busy[: SLOWED_AT - 1], *idle, *busy[: SLOWED_AT - 1]])
    detector = SlowdownDetector()
    for reading in busy:
        detector.add(reading)
    assert all(detector.add(reading) for reading in [*idle[: READINGS - FREE_AT - 1], *busy])


def test_the_end_of_the_cell_shows() -> None:
    """After a second without losses the training is free again."""
    detector = SlowdownDetector()
    for reading in readings(PURE_PYTHON):
        detector.add(reading)
    verdicts = [detector.add(reading) for reading in readings(IDLE)[:READINGS]]
    assert verdicts == [True] * (READINGS - FREE_AT - 1) + [False] * (FREE_AT + 1)


def test_a_wait_is_measured_by_the_interval_that_the_user_chose() -> None:
    """With an interval of 5 ms, a wait of 0.1 ms is not one for the lock."""
    short, long = (HandoverReading(0.1, 0.05, 100, wait_s, 1, interval_s=5e-3) for wait_s in (1e-4, 5e-3))
    assert short.lost == 0
    assert long.lost == pytest.approx(0.5)


USUAL_S = 0.005
SLEEPS_S = 0.02


def _loop(sleep: Callable[[int], object], stop: threading.Event) -> None:
    while not stop.is_set():
        sleep(int(SLEEPS_S * 1e6))


@pytest.fixture
def usual_interval() -> Iterator[None]:
    """Have Python's default."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(USUAL_S)
    yield
    sys.setswitchinterval(before)


@pytest.mark.skipif(sys.platform == "win32" or not getattr(sys, "_is_gil_enabled", lambda: True)(), reason="needs usleep and the lock")
@pytest.mark.parametrize("keeps_lock", [True, False])
def test_the_probe_tells_a_thread_that_keeps_the_lock_from_one_that_releases_it(keeps_lock: bool, usual_interval: None) -> None:
    """Both threads do the same, a sleep in C. A sleep keeps the lock at any speed of the machine."""
    sleep = (ctypes.PyDLL if keeps_lock else ctypes.CDLL)(None).usleep
    stop, probe = (
        threading.Event(),
        HandoverProbe(checksummed_bytes=1 << 25),
    )  # enough for the other thread to get a core, even the only one
    other = threading.Thread(target=_loop, args=(sleep, stop))
    other.start()
    waits: list[bool] = []
    try:
        for _ in range(READINGS):
            probe.read()
            if probe.reading is not None:
                waits.append(probe.reading.wait_s >= USUAL_S / 2 and probe.reading.wait_pauses != 0)
        assert waits.count(keeps_lock) >= SLOWED_AT
    finally:
        stop.set()
        other.join(LIMIT_S)


def test_each_training_has_a_thread_with_clocks_of_its_own() -> None:
    """The first reading in another thread does not mix the clocks of two."""
    probe, verdicts = HandoverProbe(), []
    for _ in range(READINGS):
        thread = threading.Thread(target=lambda: verdicts.append(probe.read()))
        thread.start()
        thread.join(LIMIT_S)
    assert verdicts == [False] * READINGS
