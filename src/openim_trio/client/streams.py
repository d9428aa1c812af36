"""Events as an async iterator."""

from __future__ import annotations

from collections.abc import AsyncIterator

import trio

from openim_trio.client.events import Event


class EventStream(AsyncIterator[Event]):
    """Each event is held back until the one before it was processed: asking for the next one says
    so.  Nothing is queued here, and nothing is lost; who takes no events holds up the others."""

    def __init__(self) -> None:
        self._put, self._take = trio.open_memory_channel[Event](0)
        self._processed = trio.Event()

    async def __anext__(self) -> Event:
        self._processed.set()
        try:
            return await self._take.receive()
        except (trio.EndOfChannel, trio.ClosedResourceError):
            raise StopAsyncIteration from None

    async def give(self, event: Event) -> None:
        """Returns when it was processed, or the stream closed."""
        self._processed = trio.Event()
        try:
            await self._put.send(event)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return
        await self._processed.wait()

    def end(self) -> None:
        """No more events come."""
        self._put.close()

    def close(self) -> None:
        """No more events are taken."""
        self._take.close()
        self._processed.set()
