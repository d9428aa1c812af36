"""Several pipelines (workers) on real engines under load, losses, races and deadlines."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest
import trio

from openim_trio.append.requests import Append
from openim_trio.config.model import AppendConfig, MongoConfig, RedisConfig
from openim_trio.domain.errors import Code
from openim_trio.domain.rows import RowKind
from tests.support import engines
from tests.support.appends import CHAT, chat_with, give_up, send
from tests.support.workers import QUICK, Asked, Cluster, Worker, open_cluster


@pytest.fixture
async def cluster(mongo_config: MongoConfig, redis_config: RedisConfig) -> AsyncIterator[Cluster]:
    async with open_cluster(mongo_config, redis_config) as opened:
        yield opened


async def workers(cluster: Cluster, count: int, config: AppendConfig | None = None) -> list[Worker]:
    return [await cluster.worker(config=config) for _ in range(count)]


# -- one key, many requests ------------------------------------------------------------------------


async def test_fifty_parallel_sends_of_one_message_make_one_row(cluster: Cluster) -> None:
    crowd = await workers(cluster, 5)
    asked = [crowd[n % 5].ask(send("a")) for n in range(50)]
    answers = [await one.appended() for one in asked]
    assert {answer.seq for answer in answers} == {1}
    assert len({answer.send_time for answer in answers}) == 1
    assert sum(answer.first for answer in answers) == 1
    assert len(cluster.rows()) == 1
    assert cluster.violations() == []


async def test_another_body_under_one_key_is_refused_by_every_worker(cluster: Cluster) -> None:
    w1, w2 = await workers(cluster, 2)
    await w1.append(send("a", "one body"))
    for worker in (w1, w2):
        refused = await worker.refused(send("a", "another body"))
        assert refused.code is Code.DUPLICATE_KEY
        assert "clientMsgID" in refused.detail
    assert len(cluster.rows()) == 1


async def test_order_of_one_sender_is_kept(cluster: Cluster) -> None:
    [w1] = await workers(cluster, 1)
    asked = [w1.ask(send(f"m{n}")) for n in range(500)]
    assert [(await one.appended()).seq for one in asked] == list(range(1, 501))
    assert cluster.violations() == []
    seqs = [seq for _, seq in cluster.receiver.published]
    assert seqs == list(range(1, 501))


@pytest.mark.parametrize("seed", range(3))
async def test_blocks_that_overlap(seed: int, cluster: Cluster) -> None:
    """The same messages through several workers, in different orders and blocks."""
    rng = random.Random(seed)
    crowd = await workers(cluster, 4)
    messages = [send(f"m{n}") for n in range(40)]
    asked: list[Asked] = []
    for worker in crowd:
        for message in rng.sample(messages, len(messages)):
            asked.append(worker.ask(message))
            if rng.random() < 0.1:
                await trio.lowlevel.checkpoint()
    for one in asked:
        await one.appended()
    assert len(cluster.rows()) == 40
    assert cluster.violations() == []


@pytest.mark.parametrize("seed", range(3))
async def test_a_give_up_races_with_its_send(seed: int, cluster: Cluster) -> None:
    """Delivered or never, and all answers agree."""
    rng = random.Random(seed)
    crowd = await workers(cluster, 3)
    asked: list[tuple[Append, Asked]] = []
    for n in range(20):
        message = send(f"m{n}")
        both = [message, give_up(f"m{n}"), message]
        rng.shuffle(both)
        asked += [(append, rng.choice(crowd).ask(append)) for append in both]
    delivered = {}
    for append, one in asked:
        outcome = await one.outcome()
        is_there = getattr(outcome, "kind", None) is RowKind.MESSAGE
        assert delivered.setdefault(append.key, is_there) == is_there
    assert len(cluster.rows()) == 20
    assert cluster.violations() == []


# -- losses in the middle of load ------------------------------------------------------------------


async def load(
    cluster: Cluster, crowd: list[Worker], harm: list[object], peers: int = 3
) -> list[Asked]:
    """Rounds of sends and retries through all workers, with one harm between two rounds."""
    asked: list[Asked] = []
    for number, strike in enumerate(harm):
        for worker in crowd:
            for n in range(8):
                peer = f"peer{n % peers}"
                asked.append(worker.ask(send(f"m{number}-{n}", peer=peer)))
                asked.append(worker.ask(send(f"m{max(number - 1, 0)}-{n}", peer=peer)))
        assert callable(strike)
        strike()
        await trio.lowlevel.checkpoint()
    return asked


async def check_load(cluster: Cluster, asked: list[Asked], rounds: int, peers: int = 3) -> None:
    for one in asked:
        await one.appended()
    assert sum(len(cluster.rows(chat_with(f"peer{n}"))) for n in range(peers)) == rounds * 8
    for n in range(peers):
        assert cluster.violations(chat_with(f"peer{n}")) == []


async def test_redis_is_flushed_in_the_middle_of_load(cluster: Cluster) -> None:
    crowd = await workers(cluster, 3)

    def flush() -> None:
        for name in cluster.redis.keys(f"{cluster.redis_config.prefix}*"):
            cluster.redis.delete(name)

    asked = await load(cluster, crowd, [flush] * 12)
    await check_load(cluster, asked, 12)


async def test_older_hashes_are_restored_in_the_middle_of_load(cluster: Cluster) -> None:
    """Rollbacks that nobody can notice: safety must hold, and the next append makes all visible."""
    crowd = await workers(cluster, 3)
    names = [chat_with(f"peer{n}") for n in range(3)]
    early: list[dict[str, bytes]] = []

    def remember_or_restore() -> None:
        present = {c: cluster.redis.dump(cluster.hash_key(c)) for c in names}
        early.append({c: bytes(dump) for c, dump in present.items() if dump})
        if len(early) % 3 == 0:
            for conversation, dump in early[len(early) // 2].items():
                cluster.roll_back(dump, conversation)

    asked = await load(cluster, crowd, [remember_or_restore] * 12)
    for one in asked:
        await one.appended()
    last = [crowd[0].ask(send("last", peer=f"peer{n}")) for n in range(3)]
    for one in last:
        await one.appended()
    for name in names:
        assert cluster.violations(name) == []
    assert sum(len(cluster.rows(name)) for name in names) == 12 * 8 + 3


@pytest.mark.parametrize("snapshot", [False, True], ids=["empty", "old-snapshot"])
async def test_redis_restarts_in_the_middle_of_load(
    mongo_config: MongoConfig, tmp_path: Path, snapshot: bool
) -> None:
    port = engines.free_port()
    config = RedisConfig(url=f"redis://127.0.0.1:{port}/0", prefix="t:")
    patient = attrs.evolve(QUICK, deadline=60)
    process = engines.start_redis(tmp_path, port)
    try:
        async with open_cluster(mongo_config, config, patient) as cluster:
            crowd = await workers(cluster, 3)
            first = await load(cluster, crowd, [lambda: None] * 3)
            if snapshot:
                await first[-1].appended()
                cluster.redis.save()
            more = await load(cluster, crowd, [lambda: None] * 6)
            process.kill()
            process.wait()
            process = await trio.to_thread.run_sync(engines.start_redis, tmp_path, port)
            cluster.receiver.subscribe()
            for one in [*first, *more]:
                await one.appended()
            for n in range(3):
                name = chat_with(f"peer{n}")
                heads = await crowd[n].pipeline.heads.heads([name])
                assert heads[name].seq == len(cluster.rows(name))
                cluster.receiver.read_head(name, heads[name].seq)
                assert cluster.violations(name) == []
            assert sum(len(cluster.rows(chat_with(f"peer{n}"))) for n in range(3)) == 6 * 8
    finally:
        engines.stop(process)


async def test_workers_crash_at_every_point_and_retries_succeed(cluster: Cluster) -> None:
    points = [f"{call}:{side}" for call in ("reserve", "insert", "advance") for side in
              ("before", "after")]  # fmt: skip
    [steady] = await workers(cluster, 1)
    for number, point in enumerate(points):
        [doomed] = await workers(cluster, 1)
        stop = doomed.pauses.at(point)
        message = send(f"m{number}")
        doomed.ask(message)
        await stop.reached()
        await doomed.crash()
        assert (await steady.append(message)).seq == number + 1
    assert cluster.violations() == []


# -- the memory of keys ----------------------------------------------------------------------------


async def test_a_key_that_left_the_window_is_found_in_the_rows(cluster: Cluster) -> None:
    small = attrs.evolve(QUICK, window_rows=16)
    w1, w2 = await workers(cluster, 2, small)
    messages = [send(f"m{n}") for n in range(100)]
    first = [await one.appended() for one in [w1.ask(message) for message in messages]]
    facts = cluster.facts()
    assert facts is not None
    assert len(facts.keys) <= 17
    asked = [w2.ask(message) for message in messages]
    again = [await one.appended() for one in asked]
    assert [a.seq for a in again] == [a.seq for a in first]
    assert [a.send_time for a in again] == [a.send_time for a in first]
    assert not any(answer.first for answer in again)
    assert len(cluster.rows()) == 100
    assert cluster.violations() == []


async def test_another_body_is_refused_below_the_window_too(cluster: Cluster) -> None:
    [w1] = await workers(cluster, 1, attrs.evolve(QUICK, window_rows=1))
    messages = [send(word) for word in ("a", "b", "c")]
    for message in messages:
        await w1.append(message)
    other = send("a", "other", created=messages[0].create_time)
    assert (await w1.refused(other)).code is Code.DUPLICATE_KEY


async def test_a_busy_conversation_is_seeded_with_its_whole_window(cluster: Cluster) -> None:
    """A short tail would leave each new message "old" for as long as clocks may be off."""
    [w1] = await workers(cluster, 1)
    for one in [w1.ask(send(f"m{n}")) for n in range(200)]:
        await one.appended()
    cluster.wipe()
    [w2] = await workers(cluster, 1)
    await w2.append(send("new"))
    assert "find_key:before" not in w2.pauses.passed
    facts = cluster.facts()
    assert facts is not None
    assert facts.lo == 1
    assert cluster.violations() == []


async def test_an_administrators_send_time_survives_the_loss_of_redis(cluster: Cluster) -> None:
    w1, w2 = await workers(cluster, 2)
    message = send("a", send_time=1_500_000_000_000)
    first = await w1.append(message)
    cluster.wipe()
    again = await w2.append(message)
    assert (again.seq, again.send_time) == (first.seq, 1_500_000_000_000)
    [row] = cluster.rows()
    assert row.send_time > 1_500_000_000_000
    assert cluster.violations() == []


# -- deadlines and readers -------------------------------------------------------------------------


async def test_a_deadline_answers_and_the_row_stays_right(cluster: Cluster) -> None:
    hasty = attrs.evolve(QUICK, deadline=0.3)
    [w1] = await workers(cluster, 1, hasty)
    [w2] = await workers(cluster, 1)
    await w2.append(send("before"))
    stop = w1.pauses.at("advance:before")
    late = await w1.refused(send("a"))
    assert late.code is Code.DATABASE
    assert late.retriable
    await stop.reached()
    retried = await w2.append(send("a"))
    stop.go()
    assert (retried.seq, retried.first) == (2, False)
    assert cluster.violations() == []


async def test_a_session_that_was_shown_more_makes_redis_catch_up(cluster: Cluster) -> None:
    [w1] = await workers(cluster, 1)
    await w1.pipeline.heads.heads([CHAT])
    early = cluster.snapshot()
    await w1.append(send("a"))
    cluster.roll_back(early)
    await w1.pipeline.catch_up(CHAT, 1)
    assert cluster.violations() == []


async def test_a_clock_ahead_is_refused_by_the_sequencers_clock_too(cluster: Cluster) -> None:
    """A worker whose own clock is wrong lets it pass; the row would break the look-ups."""
    [w1] = await workers(cluster, 1, attrs.evolve(QUICK, clock_error_minutes=0))
    w1.pipeline._now_ms = lambda: time.time_ns() // 1_000_000 + 3_600_000
    ahead = send("a", created=time.time_ns() // 1_000_000 + 1_800_000)
    assert (await w1.refused(ahead)).code is Code.ARGS
    assert cluster.rows() == []
