from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
import trio
import trio.testing

from openim_trio.append.ports import StoreUnavailable
from openim_trio.store.batching import Batcher


class Fetch:
    """Doubles numbers; odd ones are unknown."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.error: Exception | None = None

    async def __call__(self, keys: Sequence[int]) -> Mapping[int, int]:
        self.calls.append(sorted(keys))
        await trio.sleep(1)
        if self.error is not None:
            raise self.error
        return {key: 2 * key for key in keys if key % 2 == 0}


@pytest.fixture
def fetch(autojump_clock: trio.testing.MockClock) -> Fetch:
    return Fetch()


async def test_look_ups_of_one_window_share_a_fetch(fetch: Fetch) -> None:
    batcher = Batcher(fetch)
    found: dict[int, int | None] = {}

    async def get(key: int) -> None:
        found[key] = await batcher.get(key)

    async with trio.open_nursery() as nursery:
        for key in range(4):
            nursery.start_soon(get, key)
    assert fetch.calls == [[0, 1, 2, 3]]
    assert found == {0: 0, 1: None, 2: 4, 3: None}
    assert await batcher.get_many([2, 2, 5, 4]) == {2: 4, 4: 8}
    assert await batcher.get_many([]) == {}


async def test_a_full_batch_takes_no_more(fetch: Fetch) -> None:
    batcher = Batcher(fetch, limit=2)
    async with trio.open_nursery() as nursery:
        for key in range(5):
            nursery.start_soon(batcher.get, key)
    assert sorted(len(keys) for keys in fetch.calls) == [1, 2, 2]


async def test_a_cancelled_leader_leaves_the_others_an_answer(fetch: Fetch) -> None:
    batcher = Batcher(fetch)
    found: list[int | None] = []

    async def get(key: int) -> None:
        found.append(await batcher.get(key))

    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as leader:
            async with trio.open_nursery() as inner:
                inner.start_soon(batcher.get, 2)
                await trio.testing.wait_all_tasks_blocked()
                nursery.start_soon(get, 4)
                nursery.start_soon(get, 6)
                await trio.testing.wait_all_tasks_blocked()
                leader.cancel()
    assert sorted(n for n in found if n is not None) == [8, 12]
    assert fetch.calls == [[4, 6]]


async def test_an_unavailable_store_is_told_to_all(fetch: Fetch) -> None:
    batcher = Batcher(fetch)
    fetch.error = StoreUnavailable("no primary")
    refused: list[str] = []

    async def get(key: int) -> None:
        try:
            await batcher.get(key)
        except StoreUnavailable as error:
            refused.append(str(error))

    async with trio.open_nursery() as nursery:
        for key in range(3):
            nursery.start_soon(get, key)
    assert refused == ["no primary"] * 3
    assert len(fetch.calls) == 1


async def test_a_bug_in_the_fetch_hangs_nobody(fetch: Fetch) -> None:
    batcher = Batcher(fetch)
    fetch.error = ZeroDivisionError()
    failed: list[int] = []

    async def get(key: int) -> None:
        try:
            await batcher.get(key)
        except ZeroDivisionError:
            failed.append(key)

    async with trio.open_nursery() as nursery:
        for key in range(3):
            nursery.start_soon(get, key)
    assert sorted(failed) == [0, 1, 2]
