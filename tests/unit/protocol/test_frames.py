"""Bytes between two processes: everything of the protocol travels, and nothing else gets in or out."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import make_dataclass
from enum import Enum, IntEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

import numpy as np
import pytest
from support.messages import ALL, ANSWERS, CALLS, COMMANDS, EVENTS, LOADED, MESSAGES, WORDS, same

from detjupyter.errors import ProtocolError
from detjupyter.protocol.answers import Answer, ErrorAnswer
from detjupyter.protocol.calls import EngineCall
from detjupyter.protocol.commands import COMMANDS as COMMAND_CLASSES
from detjupyter.protocol.commands import AtBatch, CommandMessage, ForceClose, Internal, Restore, Train
from detjupyter.protocol.events import Beat, Event, Validated
from detjupyter.protocol.frames import MAX_INT_BITS, VERSION, pack, unpack
from detjupyter.protocol.lengths import Batch
from detjupyter.protocol.records import LogLine
from detjupyter.protocol.states import State

DTYPES = [
    *("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"),
    *(">i2", ">i4", ">u8", ">f2", ">f4", ">f8", ">c16", np.longdouble, np.clongdouble),
]


def frame(content: Any, *buffers: bytes, version: Any = VERSION) -> bytes:
    """Return a frame as another process might write it."""
    parts = [json.dumps([version, content]).encode(), *buffers]
    return struct.pack(f"<I{len(parts)}Q", len(parts), *map(len, parts)) + b"".join(parts)


class TestMessages:
    """Commands, events and answers."""

    @pytest.mark.parametrize("message", ALL, ids=lambda message: type(message).__name__)
    def test_a_message_arrives_as_it_was_sent(self, message: Any) -> None:
        """Every class, every field, awkward words and numbers in it."""
        assert same(unpack(pack(message)), message)

    def test_every_class_of_the_protocol_is_among_them(self) -> None:
        """A new command or event gets a sample here."""
        assert {type(command) for command in COMMANDS} == {*COMMAND_CLASSES.values(), ForceClose, *get_args(Internal)}
        assert {type(event) for event in EVENTS} == set(get_args(Event))
        assert {type(answer) for answer in ANSWERS} >= {Answer}
        assert {type(call) for call in CALLS} == set(get_args(EngineCall))
        assert {type(message) for message in MESSAGES} == {CommandMessage}

    def test_a_function_does_not_travel(self) -> None:
        """Its text does; the other side finds no function."""
        arrived = unpack(pack(AtBatch("print", print)))
        assert (arrived.source, arrived.function) == ("print", None)

    def test_a_frame_is_words_and_numbers(self) -> None:
        """Numbers of arrays are raw, so a long report is as small as its numbers; no pickle."""
        many = np.random.default_rng(1).random(10_000)
        packed = pack(Validated(1, {"many": many}))
        assert many.tobytes() in packed
        assert len(packed) < many.nbytes + 500
        assert b"pickle" not in packed


class TestValues:
    """What may be in a message."""

    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    @pytest.mark.parametrize("shape", [(), (0,), (1,), (3,), (2, 3), (0, 5), (2, 0, 3), (2, 3, 4)], ids=str)
    def test_arrays_keep_type_shape_and_bytes(self, dtype: Any, shape: tuple[int, ...]) -> None:
        """All numeric types, both byte orders, no dimension, no element; what arrives can be written to."""
        count = math.prod(shape)
        array = np.arange(count).astype(dtype).reshape(shape)
        arrived = unpack(pack(array))
        assert same(arrived, array)
        assert arrived.flags.writeable
        assert arrived.flags.owndata or arrived.base is None or arrived.base.flags.writeable

    @pytest.mark.parametrize(
        "view",
        [
            lambda array: array.T,
            lambda array: array[::-1, ::2],
            lambda array: array[1:1],
            np.asfortranarray,
            lambda array: np.broadcast_to(array[0], (3, 4)),
            lambda array: array.view(np.uint8)[:, 1::3],
        ],
    )
    def test_arrays_that_lie_otherwise_in_memory_keep_their_values(self, view: Callable[[Any], Any]) -> None:
        """Transposed, reversed, repeated: it is the elements that count."""
        array = view(np.arange(12.0).reshape(3, 4))
        arrived = unpack(pack(array))
        assert (arrived.dtype, arrived.shape, arrived.tolist()) == (array.dtype, array.shape, array.tolist())

    def test_every_bit_of_a_nan_arrives(self) -> None:
        """Some use the payload as a mark."""
        bits = np.array([0x7FF8_0000_DEAD_BEEF, 0xFFF0_0000_0000_0001, 0x8000_0000_0000_0000], dtype=np.uint64)
        assert unpack(pack(bits.view(np.float64))).view(np.uint64).tolist() == bits.tolist()
        assert unpack(pack(bits.view(np.float64)[0])).tobytes() == bits[:1].tobytes()

    @pytest.mark.parametrize("dtype", ["?", "i1", "u8", "f2", "f4", "f8", "c8"])
    def test_numpy_scalars_stay_numpy_scalars(self, dtype: str) -> None:
        """A float64 is a Python float, too, and stays what it is."""
        assert same(unpack(pack(np.dtype(dtype).type(1))), np.dtype(dtype).type(1))

    @pytest.mark.parametrize(
        "value",
        [
            *(None, True, False, 0, -1, 2**64, -(2**200), 2 ** (MAX_INT_BITS - 1), 0.1, -0.0, 5e-324, 1.7976931348623157e308),
            *(math.nan, math.inf, -math.inf, "", WORDS, b"", b"\x00\xff", [], (), {}, frozenset()),
            *([[1], [(2, [3.5])]], {"a": {"b": ()}}, {"": 0}, {"$": 1}, {"$": ["record", "Beat", {}]}, {"a": {"$": ["tuple"]}}),
            # No text in the frozenset: its order, and with it the name of this test, would differ between the processes that run the tests.
            *({1: "a", (1, "b"): "c", None: "d", 1.5: "e"}, {State.READY: 1}, frozenset({1, 2.5, (2,)}), State.FAILED, Path("/a/b c")),
        ],
        ids=repr,
    )
    def test_plain_values_keep_their_class(self, value: Any) -> None:
        """Tuples, odd keys, infinities: JSON alone has none of them; a dict that looks like our own notation is only a dict."""
        arrived = unpack(pack(value))
        assert same(arrived, value)

    @pytest.mark.parametrize(
        ("value", "plain"),
        [
            (type("Name", (str,), {"__str__": lambda _: "lies"})("text"), "text"),
            (np.str_("text"), "text"),
            (type("Count", (int,), {})(3), 3),
            (bytearray(b"ab"), b"ab"),
            (range(5, 10**12, 5), range(5, 10**12, 5)),
            ({1, 2}, frozenset({1, 2})),
            (MappingProxyType({"a": 1}), {"a": 1}),
            (type("Own", (dict,), {})({"a": 1}), {"a": 1}),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_what_only_looks_special_arrives_plain(self, value: Any, plain: Any) -> None:
        """A subclass is sent as its base class: the other process might not have it."""
        assert same(unpack(pack(value)), plain)


class Color(Enum):
    """An enum of a user's."""

    RED = "red"


