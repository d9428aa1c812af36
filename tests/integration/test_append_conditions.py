"""The thirteen conditions of the append protocol, on the real pipeline and engines.

Every scenario runs twice: as the program is, and with its condition taken out.  The first must
keep every promise; in the second the invariants must find what the condition prevents.  C1 to C6
are for safety; without C7 to C13 nothing is lost, doubled or reordered, but seen late.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import attrs
import pytest
import trio

from openim_trio.append.ports import ReserveBlock, Reserved, ReserveKey, RowStore, Sequencer
from openim_trio.append.requests import Append
from openim_trio.config.model import MongoConfig, RedisConfig
from openim_trio.domain.rows import Row, RowKind, seal
from openim_trio.observability.metrics import Metrics
from openim_trio.redisio.address import parse_address
from openim_trio.redisio.bus import Bus
from tests.support import engines
from tests.support.appends import CHAT, RECEIVER, give_up, send
from tests.support.failover import replica_set_of_three
from tests.support.relay import Relay
from tests.support.weakened import (
    BlindToServers,
    BoastfulSeed,
    EarlyAnswer,
    Facts,
    ForcedSeed,
    JumpingAdvance,
    SilentSeed,
    TicketlessSeed,
    TrustedLookUp,
    UncoveredKeys,
    UnorderedInsert,
    read_from_primary_alone,
)
from tests.support.workers import QUICK, Cluster, Worker, open_cluster

A, B, C, D = send("a"), send("b"), send("c"), send("d")
SMALL_WINDOW = attrs.evolve(QUICK, window_rows=1)

kept_or_not = pytest.mark.parametrize("kept", [True, False], ids=["kept", "taken-out"])


@pytest.fixture
async def cluster(mongo_config: MongoConfig, redis_config: RedisConfig) -> AsyncIterator[Cluster]:
    async with open_cluster(mongo_config, redis_config) as opened:
        yield opened


def judge(found: list[str], *, kept: bool, expected: str = "") -> None:
    if kept:
        assert found == []
    else:
        assert any(expected in text for text in found), found


def sequencer(
    cluster: Cluster, weakened: type[Facts], *, kept: bool
) -> Callable[[Sequencer], Sequencer]:
    if kept:
        return lambda inner: inner
    return lambda inner: weakened(inner, cluster.redis, cluster.redis_config.prefix)


def rows(weakened: Callable[[RowStore], RowStore], *, kept: bool) -> Callable[[RowStore], RowStore]:
    return (lambda inner: inner) if kept else weakened


# -- safety ----------------------------------------------------------------------------------------


@kept_or_not
async def test_c1_a_block_stops_at_its_first_duplicate_key(cluster: Cluster, kept: bool) -> None:
    w1 = await cluster.worker(rows=rows(UnorderedInsert, kept=kept))
    w2 = await cluster.worker()
    inserting = w1.pauses.at("insert:before")
    asked = [w1.ask(A), w1.ask(B)]  # one block, seqs 1 and 2
    await inserting.reached()
    await w2.append(B)
    inserting.go()
    for one in asked:
        await one.appended()
    judge(cluster.violations(), kept=kept, expected="2 rows of one key")


@kept_or_not
async def test_c2_an_advance_never_jumps(cluster: Cluster, kept: bool) -> None:
    w1, w2 = await cluster.worker(), await cluster.worker()
    w3 = await cluster.worker(sequencer=sequencer(cluster, JumpingAdvance, kept=kept))
    await w1.pipeline.heads.heads([CHAT])
    early = cluster.snapshot()  # n = 0
    await w1.append(A)
    advancing = w3.pauses.at("advance:before")
    asked = w3.ask(B)
    await advancing.reached()
    cluster.roll_back(early)
    advancing.go()
    await asked.appended()
    await w2.append(A)
    judge(cluster.violations(), kept=kept, expected="2 rows of one key")


@kept_or_not
async def test_c3_facts_come_from_a_majority(redis_config: RedisConfig, kept: bool) -> None:
    """A row that only the primary has stands in the way; then the primary dies."""
    with replica_set_of_three() as members:
        mongo_config = MongoConfig(uri=members.uri, database="c3", timeout=3)
        patient = attrs.evolve(QUICK, deadline=120)
        async with open_cluster(mongo_config, redis_config, patient) as cluster:
            w2 = await cluster.worker(rows=rows(read_from_primary_alone, kept=kept))
            await w2.pipeline.heads.heads([CHAT])
            await w2.append(send("elsewhere", peer="carol"))  # the collection is on a majority
            members.hold_replication()
            cluster.insert_on_primary_alone(stray_row(A))
            retried = w2.ask(A)
            if kept:
                met = w2.pauses.at("read_above:after")
                await met.reached()
                assert not retried.is_answered
                met.go()
            else:
                await retried.appended()
            await trio.to_thread.run_sync(members.fail_over)
            await retried.appended()
            judge(cluster.violations(), kept=kept, expected="holds something else")


def stray_row(append: Append) -> Row:
    """Row 1, as a worker that has crashed by now inserted it."""
    sent = append.create_time
    return Row(
        append.conversation, 1, append.kind, append.key, append.fingerprint,
        append.create_time, sent, seal(append.head, 1, sent),
    )  # fmt: skip


@kept_or_not
async def test_c4_a_key_below_the_window_is_looked_up(cluster: Cluster, kept: bool) -> None:
    w1 = await cluster.worker(config=SMALL_WINDOW)
    w2 = await cluster.worker(
        config=SMALL_WINDOW, sequencer=sequencer(cluster, UncoveredKeys, kept=kept)
    )
    for append in (A, B, C):
        await w1.append(append)
    facts = cluster.facts()
    assert facts is not None
    assert A.key not in facts.keys
    await w2.append(A)
    judge(cluster.violations(), kept=kept, expected="2 rows of one key")


@kept_or_not
async def test_c4_a_look_up_covers_only_what_was_there(cluster: Cluster, kept: bool) -> None:
    """Another retry stores the key after the look-up, and the window moves past it."""
    w1 = await cluster.worker(config=SMALL_WINDOW)
    w2 = await cluster.worker(
        config=SMALL_WINDOW, sequencer=sequencer(cluster, TrustedLookUp, kept=kept)
    )
    for append in (B, C):
        await w1.append(append)
    searched = w2.pauses.at("find_key:after")
    asked = w2.ask(A)
    await searched.reached()  # not there
    await w1.append(A)
    await w1.append(D)
    await w1.append(send("e"))
    searched.go()
    await asked.appended()
    judge(cluster.violations(), kept=kept, expected="2 rows of one key")


@kept_or_not
async def test_c5_a_seed_says_from_where_on_it_knows_the_keys(cluster: Cluster, kept: bool) -> None:
    w1 = await cluster.worker(config=SMALL_WINDOW)
    w2 = await cluster.worker(
        config=SMALL_WINDOW, sequencer=sequencer(cluster, BoastfulSeed, kept=kept)
    )
    for append in (A, B):
        await w1.append(append)
    cluster.wipe()
    await w2.append(A)
    judge(cluster.violations(), kept=kept, expected="2 rows of one key")


@kept_or_not
async def test_c6_a_give_up_is_a_row(cluster: Cluster, kept: bool) -> None:
    """The row of a is stored and not advanced yet: only the store knows."""
    w1, w2 = await cluster.worker(), await cluster.worker()
    advancing = w1.pauses.at("advance:before")
    asked = w1.ask(A)
    await advancing.reached()
    if kept:
        assert (await w2.append(give_up("a"))).kind is RowKind.MESSAGE  # "delivered"
    else:
        await give_up_by_mark(cluster, w2)
    advancing.go()
    await asked.appended()
    judge(cluster.violations(), kept=kept, expected="told never, but delivered")


async def give_up_by_mark(cluster: Cluster, worker: Worker) -> None:
    """What a mark in Redis would answer: the key is not known, so it will never be delivered."""
    block = ReserveBlock(CHAT, (ReserveKey(A.key, A.create_time),))
    [answer] = await worker.pipeline._tools.sequencer.reserve(b"mark", [block])
    assert isinstance(answer, Reserved)
    assert not answer.known
    cluster.ledger.never.append(give_up("a"))


# -- visibility ------------------------------------------------------------------------------------


@kept_or_not
async def test_c7_a_seed_does_not_overwrite_facts(cluster: Cluster, kept: bool) -> None:
    w0, w2 = await cluster.worker(), await cluster.worker()
    w1 = await cluster.worker(sequencer=sequencer(cluster, ForcedSeed, kept=kept))
    await w0.append(A)
    cluster.wipe()
    await crash_after_seed(cluster, w1, lambda: w2.append(B))
    judge(cluster.violations(), kept=kept, expected="new readers are shown 1 only")


@kept_or_not
async def test_c8_a_seed_needs_the_ticket_of_this_unknown(cluster: Cluster, kept: bool) -> None:
    w1 = await cluster.worker()
    w2 = await cluster.worker(sequencer=sequencer(cluster, TicketlessSeed, kept=kept))

    async def a_whole_known_period() -> None:
        await w1.append(A)
        cluster.wipe()

    await crash_after_seed(cluster, w2, a_whole_known_period)
    judge(cluster.violations(), kept=kept, expected="new readers are shown 0 only")


async def crash_after_seed(
    cluster: Cluster, worker: Worker, meanwhile: Callable[[], object]
) -> None:
    """`worker` reads the store, then the others act, then it seeds what it had read and crashes."""
    before, after = worker.pauses.at("seed:before"), worker.pauses.at("seed:after")
    cluster.nursery.start_soon(_ignore_cancel, worker, CHAT)
    await before.reached()
    result = meanwhile()
    assert hasattr(result, "__await__")
    await result
    before.go()
    await after.reached()
    await worker.crash()


async def _ignore_cancel(worker: Worker, conversation: str) -> None:
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(worker.pipeline.heads.heads, [conversation])
            await worker.gone.wait()
            scope.cancel()


@kept_or_not
async def test_c9_a_seed_publishes_the_head(cluster: Cluster, kept: bool) -> None:
    w1 = await cluster.worker()
    w2 = await cluster.worker(sequencer=sequencer(cluster, SilentSeed, kept=kept))
    await w1.append(A)
    advancing = w2.pauses.at("advance:before")
    asked = w2.ask(B)
    await advancing.reached()
    cluster.wipe()
    advancing.go()
    assert (await asked.appended()).seq == 2
    judge(cluster.violations(), kept=kept, expected="the receiver was shown 1 only")


@kept_or_not
async def test_c10_an_answer_comes_after_the_advance(cluster: Cluster, kept: bool) -> None:
    w1 = await cluster.worker()
    w2 = await cluster.worker(sequencer=sequencer(cluster, EarlyAnswer, kept=kept))
    await w1.append(A)
    stop = w2.pauses.at("advance:before" if kept else "advance:after")
    asked = w2.ask(B)
    await stop.reached()
    if not kept:
        stop.go()
        await asked.appended()
    await w2.crash()
    judge(cluster.violations(), kept=kept, expected="seq 2 is acknowledged")


@kept_or_not
async def test_c11_facts_of_another_incarnation_are_unknown(
    mongo_config: MongoConfig, tmp_path: Path, kept: bool
) -> None:
    """Redis comes back with a snapshot from before a was appended."""
    port = engines.free_port()
    config = RedisConfig(url=f"redis://127.0.0.1:{port}/0", prefix="t:")
    process = engines.start_redis(tmp_path, port)
    try:
        async with open_cluster(mongo_config, config) as before:
            w1 = await before.worker()
            await w1.pipeline.heads.heads([CHAT])
            before.redis.save()
            await w1.append(A)
            ledger = before.ledger
        engines.stop(process)
        process = engines.start_redis(tmp_path, port)
        async with open_cluster(mongo_config, config) as after:
            assert after.facts() is not None
            w2 = await after.worker(sequencer=sequencer(after, BlindToServers, kept=kept))
            heads = await w2.pipeline.heads.heads([CHAT])
            unseen = heads[CHAT].seq < ledger.highest(CHAT)
            judge(["unseen"] if unseen else [], kept=kept)
    finally:
        engines.stop(process)


@kept_or_not
async def test_c12_subscribe_first_read_the_head_second(
    cluster: Cluster, redis_config: RedisConfig, kept: bool
) -> None:
    """A reader whose subscription was lost, and a message between its two steps."""
    w1 = await cluster.worker()
    await w1.append(A)
    bus = Bus(redis_config, Metrics())
    shown: list[int] = [0]
    bus.on_message = lambda channel, payload: shown.append(2)
    await cluster.nursery.start(bus.run)

    async def read_head() -> None:
        shown.append((await w1.pipeline.heads.heads([CHAT]))[CHAT].seq)

    steps = [partial(bus.subscribe, [f"u:{RECEIVER}"]), read_head]
    for number, step in enumerate(steps if kept else steps[::-1]):
        await step()
        if number == 0:
            await w1.append(B)
    judge([] if max(shown) == 2 else ["2 is never shown"], kept=kept)


@kept_or_not
async def test_c13_advances_are_repeated_on_a_new_server(
    mongo_config: MongoConfig, redis_config: RedisConfig, tmp_path: Path, kept: bool
) -> None:
    """Two masters at once: the old one still serves w1 while the new one serves everybody else."""
    port = engines.free_port()
    process = engines.start_redis(tmp_path, port)
    new_config = attrs.evolve(redis_config, url=f"redis://127.0.0.1:{port}/0")
    try:
        async with (
            open_cluster(mongo_config, redis_config) as old,
            open_cluster(mongo_config, new_config) as new,
        ):
            relay = Relay(parse_address(redis_config.url).port)
            await old.nursery.start(relay.run)
            relayed = attrs.evolve(redis_config, url=f"redis://127.0.0.1:{relay.port}/0")
            w1 = await old.worker(redis_config=relayed, notices_servers=kept)
            w2 = await new.worker()
            await w1.append(A)
            await w2.pipeline.heads.heads([CHAT])  # the new master: n = 1
            await w1.append(B)  # stored; advanced and acknowledged by the old master
            if kept:
                repeated = w1.pauses.at("advance:after")
            relay.switch(port)
            if kept:
                await repeated.reached()
            else:
                await w1.append(send("elsewhere", peer="carol"))  # w1 has arrived there
            new.ledger = old.ledger
            judge(new.violations(), kept=kept, expected="new readers are shown 1 only")
            if kept:
                assert new.receiver.published == [(CHAT, 2)]
    finally:
        engines.stop(process)
