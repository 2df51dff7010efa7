"""Who owns a live run, and whether it is still there."""

from __future__ import annotations

import os
import time
from dataclasses import replace

from detjupyter.store.owner import REMOTE_SILENCE_S, Owner


def test_this_process_is_there() -> None:
    """However long it has not written."""
    assert not Owner.here().is_gone(last_seen=0.0, now=time.time())


def test_a_pid_in_use_again_is_another_process() -> None:
    """The start time tells the two apart; the system's clock may have been corrected by some seconds in between."""
    owner = Owner.here()
    assert owner.pid == os.getpid()
    assert owner.started_at is not None
    assert replace(owner, started_at=owner.started_at - 60).is_gone(0.0, 0.0)
    assert not replace(owner, started_at=owner.started_at + 2).is_gone(0.0, 0.0)
    assert not replace(owner, started_at=None).is_gone(0.0, 0.0)


def test_impossible_pids_are_gone() -> None:
    """A record may hold anything."""
    for pid in (-1, 2**31 - 1, 2**70):
        assert replace(Owner.here(), pid=pid).is_gone(0.0, 0.0)


def test_another_host_is_judged_by_its_silence() -> None:
    """Its pids mean nothing here."""
    owner = Owner.named("elsewhere.example", os.getpid())
    assert owner.started_at is None
    assert not owner.is_gone(last_seen=0.0, now=REMOTE_SILENCE_S)
    assert owner.is_gone(last_seen=0.0, now=REMOTE_SILENCE_S + 1)


def test_a_container_of_the_same_name_is_judged_by_its_silence() -> None:
    """Its pids mean nothing here, either; an owner of an earlier version does not say where it is."""
    here = Owner.here()
    owner = replace(here, pid=2**31 - 1, space="boot 1, namespace 2")
    assert not owner.is_gone(last_seen=0.0, now=REMOTE_SILENCE_S)
    assert owner.is_gone(last_seen=0.0, now=REMOTE_SILENCE_S + 1)
    assert replace(owner, space=here.space).is_gone(0.0, 0.0)
    assert replace(owner, space=None).is_gone(0.0, 0.0)
