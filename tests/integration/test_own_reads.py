"""A sender has read what it sent: seen by every worker at once, in the store soon."""

from __future__ import annotations

from functools import partial

from openim_trio.config.model import MongoConfig, RedisConfig
from openim_trio.wire.proto import msg_pb2
from tests.support.services import Bench, eventually, open_bench, text


async def read_seq(bench: Bench, user: str) -> int:
    request = msg_pb2.GetConversationsHasReadAndMaxSeqReq(userID=user)
    answer = await bench.services.pulls.read_and_max(request)
    return answer.seqs["si_ann_bob"].hasReadSeq


async def stored_read_seq(bench: Bench, user: str) -> int:
    [row] = await bench.store.conversations.of_owner(user)
    return row.read_seq


async def test_every_worker_sees_it_at_once(
    mongo_config: MongoConfig, redis_config: RedisConfig
) -> None:
    async with (
        open_bench(mongo_config, redis_config) as here,
        open_bench(mongo_config, redis_config) as there,
    ):
        await here.register("ann", "bob")
        for n in range(1, 4):
            await here.send(text("ann", "bob", words=f"{n}"))
            assert await read_seq(here, "ann") == await read_seq(there, "ann") == n
        assert await read_seq(there, "bob") == 0
        active = await there.services.conversations.active("ann", 10)
        assert (active.unreadCount, active.conversations[0].readSeq) == (0, 3)


async def test_it_reaches_the_store_also_when_redis_forgets(
    mongo_config: MongoConfig, redis_config: RedisConfig
) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await bench.register("ann", "bob")
        await bench.send(text("ann", "bob"))
        await bench.redis_forgets()
        assert await read_seq(bench, "ann") == 1
        await bench.services.own_reads.write()
        await eventually(partial(stored_read_seq, bench, "ann"), 1)
        assert await read_seq(bench, "ann") == 1


async def test_only_the_highest_counts_and_unknown_rows_are_no_harm(
    mongo_config: MongoConfig, redis_config: RedisConfig
) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await bench.register("ann", "bob")
        await bench.send(text("ann", "bob"))
        await bench.services.own_reads.write()
        await bench.services.own_reads.raise_many({("ann", "si_ann_bob"): 5, ("x", "si_x_y"): 9})
        await bench.services.own_reads.raise_many({("ann", "si_ann_bob"): 3})
        await bench.services.own_reads.write()
        await eventually(partial(stored_read_seq, bench, "ann"), 5)
