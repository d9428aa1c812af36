"""Writes that wait at the same time share a transaction; whoever is cancelled, the others go on."""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from openim_trio.client.database import database as database_module
from openim_trio.client.database import lists
from openim_trio.client.database.database import Database
from openim_trio.client.errors import DatabaseError, DatabaseFull, InvalidArgument


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with Database.open(tmp_path / "a.db") as opened:
        yield opened


class Busy:
    """A write that stays in the thread until it is let go."""

    def __init__(self) -> None:
        self.entered = trio.Event()
        self._go_on = threading.Event()

    def __call__(self, connection: sqlite3.Connection) -> None:
        trio.from_thread.run_sync(self.entered.set)
        assert self._go_on.wait(60)

    def let_go(self) -> None:
        self._go_on.set()


class Writers:
    """Tasks that write a name each; `outcome` says how each ended."""

    def __init__(self, database: Database, nursery: trio.Nursery) -> None:
        self._database = database
        self._nursery = nursery
        self.outcome: dict[str, str] = {}

    async def start(
        self, name: str, op: Callable[[sqlite3.Connection], object] | None = None
    ) -> trio.CancelScope:
        """Returns when it waits."""
        scope = trio.CancelScope()
        work = op or (lambda connection: lists.put(connection, name, "written"))
        self._nursery.start_soon(self._run, name, scope, work)
        await trio.testing.wait_all_tasks_blocked()
        return scope

    async def _run(
        self, name: str, scope: trio.CancelScope, op: Callable[[sqlite3.Connection], object]
    ) -> None:
        self.outcome[name] = "cancelled"
        with scope:
            try:
                await self._database.write(op)
            except Exception as error:
                self.outcome[name] = type(error).__name__
            else:
                self.outcome[name] = "done"

    async def start_busy(self, name: str) -> tuple[Busy, trio.CancelScope]:
        busy = Busy()
        scope = trio.CancelScope()
        self._nursery.start_soon(self._run, name, scope, busy)
        await busy.entered.wait()
        return busy, scope


async def names(database: Database) -> set[str]:
    def read(connection: sqlite3.Connection) -> set[str]:
        return {name for (name,) in connection.execute("SELECT name FROM meta")}

    return await database.read(read)


async def trace(database: Database) -> list[str]:
    """All statements of the writing connection, from now on."""
    statements: list[str] = []
    await database.write(lambda connection: connection.set_trace_callback(statements.append))
    statements.clear()
    return statements


async def test_those_that_wait_share_a_transaction(database: Database) -> None:
    statements = await trace(database)
    async with trio.open_nursery() as nursery:
        writers = Writers(database, nursery)
        busy, _ = await writers.start_busy("first")
        for number in range(50):
            await writers.start(f"n{number}")
        busy.let_go()
    assert set(writers.outcome.values()) == {"done"}
    assert len(await names(database)) == 50
    assert statements.count("COMMIT") == 2
    assert statements.count("BEGIN IMMEDIATE") == 2


async def test_writers_of_one_moment_share_the_first_transaction(database: Database) -> None:
    statements = await trace(database)
    async with trio.open_nursery() as nursery:
        for number in range(50):
            name = f"n{number}"
            nursery.start_soon(
                database.write, lambda connection, name=name: lists.put(connection, name, "")
            )
    assert len(await names(database)) == 50
    assert statements.count("COMMIT") == 1


async def test_one_that_raises_harms_nobody_else(database: Database) -> None:
    def refuse(connection: sqlite3.Connection) -> None:
        lists.put(connection, "refused", "")
        raise InvalidArgument("no")

    def repeat_a_key(connection: sqlite3.Connection) -> None:
        lists.put(connection, "repeated", "")
        connection.execute("INSERT INTO meta VALUES ('a', '')")

    async with trio.open_nursery() as nursery:
        writers = Writers(database, nursery)
        busy, _ = await writers.start_busy("first")
        await writers.start("a")
        await writers.start("refused", refuse)
        await writers.start("repeated", repeat_a_key)
        await writers.start("b")
        busy.let_go()
    assert writers.outcome == {
        "first": "done",
        "a": "done",
        "refused": "InvalidArgument",
        "repeated": "DatabaseError",
        "b": "done",
    }
    assert await names(database) == {"a", "b"}


