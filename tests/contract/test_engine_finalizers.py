"""A finalizer of the user may run between any two lines of an engine."""

from __future__ import annotations

from pathlib import Path

from support.bench import Bench, make_bench
from support.finalizers import Finalizer, in_new_threads, run_with
from support.waiting import LIMIT_S

from detjupyter.engine.requests import Inbox
from detjupyter.protocol.commands import (
    MakeCheckpoint,
    Step,
)
from detjupyter.session.session import Session


class TestFinalizers:
    """A garbage collection may run a finalizer of the user between any two lines, also in the engine's threads."""

    def test_one_may_look_at_the_session(self, tmp_path: Path, behind_bytes: bool) -> None:
        """No thread waits for itself: not where events are emitted, folded, recorded and published, and not where commands wait."""
        sessions: list[Session] = []

        def look() -> None:
            for session in sessions:
                repr(session)
                session.channel.subscribe(lambda: None)()

        finalizer = Finalizer(look)
        with in_new_threads(finalizer):
            bench = make_bench(tmp_path / "toy", behind_bytes=behind_bytes)
            sessions.append(bench.session)
            bench.session.send(Step(2)).result(LIMIT_S)
            bench.session.send(MakeCheckpoint()).result(LIMIT_S)
            bench.session.close()
        assert bench.session.batches_trained == 2
        assert finalizer.errors == []

    def test_a_session_may_be_collected_while_its_engine_waits(self) -> None:
        """Its end puts a task into the inbox, in the thread that waits there."""
        inbox = Inbox()
        finalizer = Finalizer(lambda: inbox.put(lambda: None))
        run_with(finalizer, lambda: inbox.wait(0.1))
        assert len(inbox) == finalizer.calls

    def test_a_session_may_be_collected_while_its_thread_waits(self, bench: Bench) -> None:
        """It closes its engine."""
        finalizer = Finalizer(bench.engine.close_soon)

        def wait() -> None:
            with bench.engine.awaited():
                pass

        run_with(finalizer, wait)
        bench.engine.ended.result(LIMIT_S)
