from __future__ import annotations

import pymongo
import pytest
import trio

from openim_trio.append.ports import StoreUnavailable, Tail
from openim_trio.config.model import MongoConfig
from openim_trio.domain.errors import Code, ServiceError
from openim_trio.domain.rows import ANY_BODY, Revocation, RowKind
from openim_trio.observability.metrics import Metrics
from openim_trio.store.client import open_store
from openim_trio.store.row_inserts import MAX_DATA
from openim_trio.store.rows import MAX_RANGE
from tests.support.rows import make_row, make_rows, message_of, seqs_of

MARK = Revocation("carol", 60, "Carol", 1_700_000_000_000)


async def test_rows_come_back_as_they_went_in(mongo_config: MongoConfig) -> None:
    plain = make_row("si_a_b", 1)
    given_up = make_row("si_a_b", 2, kind=RowKind.TOMBSTONE)
    shown_otherwise = make_row("si_a_b", 3, shown_time=42)
    async with open_store(mongo_config, Metrics()) as store:
        assert await store.rows.insert([[plain, given_up, shown_otherwise]]) == [True]
        assert await store.rows.read_above("si_a_b", 0, 10) == [plain, given_up, shown_otherwise]
    with pymongo.MongoClient(mongo_config.uri) as client:
        documents = list(client[mongo_config.database]["rows"].find().sort("s", 1))
    assert [len(document["_id"]) for document in documents] == [24, 24, 24]
    assert [type(document["_id"]) for document in documents] == [bytes] * 3
    assert [set(document) - {"_id", "c", "s", "d"} for document in documents] == [
        set(), {"x"}, {"t"},
    ]  # fmt: skip
    assert documents[2]["t"] == 3_000


async def test_each_of_many_failing_blocks_is_tried_once(mongo_config: MongoConfig) -> None:
    async with open_store(mongo_config, Metrics()) as store:
        blocks = [make_rows(f"c{i}", 1, 3) for i in range(12)]
        await store.rows.insert([[block[i % 3]] for i, block in enumerate(blocks) if i % 2])
        assert await store.rows.insert(blocks) == [i % 2 == 0 for i in range(12)]
        for i in range(1, 12, 2):
            there = await store.rows.read_above(f"c{i}", 0, 3)
            # Only what was before the taken seq, and the taken one.
            assert len(there) == (i % 3) + 1


async def test_a_row_that_mongodb_cannot_hold_costs_only_itself(mongo_config: MongoConfig) -> None:
    async with open_store(mongo_config, Metrics()) as store:
        huge = make_row("huge", 1, text="x" * (MAX_DATA + 1))
        assert await store.rows.insert([[huge], [make_row("c", 1)]]) == [False, True]


@pytest.mark.parametrize("head", [0, 1, 2, 7, 8, 9, 63, 100, 511, 513])
async def test_head_of_short_conversations(mongo_config: MongoConfig, head: int) -> None:
    async with open_store(mongo_config, Metrics()) as store:
        if head:
            await store.rows.insert([make_rows("c", 1, head)])
        assert await store.rows.head("c") == head


@pytest.mark.parametrize("head", [4_999, 5_000, 5_001, 10_001])
async def test_tail_over_bucket_borders(mongo_config: MongoConfig, head: int) -> None:
    async with open_store(mongo_config, Metrics()) as store:
        await store.rows.insert([make_rows("long", 1, head), make_rows("short", 1, 3)])
        long, none, short, long_again = await store.rows.tails(["long", "none", "short", "long"], 3)
        assert (long.head, seqs_of(long.rows)) == (head, [head - 2, head - 1, head])
        assert long.floor_time == 1_000 * (head - 3)
        assert long_again == long
        assert none == Tail(0, (), 0)
        assert (short.head, seqs_of(short.rows), short.floor_time) == (3, [1, 2, 3], 0)
        assert seqs_of(await store.rows.read_above("long", head - 3, 50)) == [
            head - 2, head - 1, head,
        ]  # fmt: skip
        assert seqs_of(await store.rows.read_above("long", 4_996, 3)) == [
            seq for seq in (4_997, 4_998, 4_999) if seq <= head
        ]


async def test_tails_of_many_conversations_at_once(mongo_config: MongoConfig) -> None:
    async with open_store(mongo_config, Metrics()) as store:
        names = [f"c{i}" for i in range(150)]
        await store.rows.insert([make_rows(name, 1, i) for i, name in enumerate(names) if i])
        tails = await store.rows.tails(names, 16)
        assert [tail.head for tail in tails] == list(range(150))
        for i, tail in enumerate(tails):
            assert seqs_of(tail.rows) == list(range(max(1, i - 15), i + 1))


