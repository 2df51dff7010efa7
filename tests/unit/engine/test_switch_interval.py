"""How long a thread keeps the interpreter lock while sessions train."""

from __future__ import annotations

import random
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator

import pytest
from support.waiting import LIMIT_S

from detjupyter.engine.switch_interval import TRAINING_INTERVAL_S, quick_handovers

USUAL_S = 0.005
THEIRS_S = 0.002

needs_fork = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")


def interval() -> float:
    """Return the interval now, in seconds; the interpreter rounds it to microseconds."""
    return pytest.approx(sys.getswitchinterval(), abs=1e-6)


@pytest.fixture(autouse=True)
def usual_interval() -> Iterator[None]:
    """Begin with Python's default, and leave the test process as it was."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(USUAL_S)
    yield
    sys.setswitchinterval(before)


class TestInOneProcess:
    """Sessions of one process, one or several."""

    def test_it_is_low_during_the_block_and_restored_after_it(self) -> None:
        """A process in which nothing trains has the interval that it had before."""
        with quick_handovers():
            assert interval() == TRAINING_INTERVAL_S
        assert interval() == USUAL_S

    def test_a_training_that_fails_restores_it(self) -> None:
        """The error passes through."""
        with pytest.raises(KeyError), quick_handovers():
            raise KeyError
        assert interval() == USUAL_S

    def test_the_last_of_several_sessions_restores_it(self) -> None:
        """Sessions in threads of their own end in any order; the first to begin is the first to end here."""
        first_may_end, first_ended = threading.Event(), threading.Event()
        first_began = threading.Event()

        def first() -> None:
            with quick_handovers():
                first_began.set()
                assert first_may_end.wait(LIMIT_S)
            first_ended.set()

        thread = threading.Thread(target=first)
        thread.start()
        assert first_began.wait(LIMIT_S)
        with quick_handovers():
            first_may_end.set()
            assert first_ended.wait(LIMIT_S)
            assert interval() == TRAINING_INTERVAL_S
        assert interval() == USUAL_S
        thread.join(LIMIT_S)

    def test_sessions_that_begin_and_end_at_once_leave_nothing_behind(self) -> None:
        """In any order, the interval is low inside every block and normal after the last."""
        start, wrong = threading.Barrier(8, timeout=LIMIT_S), []

        def train_often(seed: int) -> None:
            order = random.Random(seed)
            start.wait()
            for _ in range(200):
                with quick_handovers():
                    for _ in range(order.randrange(3)):
                        with quick_handovers():
                            pass
                    if interval() != TRAINING_INTERVAL_S:
                        wrong.append(sys.getswitchinterval())

        threads = [threading.Thread(target=train_often, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT_S)
        assert wrong == []
        assert interval() == USUAL_S

    def test_what_the_user_sets_in_between_is_kept(self) -> None:
        """It stays while other sessions begin, and after the last has ended; the next training begins from it."""
        with quick_handovers():
            sys.setswitchinterval(THEIRS_S)
            with quick_handovers():
                assert interval() == THEIRS_S
        assert interval() == THEIRS_S
        with quick_handovers():
            assert interval() == TRAINING_INTERVAL_S
        assert interval() == THEIRS_S

    def test_an_interval_that_is_shorter_already_stays(self) -> None:
        """It is never raised."""
        shorter = TRAINING_INTERVAL_S - 2e-6
        sys.setswitchinterval(shorter)
        with quick_handovers():
            assert interval() == shorter
        assert interval() == shorter


def run_script(body: str) -> list[str]:
    """Run ``body`` in a fresh interpreter and return the lines that it printed."""
    script = "import multiprocessing, os, sys, threading\nfrom detjupyter.engine.switch_interval import *\n" + textwrap.dedent(body)
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.split()


USUAL, LOW = f"{USUAL_S * 1e6:.0f}", f"{TRAINING_INTERVAL_S * 1e6:.0f}"


class TestInOtherProcesses:
    """Workers of data loaders, and other processes that a training starts."""

    @needs_fork
    def test_a_forked_worker_has_the_usual_interval_and_can_train_itself(self) -> None:
        """It inherits neither the interval nor the count; the parent keeps both."""
        lines = run_script("""
            def show(): print(round(sys.getswitchinterval() * 1e6), flush=True)
            with quick_handovers():
                child = os.fork()
                show() if child == 0 else os.waitpid(child, 0)
                if child == 0:
                    with quick_handovers(): show()
                    show()
                    os._exit(0)
                show()
            show()
        """)
        assert lines == [USUAL, LOW, USUAL, LOW, USUAL]

    @needs_fork
    def test_a_forked_worker_keeps_what_the_user_set(self) -> None:
        """Only the parent restores the user's value."""
        lines = run_script(f"""
            with quick_handovers():
                sys.setswitchinterval({THEIRS_S})
                child = os.fork()
                if child == 0:
                    print(round(sys.getswitchinterval() * 1e6), flush=True)
                    os._exit(0)
                os.waitpid(child, 0)
        """)
        assert lines == [f"{THEIRS_S * 1e6:.0f}"]

    @needs_fork
    def test_a_fork_at_any_moment_leaves_a_child_that_can_train(self) -> None:
        """Other threads begin and end trainings while the process forks: no child waits for their lock or keeps their interval."""
        lines = run_script("""
            stop = threading.Event()
            def train_often():
                while not stop.is_set():
                    with quick_handovers(): pass
            threads = [threading.Thread(target=train_often) for _ in range(3)]
            for thread in threads: thread.start()
            for _ in range(50):
                child = os.fork()
                if child == 0:
                    before = round(sys.getswitchinterval() * 1e6)
                    with quick_handovers(): pass
                    os._exit(0 if before == round(sys.getswitchinterval() * 1e6) == 5000 else 1)
                print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            stop.set()
            for thread in threads: thread.join()
        """)
        assert lines == ["0"] * 50

    @pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
    def test_a_process_of_multiprocessing_has_the_usual_interval(self, method: str) -> None:
        """However it is started."""
        if method == "fork" and sys.platform != "linux":
            pytest.skip("Forking is not safe elsewhere.")
        if method == "forkserver" and sys.platform == "win32":
            pytest.skip("Windows has no fork server.")
        lines = run_script(f"""
            with quick_handovers(), multiprocessing.get_context({method!r}).Pool(1) as pool:
                print(round(pool.apply(sys.getswitchinterval) * 1e6))
        """)
        assert lines == [USUAL]