async def test_a_durable_one_makes_the_whole_transaction_durable(database: Database) -> None:
    modes: list[int] = []

    def look(connection: sqlite3.Connection) -> None:
        modes.append(connection.execute("PRAGMA synchronous").fetchone()[0])

    async with trio.open_nursery() as nursery:
        writers = Writers(database, nursery)
        busy, _ = await writers.start_busy("first")
        await writers.start("look", look)

        async def write_durably() -> None:
            await database.write(look, durable=True)

        nursery.start_soon(write_durably)
        await trio.testing.wait_all_tasks_blocked()
        busy.let_go()
    assert modes == [2, 2]


async def test_a_transaction_that_fails_fails_all_and_the_next_is_tried_anew(
    database: Database,
) -> None:
    def no_room(connection: sqlite3.Connection) -> None:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        lists.put(connection, "huge", "x" * 1_000_000)

    async with trio.open_nursery() as nursery:
        writers = Writers(database, nursery)
        busy, _ = await writers.start_busy("first")
        await writers.start("a")
        await writers.start("huge", no_room)
        await writers.start("b")
        busy.let_go()
    assert writers.outcome == {
        "first": "done",
        "a": "DatabaseFull",
        "huge": "DatabaseFull",
        "b": "DatabaseFull",
    }
    assert await names(database) == set()
    await database.write(lambda connection: connection.execute("PRAGMA max_page_count = 100000"))
    await database.write(lambda connection: lists.put(connection, "huge", "x" * 1_000_000))
    assert await names(database) == {"huge"}


async def test_a_full_disk_loses_nothing_that_was_committed(database: Database) -> None:
    await database.write(lambda connection: lists.put(connection, "before", ""))
    await database.write(lambda connection: connection.execute("PRAGMA max_page_count = 1"))
    with pytest.raises(DatabaseFull, match="goes on when there is room"):
        await database.write(lambda connection: lists.put(connection, "big", "x" * 1_000_000))
    assert await names(database) == {"before"}


async def test_a_cancelled_leader_finishes(database: Database) -> None:
    async with trio.open_nursery() as nursery:
        writers = Writers(database, nursery)
        busy, scope = await writers.start_busy("leader")
        await writers.start("follower")
        scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        busy.let_go()
    assert writers.outcome == {"leader": "done", "follower": "done"}
    assert await names(database) == {"follower"}


@pytest.mark.parametrize("threads", [True, False], ids=["threads", "inline"])
async def test_a_leader_cancelled_before_it_has_begun_finishes(
    tmp_path: Path, threads: bool
) -> None:
    class CancelledOnceQueued(deque[Any]):
        def append(self, write: object) -> None:
            super().append(write)
            scope.cancel()

    async with Database.open(tmp_path / "a.db", threads=threads) as database:
        database._waiting = CancelledOnceQueued()
        with trio.CancelScope() as scope:
            await database.write(lambda connection: lists.put(connection, "a", ""))
        assert not scope.cancelled_caught
        await database.write(lambda connection: lists.put(connection, "b", ""))
        assert await names(database) == {"a", "b"}


async def test_a_follower_cancelled_in_time_writes_nothing(database: Database) -> None:
    async with trio.open_nursery() as nursery:
        writers = Writers(database, nursery)
        busy, _ = await writers.start_busy("leader")
        scopes = [await writers.start(name) for name in "abc"]
        scopes[0].cancel()
        scopes[2].cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert writers.outcome["a"] == writers.outcome["c"] == "cancelled"
        busy.let_go()
    assert writers.outcome["b"] == "done"
    assert await names(database) == {"b"}


async def test_one_cancelled_while_it_is_written_is_written_wholly(database: Database) -> None:
    follower = Busy()
    async with trio.open_nursery() as nursery:
        writers = Writers(database, nursery)
        leader, _ = await writers.start_busy("leader")
        await writers.start("a")
        await writers.start("follower", follower)
        scope = await writers.start("b")
        leader.let_go()
        await follower.entered.wait()
        scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert writers.outcome["b"] == "cancelled"
        follower.let_go()
    assert await names(database) == {"a", "b"}


