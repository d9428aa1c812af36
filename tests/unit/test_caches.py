"""Caches are bounded and never keep what was dropped while it was read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from trio.testing import MockClock

from openim_trio.services.caches import Cache


async def test_the_least_recently_used_goes_first() -> None:
    cache: Cache[str, int] = Cache(2, 60)
    cache.put("a", 1, cache.epoch)
    cache.put("b", 2, cache.epoch)
    assert cache.get("a") == 1
    cache.put("c", 3, cache.epoch)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (1, None, 3)


async def test_weights() -> None:
    cache: Cache[str, list[int]] = Cache(5, 60, len)
    cache.put("a", [1, 2, 3], cache.epoch)
    cache.put("b", [1, 2], cache.epoch)
    assert len(cache) == 2
    cache.put("a", [1, 2, 3, 4], cache.epoch)
    assert (cache.get("a"), cache.get("b")) == ([1, 2, 3, 4], None)
    cache.put("big", [0] * 6, cache.epoch)
    assert cache.get("big") is None


async def test_entries_age(mock_clock: MockClock) -> None:
    cache: Cache[str, int] = Cache(2, 60)
    cache.put("a", 1, cache.epoch)
    mock_clock.jump(59)
    assert cache.get("a") == 1
    mock_clock.jump(1)
    assert cache.get("a") is None
    assert len(cache) == 0


async def test_what_was_dropped_while_it_was_read_is_not_kept() -> None:
    cache: Cache[str, int] = Cache(10, 60)

    async def load(keys: Sequence[str]) -> Mapping[str, int]:
        cache.drop(["a"])
        return dict.fromkeys(keys, 1)

    assert await cache.get_many(["a", "b"], load) == {"a": 1, "b": 1}
    assert (cache.get("a"), cache.get("b")) == (None, None)


async def test_only_missing_keys_are_loaded() -> None:
    cache: Cache[str, int] = Cache(10, 60)
    asked: list[list[str]] = []

    async def load(keys: Sequence[str]) -> Mapping[str, int]:
        asked.append(list(keys))
        return {key: 1 for key in keys if key != "none"}

    await cache.get_many(["a", "none"], load)
    assert await cache.get_many(["a", "b", "b", "none"], load) == {"a": 1, "b": 1}
    assert asked == [["a", "none"], ["b", "none"]]
    cache.drop(["a"])
    assert (cache.get("a"), cache.get("b")) == (None, 1)
    cache.clear()
    assert cache.get("b") is None
