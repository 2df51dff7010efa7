"""Commands as data: what a view may send, and what a record says of one."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any, get_type_hints

import pytest

from detjupyter.errors import ProtocolError
from detjupyter.protocol.commands import (
    ARGUMENT_TYPES,
    BUTTONS,
    COMMANDS,
    MAX_STEP_BATCHES,
    VIEW_COMMANDS,
    AtBatch,
    CommandMessage,
    Restore,
    RestoreListed,
    Step,
    Train,
    arguments_of,
    parse_command,
)
from detjupyter.protocol.origins import Origin
from detjupyter.protocol.wire import encode

FROM_VIEWS = {button.kind for button in BUTTONS}


class TestParsing:
    """What a browser sends."""

    @pytest.mark.parametrize("kind", sorted(FROM_VIEWS))
    def test_every_button_sends_a_command(self, kind: str) -> None:
        """Its kind is enough, with the arguments that have no default."""
        arguments = {"checkpoint": "one-2"} if kind == "restore" else {}
        command = parse_command({"kind": kind, **arguments})
        assert type(command) is VIEW_COMMANDS[kind]
        assert command == VIEW_COMMANDS[kind](**arguments)
        assert parse_command(encode(command)) == command  # the server sends on what it has checked

    def test_a_step_takes_a_number_of_batches(self) -> None:
        """One by default, up to a limit."""
        assert parse_command({"kind": "step"}) == Step(1)
        assert parse_command({"kind": "step", "batches": 3}) == Step(3)
        assert parse_command({"kind": "step", "batches": MAX_STEP_BATCHES}) == Step(MAX_STEP_BATCHES)

    @pytest.mark.parametrize("batches", [0, -1, MAX_STEP_BATCHES + 1, 10**100])
    def test_a_number_of_batches_that_makes_no_sense_is_refused(self, batches: Any) -> None:
        """The message has the limits and the value."""
        with pytest.raises(ProtocolError, match=f"1 to {MAX_STEP_BATCHES:,} batches, not ") as refused:
            parse_command({"kind": "step", "batches": batches})
        assert repr(batches) in refused.value.message

    @pytest.mark.parametrize("batches", [1.0, 1.5, True, "3", None, [3], math.nan])
    def test_a_number_of_batches_that_is_no_whole_number_is_refused(self, batches: Any) -> None:
        """The message names the argument, its type and the value."""
        with pytest.raises(ProtocolError, match="argument 'batches' of the command 'step' must be a whole number, not ") as refused:
            parse_command({"kind": "step", "batches": batches})
        assert repr(batches) in refused.value.message

    def test_a_restore_takes_the_id_of_a_checkpoint(self) -> None:
        """Text, and it must be given."""
        assert parse_command({"kind": "restore", "checkpoint": "one-2"}) == RestoreListed("one-2")
        with pytest.raises(ProtocolError, match="command 'restore' needs the argument 'checkpoint'") as refused:
            parse_command({"kind": "restore"})
        assert refused.value.hint == "Arguments: checkpoint."

    @pytest.mark.parametrize("checkpoint", [None, 3, True, ["one-2"], {"id": "one-2"}])
    def test_an_id_that_is_no_text_is_refused(self, checkpoint: Any) -> None:
        """The message names the argument, its type and the value."""
        with pytest.raises(ProtocolError, match="argument 'checkpoint' of the command 'restore' must be text, not ") as refused:
            parse_command({"kind": "restore", "checkpoint": checkpoint})
        assert repr(checkpoint) in refused.value.message

    @pytest.mark.parametrize("name", ["path", "trust"])
    def test_a_view_names_no_directory_and_trusts_nothing(self, name: str) -> None:
        """What the command of the engine has in addition."""
        with pytest.raises(ProtocolError, match=f"The command 'restore' has no argument '{name}'"):
            parse_command({"kind": "restore", "checkpoint": "one-2", name: True})

    def test_every_argument_of_a_view_is_checked(self) -> None:
        """Its type is one that has words, so an argument of another type is an error here, not in front of a user."""
        for command in VIEW_COMMANDS.values():
            assert set(get_type_hints(command)) >= {field.name for field in fields(command)}
            assert {get_type_hints(command)[field.name] for field in fields(command)} <= set(ARGUMENT_TYPES)

    @pytest.mark.parametrize("kind", ["fly", "", "PAUSE", None, 3, ["pause"], {"kind": "pause"}, True])
    def test_an_unknown_kind_is_refused(self, kind: Any) -> None:
        """The message names it, and those that there are."""
        with pytest.raises(ProtocolError, match="Unknown command") as refused:
            parse_command({"kind": kind})
        assert repr(kind) in refused.value.message
        assert all(known in (refused.value.hint or "") for known in FROM_VIEWS)

    @pytest.mark.parametrize("kind", [*sorted(set(COMMANDS) - FROM_VIEWS), "use_run", "use_code", "await_files"])
    def test_what_views_do_not_offer_is_refused(self, kind: str) -> None:
        """No browser can send paths, functions or trainings, whatever other keys the message has."""
        for message in ({"kind": kind}, {"kind": kind, "path": "/etc", "source": "print", "trust": True}):
            with pytest.raises(ProtocolError, match=f"Unknown command '{kind}'"):
                parse_command(message)

    @pytest.mark.parametrize("message", [{}, {"batches": 1}])
    def test_a_message_without_a_kind_is_refused(self, message: Any) -> None:
        """There is no default."""
        with pytest.raises(ProtocolError, match="Unknown command None"):
            parse_command(message)

    @pytest.mark.parametrize("message", [None, "pause", 3, ["pause"], [], True, 1.5])
    def test_what_is_no_object_is_refused(self, message: Any) -> None:
        """JSON has other values, too."""
        with pytest.raises(ProtocolError, match="A command must be a JSON object") as refused:
            parse_command(message)
        assert repr(message) in refused.value.message

    @pytest.mark.parametrize("kind", sorted(FROM_VIEWS))
    def test_an_unknown_argument_is_refused(self, kind: str) -> None:
        """It is named, with those that there are."""
        with pytest.raises(ProtocolError, match=f"The command '{kind}' has no argument 'speed'") as refused:
            parse_command({"kind": kind, "speed": 2})
        known = [field.name for field in fields(VIEW_COMMANDS[kind])]
        assert refused.value.hint == f"Arguments: {', '.join(known) or 'none'}."


class TestMessages:
    """A command on its way."""

    def test_each_has_an_id_of_its_own(self) -> None:
        """Answers find their senders by it."""
        messages = [CommandMessage(Step()) for _ in range(1000)]
        assert len({message.id for message in messages}) == 1000

    def test_it_comes_from_a_script_unless_said(self) -> None:
        """A notebook says so at its start."""
        assert CommandMessage(Step()).origin is Origin.SCRIPT
        assert CommandMessage(Step(), Origin.SEARCHER).origin is Origin.SEARCHER

    def test_the_record_has_all_arguments_but_functions(self) -> None:
        """A function is recorded as its source text."""
        assert arguments_of(AtBatch("lambda trial: 1", print)) == {"source": "lambda trial: 1"}
        assert arguments_of(Restore("/there", trust=True)) == {"path": "/there", "trust": True}
        assert set(arguments_of(Train(3))) == {field.name for field in fields(Train)}

    def test_two_functions_of_one_text_are_one_command(self) -> None:
        """Commands are compared by what travels."""
        assert AtBatch("f", print) == AtBatch("f", None)

    def test_kinds_are_names_of_their_own(self) -> None:
        """The discriminator on the wire."""
        assert len(COMMANDS) == len(set(COMMANDS.values()))
        assert all(command.kind == kind for kind, command in COMMANDS.items())
        assert set(VIEW_COMMANDS) == FROM_VIEWS