@pytest.mark.parametrize("cancelled", ["a", "b", "c", "ab", "abc"])
async def test_whoever_is_to_lead_next_may_be_cancelled(database: Database, cancelled: str) -> None:
    """At every moment: before the leader is back, and in the very tick in which it hands over."""
    for at_hand_over in (False, True):
        async with trio.open_nursery() as nursery:
            writers = Writers(database, nursery)
            busy, _ = await writers.start_busy("leader")
            scopes = {name: await writers.start(name) for name in "abc"}

            def cancel(scopes: dict[str, trio.CancelScope] = scopes) -> None:
                for name in cancelled:
                    scopes[name].cancel()

            if at_hand_over:
                hand_over = database._hand_over

                def hand_over_and_cancel(
                    hand_over: Callable[[], None] = hand_over,
                    cancel: Callable[[], None] = cancel,
                ) -> None:
                    database.__dict__.pop("_hand_over", None)
                    cancel()  # they are woken with Cancelled before they are told to lead
                    hand_over()

                database.__dict__["_hand_over"] = hand_over_and_cancel
            else:
                cancel()
            busy.let_go()
        expected = {name: "cancelled" if name in cancelled else "done" for name in "abc"}
        assert writers.outcome == {"leader": "done", **expected}
        assert await names(database) == set("abc") - set(cancelled)
        await database.write(lambda connection: connection.execute("DELETE FROM meta"))


async def test_a_writer_that_is_cancelled_already_writes_nothing(database: Database) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await database.write(lambda connection: lists.put(connection, "a", ""))
    assert scope.cancelled_caught
    assert await names(database) == set()


async def test_writers_wait_for_room(
    database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(database_module, "WAITING_WRITES", 3)
    async with Database.open(tmp_path / "b.db") as small:
        statements = await trace(small)
        async with trio.open_nursery() as nursery:
            writers = Writers(small, nursery)
            busy, _ = await writers.start_busy("first")
            scopes = [await writers.start(f"n{number}") for number in range(7)]
            assert len(small._waiting) == 2  # the third is in the thread
            scopes[6].cancel()
            busy.let_go()
        assert statements.count("COMMIT") >= 3
        assert await names(small) == {f"n{number}" for number in range(6)}


async def test_closing_waits_for_those_that_wait(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with trio.open_nursery() as nursery:
        async with Database.open(path) as database:
            writers = Writers(database, nursery)
            busy, _ = await writers.start_busy("first")
            await writers.start("a")
            nursery.start_soon(_let_go_when_idle, busy)
        assert writers.outcome == {"first": "done", "a": "done"}
    async with Database.open(path) as database:
        assert await names(database) == {"a"}


async def _let_go_when_idle(busy: Busy) -> None:
    await trio.testing.wait_all_tasks_blocked()
    busy.let_go()


@pytest.mark.parametrize("threads", [True, False], ids=["threads", "inline"])
async def test_an_interrupt_reaches_who_led_and_leaves_no_transaction(
    tmp_path: Path, threads: bool
) -> None:
    def interrupted(connection: sqlite3.Connection) -> None:
        lists.put(connection, "interrupted", "")
        raise KeyboardInterrupt

    outcomes: list[str] = []
    async with Database.open(tmp_path / "a.db", threads=threads) as database:

        async def write(name: str, op: Callable[[sqlite3.Connection], object]) -> None:
            try:
                await database.write(op)
            except BaseException as error:
                outcomes.append(f"{name}: {type(error).__name__}")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write, "a", interrupted)
            nursery.start_soon(write, "b", interrupted)
        # Both were in one transaction, led by either.
        assert {outcome[3:] for outcome in outcomes} == {"KeyboardInterrupt", "DatabaseError"}
        await database.write(lambda connection: lists.put(connection, "after", ""))
        assert await names(database) == {"after"}


async def test_no_thread_to_be_had_is_an_error_for_all(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(trio.to_thread, "run_sync", refuse)
        async with trio.open_nursery() as nursery:
            writers = Writers(database, nursery)
            await writers.start("a")
            await writers.start("b")
    assert writers.outcome == {"a": "DatabaseError", "b": "DatabaseError"}
    await database.write(lambda connection: lists.put(connection, "c", ""))
    assert await names(database) == {"c"}


async def test_an_operation_that_ends_the_transaction_fails_it(database: Database) -> None:
    with pytest.raises(DatabaseError, match="savepoint"):
        await database.write(lambda connection: connection.execute("COMMIT"))
    await database.write(lambda connection: lists.put(connection, "after", ""))
    assert await names(database) == {"after"}
