"""What the sequencer keeps in Redis, step by step.  What it promises: test_engine_contract."""

from __future__ import annotations

import pytest
import redis
import trio

from openim_trio.append.ports import (
    AdvanceBlock,
    Advanced,
    Behind,
    Head,
    Publication,
    ReserveBlock,
    Reserved,
    ReserveKey,
    SeedBlock,
    SequencerUnavailable,
    Unknown,
)
from openim_trio.config.model import AppendConfig, RedisConfig
from openim_trio.domain.rows import Row, message_key
from openim_trio.redisio.sequencer import RedisSequencer
from tests.support.rediskit import Changes, make_row, open_sequencer, own_redis, until

TOKEN = b"flush-1"
OTHER = b"flush-2"


def block(conversation: str, *names: str, created: int = 10**12, looked: int = 0) -> ReserveBlock:
    keys = (ReserveKey(message_key("sender", name), created, looked) for name in names)
    return ReserveBlock(conversation, tuple(keys))


def facts(rows: list[Row]) -> AdvanceBlock:
    payloads = (Publication(("u:a",), b"%d" % row.seq) for row in rows)
    return AdvanceBlock(rows[0].conversation, rows[0].seq, tuple(rows), tuple(payloads))


async def ticket_of(sequencer: RedisSequencer, conversation: str) -> bytes:
    (answer,) = await sequencer.heads([conversation])
    assert isinstance(answer, Unknown)
    return answer.ticket


async def seed_empty(sequencer: RedisSequencer, *conversations: str) -> None:
    for conversation in conversations:
        ticket = await ticket_of(sequencer, conversation)
        assert await sequencer.seed([SeedBlock(conversation, ticket, 0, (), 0, ())]) == [True]


async def reserve_one(
    sequencer: RedisSequencer, wanted: ReserveBlock, token: bytes = TOKEN
) -> Reserved:
    (answer,) = await sequencer.reserve(token, [wanted])
    assert isinstance(answer, Reserved)
    return answer


async def fill(
    sequencer: RedisSequencer, conversation: str, count: int, *, first: int = 1
) -> list[Row]:
    """Rows m1, m2, …; row i has sendTime now + i and createTime 1,000 i."""
    (now,) = await sequencer.reserve(TOKEN, [block(conversation, "nobody")])
    assert isinstance(now, Reserved)
    rows = [
        make_row(conversation, i, f"m{i}", send_time=now.send_time + i, create_time=1_000 * i)
        for i in range(first, first + count)
    ]
    assert await sequencer.advance(TOKEN, [facts(rows)]) == [Advanced(first + count - 1)]
    return rows


# -- the window ------------------------------------------------------------------------------------


async def test_the_window_is_trimmed_by_age(redis_config: RedisConfig, redis_url: str) -> None:
    async with open_sequencer(redis_config, AppendConfig(window_minutes=1)) as sequencer:
        await seed_empty(sequencer, "a")
        now = (await reserve_one(sequencer, block("a", "x"))).send_time
        rows = [
            make_row("a", i, f"m{i}", send_time=now - 120_000 + i, create_time=i)
            for i in range(1, 41)
        ]
        rows.append(make_row("a", 41, "m41", send_time=now, create_time=41))
        await sequencer.advance(TOKEN, [facts(rows)])
        assert (await reserve_one(sequencer, block("a", "m40", created=40))).old == (0,)
        assert set((await reserve_one(sequencer, block("a", "m41"))).known) == {0}
        with redis.from_url(redis_url) as client:
            fields = client.hgetall(f"{redis_config.prefix}c:a")
        assert fields[b"lo"] == b"41"
        assert fields[b"tlo"] == b"40"
        assert sum(field.startswith((b"k:", b"s:")) for field in fields) == 2


