"""What may go wrong at any time, as often as `Faults` allows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from tests.model.search import Step
from tests.model.world import (
    At,
    Conditions,
    Other,
    Reader,
    ReaderAt,
    Redis,
    World,
    Writer,
    replaced,
)


class Faulty(Protocol):
    """What faults need to know of the protocol."""

    conditions: Conditions

    def known(self, redis: Redis | None) -> Redis | None: ...

    def visible(self, rows: tuple[int, ...]) -> int: ...

    def advanced(self, world: World, upto: int) -> World: ...

    def seeded(self, world: World, head: int, lo: int) -> World: ...

    def moved(self, world: World, index: int, writer: Writer) -> World: ...


def fault_steps(protocol: Faulty, world: World) -> Iterator[Step[World]]:
    yield from _crashes(protocol, world)
    yield from _redis_losses(world)
    yield from _evictions(world)
    yield from _split(protocol, world)
    yield from _mongo(world)
    if world.faults.subscription and world.reader.at not in (ReaderAt.LOST, ReaderAt.HEAD_READ):
        lost = world._replace(reader=_deaf(world.reader), faults=world.faults.less("subscription"))
        yield Step("SUBSCRIPTION LOST", lost, fault=True)


def _deaf(reader: Reader) -> Reader:
    return Reader(ReaderAt.LOST, reader.shown)


def _crashes(protocol: Faulty, world: World) -> Iterator[Step[World]]:
    if not world.faults.crash:
        return
    left = world._replace(faults=world.faults.less("crash"))
    for index, writer in enumerate(world.writers):
        if writer.at not in (At.DONE, At.CRASHED):
            crashed = protocol.moved(left, index, Writer(At.CRASHED))
            yield Step(f"WRITER {index + 1} CRASHES", crashed, fault=True)


def _redis_losses(world: World) -> Iterator[Step[World]]:
    redis, faults = world.redis, world.faults
    if redis is None:
        return
    if faults.wipe:
        yield Step("REDIS WIPED", world._replace(redis=None, faults=faults.less("wipe")), True)
    if faults.rollback and world.snapshot is None:
        yield Step("(a snapshot has this state)", world._replace(snapshot=redis), True)
    elif faults.rollback and world.snapshot is not None and world.snapshot != redis:
        back = world.snapshot._replace(foreign=True)
        rolled = world._replace(redis=back, faults=faults.less("rollback"))
        yield Step("REDIS ROLLED BACK", rolled, True)


def _evictions(world: World) -> Iterator[Step[World]]:
    redis = world.redis
    if world.faults.evict and redis is not None and redis.lo <= redis.n:
        keys = tuple(0 if slot >> 1 == redis.lo else slot for slot in redis.keys)
        moved = redis._replace(lo=redis.lo + 1, keys=keys)
        after = world._replace(redis=moved, faults=world.faults.less("evict"))
        yield Step(f"(row {redis.lo} leaves the window)", after, True)


def _split(protocol: Faulty, world: World) -> Iterator[Step[World]]:
    """Redis fails over to an empty master, and the old one goes on serving for a while."""
    if world.faults.split and world.redis is not None:
        split = world._replace(
            redis=None,
            other=Other(world.redis),
            reader=_deaf(world.reader),
            faults=world.faults.less("split"),
        )
        yield Step("REDIS FAILS OVER, THE OLD MASTER STILL SERVES", split, True)
    if world.other is None:
        return
    alone = world._replace(other=None)
    if not world.other.gone:
        after = world._replace(other=world.other._replace(gone=True))
        repeats = protocol.conditions.repeat
        yield Step("the old master goes away", after if repeats else alone)
        return
    head = protocol.visible(world.rows)
    known = protocol.known(world.redis)
    repeated = protocol.advanced(alone, head) if known else protocol.seeded(alone, head, 1)
    yield Step("its workers repeat their latest advances", repeated)


def _mongo(world: World) -> Iterator[Step[World]]:
    lagging = next((i for i, content in enumerate(world.rows) if content < 0), None)
    if lagging is None:
        return
    rows = replaced(world.rows, lagging, -world.rows[lagging])
    yield Step(f"row {lagging + 1} reaches the majority", world._replace(rows=rows))
    if world.faults.failover:
        gone = tuple(max(content, 0) for content in world.rows)
        after = world._replace(rows=gone, faults=world.faults.less("failover"))
        yield Step("MONGODB FAILS OVER", after, True)
