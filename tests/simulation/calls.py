"""Calls of processes to engines that are late, lost, or not answered; and processes that crash.

A call goes to its engine on its own: a process that gives up waiting, or dies, does not stop what
is on its way.  What a dead process would have done next does not happen any more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NoReturn, TypeVar

import attrs
import trio

from openim_trio.append.ports import (
    AdvanceBlock,
    Advanced,
    Behind,
    Head,
    ReserveBlock,
    Reserved,
    RowStore,
    SeedBlock,
    Sequencer,
    SequencerUnavailable,
    StoreUnavailable,
    Tail,
    Unknown,
)
from openim_trio.append.requests import SideEffects
from openim_trio.domain.rows import Row
from tests.simulation.determinism import Course

PATIENCE = 1.0
"""seconds that a process waits for an engine"""
STUCK = 2.0
"""seconds after which the last of what was stuck arrives"""

T = TypeVar("T")


@attrs.define
class Weather:
    """How often a leg of a call takes longer than nothing, and how long at most; how often a call
    is stuck on its way and arrives long after; does not arrive; or has no answer that does."""

    slow: float = 0.0
    slowest: float = 0.02
    stuck: float = 0.0
    lost: float = 0.0
    unanswered: float = 0.0

    @classmethod
    def drawn(cls, course: Course) -> Weather:
        rng = course.rng
        return cls(
            slow=rng.choice((0.0, 0.1, 0.5, 1.0)),
            slowest=rng.choice((0.005, 0.05, 0.3, 2.0)),
            stuck=rng.choice((0.0, 0.0, 0.02, 0.1)),
            lost=rng.choice((0.0, 0.0, 0.02, 0.1)),
            unanswered=rng.choice((0.0, 0.02, 0.1, 0.2)),
        )

    def clear_up(self) -> None:
        self.slow = self.stuck = self.lost = self.unanswered = 0.0


@attrs.define(eq=False)
class Life:
    """A process from its start to its crash."""

    name: str
    alive: bool = True
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    def crash(self) -> None:
        self.alive = False
        self.scope.cancel()

    async def still(self) -> None:
        """Returns to the living only."""
        if not self.alive:
            await trio.sleep_forever()


class Engine:
    """Redis or MongoDB, as calls reach it.  `down`: it refuses them."""

    def __init__(self, course: Course, weather: Weather, nursery: trio.Nursery) -> None:
        self.down = False
        self._course = course
        self._weather = weather
        self._nursery = nursery

    async def call(
        self,
        life: Life,
        what: str,
        effect: Callable[[], Awaitable[T]],
        away: Callable[[], Exception],
    ) -> T:
        """Raises what `away` gives where there is no answer, whether or not `effect` happens."""
        rng, weather = self._course.rng, self._weather
        before, there, back = self._leg(), self._leg(), self._leg()
        if rng.random() < weather.stuck:
            there = rng.random() * STUCK
        lost = rng.random() < weather.lost
        unanswered = rng.random() < weather.unanswered
        await trio.sleep(before)
        await life.still()
        answers: list[Callable[[], T]] = []
        answered = trio.Event()

        async def carry() -> None:
            await trio.sleep(there)
            if lost:
                self._course.note(f"{life.name} {what}: lost")
                return
            answer: Callable[[], T]
            if self.down:
                self._course.note(f"{life.name} {what}: refused")
                answer = _raising(away())
            else:
                result = await effect()
                self._course.note(f"{life.name} {what}: {_short(result)}")
                answer = _returning(result)
            if not unanswered:
                await trio.sleep(back)
                answers.append(answer)
                answered.set()

        if there or lost or unanswered or back:
            self._nursery.start_soon(carry)
            with trio.move_on_after(PATIENCE):
                await answered.wait()
        else:
            await carry()
        await life.still()
        if not answers:
            self._course.note(f"{life.name} {what}: no answer")
            raise away()
        return answers[0]()

    def _leg(self) -> float:
        weather = self._weather
        if self._course.rng.random() >= weather.slow:
            return 0.0
        return self._course.rng.random() ** 3 * weather.slowest


def _returning(result: T) -> Callable[[], T]:
    return lambda: result


def _raising(error: Exception) -> Callable[[], Any]:
    def answer() -> NoReturn:
        raise error

    return answer


def _short(result: object) -> str:
    match result:
        case list():
            return "; ".join(map(_short, result))
        case Reserved():
            state = "busy" if result.busy else f"new {len(result.new)}"
            known = sorted(slot.seq for slot in result.known.values())
            return f"n={result.head} {state} known={known} old={len(result.old)}"
        case Row():
            return f"row {result.seq}"
        case Tail():
            return f"tail to {result.head}"
        case Unknown():
            return f"unknown, ticket {result.ticket.decode()}"
        case _:
            return str(result)


def _slots(blocks: Sequence[Sequence[Row]]) -> str:
    return ", ".join(f"{b[0].conversation} {b[0].seq}..{b[-1].seq}" for b in blocks if b)


class CalledSequencer:
    """A process's connection to Redis."""

    def __init__(self, life: Life, engine: Engine, inner: Sequencer) -> None:
        self._life = life
        self._engine = engine
        self._inner = inner

    async def _call(self, what: str, effect: Callable[[], Awaitable[T]]) -> T:
        return await self._engine.call(
            self._life, what, effect, lambda: SequencerUnavailable("simulated")
        )

    async def reserve(
        self, token: bytes, blocks: Sequence[ReserveBlock]
    ) -> list[Reserved | Unknown]:
        asked = ", ".join(f"{b.conversation} {len(b.keys)}" for b in blocks)
        return await self._call(f"reserve {asked}", lambda: self._inner.reserve(token, blocks))

    async def advance(
        self, token: bytes, blocks: Sequence[AdvanceBlock]
    ) -> list[Advanced | Behind | Unknown]:
        said = _slots([block.rows for block in blocks])
        return await self._call(f"advance {said}", lambda: self._inner.advance(token, blocks))

    async def seed(self, seeds: Sequence[SeedBlock]) -> list[bool]:
        said = ", ".join(f"{s.conversation} to {s.head}" for s in seeds)
        return await self._call(f"seed {said}", lambda: self._inner.seed(seeds))

    async def heads(self, conversations: Sequence[str]) -> list[Head | Unknown]:
        asked = ", ".join(conversations)
        return await self._call(f"heads {asked}", lambda: self._inner.heads(conversations))

    async def release(self, token: bytes, conversations: Sequence[str]) -> None:
        await self._call("release", lambda: self._inner.release(token, conversations))


