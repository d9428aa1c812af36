"""Redis publish/subscribe in memory; `redisio.bus.Bus`.

A worker hears the publications of each moment in their order.  When its subscription is lost, so is
what was on its way, and the worker is told from when on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

import trio

from openim_trio.append.ports import SequencerUnavailable
from tests.simulation.calls import Engine, Life
from tests.simulation.determinism import Course

T = TypeVar("T")


class Broker:
    def __init__(self) -> None:
        self.buses: list[SimulatedBus] = []

    def publish(self, channel: str, payload: bytes) -> int:
        listening = [bus for bus in self.buses if bus.life.alive and channel in bus.heard]
        for bus in listening:
            bus.take(channel, payload)
        return len(listening)


class SimulatedBus:
    """`heard`: what is subscribed; `slow`: how long a publication takes at most, seconds."""

    PATIENCE = 1.0

    def __init__(self, life: Life, redis: Engine, broker: Broker, course: Course) -> None:
        self.life = life
        self.heard: set[str] = set()
        self.on_message: Callable[[str, bytes], None] = lambda channel, payload: None
        self.on_chunk_end: Callable[[], None] = lambda: None
        self.on_restored: Callable[[float], None] = lambda since: None
        self.slow = 0.0
        self._wanted: dict[str, None] = {}
        self._up = True
        self._changed = trio.Event()
        self._lost_at = 0.0
        self._queue: deque[tuple[str, bytes]] = deque()
        self._wake = trio.Event()
        self._redis = redis
        self._broker = broker
        self._course = course
        broker.buses.append(self)

    # -- publishing

    async def publish(self, channel: str, payload: bytes) -> int:
        return (await self.publish_many([(channel, payload)]))[0]

    async def publish_many(self, items: Sequence[tuple[str, bytes]]) -> list[int]:
        async def effect() -> list[int]:
            return [self._broker.publish(channel, payload) for channel, payload in items]

        return await self._call("publish", effect)

    async def subscribers(self, channels: Sequence[str]) -> list[int]:
        async def effect() -> list[int]:
            return [sum(c in bus.heard for bus in self._broker.buses) for c in channels]

        return await self._call("subscribers", effect)

    async def _call(self, what: str, effect: Callable[[], Awaitable[T]]) -> T:
        return await self._redis.call(
            self.life, what, effect, lambda: SequencerUnavailable("simulated")
        )

    # -- subscribing

    async def subscribe(self, channels: Iterable[str]) -> None:
        names = list(channels)
        self._wanted.update(dict.fromkeys(names))
        with trio.move_on_after(self.PATIENCE):
            while not set(names) <= self.heard:
                if not self._up:
                    await self._changed.wait()
                elif not await self._call("subscribe", lambda: self._confirm(names)):
                    await trio.sleep(0.1)
            return
        raise SequencerUnavailable("not confirmed in time")

    async def _confirm(self, names: Sequence[str]) -> bool:
        if self._up:
            self.heard.update(name for name in names if name in self._wanted)
        return self._up

    def unsubscribe(self, channels: Iterable[str]) -> None:
        for name in channels:
            self._wanted.pop(name, None)
            self.heard.discard(name)

    # -- listening

    def take(self, channel: str, payload: bytes) -> None:
        self._queue.append((channel, payload))
        self._wake.set()

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            if self.slow:
                await trio.sleep(self._course.rng.random() * self.slow)
            if not self._queue:
                continue
            for _ in range(len(self._queue)):
                self.on_message(*self._queue.popleft())
            self.on_chunk_end()

    def lose(self) -> None:
        if self._up:
            self._course.note(f"{self.life.name} loses its subscriptions")
            self._up = False
            self._lost_at = trio.current_time()
            self.heard.clear()
            self._queue.clear()

    def restore(self) -> None:
        if not self._up and self.life.alive:
            self._course.note(f"{self.life.name} is subscribed again")
            self._up = True
            self.heard = set(self._wanted)
            self._changed.set()
            self._changed = trio.Event()
            self.on_restored(self._lost_at)