class Number(IntEnum):
    """One that is a number as well."""

    ONE = 1


class Odd:
    """Anything."""


class TestWhatCannotTravel:
    """It is refused, with the place in the message."""

    @pytest.mark.parametrize(
        ("value", "what"),
        [
            (object(), "a builtins.object"),
            (Odd(), "Odd"),
            (Color.RED, "Color is not a class of the protocol"),
            (Number.ONE, "Number is not a class of the protocol"),
            (lambda: None, "a builtins.function"),
            (Odd, "a builtins.type"),
            (np.array([object()]), "a numpy.ndarray"),
            (np.array(["text"]), "a numpy.ndarray"),
            (np.array(["2020-01-01"], dtype="M8[D]"), "a numpy.ndarray"),
            (np.zeros(2, dtype=[("a", "f8")]), "a numpy.ndarray"),
            (np.datetime64("2020-01-01"), "a numpy.datetime64"),
            (1j, "a builtins.complex"),
            (iter([]), "a builtins.list_iterator"),
            (memoryview(b""), "a builtins.memoryview"),
            (1 << MAX_INT_BITS, f"an integer of {MAX_INT_BITS + 1:,} bits"),
            (1 << 10_000_000, "an integer of 10,000,001 bits"),
        ],
        ids=lambda value: type(value).__name__,
    )
    @pytest.mark.parametrize(
        ("around", "where"),
        [
            (lambda value: Validated(1, {"odd": value}), "Validated.metrics['odd']"),
            (lambda value: Answer("id", {"a": [0, (1, value)]}), "Answer.result['a'][1][1]"),
            (lambda value: Answer("id", {3: value}), "Answer.result[3]"),
            (lambda value: CommandMessage(Restore(value)), "CommandMessage.command.path"),
        ],
        ids=["event", "answer", "key", "command"],
    )
    def test_the_message_names_the_place_and_the_class(self, value: Any, what: str, around: Any, where: str) -> None:
        """Deep inside, too."""
        with pytest.raises(ProtocolError) as refused:
            pack(around(value))
        assert refused.value.message.startswith(f"{where} cannot be sent: ")
        assert what in refused.value.message

    def test_a_period_that_only_its_own_class_knows_is_refused(self) -> None:
        """A container of batches that cannot be listed works in this process only."""

        class Even:
            def __contains__(self, batch: object) -> bool:
                return isinstance(batch, int) and batch % 2 == 0

        with pytest.raises(ProtocolError, match=r"Train\.validate_every\.value cannot be sent"):
            pack(Train(3, validate_every=Batch(Even())))

    def test_what_contains_itself_is_refused(self) -> None:
        """As is what is nested without end."""
        ring: list[Any] = []
        ring.append(ring)
        table: dict[str, Any] = {}
        table["self"] = table
        deep: Any = None
        for _ in range(100_000):
            deep = [deep]
        for value in (ring, table, deep):
            with pytest.raises(ProtocolError, match="Answer cannot be sent: it contains itself"):
                pack(Answer("id", value))

    def test_a_class_of_the_same_name_is_not_ours(self) -> None:
        """The name alone does not let it in."""
        with pytest.raises(ProtocolError, match="Beat is not a class of the protocol"):
            pack(make_dataclass("Beat", [])())