class CalledRows:
    """A process's connection to MongoDB.  Inserts of several rows are not one step: rows of other
    processes may come between them."""

    def __init__(self, life: Life, engine: Engine, inner: RowStore, course: Course) -> None:
        self._life = life
        self._engine = engine
        self._inner = inner
        self._course = course

    async def _call(self, what: str, effect: Callable[[], Awaitable[T]]) -> T:
        return await self._engine.call(
            self._life, what, effect, lambda: StoreUnavailable("simulated")
        )

    async def insert(self, blocks: Sequence[Sequence[Row]]) -> list[bool]:
        pause = self._course.rng.choice((0.0, 0.0, 0.001, 0.1))

        async def effect() -> list[bool]:
            return [await self._insert(block, pause) for block in blocks]

        try:
            return await self._call(f"insert {_slots(blocks)}", effect)
        except StoreUnavailable:
            return [False] * len(blocks)

    async def _insert(self, block: Sequence[Row], pause: float) -> bool:
        if not pause:
            return (await self._inner.insert([block]))[0]
        for row in block:
            if not (await self._inner.insert([[row]]))[0]:
                return False
            await trio.sleep(pause)
        return True

    async def read_above(self, conversation: str, seq: int, limit: int) -> list[Row]:
        return await self._call(
            f"read {conversation} above {seq}",
            lambda: self._inner.read_above(conversation, seq, limit),
        )

    async def tails(self, conversations: Sequence[str], limit: int) -> list[Tail]:
        return await self._call(
            f"tails {', '.join(conversations)}", lambda: self._inner.tails(conversations, limit)
        )

    async def find_key(self, conversation: str, key: bytes, since: int, upto: int) -> Row | None:
        return await self._call(
            f"find in {conversation} 1..{upto}",
            lambda: self._inner.find_key(conversation, key, since, upto),
        )


class CalledEffects:
    def __init__(self, life: Life, engine: Engine, inner: SideEffects) -> None:
        self._life = life
        self._engine = engine
        self._inner = inner

    async def apply(self, rows: Sequence[Row]) -> None:
        await self._engine.call(
            self._life,
            f"effects of {len(rows)}",
            lambda: self._inner.apply(rows),
            lambda: StoreUnavailable("simulated"),
        )


class Remote:
    """A process's view of an object at an engine: each of its coroutines is a call."""

    def __init__(
        self,
        life: Life,
        engine: Engine,
        inner: object,
        away: type[Exception] = StoreUnavailable,
    ) -> None:
        self._life = life
        self._engine = engine
        self._inner = inner
        self._away = away

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        effect = getattr(self._inner, method)

        async def call(*args: Any, **options: Any) -> Any:
            return await self._engine.call(
                self._life,
                method,
                lambda: effect(*args, **options),
                lambda: self._away("simulated"),
            )

        return call
