"""The random states of the process: captured, exchanged and restored, through memory or with the public functions."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import torch
from support.waiting import LIMIT_S

from detjupyter.errors import UnsupportedError
from detjupyter.pytorch import process_generators
from detjupyter.pytorch.process_generators import HostGenerators, numpy_tuple, python_tuple, seeded_state
from detjupyter.pytorch.randomness import RandomStates, RandomStream, abandon

HOST = torch.device("cpu")
DEVICES = [HOST, *([torch.device("cuda:0")] if torch.cuda.is_available() else [])]

Draw = Callable[[random.Random, np.random.RandomState], Any]
DRAWS: dict[str, Draw] = {
    "nothing": lambda _, __: None,
    "one number each": lambda python, numpy: (python.random(), numpy.rand()),
    "one of two normals": lambda python, numpy: (python.gauss(0, 1), numpy.randn()),
    "both of two normals": lambda python, numpy: (python.gauss(0, 1), python.gauss(0, 1), numpy.randn(2).tolist()),
    "all words": lambda python, numpy: ([python.getrandbits(32) for _ in range(624)], numpy.bytes(4 * 624)),
    "a new seed": lambda python, numpy: (python.seed(5), numpy.seed(5)),
    "integers": lambda python, numpy: (python.randrange(10**9), int(numpy.randint(10**9)), numpy.permutation(9).tolist()),
}


@pytest.fixture(params=["memory", "public functions"])
def make(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[..., HostGenerators]:
    """Return a function that makes generators, exchanged as memory or as on an interpreter whose memory is not known."""
    if request.param != "memory":
        monkeypatch.setattr(process_generators, "_KEPT_OFFSET", None)
    return HostGenerators


def after(draw: Draw, python: random.Random, numpy: np.random.RandomState) -> Any:
    """Draw, and return all that comes next."""
    draw(python, numpy)
    return [(python.gauss(0, 1), numpy.randn(), python.random(), numpy.rand()) for _ in range(700)]


def test_the_memory_of_this_interpreter_and_numpy_is_known() -> None:
    """Otherwise every batch of a loader of the user would take 100 µs longer."""
    assert process_generators._KEPT_OFFSET is not None


@pytest.mark.parametrize("name", DRAWS)
def test_states_that_were_exchanged_continue_where_they_were(make: Callable[..., HostGenerators], name: str) -> None:
    """This holds regardless of earlier draws and of draws in between, including the pair of normal numbers."""
    draw = DRAWS[name]
    expected = after(draw, random.Random(1), np.random.RandomState(2))
    python, numpy = random.Random(1), np.random.RandomState(2)
    generators = make(python, numpy)
    draw(python, numpy)
    mine = generators.exchange(seeded_state(7))
    assert after(DRAWS["nothing"], python, numpy) == after(DRAWS["nothing"], random.Random(7), np.random.RandomState(7))
    DRAWS["one of two normals"](python, numpy)
    generators.exchange(mine)
    assert generators.state() == mine
    assert after(DRAWS["nothing"], python, numpy) == expected


@pytest.mark.parametrize("name", DRAWS)
def test_a_state_is_what_the_public_functions_say(make: Callable[..., HostGenerators], name: str) -> None:
    """So the content of checkpoints does not change."""
    python, numpy = random.Random(1), np.random.RandomState(2)
    DRAWS[name](python, numpy)
    state = make(python, numpy).state()
    assert python_tuple(state) == python.getstate()
    kind, words, *rest = numpy.get_state()  # type: ignore[misc]
    assert numpy_tuple(state) == (kind, words.tolist(), *rest)  # type: ignore[union-attr]


def test_a_bit_generator_that_the_user_replaced_is_the_one_exchanged(make: Callable[..., HostGenerators]) -> None:
    """The memory of the one before is left alone."""
    before = np.random.get_bit_generator()
    generators = make()
    mine = generators.state()
    try:
        np.random.set_bit_generator(np.random.MT19937(3))
        words = before.state["state"]["key"].tolist()
        generators.exchange(seeded_state(4))
        assert np.random.rand() == np.random.RandomState(4).rand()
        assert before.state["state"]["key"].tolist() == words
    finally:
        np.random.set_bit_generator(before)
        generators.exchange(mine)


def test_another_kind_of_bit_generator_is_refused_with_the_way_back(make: Callable[..., HostGenerators]) -> None:
    """The message names it."""
    before, generators = np.random.get_bit_generator(), make()
    try:
        np.random.set_bit_generator(np.random.PCG64(3))
        with pytest.raises(UnsupportedError, match="PCG64"):
            generators.exchange(seeded_state(4))
    finally:
        np.random.set_bit_generator(before)


@pytest.fixture
def _kept() -> Iterator[None]:
    states = [RandomStates.now(device) for device in DEVICES]
    yield
    for device, state in zip(DEVICES, states, strict=True):
        state.install(device)


@pytest.mark.usefixtures("_kept")
@pytest.mark.parametrize("device", DEVICES, ids=str)
def test_streams_in_one_another_draw_each_from_their_own(device: torch.device) -> None:
    """Three deep, in turn, on the host and on the device; an error passes through."""

    def draw() -> tuple[float, ...]:
        on_device = float(torch.rand((), device=device)), float(torch.randn((), device=device))
        return random.gauss(0, 1), np.random.randn(), float(torch.randn((), dtype=torch.float64)), *on_device

    def stream(seed: int) -> RandomStream:
        return RandomStream(RandomStates.seeded(seed, device), device)

    alone = []
    for seed in (1, 2, 3):
        with stream(seed).active():
            alone.append([draw() for _ in range(6)])
    one, two, three = stream(1), stream(2), stream(3)
    found: list[list[tuple[float, ...]]] = [[], [], []]
    before = RandomStates.now(device)
    for _ in range(3):
        with one.active():
            found[0].append(draw())
            with two.active(), two.active():
                found[1].append(draw())
                with suppress(KeyError), three.active():
                    found[2].append(draw())
                    raise KeyError
                found[1].append(draw())
            found[0].append(draw())
    assert found == [alone[0], alone[1], alone[2][:3]]
    now = RandomStates.now(device)
    assert now.of_host == before.of_host
    assert torch.equal(now.of_torch, before.of_torch)
    assert before.on_device is None or torch.equal(now.on_device, before.on_device)  # type: ignore[arg-type]


@pytest.mark.usefixtures("_kept")
def test_of_streams_in_two_threads_the_last_one_puts_the_process_back() -> None:
    """Though the first one ends before, and the last one found the first one's states; streams inside change nothing of that."""
    before = RandomStates.now(HOST).of_host
    may_end = [threading.Event(), threading.Event()]
    is_in, has_left = threading.Barrier(3), [threading.Event(), threading.Event()]

    def run(number: int) -> None:
        stream, inner = (RandomStream(RandomStates.seeded(seed, HOST), HOST) for seed in (number, number + 5))
        with stream.active():
            with inner.active():
                random.random()
            is_in.wait(30)
            may_end[number].wait(30)
        has_left[number].set()

    threads = [threading.Thread(target=run, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    is_in.wait(30)
    for number in (0, 1):
        may_end[number].set()
        assert has_left[number].wait(30)
    for thread in threads:
        thread.join(30)
    assert RandomStates.now(HOST).of_host == before


def test_a_thread_that_is_given_up_leaves_the_process_its_own_states() -> None:
    """It is in a block that it may never leave; if it does leave, nothing changes any more."""
    stream, is_inside, may_end = RandomStream.of(torch.device("cpu"), 1, 2), threading.Event(), threading.Event()

    def hang() -> None:
        with stream.active():
            torch.rand(3), np.random.rand(3), random.random()
            is_inside.set()
            may_end.wait(LIMIT_S)

    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    thread = threading.Thread(target=hang)
    thread.start()
    assert is_inside.wait(LIMIT_S)
    abandon(thread.ident or 0)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]
    assert random.getstate() == before[2]
    drawn = torch.rand(3), torch.get_rng_state()
    may_end.set()
    thread.join(LIMIT_S)
    assert torch.equal(torch.get_rng_state(), drawn[1])
