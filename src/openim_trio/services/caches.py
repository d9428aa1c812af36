"""Bounded caches that are dropped by control messages, and as a whole after a lost subscription.

A value that was being read while a drop came in is not kept: it may be the old one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Generic, TypeVar

import trio

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Cache(Generic[K, V]):
    """Least recently used entries go first.  `limit` counts weights, 1 an entry unless `weight`
    says otherwise.  `ttl`: seconds an entry is believed without being dropped."""

    def __init__(self, limit: int, ttl: float, weight: Callable[[V], int] | None = None) -> None:
        self._limit = limit
        self._ttl = ttl
        self._weight = weight
        self._entries: OrderedDict[K, tuple[float, int, V]] = OrderedDict()
        self._total = 0
        self._epoch = 0

    def __len__(self) -> int:
        return len(self._entries)

    @cached_property
    def _clock(self) -> Callable[[], float]:
        """`trio.current_time`, without its way through the run: it is asked several times a
        message."""
        return trio.lowlevel.current_clock().current_time

    @property
    def epoch(self) -> int:
        """Grows with every drop: take it before a read and hand it to `put`."""
        return self._epoch

    def get(self, key: K) -> V | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry[0] <= self._clock():
            self._remove(key)
            return None
        self._entries.move_to_end(key)
        return entry[2]

    def put(self, key: K, value: V, epoch: int) -> None:
        """Keep a value read since `epoch`; nothing if something was dropped meanwhile."""
        if epoch != self._epoch:
            return
        weight = self._weight(value) if self._weight else 1
        self._remove(key)
        if weight > self._limit:
            return
        self._entries[key] = (self._clock() + self._ttl, weight, value)
        self._total += weight
        while self._total > self._limit:
            self._remove(next(iter(self._entries)))

    def drop(self, keys: Iterable[K]) -> None:
        self._epoch += 1
        for key in keys:
            self._remove(key)

    def clear(self) -> None:
        self._epoch += 1
        self._entries.clear()
        self._total = 0

    async def get_many(
        self, keys: Sequence[K], load: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]]
    ) -> dict[K, V]:
        """Cached values, and those that one `load` of the missing ones finds.  Keys that it does
        not find are left out, and asked again next time."""
        found: dict[K, V] = {}
        missing: list[K] = []
        for key in dict.fromkeys(keys):
            value = self.get(key)
            if value is None:
                missing.append(key)
            else:
                found[key] = value
        if missing:
            epoch = self._epoch
            loaded = await load(missing)
            for key, value in loaded.items():
                self.put(key, value, epoch)
            found.update(loaded)
        return found

    def _remove(self, key: K) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._total -= entry[1]
