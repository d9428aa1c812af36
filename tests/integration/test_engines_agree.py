"""Random calls to the engines in memory and to the real ones: the same answers."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import attrs
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from openim_trio.append.ports import (
    AdvanceBlock,
    Publication,
    ReserveBlock,
    Reserved,
    ReserveKey,
    RowStore,
    SeedBlock,
    Unknown,
)
from openim_trio.config.model import AppendConfig, MongoConfig, RedisConfig
from openim_trio.domain.rows import Row, RowKind, message_key
from tests.support.contract import InMemory, Opened, Real
from tests.support.rows import make_row

BASE = 2 * 10**12
"""ms; far ahead: no row is too old for the window, and Redis' clock does not show"""
CONFIG = AppendConfig(window_rows=4, lease_ms=600_000, clock_error_minutes=10)
CONVERSATIONS = ("c0", "c1")
LENGTH = 14


def row(conversation: str, seq: int) -> Row:
    """What the store has there.  Clients' clocks are ahead, by different times."""
    kind = RowKind.TOMBSTONE if seq % 5 == 0 else RowKind.MESSAGE
    created = BASE + seq * 7 % 5 * 200_000
    return make_row(conversation, seq, message_id=str(seq), time=BASE + seq, created=created,
                    kind=kind)  # fmt: skip


def rows_of(conversation: str, first: int, last: int) -> tuple[Row, ...]:
    return tuple(row(conversation, seq) for seq in range(first, last + 1))


# -- the sequencer ---------------------------------------------------------------------------------


@attrs.define
class Side:
    """One of the engines, and the tickets it gave out for each conversation: they are compared by
    their order."""

    opened: Opened
    tickets: dict[str, list[bytes]] = attrs.field(factory=lambda: {c: [] for c in CONVERSATIONS})

    def _compared(self, names: Sequence[str], answers: Sequence[object]) -> list[object]:
        compared: list[object] = []
        for name, answer in zip(names, answers, strict=True):
            if isinstance(answer, Unknown):
                given_out = self.tickets[name]
                if answer.ticket not in given_out:
                    given_out.append(answer.ticket)
                compared.append(("unknown", given_out.index(answer.ticket)))
            elif isinstance(answer, Reserved) and answer.send_time < BASE:
                compared.append(attrs.evolve(answer, send_time=0))  # the time of day
            else:
                compared.append(answer)
        return compared

    async def reserve(
        self, token: bytes, at: int, names: Sequence[int], created: int, looked: int
    ) -> object:
        keys = [ReserveKey(message_key("alice", str(n)), BASE + created, looked) for n in names]
        conversation = CONVERSATIONS[at]
        blocks = [ReserveBlock(conversation, tuple(keys))]
        return self._compared([conversation], await self.opened.sequencer.reserve(token, blocks))

    async def advance(self, token: bytes, first: int, count: int, both: bool) -> object:
        names = CONVERSATIONS[: 2 if both else 1]
        blocks = []
        for conversation in names:
            rows = rows_of(conversation, first, first + count - 1)
            payloads = tuple(Publication(("u:a", "u:b")[: r.seq % 3], b"%d" % r.seq) for r in rows)
            blocks.append(AdvanceBlock(conversation, first, rows, payloads))
        return self._compared(names, await self.opened.sequencer.advance(token, blocks))

    async def seed(self, at: int, head: int, tail: int, late: bool) -> object:
        conversation = CONVERSATIONS[at]
        [told] = answers = await self.opened.sequencer.heads([conversation])
        compared = self._compared([conversation], answers)
        ticket = told.ticket if isinstance(told, Unknown) else b"none"
        if late and self.tickets[conversation]:
            ticket = self.tickets[conversation][0]
        first = max(head - tail, 0) + 1
        floor = BASE + first - 1 if first > 1 else 0
        rows = rows_of(conversation, first, head)
        block = SeedBlock(conversation, ticket, head, rows, floor, ("u:a",))
        return compared, await self.opened.sequencer.seed([block])

    async def heads(self) -> object:
        return self._compared(CONVERSATIONS, await self.opened.sequencer.heads(CONVERSATIONS))

    async def release(self, token: bytes) -> None:
        await self.opened.sequencer.release(token, CONVERSATIONS)

    async def forget(self) -> None:
        self.opened.forget()


