"""Files that cannot be used, and disks without room: what is said, and that nothing gets worse."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from openim_trio.client.database import lists, messages, schema, sends
from openim_trio.client.database.database import Database, rescue_sends
from openim_trio.client.errors import (
    DatabaseCorrupt,
    DatabaseError,
    DatabaseFull,
    DatabaseInUse,
    DatabaseTooNew,
)
from tests.support.local_database import (
    CHAT,
    OWN,
    pending_send,
    small_disk,
    text_message,
)

PAGE = 4096
SENDS = 200


async def filled(path: Path) -> None:
    """A database with a thousand messages and some sends."""
    async with Database.open(path) as database:
        found = [text_message(seq, text="x" * 200) for seq in range(1, 1_001)]
        await database.write(
            lambda connection: messages.store(connection, CHAT, found, own_user=OWN, offline=False)
        )

        def queue_all(connection: sqlite3.Connection) -> None:
            for number in range(SENDS):
                sends.queue(connection, pending_send(f"s{number}"))

        await database.write(queue_all)


def flip(path: Path, first: int, last: int) -> None:
    """Damage bytes first..last-1."""
    content = bytearray(path.read_bytes())
    content[first:last] = bytes(byte ^ 0xA5 for byte in content[first:last])
    path.write_bytes(content)


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2 // PAGE * PAGE + 100)


def root_page(path: Path, table: str) -> int:
    """Where the table's first page begins."""
    connection = sqlite3.connect(path)
    (page,) = connection.execute(
        "SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)
    ).fetchone()
    connection.close()
    return (int(page) - 1) * PAGE


def flip_page(path: Path, table: str, size: int = PAGE) -> None:
    """Damage the table's first page, which leads to the others."""
    place = root_page(path, table)
    flip(path, place, place + size)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "garbage": lambda path: path.write_bytes(os.urandom(50_000)),
    "text": lambda path: path.write_text("this is no database at all, but a letter to you\n" * 9),
    "header": lambda path: flip(path, 0, 16),
    "schema": lambda path: flip(path, 100, PAGE),
    "page of messages": lambda path: flip_page(path, "messages", 64),
    "many pages": lambda path: flip(path, 10 * PAGE, 40 * PAGE),
    "truncated": truncate,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
async def test_a_damaged_file_is_left_as_it_is(
    tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    path = tmp_path / "a.db"
    await filled(path)
    damage(path)
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(DatabaseCorrupt) as refused:
            async with Database.open(path):
                pass
    assert path.read_bytes() == before
    text = str(refused.value)
    assert refused.value.path == str(path)
    for part in ("Nothing was changed", "log in again", f"{path}.damaged", "rescue_sends"):
        assert part in text
    # What it says to do works.
    path.rename(f"{path}.damaged")
    async with Database.open(path) as database:
        assert await database.read(sends.pending) == []


async def test_what_a_crash_left_beside_a_damaged_file_stays(tmp_path: Path) -> None:
    path, left = tmp_path / "a.db", tmp_path / "left.db"
    await filled(path)
    place = root_page(path, "messages")
    async with Database.open(path) as database:
        await database.write(lambda connection: sends.queue(connection, pending_send("last")))
        shutil.copy(path, left)
        shutil.copy(f"{path}-wal", f"{left}-wal")
    flip(left, place, place + PAGE)
    files = [left, left.with_name("left.db-wal")]
    before = [file.read_bytes() for file in files]
    with pytest.raises(DatabaseCorrupt):
        async with Database.open(left):
            pass
    assert [file.read_bytes() for file in files] == before
    assert rescue_sends(left)[-1].client_msg_id == "last"


async def test_the_suggested_name_is_free(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    for name in ("a.db", "a.db.damaged", "a.db.damaged-2"):
        (tmp_path / name).write_bytes(os.urandom(5_000))
    with pytest.raises(DatabaseCorrupt, match=r"a\.db\.damaged-3 "):
        async with Database.open(path):
            pass


async def test_damage_met_later_is_told_and_does_not_end_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    await filled(path)
    async with Database.open(path) as database:
        flip_page(path, "messages")
        with pytest.raises(DatabaseCorrupt):
            await database.read(lambda connection: messages.page(connection, CHAT, 0, 10))
        with pytest.raises(DatabaseCorrupt):
            await database.write(
                lambda connection: messages.insert_own(connection, CHAT, text_message(0, OWN, "n"))
            )
        await database.write(lambda connection: lists.put(connection, "a", "1"))
        assert await database.read(lambda connection: lists.get(connection, "a")) == "1"


async def test_a_file_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    for version in (0, 1, 7):
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS theirs (a)")
            connection.execute(f"PRAGMA user_version = {version}")
        connection.close()
        before = path.read_bytes()
        with pytest.raises(DatabaseCorrupt, match="another program's tables"):
            async with Database.open(path):
                pass
        assert path.read_bytes() == before


async def test_a_file_of_a_later_version(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    await filled(path)
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(DatabaseTooNew, match=f"version {schema.VERSION + 1} "):
        async with Database.open(path):
            pass
    assert path.read_bytes() == before


async def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.touch()
    async with Database.open(path) as database:
        assert await database.read(sends.pending) == []


async def test_a_directory_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.mkdir()
    with pytest.raises(DatabaseError, match="cannot be opened: Is a directory"):
        async with Database.open(path):
            pass


async def test_a_file_in_place_of_the_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "a.db", tmp_path / "file" / "below" / "a.db"):
        with pytest.raises(DatabaseError, match=r"cannot be opened: (Not a directory|File exists)"):
            async with Database.open(path):
                pass


async def test_a_directory_that_may_not_be_written(tmp_path: Path) -> None:
    if os.geteuid():
        (tmp_path / "disk").mkdir(mode=0o500)
        with pytest.raises(DatabaseError, match="cannot be opened: Permission denied"):
            async with Database.open(tmp_path / "disk" / "a.db"):
                pass
        return
    with small_disk(tmp_path / "disk", 4_096) as disk:
        if disk is None:
            pytest.skip("no file system may be mounted here")
        await filled(disk / "a.db")
        await trio.run_process(["mount", "-o", "remount,ro", str(disk)])
        with pytest.raises(DatabaseError, match="cannot be opened: Read-only file system"):
            async with Database.open(disk / "a.db"):
                pass


async def test_a_disk_without_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 2_048) as disk:
        if disk is None:
            pytest.skip("only root may mount a small file system")
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(1_500_000))
        path = disk / "a.db"
        stored = 0
        async with Database.open(path) as database:
            with pytest.raises(DatabaseFull, match="when there is room"):
                while True:
                    seqs = range(stored + 1, stored + 11)
                    await store(database, seqs)
                    stored += len(seqs)
            for _ in range(3):
                with pytest.raises(DatabaseFull):
                    await store(database, range(1, 1_001))
            assert stored
            assert await held(database) == list(range(1, stored + 1))
            ballast.unlink()
            await store(database, range(stored + 1, stored + 101))
            assert await held(database) == list(range(1, stored + 101))
        async with Database.open(path) as database:
            assert await held(database) == list(range(1, stored + 101))


