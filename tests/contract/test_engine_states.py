"""Every command in every state, asked of each engine: what is offered, what is refused, and what really happens."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress

import pytest
from support.bench import LONG, Bench, Held
from support.waiting import LIMIT_S, wait_until

from detjupyter.errors import SessionError
from detjupyter.protocol.allowed import verdict
from detjupyter.protocol.commands import (
    COMMANDS,
    AtBatch,
    AwaitFiles,
    Command,
    CommandMessage,
    MakeCheckpoint,
    Pause,
    Restore,
    Resume,
    Train,
    Validate,
)
from detjupyter.protocol.events import (
    Beat,
    Checkpointed,
    CommandAnswered,
    Failed,
    Loaded,
    Logged,
    MetricsReported,
    Moved,
    PlanChanged,
    StateChanged,
    Validated,
)
from detjupyter.protocol.situation import Situation
from detjupyter.protocol.states import Activity

STATES = ["ready", "running", "paused", "paused after a step", "finished", "stopped", "failed", "validating", "checkpointing"]
_CHANGES = (StateChanged, Validated, Checkpointed, Moved, Loaded, PlanChanged, Failed)


_UNDER_WAY: dict[str, dict[str, int]] = {
    "validating": {"validation": 1, "call validation": 1, "answer validate": 1},
    "checkpointing": {"checkpoint": 2, "call save": 2, "call checkpointed": 2, "answer checkpoint": 2},
}
"""What still comes of the work that holds a state, without any command."""


def bring_to(bench: Bench, state: str) -> list[Held]:
    """Bring the session to ``state`` and hold it there; what is returned holds it."""
    held = Held()
    if state == "running":
        bench.adapter.on_batch = held
        bench.session.train(batches=LONG)
    elif state == "validating":
        bench.adapter.on_validation_batch = held
        bench.session.send(Validate())
    elif state == "checkpointing":
        bench.adapter.on_save = held
        bench.session.send(MakeCheckpoint())
        held.wait()
        bench.session.send(MakeCheckpoint())
        wait_until(lambda: bench.session.record().activity is Activity.CHECKPOINTING, "the second checkpoint")
        return [held]
    elif state == "paused after a step":
        bench.session.step()
        return []
    else:
        bench.bring_to(state)
        return []
    held.wait()
    return [held]


def make_command(kind: str, bench: Bench, saved: str, called: list[int]) -> Command:
    """Return a command of that kind that can be done if the state allows it."""
    if kind == "restore":
        return Restore(saved)
    if kind == "train":
        return Train(LONG)
    if kind == "at_batch":
        return AtBatch("a function of the test", lambda _: called.append(1))
    return COMMANDS[kind]()  # type: ignore[call-arg]


class TestWhatIsAllowed:
    """The table of commands and states, and what really happens."""

    @pytest.mark.parametrize("state", STATES)
    @pytest.mark.parametrize("kind", COMMANDS)
    def test_what_is_said_of_a_command_is_what_happens(self, bench: Bench, state: str, kind: str) -> None:
        """Refused if and only if the table says so; what is offered changes something; the rest is answered and changes nothing."""
        saved, called = bench.session.checkpoint().path, list[int]()
        holds = bring_to(bench, state)
        offered = kind in bench.session.allowed
        what = verdict(kind, bench.session._live.situation())
        seen, calls = len(bench.published), len(bench.adapter.calls)

        future = bench.session.send(make_command(kind, bench, saved, called))
        bench.adapter.on_batch = lambda _: None
        for held in holds:
            held.may_continue.set()
        error = future.exception(LIMIT_S)
        if kind == "at_batch" and bench.behind_bytes:  # the one that depends on the engine, and not on the state
            assert isinstance(error, SessionError)
            assert "in another process" in error.message
            return
        wait_until(lambda: not bench._local._unanswered, "the answers to what was under way")
        bench._local.send(CommandMessage(AwaitFiles())).result(LIMIT_S)
        changed = self._changes(bench, seen, calls, kind, state) or called

        is_refused = next(event for event in bench.answers()[::-1] if event.command == kind).outcome == "refused"
        assert is_refused is what.is_refusal
        assert offered is (what.value == "allowed")
        if is_refused:
            assert isinstance(error, SessionError)
            assert error.hint
        if offered:
            assert not is_refused
            assert changed
        elif state != "running":  # there the training is under way
            assert not changed

    def _changes(self, bench: Bench, seen: int, calls: int, kind: str, state: str) -> dict[str, int]:
        """Return how often something happened more often (or, below 0, less often) than without the command."""
        events = bench.published[seen:]
        happened = Counter(event.kind for event in events if isinstance(event, _CHANGES))
        happened.update(f"answer {event.command}" for event in events if isinstance(event, CommandAnswered) and event.command != kind)
        happened.update(f"call {call.split()[0]}" for call in bench.adapter.calls[calls:] if not call.startswith("batch"))
        happened.subtract({what: count for what, count in _UNDER_WAY.get(state, {}).items() if what != f"answer {kind}"})
        return {what: count for what, count in happened.items() if count}

    def test_resuming_what_runs_changes_nothing(self, bench: Bench) -> None:
        """It is answered; no event but that about the answer comes of it."""
        (held,) = bring_to(bench, "running")
        seen = len(bench.published)
        future = bench.session.send(Resume())
        paused = bench.session.send(Pause())
        held.may_continue.set()
        assert future.result(LIMIT_S) is None
        paused.result(LIMIT_S)
        events = [event for event in bench.published[seen:] if not isinstance(event, (Beat, MetricsReported, Logged))]
        kinds = [event.command if isinstance(event, CommandAnswered) else event.kind for event in events]
        assert kinds == ["resume", "state", "pause"]

    def test_asking_again_for_what_is_under_way_shares_it(self, bench: Bench) -> None:
        """A validation, or a checkpoint that waits: both senders get the result of one."""
        for kind, command in (("validation", Validate()), ("checkpoint", MakeCheckpoint())):
            holds = bring_to(bench, "validating" if kind == "validation" else "checkpointing")
            assert command.kind not in bench.session.allowed
            wait_until(lambda: bench.session._sender.is_idle, "the command before is passed on")
            before = len([event for event in bench.published if event.kind == kind])
            future = bench.session.send(command)
            for held in holds:
                held.may_continue.set()
            assert future.result(LIMIT_S) is not None
            bench.session._sender.ask(AwaitFiles())
            after = len([event for event in bench.published if event.kind == kind])
            assert after - before == (1 if kind == "validation" else 2), "the one under way, and for checkpoints the one that waited"

    @pytest.mark.parametrize("kind", [kind for kind in COMMANDS if kind != "at_batch"])
    def test_a_closed_engine_refuses_everything(self, bench: Bench, kind: str) -> None:
        """And says how to get another."""
        saved = bench.session.checkpoint().path
        bench.session.close()
        assert bench.session.allowed == ()
        error = bench.session.send(make_command(kind, bench, saved, [])).exception(LIMIT_S)
        assert isinstance(error, SessionError)
        assert error.state == "closed"
        assert "dj.load()" in (error.hint or "")


@pytest.mark.parametrize("state", [*STATES, "training and checkpointing", "training and validating"])
def test_situations_of_engine_and_session_agree(bench: Bench, state: str) -> None:
    """The engine judges by the same facts as the views, and so has the same answer for every command."""
    held = Held()
    if state == "training and checkpointing":
        bench.adapter.on_save = held
        bench.session.train(batches=2)
        held.wait()
        holds = [held]
        wait_until(lambda: bench.session.record().activity is Activity.CHECKPOINTING, "the checkpoint")
    elif state == "training and validating":
        bench.adapter.on_validation_batch = held
        bench.session.train(batches=2)
        held.wait()
        holds = [held]
    else:
        holds = bring_to(bench, state)

    def situations() -> tuple[Situation, Situation]:
        return bench._local._alive().control.situation(), bench.session._live.situation()

    with suppress(AssertionError):  # which shows less than the comparison below
        wait_until(lambda: situations()[0] == situations()[1], limit_s=10)  # an event may be on its way
    engine, live = situations()
    assert engine == live
    for one in holds:
        one.may_continue.set()
