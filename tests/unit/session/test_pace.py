"""When a recorder writes next."""

from __future__ import annotations

from detjupyter.session import pace
from detjupyter.session.pace import Pace


def test_a_store_that_works_is_written_twice_a_second() -> None:
    """A requested flush is written at once."""
    own = Pace()
    own.note_success(100.0, 100.01)
    assert own.due_at(is_asked=False, is_hurried=False) == 100.51
    assert own.due_at(is_asked=True, is_hurried=False) == 0.0


def test_writing_that_is_slow_takes_a_tenth_of_the_time() -> None:
    """Up to a longest interval."""
    own = Pace()
    own.note_success(100.0, 100.2)
    assert round(own.due_at(is_asked=False, is_hurried=False), 6) == 102.2
    own.note_success(100.0, 150.0)
    assert own.due_at(is_asked=False, is_hurried=False) == 150.0 + pace.LONGEST_INTERVAL_S


def test_attempts_that_fail_come_ever_more_rarely() -> None:
    """The pauses grow from half a second to half a minute; a request does not shorten them unless it is hurried."""
    own = Pace()
    pauses = []
    for _ in range(9):
        own.note_failure(100.0)
        pauses.append(own.due_at(is_asked=True, is_hurried=False) - 100.0)
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    assert own.due_at(is_asked=False, is_hurried=True) == 0.0
    own.note_success(200.0, 200.0)
    own.note_failure(300.0)
    assert own.due_at(is_asked=True, is_hurried=False) == 300.5