async def test_the_window_stays_within_its_size(redis_config: RedisConfig, redis_url: str) -> None:
    async with open_sequencer(redis_config, AppendConfig(window_rows=32)) as sequencer:
        await seed_empty(sequencer, "a")
        with redis.from_url(redis_url) as client:
            for i in range(1, 200, 3):
                await fill(sequencer, "a", 3, first=i)
                fields = client.hgetall(f"{redis_config.prefix}c:a")
                rows = sum(field.startswith(b"k:") for field in fields)
                assert rows <= 32
                assert rows == int(fields[b"n"]) - int(fields[b"lo"]) + 1
                assert rows == sum(field.startswith(b"s:") for field in fields)
                assert rows >= min(int(fields[b"n"]), 30)
                first = fields[b"k:" + fields[b"s:" + fields[b"lo"]]]
                assert fields[b"ta"] == first.split(b" ")[2]  # sendTime of row lo


# -- advance ---------------------------------------------------------------------------------------


async def test_an_advance_twice_changes_and_publishes_nothing(
    redis_config: RedisConfig, redis_url: str
) -> None:
    async with open_sequencer(redis_config) as sequencer:
        await seed_empty(sequencer, "a")
        with redis.from_url(redis_url) as client, client.pubsub() as listener:
            subscribe(listener, redis_config.prefix + "u:a")
            rows = await fill(sequencer, "a", 3)
            before = client.hgetall(f"{redis_config.prefix}c:a")
            assert await sequencer.advance(TOKEN, [facts(rows)]) == [Advanced(3)]
            assert await sequencer.advance(TOKEN, [facts(rows[:1])]) == [Advanced(3)]
            assert client.hgetall(f"{redis_config.prefix}c:a") == before
            assert payloads(listener, 3) == [b"1", b"2", b"3"]
            # Rows that overlap: only those above n are new.
            more = [*rows[1:], make_row("a", 4, "m4", send_time=rows[-1].send_time)]
            assert await sequencer.advance(TOKEN, [facts(more)]) == [Advanced(4)]
            assert payloads(listener, 1) == [b"4"]


async def test_unknown_is_answered_with_one_ticket_to_all(redis_config: RedisConfig) -> None:
    async with open_sequencer(redis_config) as one, open_sequencer(redis_config) as two:
        (from_reserve,) = await one.reserve(TOKEN, [block("a", "x")])
        (from_advance,) = await two.advance(TOKEN, [facts([make_row("a", 1, "x", send_time=1)])])
        (from_heads,) = await two.heads(["a"])
        assert isinstance(from_reserve, Unknown)
        assert from_reserve == from_advance == from_heads


async def test_publication_order_is_seq_order_with_two_workers(
    redis_config: RedisConfig, redis_url: str
) -> None:
    """Two workers advance overlapping pieces of one conversation at the same time."""
    total = 300
    rows = [make_row("a", i, f"m{i}", send_time=10**12 + i) for i in range(1, total + 1)]

    async def work(sequencer: RedisSequencer, token: bytes, size: int) -> None:
        head = 0
        while head < total:
            (answer,) = await sequencer.advance(token, [facts(rows[head : head + size])])
            assert isinstance(answer, Advanced | Behind)
            head = answer.head

    async with open_sequencer(redis_config) as one, open_sequencer(redis_config) as two:
        await seed_empty(one, "a")
        with redis.from_url(redis_url) as client, client.pubsub() as listener:
            subscribe(listener, redis_config.prefix + "u:a")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(work, one, TOKEN, 3)
                nursery.start_soon(work, two, OTHER, 7)
            seqs = [int(payload) for payload in payloads(listener, total)]
            assert seqs == list(range(1, total + 1))


# -- loss of the server's memory -------------------------------------------------------------------


async def test_flushall_makes_everything_unknown() -> None:
    changes = Changes()
    with own_redis() as server:
        config = RedisConfig(url=server.url)
        async with open_sequencer(config, changes=changes) as sequencer:
            await seed_empty(sequencer, "a")
            rows = await fill(sequencer, "a", 2)
            with server.client() as client:
                client.flushall()
                client.script_flush()
            (answer,) = await sequencer.advance(TOKEN, [facts(rows)])
            assert isinstance(answer, Unknown)
            assert await sequencer.seed([SeedBlock("a", answer.ticket, 2, tuple(rows), 0, ())]) == [
                True
            ]
            assert set((await reserve_one(sequencer, block("a", "m1"))).known) == {0}
            assert changes.count == 0  # the same server: nothing to repeat on another one


