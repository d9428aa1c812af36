"""Redis is soft state: it is emptied, restarted, set back and cut off while people chat.

Each time sends pause and go on; no message is lost, doubled or shown out of order.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from tests.support.chatter import PATIENCE, Chatter, chatting
from tests.support.rediskit import OwnRedis, own_redis
from tests.support.site import Site, metric

ROUNDS = 2


@pytest.fixture
def server_redis() -> Iterator[OwnRedis]:
    with own_redis() as server:
        yield server


@asynccontextmanager
async def load(mongo_uri: str, own: OwnRedis, directory: Path) -> AsyncIterator[Chatter]:
    """People who chat, on two workers; everything is checked at the end."""
    site = Site(mongo_uri, own.url, directory)
    with site.serving() as server:
        async with chatting(site, server) as chatter:
            await chatter.more(60)
            yield chatter
            await chatter.more(60)
            await chatter.end()
            chatter.check()


async def in_thread(call: Callable[[], object]) -> None:
    await trio.to_thread.run_sync(call)


async def test_redis_is_emptied(mongo_uri: str, server_redis: OwnRedis, tmp_path: Path) -> None:
    with server_redis.client() as client:
        async with load(mongo_uri, server_redis, tmp_path) as chatter:
            for _ in range(2 * ROUNDS):
                client.flushall()
                await chatter.more(40)
            client.script_flush()
            await chatter.more(40)
            client.flushall()
            await chatter.say_all_again()
            assert metric(chatter.server, "seeds_total") > 2 * ROUNDS


async def test_redis_forgets_the_latest_without_a_sign(
    mongo_uri: str, server_redis: OwnRedis, tmp_path: Path
) -> None:
    """Conversations are set back one by one; no connection breaks."""
    with server_redis.client() as client:
        async with load(mongo_uri, server_redis, tmp_path) as chatter:
            for _ in range(ROUNDS):
                keys = client.keys(f"{chatter.site.prefix}c:*")
                old = {key: client.dump(key) for key in keys}
                await chatter.more(60)
                for key, value in old.items():
                    client.restore(key, 0, value, replace=True)
                await chatter.more(20)
            assert metric(chatter.server, "catch_ups_total") > 0


async def test_redis_restarts_empty(mongo_uri: str, server_redis: OwnRedis, tmp_path: Path) -> None:
    async with load(mongo_uri, server_redis, tmp_path) as chatter:
        for _ in range(ROUNDS):
            await in_thread(server_redis.restart)
            await chatter.more(40)


async def test_redis_restarts_with_an_old_state(
    mongo_uri: str, server_redis: OwnRedis, tmp_path: Path
) -> None:
    dump, old = server_redis.directory / "dump.rdb", server_redis.directory / "old.rdb"
    async with load(mongo_uri, server_redis, tmp_path) as chatter:
        for _ in range(ROUNDS):
            with server_redis.client() as client:
                client.save()
            shutil.copy(dump, old)
            await chatter.more(60)
            await in_thread(server_redis.stop)
            shutil.copy(old, dump)
            await in_thread(server_redis.start)
            with server_redis.client() as client:
                assert client.keys(f"{chatter.site.prefix}c:*"), "it came back empty"
            await chatter.more(40)


async def test_redis_stands_still(mongo_uri: str, server_redis: OwnRedis, tmp_path: Path) -> None:
    """Long enough to be given up: it does late what nobody waits for any more."""
    async with load(mongo_uri, server_redis, tmp_path) as chatter:
        before = await failures(chatter)
        server_redis.freeze()
        with trio.fail_after(PATIENCE):
            while await failures(chatter) < before + 2:
                await trio.lowlevel.checkpoint()
        server_redis.thaw()
        await chatter.more(40)


async def failures(chatter: Chatter) -> float:
    """Connections to Redis that were given up, by all workers."""
    count = partial(metric, chatter.server, "engine_errors_total", engine="redis")
    return await trio.to_thread.run_sync(count)


async def test_subscriptions_are_cut(
    mongo_uri: str, server_redis: OwnRedis, tmp_path: Path
) -> None:
    async with load(mongo_uri, server_redis, tmp_path) as chatter:
        with server_redis.client() as client:

            def cut() -> bool:
                """False while nobody is subscribed, since it was just cut."""
                return bool(client.execute_command("CLIENT", "KILL", "TYPE", "pubsub"))

            for _ in range(2 * ROUNDS):
                await chatter.until(cut, "a subscription to cut")
                await chatter.more(20)
        connections = [person.connections for person in chatter.people.values()]
        assert connections == [1] * len(connections), "nobody had to come back"
        assert metric(chatter.server, "bus_losses_total") >= 2 * ROUNDS
