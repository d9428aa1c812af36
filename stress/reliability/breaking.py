"""Breaks things on schedule, and mends them."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

import attrs
import trio

from stress.reliability.crowd import Crowd
from stress.reliability.faults import Fault
from stress.reliability.proxy_process import Order, give
from stress.reliability.site import Installation

SHORTEST_DELAY, LONGEST_DELAY = 0.05, 0.5
"""seconds that the proxy holds up each piece"""


T = TypeVar("T")


@attrs.frozen
class Happened:
    """`began`, `ended`: seconds since the run began.  `failed`: it could not be done."""

    name: str
    began: float
    ended: float
    what: str
    failed: bool = False


class Breaker:
    """`current`: names of the faults that last now; `happened`: those that are over."""

    def __init__(
        self,
        site: Installation,
        crowd: Crowd,
        users: Sequence[str],
        orders_port: int,
        clock: Callable[[], float],
    ) -> None:
        self.current: list[str] = []
        self.happened: list[Happened] = []
        self.over = False
        self._site = site
        self._crowd = crowd
        self._users = users
        self._orders_port = orders_port
        self._clock = clock
        self._all_over = trio.Event()

    async def run(self, faults: Sequence[Fault], first_after: float) -> None:
        """All, in order; not before everybody is there."""
        if faults:
            await trio.sleep(first_after)
        async with trio.open_nursery() as nursery:
            for fault in faults:
                while self.current and not fault.overlaps:
                    await self._all_over.wait()
                await trio.sleep(fault.pause)
                self.current.append(fault.kind.name)
                self._all_over = trio.Event()
                nursery.start_soon(self._commit, fault)
        self.over = True

    async def _commit(self, fault: Fault) -> None:
        name, began, failed = fault.kind.name, self._clock(), False
        do: Callable[[Fault], Awaitable[str]] = getattr(self, f"_{name.replace('-', '_')}")
        try:
            what = await do(fault)
        except Exception as error:
            what, failed = repr(error), True
        self.happened.append(Happened(name, began, self._clock(), what, failed))
        self.current.remove(name)
        if not self.current:
            self._all_over.set()

    # -- the server --------------------------------------------------------------------------------

    async def _worker_kill(self, fault: Fault) -> str:
        workers = await _in_thread(self._site.worker_processes)
        worker = _picked(workers, fault)
        worker.kill()
        return f"worker {worker.pid}, one of {len(workers)}"

    async def _supervisor_kill(self, fault: Fault) -> str:
        what = await _in_thread(self._site.kill_supervisor)
        await trio.sleep(fault.seconds)
        await _in_thread(self._site.start_server)
        return what

    # -- Redis -------------------------------------------------------------------------------------

    async def _redis_kill(self, fault: Fault) -> str:
        await _in_thread(self._site.redis.kill)
        await trio.sleep(fault.seconds)
        await _in_thread(self._site.redis.start)
        return f"down for {fault.seconds:.1f} s"

    async def _redis_empty(self, fault: Fault) -> str:
        await _in_thread(self._site.redis.kill)
        self._site.empty_redis()
        await trio.sleep(fault.seconds)
        await _in_thread(self._site.redis.start)
        return f"down for {fault.seconds:.1f} s"

    async def _redis_old(self, fault: Fault) -> str:
        kept = await _in_thread(self._site.keep_redis)
        await trio.sleep(fault.seconds)
        await _in_thread(self._site.redis.kill)
        await _in_thread(partial(self._site.set_redis_back, kept))
        await _in_thread(self._site.redis.start)
        return f"set back by {fault.seconds:.1f} s"

    async def _redis_freeze(self, fault: Fault) -> str:
        self._site.redis.freeze()
        try:
            await trio.sleep(fault.seconds)
        finally:
            self._site.redis.thaw()
        return f"for {fault.seconds:.1f} s"

    # -- MongoDB -----------------------------------------------------------------------------------

    async def _mongo_kill(self, fault: Fault) -> str:
        mongo = await _in_thread(self._site.replica_set)
        began = trio.current_time()
        port = await _in_thread(mongo.kill_primary)
        elected = trio.current_time() - began
        await trio.sleep(fault.seconds)
        mongo.start(port)
        return f"{port}, another after {elected:.1f} s, back after {fault.seconds:.1f} s more"

    async def _mongo_stepdown(self, fault: Fault) -> str:
        mongo = await _in_thread(self._site.replica_set)
        port = mongo.primary
        await _in_thread(mongo.step_down)
        return f"{port}, then {mongo.primary}"

    async def _mongo_freeze(self, fault: Fault) -> str:
        mongo = await _in_thread(self._site.replica_set)
        began = trio.current_time()
        port = await _in_thread(mongo.freeze_primary)
        elected = trio.current_time() - began
        try:
            await trio.sleep(max(0.0, fault.seconds - elected))
        finally:
            mongo.thaw(port)
        return f"{port}, another after {elected:.1f} s"

    # -- clients and links -------------------------------------------------------------------------

    async def _client_kill(self, fault: Fault) -> str:
        number = _picked(range(len(self._crowd)), fault)
        await _in_thread(partial(self._crowd.kill, number))
        await trio.sleep(fault.seconds)
        self._crowd.start_again(number)
        return f"process {number}, back after {fault.seconds:.1f} s"

    async def _proxy_delay(self, fault: Fault) -> str:
        delay = SHORTEST_DELAY + fault.draw * (LONGEST_DELAY - SHORTEST_DELAY)
        await self._order(Order("delay", seconds=delay))
        await trio.sleep(fault.seconds)
        await self._order(Order("delay"))
        return f"{delay * 1000:.0f} ms each way"

    async def _proxy_cut(self, fault: Fault) -> str:
        return f"{await self._order(Order('cut', self._half(fault)))} connections"

    async def _proxy_half_open(self, fault: Fault) -> str:
        return f"{await self._order(Order('silence', self._half(fault)))} connections"

    async def _proxy_cut_before_ack(self, fault: Fault) -> str:
        before = await self._order(Order("count"))
        await self._order(Order("arm", list(self._users)))
        await trio.sleep(fault.seconds)
        await self._order(Order("arm", []))
        return f"{await self._order(Order('count')) - before} connections"

    async def _order(self, order: Order) -> int:
        return await give(self._orders_port, order)

    def _half(self, fault: Fault) -> list[str]:
        """Of all people."""
        return random.Random(fault.draw).sample(self._users, (len(self._users) + 1) // 2)


def _picked(among: Sequence[T], fault: Fault) -> T:
    return among[int(fault.draw * len(among))]


async def _in_thread(call: Callable[[], T]) -> T:
    return await trio.to_thread.run_sync(call)
