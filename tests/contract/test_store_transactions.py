"""What every store promises about transactions, its change token and its end (see ``detjupyter.store.base``)."""

from __future__ import annotations

import threading

import pytest
from support.runs import finish, make_run, points

from detjupyter.errors import StoreError
from detjupyter.protocol.records import CheckpointRecord, LogLine
from detjupyter.protocol.states import Group, State
from detjupyter.store import Store


class TestTransactions:
    """All of it or nothing, from any thread."""

    def test_an_exception_leaves_nothing_behind(self, store: Store) -> None:
        """Not even what an inner block had finished."""
        store.create_run(make_run())
        store.append_series("r1", Group.TRAINING, "loss", *points(1, 2))
        before = store.run("r1")

        def fail() -> None:
            with store.transaction():
                store.create_run(make_run("r2"))
                with store.transaction():
                    store.append_series("r1", Group.TRAINING, "loss", *points(3, 2))
                    store.append_log("r1", [LogLine(1.0, "stdout", "x")])
                store.append_event("r1", {})
                store.add_checkpoint(CheckpointRecord("c", "r1", 1, 1.0, "/there", 1))
                finish(store, "r1")
                store.delete_run("r1")
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fail()
        assert store.runs() == [before]
        assert store.series("r1", Group.TRAINING, "loss")[0].tolist() == [1, 2]
        assert store.log("r1")[1] == []
        assert store.events("r1") == []
        assert store.checkpoints("r1") == []

    def test_the_thread_inside_sees_its_own_writes(self, store: Store) -> None:
        """Reading in the middle of a transaction shows what it wrote so far."""
        with store.transaction():
            store.create_run(make_run())
            store.append_series("r1", Group.TRAINING, "loss", *points(1, 2))
            assert store.run("r1").state is State.RUNNING
            assert len(store.series("r1", Group.TRAINING, "loss")[0]) == 2

    def test_other_threads_never_see_half_of_it(self, store: Store) -> None:
        """A reader finds the two curves of one transaction of equal length, always."""
        store.create_run(make_run())
        done = threading.Event()
        lengths: list[tuple[int, ...]] = []

        def read() -> None:
            while not done.is_set():
                lengths.append(tuple(len(batches) for *_, batches, _ in store.series_since("r1", 0)[1]))

        reader = threading.Thread(target=read)
        reader.start()
        for number in range(50):
            with store.transaction():
                store.append_series("r1", Group.TRAINING, "loss", *points(1 + number, 1))
                store.append_series("r1", Group.TRAINING, "accuracy", *points(1 + number, 1))
        done.set()
        reader.join()
        assert len(lengths) > 1
        assert all(not both or (len(both) == 2 and both[0] == both[1]) for both in lengths)

    def test_threads_write_at_once_and_lose_nothing(self, store: Store) -> None:
        """Eight threads write to one store, each with its own curve."""
        store.create_run(make_run())
        errors: list[BaseException] = []

        def write(name: str) -> None:
            try:
                for number in range(25):
                    with store.transaction():
                        store.append_series("r1", Group.TRAINING, name, *points(1 + 2 * number, 2))
                        store.append_log("r1", [LogLine(0.0, name, str(number))])
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=write, args=(f"m{number}",)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert len(store.series_names("r1")) == 8
        assert all(len(store.series("r1", *key)[0]) == 50 for key in store.series_names("r1"))
        assert len(store.log("r1")[1]) == 200


class TestChangeToken:
    """How watchers notice that there is something new."""

    def test_it_changes_with_every_write_and_only_then(self, store: Store) -> None:
        """Reading and asking change nothing."""
        tokens = [store.change_token()]

        def changed() -> bool:
            store.runs()
            tokens.append(store.change_token())
            return tokens[-1] != tokens[-2]

        assert not changed()
        store.create_run(make_run())
        assert changed()
        assert not changed()
        store.append_series("r1", Group.TRAINING, "loss", *points(1, 2))
        assert changed()
        store.append_log("r1", [LogLine(1.0, "stdout", "x")])
        assert changed()
        finish(store, "r1")
        assert changed()
        store.delete_run("r1")
        assert changed()
        assert not changed()


class TestClosing:
    """What is left of a store afterwards."""

    def test_a_closed_store_says_so(self, store: Store) -> None:
        """Closing twice is harmless, everything else raises."""
        store.close()
        store.close()
        for ask in (store.runs, store.change_token, lambda: store.create_run(make_run())):
            with pytest.raises(StoreError, match="closed"):
                ask()
