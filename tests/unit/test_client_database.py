"""The file of a user: its name, who may open it, and how long what is written lasts."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

import pytest
import trio
import trio.testing

from openim_trio.client.database import lists, schema
from openim_trio.client.database.database import Database, database_path
from openim_trio.client.errors import DatabaseError, DatabaseInUse, InvalidArgument
from tests.support.local_database import python_process

THREADS = pytest.mark.parametrize("threads", [True, False], ids=["threads", "inline"])

HOLD = """
import sys, trio
from pathlib import Path
from openim_trio.client.database.database import Database

async def main():
    async with Database.open(Path(sys.argv[1])):
        print("open", flush=True)
        await trio.to_thread.run_sync(sys.stdin.read)

trio.run(main)
"""


@pytest.mark.parametrize(
    "user_ids",
    [
        ("alice", "Alice", "ALICE"),
        ("a/b", "a%2Fb", "a\\b", "../b", "a b", "a_b"),
        ("", ".", "..", "con", "nul"),
        ("x" * 500, "x" * 499, "x" * 499 + "y"),
        ("\u00e9", "e\u0301", "\U0001f600", "\udce9"),
    ],
)
def test_each_user_has_a_file_of_their_own(tmp_path: Path, user_ids: tuple[str, ...]) -> None:
    paths = [database_path(tmp_path, user_id) for user_id in user_ids]
    assert len({path.name.lower() for path in paths}) == len(user_ids)
    for path in paths:
        assert path.parent == tmp_path
        assert path.suffix == ".db"
        assert len(path.name) < 100
        assert path.name.isascii()
    assert paths == [database_path(tmp_path, user_id) for user_id in user_ids]


@THREADS
async def test_only_the_user_may_read_what_is_created(tmp_path: Path, threads: bool) -> None:
    path = tmp_path / "new" / "place" / "a.db"
    async with Database.open(path, threads=threads) as database:
        await database.write(lambda connection: lists.put(connection, "a", "1"))
        files = sorted(path.parent.iterdir())
        assert [file.name for file in files] == ["a.db", "a.db-shm", "a.db-wal", "a.db.lock"]
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@THREADS
async def test_what_was_written_is_there_after_reopening(tmp_path: Path, threads: bool) -> None:
    path = tmp_path / "a?b#c%41.db"  # names that mean something in URIs
    async with Database.open(path, threads=threads) as database:
        assert await database.read(lambda connection: lists.get(connection, "a", "none")) == "none"
        await database.write(lambda connection: lists.put(connection, "a", "1"))
        assert await database.read(lambda connection: lists.get(connection, "a")) == "1"
    assert not path.with_name(f"{path.name}-wal").exists()
    async with Database.open(path, threads=threads) as database:
        assert await database.read(lambda connection: lists.get(connection, "a")) == "1"


@THREADS
async def test_an_operation_that_raises_is_undone_and_no_other(
    tmp_path: Path, threads: bool
) -> None:
    def write_and_raise(connection: sqlite3.Connection) -> None:
        lists.put(connection, "bad", "1")
        raise InvalidArgument("no")

    async with Database.open(tmp_path / "a.db", threads=threads) as database:
        with pytest.raises(InvalidArgument, match="no"):
            await database.write(write_and_raise)
        await database.write(lambda connection: lists.put(connection, "good", "1"))
        found = await database.read(
            lambda connection: [lists.get(connection, name) for name in ("bad", "good")]
        )
        assert found == ["", "1"]


@THREADS
async def test_a_reader_cannot_write(tmp_path: Path, threads: bool) -> None:
    async with Database.open(tmp_path / "a.db", threads=threads) as database:
        with pytest.raises(DatabaseError, match="readonly"):
            await database.read(lambda connection: lists.put(connection, "a", "1"))
        with pytest.raises(ZeroDivisionError):
            await database.read(lambda connection: 1 // 0)
        assert await database.read(lambda connection: connection.in_transaction)
        await database.write(lambda connection: lists.put(connection, "a", "2"))
        assert await database.read(lambda connection: lists.get(connection, "a")) == "2"


async def test_a_statement_that_is_wrong_is_a_database_error(tmp_path: Path) -> None:
    async with Database.open(tmp_path / "a.db") as database:
        with pytest.raises(DatabaseError, match="no such table: nowhere"):
            await database.write(lambda connection: connection.execute("DELETE FROM nowhere"))
        with pytest.raises(DatabaseError, match="no such table: nowhere"):
            await database.read(lambda connection: connection.execute("SELECT * FROM nowhere"))


async def test_durable_writes_wait_for_the_disk_and_others_don_t(tmp_path: Path) -> None:
    def synchronous(connection: sqlite3.Connection) -> int:
        return int(connection.execute("PRAGMA synchronous").fetchone()[0])

    async with Database.open(tmp_path / "a.db") as database:
        modes = [
            await database.write(synchronous, durable=durable)
            for durable in (True, False, False, True, False)
        ]
    full, normal = 2, 1
    assert modes == [full, normal, normal, full, normal]


@THREADS
async def test_one_client_at_a_time(tmp_path: Path, threads: bool) -> None:
    path = tmp_path / "a.db"
    async with Database.open(path, threads=threads):
        with pytest.raises(DatabaseInUse) as refused:
            async with Database.open(path, threads=threads):
                pass
        assert refused.value.pid == os.getpid()
    async with Database.open(path, threads=threads):
        pass


async def test_another_process_has_it_until_it_dies(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with python_process(HOLD, path) as other:
        assert other.stdout is not None
        assert await trio.to_thread.run_sync(other.stdout.readline) == "open\n"
        with pytest.raises(DatabaseInUse, match=f"process {other.pid};") as refused:
            async with Database.open(path):
                pass
        assert refused.value.pid == other.pid
        other.kill()
        await trio.to_thread.run_sync(other.wait)
        async with Database.open(path) as database:
            await database.write(lambda connection: lists.put(connection, "a", "1"))


async def test_a_lock_that_nobody_holds_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.db.lock").write_text("1\n")
    async with Database.open(tmp_path / "a.db"):
        assert (tmp_path / "a.db.lock").read_text() == f"{os.getpid()}\n"


async def test_a_closed_database_says_so(tmp_path: Path) -> None:
    async with Database.open(tmp_path / "a.db") as database:
        pass
    with pytest.raises(DatabaseError, match="is closed"):
        await database.write(lambda connection: None)
    with pytest.raises(DatabaseError, match="is closed"):
        await database.read(lambda connection: None)


async def test_opening_is_undone_when_the_body_is_cancelled(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with trio.CancelScope() as scope:
        async with Database.open(path) as database:
            await database.write(lambda connection: lists.put(connection, "a", "1"))
            scope.cancel()
            await trio.sleep_forever()
    async with Database.open(path) as database:
        assert await database.read(lambda connection: lists.get(connection, "a")) == "1"


async def test_inline_needs_no_thread(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a thread was asked for")

    monkeypatch.setattr(trio.to_thread, "run_sync", refuse)
    async with Database.open(tmp_path / "a.db", threads=False) as database:
        await database.write(lambda connection: lists.put(connection, "a", "1"), durable=True)
        assert await database.read(lambda connection: lists.get(connection, "a")) == "1"
    assert trio.current_time() == 0


def test_migrations_run_once_and_all_or_none() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    assert schema.version_of(connection) == 0
    assert schema.is_ours(connection)
    schema.migrate(connection)
    schema.migrate(connection)
    assert schema.version_of(connection) == schema.VERSION
    assert schema.is_ours(connection)
    connection.close()


def test_a_migration_that_fails_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = (*schema.MIGRATIONS, ("CREATE TABLE extra (a)", "CREATE TABLE meta (a)"))
    monkeypatch.setattr(schema, "MIGRATIONS", broken)
    monkeypatch.setattr(schema, "VERSION", len(broken))
    connection = sqlite3.connect(":memory:", isolation_level=None)
    with pytest.raises(sqlite3.OperationalError, match="meta already exists"):
        schema.migrate(connection)
    assert not connection.in_transaction
    assert schema.version_of(connection) == 0
    assert connection.execute("SELECT * FROM sqlite_master").fetchall() == []
    connection.close()
