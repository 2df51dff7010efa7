"""What every engine promises about answers: one to each command (see :mod:`detjupyter.engine.engine`)."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError
from pathlib import Path

import pytest
from support.answered import Answered
from support.bench import Bench, Held, open_engine
from support.waiting import LIMIT_S, wait_until

from detjupyter.engine.job_control import JobControl
from detjupyter.errors import CheckpointError, SessionBusyError, SessionError, TrialError
from detjupyter.protocol.commands import (
    AtBatch,
    AwaitFiles,
    CommandMessage,
    MakeCheckpoint,
    Pause,
    Reload,
    Restore,
    Resume,
    Step,
    Stop,
    Train,
    UseRun,
    Validate,
)
from detjupyter.protocol.events import (
    CommandAnswered,
    Event,
)
from detjupyter.protocol.states import State

EVERYTHING = (Step(5), Validate(), MakeCheckpoint(), Restore("nowhere"), Train(5), Pause(), Resume(), Step(2), Stop(), Reload())


class TestAnswers:
    """Every command is answered exactly once, and the record has it before the sender."""

    def test_commands_sent_one_by_one_are_all_answered(self, bench: Bench) -> None:
        """Done, refused and failed."""
        bench.session.step()
        sent = Answered(bench)
        for command in EVERYTHING:
            sent.send(command)
            next(reversed(sent.futures.values())).exception(LIMIT_S)
        sent.check()

    def test_commands_sent_during_a_batch_are_all_answered(self, bench: Bench) -> None:
        """Commands sent during a batch are answered."""
        bench.session.step()
        bench.train_to_gate()
        sent = Answered(bench)
        sent.send(*EVERYTHING, *EVERYTHING)
        bench.adapter.gate.set()
        sent.check()

    def test_when_the_trial_fails(self, bench: Bench) -> None:
        """Those that waited for it fail with it."""
        bench.train_to_gate()
        sent = Answered(bench)
        sent.send(Step(5), Validate(), MakeCheckpoint())
        bench.adapter.on_validation_batch = lambda _: 1 // 0
        bench.adapter.gate.set()
        errors = sent.check()
        assert [type(error) for error in errors] == [TrialError] * 3
        assert {event.outcome for event in bench.answers() if event.command != "train"} == {"failed"}

    def test_when_the_session_closes(self, bench: Bench) -> None:
        """Commands that wait for the current batch are answered before the thread ends."""
        bench.train_to_gate()
        sent = Answered(bench)
        sent.send(Step(5), Validate(), MakeCheckpoint(), Pause())
        closing = threading.Thread(target=bench.session.close)
        closing.start()
        bench.adapter.gate.set()
        closing.join(LIMIT_S)
        assert all(error is None or isinstance(error, SessionError) for error in sent.check())

    def test_what_waits_for_another_command_when_the_session_closes_is_recorded(self, bench: Bench) -> None:
        """A reload that waits for a validation, what waits behind it, and what comes while the engine ends: refused, and in the run."""
        validating = Held()
        bench.session.step()
        bench.adapter.on_validation_batch = validating
        sent = Answered(bench)
        sent.send(Validate())
        validating.wait()
        sent.send(Reload(), Step(3))
        bench.engine.close_soon()
        validating.may_continue.set()
        errors = sent.check()
        assert [type(error) for error in errors] == [SessionError] * 3
        assert [(event.command, event.outcome) for event in bench.answers()[1:]] == [
            ("validate", "failed"),
            ("reload", "refused"),
            ("step", "refused"),
        ]

    @pytest.mark.parametrize("behind_bytes", [False], ids=["direct"])
    def test_what_a_function_raises_is_recorded_in_short(self, bench: Bench) -> None:
        """A very long text is shortened; an exception whose text cannot be computed is still named."""

        class MuteError(Exception):
            def __str__(self) -> str:
                raise RuntimeError("no words")

        def fail(error: Exception) -> None:
            raise error

        for error in (ValueError("x" * 5_000_000), MuteError()):
            sent = bench.engine.send(CommandMessage(AtBatch("a function", lambda _, error=error: fail(error))))  # type: ignore[misc]
            assert sent.exception(LIMIT_S) is error
        long, mute = bench.answers()
        assert long.error is not None
        assert len(long.error) < 50_000
        assert long.error.startswith("ValueError: xxx")
        assert mute.error is not None
        assert mute.error.startswith("MuteError: ")

    def test_when_a_part_of_ours_breaks(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        """Also those that wait for files, and those that come while the thread ends."""
        held = Held()
        bench.adapter.on_save = held
        bench.session.step()
        sent = Answered(bench)
        sent.send(MakeCheckpoint())
        held.wait()
        awaiting = bench.engine.send(CommandMessage(AwaitFiles()))
        bench.train_to_gate()
        sent.send(Step(5), Validate())
        monkeypatch.setattr(JobControl, "next_job", None)
        bench.adapter.gate.set()
        wait_until(lambda: bench.session.state == "failed", "the end")
        held.may_continue.set()
        errors = [*sent.check(), awaiting.exception(LIMIT_S)]
        assert [type(error) for error in errors] == [TrialError] * 4

    def test_when_the_event_about_an_answer_breaks_something(self, tmp_path: Path, behind_bytes: bool) -> None:
        """The sender still gets its answer, and so do later senders."""

        def publish(event: Event) -> None:
            if isinstance(event, CommandAnswered):
                raise RuntimeError("a bug of ours")

        engine = open_engine(tmp_path, publish, behind_bytes=behind_bytes)
        engine.opened.result(LIMIT_S)
        futures = [engine.send(CommandMessage(command)) for command in (Pause(), Step(1), Validate())]
        for future in futures:
            future.exception(LIMIT_S)
        assert engine.close(State.STOPPED)

    def test_one_that_was_cancelled_in_time_leaves_no_trace(self, bench: Bench) -> None:
        """No event, no effect."""
        bench.train_to_gate()
        future = bench.engine.send(CommandMessage(Stop()))
        assert future.cancel()
        bench.adapter.gate.set()
        bench.session.pause()
        assert [event.command for event in bench.answers()] == ["train", "pause"]
        with pytest.raises(CancelledError):
            future.result(LIMIT_S)

    def test_the_sessions_own_commands_are_in_no_record(self, bench: Bench) -> None:
        """They are answered, too."""
        for command in (UseRun("r", str(bench.root)), AwaitFiles()):
            assert bench.engine.send(CommandMessage(command)).result(LIMIT_S) is None
        assert bench.answers() == []

    def test_errors_keep_class_words_and_fields(self, bench: Bench) -> None:
        """A sender can tell what happened, whichever engine it talks to."""
        bench.train_to_gate()
        train = bench.engine.send(CommandMessage(Train(1)))
        bench.adapter.gate.set()
        busy = train.exception(LIMIT_S)
        assert type(busy) is SessionBusyError
        assert (busy.state, busy.message) == ("running", "Cannot begin a training while the session is running, at batch 1.")
        assert (busy.hint or "").startswith("`session.stop()` ends the training. Available commands: ")
        bench.session.stop()
        missing = bench.engine.send(CommandMessage(Restore(str(bench.root / "nothing")))).exception(LIMIT_S)
        assert type(missing) is CheckpointError
        assert missing.path == str(bench.root / "nothing")
        bench.adapter.on_validation_batch = lambda _: 1 // 0
        failed = bench.engine.send(CommandMessage(Validate())).exception(LIMIT_S)
        assert type(failed) is TrialError
        assert failed.exception == "ZeroDivisionError: integer division or modulo by zero"
        assert "while validating" in failed.message
        assert bench.session.error is not None
        assert str(bench.session.error) == str(failed)