class TestDamage:
    """Bytes that another version, a broken pipe or an attacker sent."""

    @pytest.mark.parametrize("version", [0, 2, -1, None, "1", 1.5, [1]])
    def test_another_version_is_named(self, version: Any) -> None:
        """The error names both versions and the next step; the rest of the frame is not read."""
        with pytest.raises(ProtocolError, match=f"this detjupyter reads version {VERSION}") as refused:
            unpack(frame({"$": ["record", "OfTheFuture", {}]}, version=version))
        assert f"version {version}" in refused.value.message
        assert "same version" in (refused.value.hint or "")

    @pytest.mark.parametrize(
        "message", [Beat(), MESSAGES[2], EVENTS[9], Validated(1, {"a": np.arange(5), "b": b"bytes"}), Answer("id", LOADED)]
    )
    def test_every_truncation_is_noticed(self, message: Any) -> None:
        """Also one that cuts only the last byte of the last buffer, and one byte too many."""
        whole = pack(message)
        for length in range(len(whole)):
            with pytest.raises(ProtocolError):
                unpack(whole[:length])
        with pytest.raises(ProtocolError):
            unpack(whole + b"\x00")

    def test_every_changed_byte_gives_a_message_or_our_error(self) -> None:
        """Never any other exception."""
        whole = pack(Answer("id", {"a": np.arange(3), "b": (1, 2), "c": State.READY, "d": LogLine(0.0, "", "")}))
        for position in range(len(whole)):
            for bit in range(8):
                damaged = bytearray(whole)
                damaged[position] ^= 1 << bit
                with suppress(ProtocolError):
                    unpack(bytes(damaged))

    @pytest.mark.parametrize(
        "content",
        [
            {"$": ["record", "Unknown", {}]},
            {"$": ["record", "Path", {}]},
            {"$": ["record", "LogLine", {"at": 0}]},
            {"$": ["record", "Beat", {"extra": 1}]},
            {"$": ["record", "Beat", []]},
            {"$": ["record", "Beat"]},
            {"$": ["record", ["Beat"], {}]},
            {"$": ["enum", "State", "asleep"]},
            {"$": ["enum", "Unknown", "ready"]},
            {"$": ["enum", "State", ["ready"]]},
            {"$": ["enum"]},
            {"$": ["object", "os.system"]},
            {"$": ["eval", "1"]},
            {"$": []},
            {"$": None},
            {"$": 3},
            {"$": [["tuple"]]},
            {"$": ["float", "Huge"]},
            {"$": ["map", 1]},
            {"$": ["map", [[1], 2]]},
            {"$": ["map", [1, 2, 3]]},
            {"$": ["set", [1]]},
            {"$": ["path", 3]},
            {"$": ["bytes", 99]},
            {"$": ["bytes", "0"]},
            {"$": ["array", 0, "<f8", [3]]},
            {"$": ["array", 0, "<f8", [10**30]]},
            {"$": ["array", 0, "<f8", [2**62, 2**62]]},
            {"$": ["array", 0, "<f8", "2"]},
            {"$": ["array", 9, "<f8", [2]]},
            {"$": ["array", 0, "|O", [2]]},
            {"$": ["array", 0, "|V8", [2]]},
            {"$": ["array", 0, "<f8,<f8", [1]]},
            {"$": ["array", 0, "(1000000000,)f8", [1]]},
            {"$": ["array", 0, "<f99", [2]]},
            {"$": ["array", 0, "object", [2]]},
            {"$": ["array", 0, ["f8"], [2]]},
            {"$": ["array", 0]},
            {"$": ["scalar", 0, "<f8"]},
            {"$": ["scalar", 0, "|O"]},
            {"$": ["scalar", 0]},
        ],
        ids=str,
    )
    def test_content_that_is_no_message_is_refused(self, content: Any) -> None:
        """No class but ours is ever made."""
        with pytest.raises(ProtocolError, match="The message cannot be read"):
            unpack(frame(content, np.arange(2.0).tobytes()))

    @pytest.mark.parametrize(
        "bad",
        [
            b"",
            b"\x00",
            b"\x00\x00\x00\x00",
            b"\xff\xff\xff\xff",
            b"\xff\xff\xff\xff" + b"\xff" * 64,
            struct.pack("<IQ", 1, 2**64 - 1) + b"[1,null]",
            struct.pack("<IQQ", 2, 8, 2**63) + b"[1,null]",
            struct.pack("<IQ", 1, 0),
            struct.pack("<IQ", 1, 2) + b"\xff\xfe",
            struct.pack("<IQ", 1, 4) + b"null",
            struct.pack("<IQ", 1, 3) + b"[1]",
            struct.pack("<IQ", 1, 7) + b"[1,NaN]" + b"more",
            struct.pack("<IQ", 1, 200_000) + b"[" * 200_000,
            struct.pack("<IQ", 1, 100_004) + b"[1," + b"9" * 100_000 + b"]",
        ],
        ids=range(14),
    )
    def test_a_header_that_lies_is_refused(self, bad: bytes) -> None:
        """Huge counts and sizes cost nothing: no memory is reserved for what is not there."""
        with pytest.raises(ProtocolError):
            unpack(bad)

    def test_deep_content_is_refused(self) -> None:
        """However deep the reader of JSON goes."""
        deep = b"[1," + b'{"a":' * 900 + b"0" + b"}" * 900 + b"]"
        try:
            arrived = unpack(struct.pack("<IQ", 1, len(deep)) + deep)
        except ProtocolError:
            return
        while isinstance(arrived, Mapping):
            arrived = arrived["a"]
        assert arrived == 0


class TestErrors:
    """Errors on their way to the sender of a command."""

    def test_an_error_of_another_class_names_it(self) -> None:
        """The class itself might not exist in the other process."""
        error = ErrorAnswer.of(KeyError("mine")).error()
        assert type(error).__name__ == "DetJupyterError"
        assert error.message == "KeyError: 'mine'"

    @pytest.mark.parametrize("name", ["annotations", "Sequence", "_RED", "KeyError", "Exception", "__class__", ""])
    def test_a_name_that_is_no_error_of_ours_makes_a_plain_one(self, name: str) -> None:
        """This holds for all other names in the module of errors."""
        assert type(ErrorAnswer(name, "text").error()).__name__ == "DetJupyterError"
