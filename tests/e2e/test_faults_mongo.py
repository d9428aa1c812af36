"""MongoDB changes its primary while people chat: sends pause, then go on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from tests.support.chatter import chatting
from tests.support.failover import ReplicaSet, replica_set_of_three
from tests.support.site import Site


@pytest.fixture
def replica_set() -> Iterator[ReplicaSet]:
    with replica_set_of_three() as found:
        yield found


async def test_primaries_come_and_go(
    replica_set: ReplicaSet, redis_url: str, tmp_path: Path
) -> None:
    site = Site(replica_set.uri, redis_url, tmp_path)
    with site.serving() as server:
        async with chatting(site, server) as chatter:
            await chatter.more(60)
            await trio.to_thread.run_sync(replica_set.step_down)
            await chatter.more(60)
            port = await trio.to_thread.run_sync(replica_set.kill_primary)
            await chatter.more(60)
            replica_set.start(port)
            await chatter.more(60)
            port = await trio.to_thread.run_sync(replica_set.freeze_primary)
            await chatter.more(60)
            replica_set.thaw(port)  # what it had not done yet, it now tries to do
            await chatter.more(60)
            await chatter.end()
            chatter.check()
    assert not site.log("worker_died")
