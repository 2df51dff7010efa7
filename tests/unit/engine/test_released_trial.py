"""The end of a trial: with the last reference, by no collector."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator

import pytest
from support.bench import Bench, ToyAdapter


@pytest.fixture
def ends_in() -> Iterator[Callable[[object], list[str]]]:
    """Return a function that notes how an object ends: ``reference`` or ``collector``."""
    collecting: list[str] = []

    def follow(phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            collecting.append("collector")
        else:
            collecting.clear()

    def watch(thing: object) -> list[str]:
        ends: list[str] = []
        weakref.finalize(thing, lambda: ends.append(collecting[-1] if collecting else "reference"))
        return ends

    gc.collect()
    gc.disable()
    gc.callbacks.append(follow)
    yield watch
    gc.callbacks.remove(follow)
    gc.enable()


@pytest.mark.parametrize("state", ["ready", "running", "paused", "stopped", "finished", "failed"])
def test_a_closed_session_has_no_cycle_around_its_trial(bench: Bench, ends_in: Callable[[object], list[str]], state: str) -> None:
    """The trial is released before the collection that follows, for any use of the session."""
    bench.bring_to(state)
    ends = ends_in(bench.adapter.trial)
    bench.adapter = ToyAdapter()
    bench.session.close()
    assert ends == ["reference"]


def test_a_reload_has_no_cycle_around_the_replaced_trial(bench: Bench, ends_in: Callable[[object], list[str]]) -> None:
    """The same, where the session continues."""
    bench.reloaded = lambda: ToyAdapter()
    bench.bring_to("finished")
    ends = ends_in(bench.adapter.trial)
    bench.adapter = ToyAdapter()
    bench.session.reload()
    assert ends == ["reference"]


def test_the_framework_is_asked_for_device_memory_after_the_trial_is_gone(bench: Bench, ends_in: Callable[[object], list[str]]) -> None:
    """Memory that the trial still holds could not be returned."""
    ends = ends_in(bench.adapter.trial)
    seen: list[list[str]] = []
    bench.adapter.free_device_memory = lambda: seen.append(list(ends))  # type: ignore[method-assign]
    bench.adapter = ToyAdapter()
    bench.session.close()
    assert seen == [["reference"]]