async def test_c11_c13_a_restarted_server_knows_nothing_and_is_noticed() -> None:
    """Its snapshot comes back, with n = 2, but another incarnation wrote that."""
    changes = Changes()
    with own_redis() as server:
        async with open_sequencer(RedisConfig(url=server.url), changes=changes) as sequencer:
            await seed_empty(sequencer, "a")
            await fill(sequencer, "a", 2)
            with server.client() as client:
                client.save()
            await trio.to_thread.run_sync(server.restart)
            with server.client() as client:
                assert client.hget("oit:c:a", "n") == b"2"
            await until(lambda: changes.count == 1, "noticed without a call")
            (answer,) = await sequencer.heads(["a"])
            assert isinstance(answer, Unknown)
            assert changes.count == 1


async def test_c11_a_promoted_replica_is_another_incarnation() -> None:
    """The hash was replicated, but whether it is the latest nobody can say."""
    changes = Changes()
    with own_redis() as master, own_redis() as replica:
        with replica.client() as client:
            client.replicaof("127.0.0.1", str(master.port))
        async with open_sequencer(RedisConfig(url=master.url)) as sequencer:
            await seed_empty(sequencer, "a")
            await fill(sequencer, "a", 2)
            with master.client() as client:
                client.wait(1, 5_000)
        with replica.client() as client:
            client.replicaof("NO", "ONE")
            assert client.hget("oit:c:a", "n") == b"2"
        async with open_sequencer(RedisConfig(url=replica.url), changes=changes) as sequencer:
            (answer,) = await sequencer.heads(["a"])
            assert isinstance(answer, Unknown)
            with replica.client() as client:
                assert client.hget("oit:c:a", "n") is None
            assert changes.count == 0  # the first server that this one has seen


async def test_a_change_of_master_under_a_live_connection_is_noticed() -> None:
    changes = Changes()
    with own_redis() as server:
        async with open_sequencer(RedisConfig(url=server.url), changes=changes) as sequencer:
            await seed_empty(sequencer, "a")
            with server.client() as client:
                client.execute_command("DEBUG", "CHANGE-REPL-ID")
            (answer,) = await sequencer.heads(["a"])
            assert isinstance(answer, Unknown)
            assert changes.count == 1


async def test_a_rollback_that_nobody_notices_is_older_but_not_false(
    redis_config: RedisConfig, redis_url: str
) -> None:
    """The hash of n = 2 comes back after n = 4: 3 is handed out again (the store's unique _id
    refuses it), nothing is known that is not in rows 1..2, and a catch-up repairs it."""
    key = f"{redis_config.prefix}c:a"
    async with open_sequencer(redis_config) as sequencer:
        await seed_empty(sequencer, "a")
        rows = await fill(sequencer, "a", 2)
        with redis.from_url(redis_url) as client:
            old = client.dump(key)
            rows += await fill(sequencer, "a", 2, first=3)
            client.restore(key, 0, old, replace=True)
        answer = await reserve_one(sequencer, block("a", "m1", "m4"))
        assert (set(answer.known), answer.new, answer.first_seq) == ({0}, (1,), 3)
        fifth = make_row("a", 5, "m5", send_time=rows[-1].send_time)
        assert await sequencer.advance(TOKEN, [facts([fifth])]) == [Behind(2)]
        assert await sequencer.advance(TOKEN, [facts([*rows[2:], fifth])]) == [Advanced(5)]
        assert set((await reserve_one(sequencer, block("a", "m4"))).known) == {0}


