"""Messages may be large and many: what a request reads stays small."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from openim_trio.config.model import MongoConfig, RedisConfig
from openim_trio.domain.errors import Code
from openim_trio.domain.rows import StoredRow
from openim_trio.services import pulls
from openim_trio.store import rows
from openim_trio.store.rows import RowsTooLarge
from openim_trio.wire.proto import msg_pb2, sdkws_pb2
from tests.support.services import Bench, actor, code_of, open_bench, text

CHAT = "si_ann_bob"
BUDGET = 200_000
COUNT = 60


@pytest.fixture
def largest_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Bytes of each list of rows that reached the services, with a small budget."""
    monkeypatch.setattr(rows, "MAX_READ_BYTES", BUDGET)
    seen: list[int] = []
    for name in ("read_ranges", "read_seqs"):
        original = getattr(rows.MongoRows, name)

        async def noted(
            self: rows.MongoRows, wanted: object, original: object = original
        ) -> Sequence[Sequence[StoredRow]]:
            found: Sequence[Sequence[StoredRow]] = await original(self, wanted)  # type: ignore[operator]
            seen.append(sum(len(row.data) for part in found for row in part))
            return found

        monkeypatch.setattr(rows.MongoRows, name, noted)
    return seen


async def fill(bench: Bench, count: int = COUNT) -> None:
    await bench.register("ann", "bob")
    for _ in range(count):
        await bench.send(text("ann", "bob", words="x" * 8_000))


def seqs(messages: Sequence[sdkws_pb2.MsgData]) -> list[int]:
    return [message.seq for message in messages]


async def test_a_read_beyond_the_budget_is_refused(
    mongo_config: MongoConfig, redis_config: RedisConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await fill(bench, 3)
        monkeypatch.setattr(rows, "MAX_READ_BYTES", 10_000)
        with pytest.raises(RowsTooLarge):
            await bench.store.rows.read_ranges([(CHAT, 1, 3)])
        with pytest.raises(RowsTooLarge):
            await bench.store.rows.read_seqs([(CHAT, [1, 3])])
        assert len(await bench.store.rows.read_seqs([(CHAT, [2])])) == 1


async def test_pulls_of_large_messages(
    mongo_config: MongoConfig, redis_config: RedisConfig, largest_read: list[int]
) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await fill(bench)
        shown = await bench.pull("bob", CHAT, num=COUNT)
        assert seqs(shown) == list(range(COUNT - 19, COUNT + 1))  # the newest
        assert await bench.pull("bob", CHAT, 1, 5) != []
        asked = msg_pb2.ConversationSeqs(conversationID=CHAT, seqs=range(1, COUNT + 1))
        request = msg_pb2.GetSeqMessageReq(userID="bob", conversations=[asked])
        part = (await bench.services.pulls.pull_seqs(request)).msgs[CHAT]
        assert (seqs(part.Msgs), part.isEnd) == (list(range(1, 21)), False)
        newest = await bench.services.pulls.rows_between(CHAT, 1, COUNT)
        assert newest[-1].seq == COUNT
        assert seqs(newest) == list(range(newest[0].seq, COUNT + 1))
        assert largest_read
        assert max(largest_read) <= BUDGET


async def test_the_last_message_behind_large_ones_that_are_hidden(
    mongo_config: MongoConfig, redis_config: RedisConfig, largest_read: list[int]
) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await fill(bench)
        hidden = range(3, COUNT + 1)
        await bench.services.deletion.delete_msgs(actor("bob"), "bob", CHAT, hidden)
        found = await bench.services.pulls.newest("bob", [CHAT])
        assert found[CHAT].seq == 2
        assert max(largest_read) <= BUDGET


async def test_last_messages_stay_below_what_a_client_reads(
    mongo_config: MongoConfig, redis_config: RedisConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulls, "MAX_ANSWER", 30_000)
    monkeypatch.setattr(pulls, "NEWEST_AT_ONCE", 2)
    async with open_bench(mongo_config, redis_config) as bench:
        peers = [f"peer{number}" for number in range(6)]
        await bench.register("ann", *peers)
        for peer in peers:
            await bench.send(text("ann", peer, words="x" * 8_000))
        names = [f"si_ann_{peer}" for peer in peers]
        found = await bench.services.pulls.newest("ann", names)
        assert sorted(found) == names[:3]
        active = await bench.services.conversations.active("ann", 10)
        assert len(active.conversations) == 6
        assert sum(item.HasField("lastMsg") for item in active.conversations) == 3


async def test_removing_large_messages(
    mongo_config: MongoConfig, redis_config: RedisConfig, largest_read: list[int]
) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await fill(bench)
        deletion = bench.services.deletion
        everything = range(1, COUNT + 1)
        for_all = deletion.delete_msgs(actor("ann"), "ann", CHAT, everything, sync_other=True)
        assert await code_of(for_all) is Code.ARGS
        await deletion.delete_msgs(actor("ann"), "ann", CHAT, range(1, 11), sync_other=True)
        assert await deletion.erase(CHAT, everything) == COUNT - 10