token = st.sampled_from([b"one", b"two"])
at = st.integers(0, 1)
seq = st.integers(1, LENGTH)
names = st.lists(seq, max_size=4, unique=True)
created = st.integers(0, 8).map(lambda n: n * 200_000)
seed = st.tuples(st.just("seed"), at, st.integers(0, LENGTH), st.integers(0, 6), st.booleans())
sequencer_step = st.one_of(
    st.tuples(st.just("reserve"), token, at, names, created, st.integers(0, LENGTH)),
    st.tuples(st.just("advance"), token, seq, st.integers(1, 6), st.booleans()),
    st.tuples(st.just("advance"), token, st.just(1), st.integers(1, LENGTH), st.booleans()),
    seed,
    st.tuples(st.just("heads")),
    st.tuples(st.just("release"), token),
    st.tuples(st.sampled_from(["heads", "heads", "forget"])),
)
Step = tuple[Any, ...]
"""the name of a call and its arguments"""


@settings(max_examples=150, deadline=None)
@given(first=seed, steps=st.lists(sequencer_step, min_size=5, max_size=40))
def test_sequencers(redis_url: str, first: Step, steps: list[Step]) -> None:
    real = Real(MongoConfig(), RedisConfig(url=redis_url, prefix=f"a{uuid.uuid4().hex[:8]}:"))

    async def main() -> None:
        async with InMemory().sequencer(CONFIG) as memory, real.sequencer(CONFIG) as redis:
            sides = Side(memory), Side(redis)
            for name, *arguments in [first, *steps]:
                here, there = [await getattr(side, name)(*arguments) for side in sides]
                assert here == there
            assert memory.published() == redis.published()

    trio.run(main)


# -- the row store ---------------------------------------------------------------------------------


@attrs.frozen
class StoreSide:
    rows: RowStore
    names: tuple[str, ...]

    async def insert(self, *runs: tuple[int, int]) -> object:
        """(first seq, count) for each conversation."""
        return await self.rows.insert(
            [rows_of(name, a, a + n - 1) for name, (a, n) in zip(self.names, runs, strict=True)]
        )

    async def read_above(self, seq: int, limit: int) -> object:
        return await self.rows.read_above(self.names[0], seq, limit)

    async def tails(self, limit: int) -> object:
        return await self.rows.tails([*self.names, self.names[0]], limit)

    async def find_key(self, number: int, since: int, upto: int) -> object:
        key = message_key("alice", str(number))
        [tail] = await self.rows.tails(self.names[:1], 1)
        return await self.rows.find_key(self.names[0], key, BASE + since, min(tail.head, upto))


def runs(draw: st.DrawFn, heads: list[int]) -> list[tuple[int, int]]:
    """Behind the complete prefix, or where rows are already: never behind a gap."""
    found = []
    for number, head in enumerate(heads):
        first = draw(st.integers(max(head - 2, 1), head + 1))
        count = draw(st.integers(0, 4))
        found.append((first, count))
        if first == head + 1:
            heads[number] += count
    return found


@st.composite
def store_steps(draw: st.DrawFn) -> list[Step]:
    heads = [0, 0]
    steps: list[Step] = []
    for _ in range(draw(st.integers(3, 16))):
        name = draw(st.sampled_from(["insert", "insert", "read_above", "tails", "find_key"]))
        if name == "insert":
            steps.append((name, *runs(draw, heads)))
        elif name == "read_above":
            steps.append((name, draw(st.integers(0, LENGTH)), draw(st.integers(0, 6))))
        elif name == "tails":
            steps.append((name, draw(st.integers(1, 6))))
        else:
            steps.append((name, draw(seq), draw(seq), draw(st.integers(0, LENGTH))))
    return steps


@settings(max_examples=50, deadline=None)
@given(steps=store_steps())
def test_row_stores(mongo_uri: str, steps: list[Step]) -> None:
    # Other conversations in one database: to make a database takes long.
    names = tuple(f"{uuid.uuid4().hex}-{conversation}" for conversation in CONVERSATIONS)
    real = Real(MongoConfig(uri=mongo_uri, database="engines_agree"), RedisConfig())

    async def main() -> None:
        async with InMemory().rows() as memory, real.rows() as mongo:
            sides = StoreSide(memory, names), StoreSide(mongo, names)
            for name, *arguments in steps:
                here, there = [await getattr(side, name)(*arguments) for side in sides]
                assert here == there

    trio.run(main)