async def test_find_key_by_time(mongo_config: MongoConfig) -> None:
    async with open_store(mongo_config, Metrics()) as store:
        rows = make_rows("c", 1, 5_100)
        # The sequencer's time counts, not what an administrator wanted to be shown.
        rows[2_999] = make_row("c", 3_000, shown_time=1)
        await store.rows.insert([rows])
        wanted = rows[5_010]
        assert await store.rows.find_key("c", wanted.key, 0, 5_100) == wanted
        assert await store.rows.find_key("c", wanted.key, wanted.send_time, 5_100) == wanted
        assert await store.rows.find_key("c", wanted.key, wanted.send_time + 1, 5_100) is None
        assert await store.rows.find_key("c", wanted.key, 4_990_000, 5_010) is None
        assert await store.rows.find_key("c", wanted.key, 2**50, 5_100) is None
        assert await store.rows.find_key("c", rows[2_999].key, 2_999_500, 5_100) == rows[2_999]
        assert await store.rows.find_key("c", b"?" * 16, 0, 5_100) is None
        assert await store.rows.find_key("c", b"?" * 16, 0, 0) is None
        # Row 5,101 can't be looked through, so there is no answer.
        with pytest.raises(StoreUnavailable):
            await store.rows.find_key("c", b"?" * 16, 0, 5_101)


async def test_readers_get_ranges_and_single_rows(mongo_config: MongoConfig) -> None:
    async with open_store(mongo_config, Metrics()) as store:
        await store.rows.insert([make_rows("a", 4_990, 5_010), make_rows("b", 1, 5)])
        ranges = await store.rows.read_ranges(
            [("a", 4_998, 5_003), ("b", 4, 9), ("b", 2, 1), ("none", 1, 5), ("a", 5_000, 5_001)]
        )
        assert [[row.seq for row in rows] for rows in ranges] == [
            [4_998, 4_999, 5_000, 5_001, 5_002, 5_003], [4, 5], [], [], [5_000, 5_001],
        ]  # fmt: skip
        assert ranges[1][0].data == make_row("b", 4).data
        seqs = await store.rows.read_seqs(
            [("a", [5_001, 4_999, 4_999, 1]), ("b", [2, -1, 0, 2**70]), ("none", [1])]
        )
        assert [[row.seq for row in rows] for rows in seqs] == [[4_999, 5_001], [2], []]
        assert await store.rows.read_ranges([]) == []
        assert await store.rows.read_seqs([]) == []
        many = await store.rows.read_ranges([("b", 1, 3)] * 250)
        assert [len(rows) for rows in many] == [3] * 250
        with pytest.raises(ValueError, match="seqs"):
            await store.rows.read_ranges([("b", 1, MAX_RANGE + 1)])


async def test_revoke_once(mongo_config: MongoConfig) -> None:
    async with open_store(mongo_config, Metrics()) as store:
        rows = [make_row("c", 1), make_row("c", 2, kind=RowKind.TOMBSTONE)]
        await store.rows.insert([rows])
        answers: list[bool] = []

        async def attempt() -> None:
            answers.append(await store.rows.revoke("c", 1, MARK))

        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(attempt)
        assert sorted(answers) == [False] * 7 + [True]
        [[stored]] = await store.rows.read_seqs([("c", [1])])
        assert stored.revoked == MARK
        assert await store.rows.read_above("c", 0, 5) == rows
        for seq in (2, 3, 0, 2**70):
            with pytest.raises(ServiceError) as refused:
                await store.rows.revoke("c", seq, MARK)
            assert refused.value.code is Code.RECORD_NOT_FOUND


async def test_erase_keeps_the_slot_and_its_key(mongo_config: MongoConfig) -> None:
    async with open_store(mongo_config, Metrics()) as store:
        row = make_row("c", 2, shown_time=7)
        await store.rows.insert([[make_row("c", 1), row]])
        assert await store.rows.erase("c", [2, 3, 2]) == 1
        assert await store.rows.erase("c", [2]) == 0
        _, erased = await store.rows.read_above("c", 0, 5)
        assert (erased.key, erased.seq, erased.send_time) == (row.key, 2, 2_000)
        assert (erased.fingerprint, erased.create_time) == (ANY_BODY, row.create_time)
        message = message_of(erased.data)
        assert (message.content, message.status, message.sendTime) == (b"", 4, 7)
        assert (message.recvID, message.sessionType, message.seq) == ("bob", 1, 2)
