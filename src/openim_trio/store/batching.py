"""Many tasks look up one thing each at the same moment: one query for all of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

import trio

from openim_trio.append.ports import StoreUnavailable

WINDOW = 0.001
LIMIT = 500

K = TypeVar("K")
V = TypeVar("V")


class _Batch(Generic[K, V]):
    __slots__ = ("done", "error", "found", "keys")

    def __init__(self) -> None:
        self.keys: dict[K, None] = {}
        self.done = trio.Event()
        self.found: Mapping[K, V] | None = None
        self.error: StoreUnavailable | None = None


class Batcher(Generic[K, V]):
    """The first caller waits `window` seconds for others and then fetches for all of them.

    A batch that holds `limit` keys takes no more callers.  Nothing is kept but what tasks are
    waiting for.  When the fetching caller is cancelled, the others start again without it.
    """

    def __init__(
        self,
        fetch: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]],
        window: float = WINDOW,
        limit: int = LIMIT,
    ) -> None:
        self._fetch = fetch
        self._window = window
        self._limit = limit
        self._open: _Batch[K, V] | None = None

    async def get(self, key: K) -> V | None:
        return (await self.get_many((key,))).get(key)

    async def get_many(self, keys: Iterable[K]) -> dict[K, V]:
        """Those that were found.  Raises StoreUnavailable."""
        wanted = dict.fromkeys(keys)
        if not wanted:
            return {}
        while True:
            batch = await self._join(wanted)
            if batch.error is not None:
                raise StoreUnavailable(str(batch.error)) from batch.error
            if batch.found is not None:
                found = batch.found
                return {key: found[key] for key in wanted if key in found}

    async def _join(self, wanted: Mapping[K, None]) -> _Batch[K, V]:
        batch = self._open
        if batch is not None:
            self._add(batch, wanted)
            await batch.done.wait()
            return batch
        batch = self._open = _Batch()
        self._add(batch, wanted)
        try:
            await trio.sleep(self._window)
            self._close(batch)
            batch.found = await self._fetch(list(batch.keys))
        except StoreUnavailable as error:
            batch.error = error
        finally:
            self._close(batch)
            batch.done.set()
        return batch

    def _add(self, batch: _Batch[K, V], wanted: Mapping[K, None]) -> None:
        batch.keys.update(wanted)
        if len(batch.keys) >= self._limit:
            self._close(batch)

    def _close(self, batch: _Batch[K, V]) -> None:
        if self._open is batch:
            self._open = None