async def test_a_map_that_is_not_whole_is_forgotten(
    redis_config: RedisConfig, redis_url: str
) -> None:
    """Somebody deleted a field by hand: better unknown than wrong."""
    async with open_sequencer(redis_config, AppendConfig(window_rows=2)) as sequencer:
        await seed_empty(sequencer, "a")
        await fill(sequencer, "a", 2)
        with redis.from_url(redis_url) as client:
            client.hdel(f"{redis_config.prefix}c:a", "s:1")
        await fill(sequencer, "a", 1, first=3)
        await ticket_of(sequencer, "a")


async def test_idle_conversations_expire(redis_config: RedisConfig, redis_url: str) -> None:
    async with open_sequencer(redis_config, AppendConfig(idle_minutes=5)) as sequencer:
        with redis.from_url(redis_url) as client:
            key = f"{redis_config.prefix}c:a"
            ticket = await ticket_of(sequencer, "a")
            assert 0 < client.ttl(key) <= 60
            await sequencer.seed([SeedBlock("a", ticket, 0, (), 0, ())])
            assert 240 < client.ttl(key) <= 300
            client.persist(key)
            await fill(sequencer, "a", 1)
            assert 240 < client.ttl(key) <= 300


# -- large batches, errors -------------------------------------------------------------------------


async def test_large_batches(redis_config: RedisConfig) -> None:
    """200 conversations at once; one block of 9,000; far above Lua's limits on one unpack."""
    names = [f"c{i}" for i in range(200)]
    async with open_sequencer(redis_config, AppendConfig(window_rows=10_000)) as sequencer:
        tickets = [answer.ticket for answer in await sequencer.heads(names)]  # type: ignore[union-attr]
        tail = tuple(make_row("c", i, f"m{i}", send_time=10**12) for i in range(1, 31))
        seeds = [SeedBlock(n, t, 30, tail, 0, ()) for n, t in zip(names, tickets, strict=True)]
        assert await sequencer.seed(seeds) == [True] * 200
        many = block("c7", *(f"x{i}" for i in range(9_000)))
        *_, answer = await sequencer.reserve(TOKEN, [*(block(n, "x") for n in names[8:]), many])
        assert isinstance(answer, Reserved)
        assert answer.new == tuple(range(9_000))
        rows = [make_row("c7", 31 + i, f"x{i}", send_time=answer.send_time) for i in range(9_000)]
        others = [facts([make_row(n, 31, "x", send_time=10**12)]) for n in names[8:]]
        heads = await sequencer.advance(TOKEN, [*others, facts(rows), *others])
        assert heads == [*([Advanced(31)] * 192), Advanced(9_030), *([Advanced(31)] * 192)]
        again = await reserve_one(sequencer, many)
        assert set(again.known) == set(range(9_000))


async def test_more_heads_than_one_call_takes(redis_config: RedisConfig) -> None:
    async with open_sequencer(redis_config) as sequencer:
        await seed_empty(sequencer, "c2400")
        answers = await sequencer.heads([f"c{i}" for i in range(2_500)])
        assert len(answers) == 2_500
        assert [i for i, a in enumerate(answers) if isinstance(a, Head)] == [2_400]
        assert await sequencer.heads([]) == []


async def test_errors_in_a_script_are_an_unavailable_sequencer(
    redis_config: RedisConfig, redis_url: str
) -> None:
    async with open_sequencer(redis_config) as sequencer:
        with redis.from_url(redis_url) as client:
            client.set(f"{redis_config.prefix}c:a", "not a hash")
        with pytest.raises(SequencerUnavailable, match="WRONGTYPE"):
            await sequencer.heads(["a"])


# -- helpers on the listening side -----------------------------------------------------------------


def subscribe(listener: redis.client.PubSub, *channels: str) -> None:
    listener.subscribe(*channels)
    for _ in channels:
        assert listener.get_message(timeout=5)


def payloads(listener: redis.client.PubSub, count: int) -> list[bytes]:
    """Of `count` messages, and no more."""
    got = [listener.get_message(timeout=5) for _ in range(count)]
    assert all(got)
    assert listener.get_message(timeout=0.01) is None
    return [message["data"] for message in got if message]
