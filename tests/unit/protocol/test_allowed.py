"""The one table of which command a session takes when."""

from __future__ import annotations

import itertools

import pytest

from detjupyter.engine.refusals import refusal
from detjupyter.protocol.allowed import allowed, verdict
from detjupyter.protocol.commands import COMMANDS, VIEW_COMMANDS
from detjupyter.protocol.situation import Situation, Verdict
from detjupyter.protocol.states import Activity, State

STATES = [State.READY, State.RUNNING, State.PAUSED, State.FINISHED, State.STOPPED, State.FAILED]
SITUATIONS = [
    Situation(state, has_training=has_training, activity=activity, can_reload=can_reload)
    for state, has_training, activity, can_reload in itertools.product(STATES, (False, True), Activity, (False, True))
    if not has_training or state.is_live
]


def expected(**verdicts: str) -> dict[str, Verdict]:
    """Return the verdicts of a state; what is not named is allowed."""
    return {kind: Verdict(verdicts.get(kind, "allowed").replace("_", " ")) for kind in COMMANDS}


class TestTheTable:
    """Each state without any other activity."""

    @pytest.mark.parametrize(
        ("situation", "verdicts"),
        [
            *(
                (Situation(state), expected(pause="not training", resume="nothing to resume", stop="idle"))
                for state in (State.READY, State.FINISHED, State.STOPPED, State.FAILED)
            ),
            (Situation(State.RUNNING, has_training=True), expected(train="busy", restore="busy", resume="idle")),
            (Situation(State.RUNNING), expected(train="busy", restore="busy", resume="idle")),
            (Situation(State.PAUSED, has_training=True), expected(train="busy", restore="busy", pause="idle")),
            (Situation(State.PAUSED), expected(pause="idle", resume="nothing to resume")),
            (
                Situation(State.READY, activity=Activity.VALIDATING),
                expected(pause="not training", resume="nothing to resume", validate="idle", restore="validating"),
            ),
            (
                Situation(State.READY, activity=Activity.CHECKPOINTING),
                expected(pause="not training", resume="nothing to resume", checkpoint="idle"),
            ),
            (
                Situation(State.READY, can_reload=False),
                expected(pause="not training", resume="nothing to resume", stop="idle", reload="not loaded from files"),
            ),
            (Situation(State.PAUSED, has_training=True, is_closed=True), dict.fromkeys(COMMANDS, Verdict.CLOSED)),
            (Situation(State.READY, is_closed=True), dict.fromkeys(COMMANDS, Verdict.CLOSED)),
        ],
        ids=str,
    )
    def test_each_command_in_each_state(self, situation: Situation, verdicts: dict[str, Verdict]) -> None:
        """Done, without effect, or refused, and why."""
        assert {kind: verdict(kind, situation) for kind in COMMANDS} == verdicts


class TestAllSituations:
    """What holds in every one of them."""

    @pytest.mark.parametrize("situation", SITUATIONS, ids=str)
    def test_what_is_offered_does_something(self, situation: Situation) -> None:
        """In the order of the protocol; nothing that is refused or idle."""
        offered = allowed(situation)
        assert offered == tuple(kind for kind in COMMANDS if verdict(kind, situation) is Verdict.ALLOWED)
        assert offered, "a session that is not closed always takes some command"

    @pytest.mark.parametrize("situation", SITUATIONS, ids=str)
    def test_there_is_always_a_way_out(self, situation: Situation) -> None:
        """A session that is busy can be stopped, and one that is not can train: no state is a dead end."""
        assert ("stop" if situation.is_busy else "train") in allowed(situation)

    @pytest.mark.parametrize("situation", SITUATIONS, ids=str)
    def test_a_refusal_says_the_state_and_what_to_do(self, situation: Situation) -> None:
        """Every refusal of the table has words, which name a next step."""
        for kind in COMMANDS:
            what = verdict(kind, situation)
            if what.is_refusal:
                error = refusal(kind, what, situation, 1234)
                assert error.state == situation.state.value
                assert error.hint
                assert error.message

    @pytest.mark.parametrize("situation", SITUATIONS, ids=str)
    def test_a_refusal_names_the_commands_that_are_possible(self, situation: Situation) -> None:
        """All of them."""
        for kind in COMMANDS:
            what = verdict(kind, situation)
            if what.is_refusal:
                hint = refusal(kind, what, situation, 0).hint or ""
                assert f"Available commands: {', '.join(allowed(situation))}." in hint

    @pytest.mark.parametrize("situation", SITUATIONS, ids=str)
    def test_a_view_may_do_what_the_engine_may(self, situation: Situation) -> None:
        """A command that a view sends in another form has the rule of the engine's."""
        for kind, command in VIEW_COMMANDS.items():
            assert kind not in COMMANDS or command.rule(situation) is COMMANDS[kind].rule(situation)

    def test_a_closed_session_takes_nothing(self) -> None:
        """And says how to get another."""
        for state, kind in itertools.product(STATES, COMMANDS):
            situation = Situation(state, is_closed=True)
            assert allowed(situation) == ()
            assert verdict(kind, situation) is Verdict.CLOSED
            assert "dj.load()" in (refusal(kind, Verdict.CLOSED, situation, 0).hint or "")