async def test_no_room_for_the_file_itself(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 256) as disk:
        if disk is None:
            pytest.skip("only root may mount a small file system")
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(256 * 1_024 - PAGE))
        with pytest.raises(DatabaseFull):
            async with Database.open(disk / "new" / "a.db"):
                pass
        ballast.unlink()
        async with Database.open(disk / "new" / "a.db") as database:
            await database.write(lambda connection: lists.put(connection, "a", "1"))


async def store(database: Database, seqs: range) -> None:
    found = [text_message(seq, text="x" * 500) for seq in seqs]
    await database.write(
        lambda connection: messages.store(connection, CHAT, found, own_user=OWN, offline=False)
    )


async def held(database: Database) -> list[int]:
    page = await database.read(lambda connection: messages.page(connection, CHAT, 0, 100_000))
    return [message.seq for message in page]


# -- what can be saved from a damaged file ---------------------------------------------------------


async def test_sends_of_a_file_with_damaged_messages_are_rescued(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    await filled(path)
    async with Database.open(path) as database:
        expected = await database.read(sends.pending)
    flip_page(path, "messages")
    aside = tmp_path / "aside.db"
    path.rename(aside)
    before = aside.read_bytes()
    assert len(expected) == SENDS
    assert rescue_sends(aside) == expected
    assert aside.read_bytes() == before


async def test_sends_on_both_sides_of_a_damaged_page_are_rescued(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    await filled(path)
    async with Database.open(path) as database:
        expected = await database.read(sends.pending)

        def leaf_pages(connection: sqlite3.Connection) -> list[int]:
            return [
                page
                for (page,) in connection.execute(
                    "SELECT pageno FROM dbstat WHERE name = 'sends' AND pagetype = 'leaf' "
                    "ORDER BY path"
                )
            ]

        try:
            leaves = await database.read(leaf_pages)
        except DatabaseError:
            pytest.skip("this SQLite cannot say which pages a table has")
    assert len(leaves) > 2
    place = (leaves[1] - 1) * PAGE
    flip(path, place, place + PAGE)
    rescued = rescue_sends(path)
    assert 0 < len(rescued) < SENDS
    assert [send for send in expected if send in rescued] == rescued
    assert expected[0] in rescued
    assert expected[-1] in rescued


def test_nothing_to_rescue(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    assert rescue_sends(path) == []
    assert not path.exists()
    path.write_bytes(os.urandom(50_000))
    assert rescue_sends(path) == []


async def test_the_lock_is_free_after_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(os.urandom(50_000))
    for _ in range(2):
        try:
            async with Database.open(path):
                pass
        except DatabaseInUse:
            pytest.fail("the lock was left behind")
        except DatabaseCorrupt:
            pass
