"""Schedules that break designs with reservations that run ahead, on the real pipeline and engines.

Each is a known counterexample of such a design: N1 to N9 of the plain one, P1 and P2 with every
local repair, F1 with "the first row of a key wins".  Stalls and crashes are placed between reserve,
store and advance; nothing here depends on luck or on time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from openim_trio.config.model import MongoConfig, RedisConfig
from openim_trio.domain.errors import Code
from openim_trio.domain.rows import RowKind
from tests.support.appends import CHAT, give_up, send
from tests.support.workers import Cluster, Worker, open_cluster


@pytest.fixture
async def cluster(mongo_config: MongoConfig, redis_config: RedisConfig) -> AsyncIterator[Cluster]:
    async with open_cluster(mongo_config, redis_config) as opened:
        yield opened


A, B = send("a"), send("b")


async def three(cluster: Cluster) -> tuple[Worker, Worker, Worker]:
    return await cluster.worker(), await cluster.worker(), await cluster.worker()


def keys_of(cluster: Cluster) -> list[bytes]:
    return [row.key for row in cluster.rows()]


async def test_n1_a_retry_of_a_send_that_was_never_stored(cluster: Cluster) -> None:
    w1, w2, _ = await three(cluster)
    stop = w1.pauses.at("insert:before")
    w1.ask(A)
    await stop.reached()
    retried = await w2.append(A)
    await w1.crash()
    assert retried.seq == 1
    assert cluster.violations() == []


async def test_n1_the_stalled_writer_comes_back(cluster: Cluster) -> None:
    w1, w2, _ = await three(cluster)
    stop = w1.pauses.at("insert:before")
    asked = w1.ask(A)
    await stop.reached()
    retried = await w2.append(A)
    stop.go()
    late = await asked.appended()
    assert (late.seq, late.send_time, late.first) == (retried.seq, retried.send_time, False)
    assert cluster.violations() == []


async def test_n2_the_slot_is_taken_by_another_message(cluster: Cluster) -> None:
    w1, w2, _ = await three(cluster)
    stop = w1.pauses.at("insert:before")
    asked = w1.ask(A)
    await stop.reached()
    assert (await w2.append(B)).seq == 1
    stop.go()
    assert (await asked.appended()).seq == 2
    assert keys_of(cluster) == [B.key, A.key]
    assert cluster.violations() == []


async def test_n3_a_give_up_takes_the_slot_of_a_stalled_send(cluster: Cluster) -> None:
    w1, w2, _ = await three(cluster)
    stop = w1.pauses.at("insert:before")
    asked = w1.ask(A)
    await stop.reached()
    assert (await w2.append(give_up("a"))).kind is RowKind.TOMBSTONE
    stop.go()
    assert (await asked.refused()).code is Code.DUPLICATE_KEY
    assert [row.kind for row in cluster.rows()] == [RowKind.TOMBSTONE]
    assert cluster.violations() == []


async def test_n4_a_give_up_survives_the_loss_of_redis(cluster: Cluster) -> None:
    w1, w2, _ = await three(cluster)
    stop = w2.pauses.at("reserve:before")
    delayed = w2.ask(A)
    await stop.reached()
    assert (await w1.append(give_up("a"))).kind is RowKind.TOMBSTONE
    cluster.wipe()
    stop.go()
    assert (await delayed.refused()).code is Code.DUPLICATE_KEY
    assert cluster.violations() == []


async def test_n5_redis_is_wiped_between_store_and_advance(cluster: Cluster) -> None:
    w1, w2, _ = await three(cluster)
    stop = w1.pauses.at("insert:before")
    asked = w1.ask(A)
    await stop.reached()
    cluster.wipe()
    seeding = w2.pauses.at("seed:before")
    cluster.nursery.start_soon(w2.pipeline.heads.heads, [CHAT])
    await seeding.reached()  # it has read: no rows
    advancing = w1.pauses.at("advance:before")
    stop.go()
    await advancing.reached()
    seeding.go()
    seeded = w2.pauses.at("heads:before")
    await seeded.reached()
    await w2.crash()
    assert not asked.is_answered
    advancing.go()
    assert (await asked.appended()).seq == 1
    assert cluster.violations() == []


async def test_n5_the_advance_finds_nothing_there(cluster: Cluster) -> None:
    w1, w2, _ = await three(cluster)
    advancing = w1.pauses.at("advance:before")
    asked = w1.ask(A)
    await advancing.reached()
    cluster.wipe()
    advancing.go()
    answer = await asked.appended()
    assert (answer.seq, answer.first) == (1, True)
    assert (await w2.append(B)).seq == 2
    assert cluster.violations() == []


async def test_n6_a_reservation_of_a_crashed_worker_leaves_no_hole(cluster: Cluster) -> None:
    w1, w2, w3 = await three(cluster)
    stalled = w1.pauses.at("insert:before")
    w1.ask(A)
    await stalled.reached()
    await w1.crash()
    inserting = w2.pauses.at("insert:before")
    asked = w2.ask(B)
    await inserting.reached()
    cluster.wipe()
    await w3.pipeline.heads.heads([CHAT])
    inserting.go()
    assert (await asked.appended()).seq == 1
    assert cluster.violations() == []


@pytest.mark.parametrize("lost", ["insert:before", "insert:after", "advance:before"])
async def test_n7_an_ack_does_not_depend_on_a_crashed_neighbour(
    lost: str, cluster: Cluster
) -> None:
    w1, w2, w3 = await three(cluster)
    stop = w1.pauses.at(lost)
    w1.ask(A)
    await stop.reached()
    await w1.crash()
    await w2.append(B)
    cluster.wipe()
    assert cluster.violations() == []
    heads = await w3.pipeline.heads.heads([CHAT])
    assert heads[CHAT].seq == len(cluster.rows())
    assert cluster.violations() == []


async def test_n8_a_rollback_hands_a_retrys_slot_to_another_message(cluster: Cluster) -> None:
    w1, w2, w3 = await three(cluster)
    inserting = w1.pauses.at("insert:before")
    advancing = w1.pauses.at("advance:before")
    asked = w1.ask(A)
    await inserting.reached()
    early = cluster.snapshot()
    inserting.go()
    await advancing.reached()
    cluster.roll_back(early)
    other = w3.pauses.at("insert:before")
    b = w3.ask(B)
    await other.reached()  # it was given seq 1 as well
    retried = await w2.append(A)
    other.go()
    advancing.go()
    assert (await asked.appended()).seq == retried.seq == 1
    assert (await b.appended()).seq == 2
    assert cluster.violations() == []


async def test_n9_a_rollback_below_an_acknowledged_row(cluster: Cluster) -> None:
    w1, w2, w3 = await three(cluster)
    other = w3.pauses.at("insert:before")
    b = w3.ask(B)
    await other.reached()
    early = cluster.snapshot()
    assert (await w1.append(A)).seq == 1
    cluster.roll_back(early)
    assert (await w2.append(A)).seq == 1
    other.go()
    assert (await b.appended()).seq == 2
    assert keys_of(cluster) == [A.key, B.key]
    assert cluster.violations() == []


async def test_p1_a_reservation_from_before_a_wipe_lands_after_the_reseed(
    cluster: Cluster,
) -> None:
    w1, w2, w3 = await three(cluster)
    inserting = w1.pauses.at("insert:before")
    advancing = w1.pauses.at("advance:before")
    asked = w1.ask(A)
    await inserting.reached()
    cluster.wipe()
    await w2.pipeline.heads.heads([CHAT])  # seeds: no rows
    inserting.go()
    await advancing.reached()
    other = w3.pauses.at("insert:before")
    b = w3.ask(B)
    await other.reached()  # seq 1, which is taken by now
    other.go()
    assert (await b.appended()).seq == 2
    assert (await w2.append(A)).seq == 1
    advancing.go()
    assert (await asked.appended()).seq == 1
    assert cluster.violations() == []


async def test_p1_the_retry_stores_first(cluster: Cluster) -> None:
    w1, w2, _ = await three(cluster)
    inserting = w1.pauses.at("insert:before")
    asked = w1.ask(A)
    await inserting.reached()
    cluster.wipe()
    assert (await w2.append(A)).seq == 1
    inserting.go()
    assert (await asked.appended()).seq == 1
    assert cluster.violations() == []


async def test_p2_a_commit_is_a_fact_in_every_incarnation(cluster: Cluster) -> None:
    w1, w2, _ = await three(cluster)
    inserting = w1.pauses.at("insert:before")
    asked = w1.ask(A)
    await inserting.reached()
    cluster.wipe()
    await w2.pipeline.heads.heads([CHAT])
    inserting.go()
    assert (await asked.appended()).seq == 1
    assert keys_of(cluster) == [A.key]
    assert w1.pauses.passed.count("reserve:before") == 2  # the seed's and its own: none afterwards
    assert cluster.violations() == []


async def test_f1_a_slow_commit_and_a_retry_that_was_acknowledged(cluster: Cluster) -> None:
    w1, w2, w3 = await three(cluster)
    advancing = w1.pauses.at("advance:before")
    asked = w1.ask(A)
    await advancing.reached()
    assert (await w2.append(A)).seq == 1
    cluster.wipe()
    assert (await w3.append(B)).seq == 2
    advancing.go()
    assert (await asked.appended()).seq == 1
    assert keys_of(cluster) == [A.key, B.key]
    assert cluster.violations() == []
