"""Both ports of the append pipeline in memory: deterministic, without threads, for unit tests.

They keep the facts as the real engines do: tests/integration/test_engine_contract.py asks both.
The tests of the protocol itself run on the engines.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import attrs
import trio

from openim_trio.append.limits import clock_error_ms
from openim_trio.append.ports import (
    AdvanceBlock,
    Advanced,
    Behind,
    Head,
    KnownKey,
    ReserveBlock,
    Reserved,
    SeedBlock,
    SequencerUnavailable,
    StoreUnavailable,
    Tail,
    Unknown,
)
from openim_trio.config.model import AppendConfig
from openim_trio.domain.rows import Row
from openim_trio.wire import bus_message
from openim_trio.wire.bus_message import BusKind, BusMessage


@attrs.define(slots=True)
class Facts:
    """What the sequencer knows of one conversation; `n` None: only a ticket was given out."""

    ticket: bytes = b""
    n: int | None = None
    sent: int = 0
    lo: int = 1
    floor: int = 0
    keys: dict[bytes, tuple[KnownKey, int]] = attrs.field(factory=dict)
    """in the order of their seqs, with their createTimes"""
    lease: bytes = b""
    lease_until: int = 0

    def learn(self, row: Row) -> None:
        slot = KnownKey(row.seq, row.kind, row.send_time, row.fingerprint)
        self.keys[row.key] = (slot, row.create_time)
        self.n, self.sent = row.seq, row.send_time

    def trim(self, rows: int, oldest: int) -> None:
        """Let go of the keys of rows that are too many or were sent before `oldest` (C4)."""
        while self.keys:
            key, (slot, created) = next(iter(self.keys.items()))
            if len(self.keys) <= rows and slot.send_time >= oldest:
                return
            del self.keys[key]
            self.floor = max(self.floor, created)
            self.lo += 1


class MemorySequencer:
    """Set `down` for an outage, call `wipe()` for a loss of all data.  `published`: (channel,
    payload) in order."""

    def __init__(self, now: Callable[[], int], config: AppendConfig) -> None:
        self._now = now
        self._config = config
        self._tickets = itertools.count(1)
        self.facts: dict[str, Facts] = {}
        self.published: list[tuple[str, bytes]] = []
        self.reserves: list[list[ReserveBlock]] = []
        self.down = False

    def wipe(self) -> None:
        self.facts.clear()

    async def _call(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.down:
            raise SequencerUnavailable("down")

    def _known(self, conversation: str) -> Facts | Unknown:
        facts = self.facts.get(conversation)
        if facts is None:
            facts = self.facts[conversation] = Facts(b"%d" % next(self._tickets))
        return Unknown(facts.ticket) if facts.n is None else facts

    async def reserve(
        self, token: bytes, blocks: Sequence[ReserveBlock]
    ) -> list[Reserved | Unknown]:
        self.reserves.append(list(blocks))
        await self._call()
        return [self._reserve(token, block) for block in blocks]

    def _reserve(self, token: bytes, block: ReserveBlock) -> Reserved | Unknown:
        facts = self._known(block.conversation)
        if isinstance(facts, Unknown):
            return facts
        known: dict[int, KnownKey] = {}
        old: list[int] = []
        new: list[int] = []
        for index, key in enumerate(block.keys):
            if key.key in facts.keys:
                known[index] = facts.keys[key.key][0]
            elif key.create_time <= facts.floor and key.looked_through < facts.lo - 1:
                old.append(index)
            else:
                new.append(index)
        busy = bool(new) and facts.lease not in (b"", token) and facts.lease_until > self._now()
        if new and not busy:
            facts.lease, facts.lease_until = token, self._now() + self._config.lease_ms
        head = facts.n or 0
        sent = max(self._now(), facts.sent)
        return Reserved(head, known, tuple(old), () if busy else tuple(new), head + 1, sent, busy)

    async def advance(
        self, token: bytes, blocks: Sequence[AdvanceBlock]
    ) -> list[Advanced | Behind | Unknown]:
        await self._call()
        return [self._advance(token, block) for block in blocks]

    def _advance(self, token: bytes, block: AdvanceBlock) -> Advanced | Behind | Unknown:
        facts = self._known(block.conversation)
        if isinstance(facts, Unknown):
            return facts
        assert facts.n is not None
        if facts.n < block.first_seq - 1:
            return Behind(facts.n)
        before = facts.n
        for row, publication in zip(block.rows, block.publications, strict=True):
            if row.seq == facts.n + 1:
                facts.learn(row)
                self._publish(publication.channels, publication.payload)
        if facts.n > before:
            oldest = self._now() - self._config.window_minutes * 60_000
            facts.trim(self._config.window_rows, oldest)
        if facts.lease == token:
            facts.lease = b""
        return Advanced(facts.n)

    def _publish(self, channels: Sequence[str], payload: bytes) -> None:
        self.published.extend((channel, payload) for channel in channels)

    async def seed(self, seeds: Sequence[SeedBlock]) -> list[bool]:
        await self._call()
        return [self._seed(seed) for seed in seeds]

    def _seed(self, seed: SeedBlock) -> bool:
        facts = self.facts.get(seed.conversation)
        if facts is None or facts.n is not None or facts.ticket != seed.ticket:
            return False
        for row in seed.tail:
            facts.learn(row)
        facts.n = seed.head
        facts.lo = seed.head - len(seed.tail) + 1
        if not seed.tail:
            facts.sent = seed.floor_time
        facts.floor = seed.floor_time + clock_error_ms(self._config) if facts.lo > 1 else 0
        head = BusMessage(BusKind.HEAD, seed.conversation, seed.head)
        self._publish(seed.channels, bus_message.encode(head))
        return True

    async def heads(self, conversations: Sequence[str]) -> list[Head | Unknown]:
        await self._call()
        answers: list[Head | Unknown] = []
        for name in conversations:
            facts = self._known(name)
            if isinstance(facts, Unknown):
                answers.append(facts)
            else:
                answers.append(Head(facts.n or 0, facts.sent))
        return answers

    async def release(self, token: bytes, conversations: Sequence[str]) -> None:
        await self._call()
        for name in conversations:
            if name in self.facts and self.facts[name].lease == token:
                self.facts[name].lease = b""


class MemoryRows:
    """Set `down` for an outage; `unclear` makes the next so many inserts land without saying so."""

    def __init__(self) -> None:
        self.slots: dict[tuple[str, int], Row] = {}
        self.inserts: list[int] = []
        self.searches = 0
        self.down = False
        self.unclear = 0

    def conversation(self, name: str) -> list[Row]:
        """Rows 1..n: nothing behind a gap is a fact."""
        return self._run(name, 1)

    def _run(self, name: str, first: int) -> list[Row]:
        seqs = itertools.takewhile(lambda seq: (name, seq) in self.slots, itertools.count(first))
        return [self.slots[name, seq] for seq in seqs]

    async def _call(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.down:
            raise StoreUnavailable("down")

    async def insert(self, blocks: Sequence[Sequence[Row]]) -> list[bool]:
        await trio.lowlevel.checkpoint()
        if self.down:
            return [False] * len(blocks)
        self.inserts.append(sum(map(len, blocks)))
        results = [self._insert(block) for block in blocks]
        if self.unclear:
            self.unclear -= 1
            return [False] * len(blocks)
        return results

    def _insert(self, block: Sequence[Row]) -> bool:
        for row in block:
            if (row.conversation, row.seq) in self.slots:
                return False
            self.slots[row.conversation, row.seq] = row
        return True

    async def read_above(self, conversation: str, seq: int, limit: int) -> list[Row]:
        await self._call()
        return self._run(conversation, seq + 1)[:limit]

    async def tails(self, conversations: Sequence[str], limit: int) -> list[Tail]:
        await self._call()
        return [self._tail(self.conversation(name), limit) for name in conversations]

    @staticmethod
    def _tail(rows: list[Row], limit: int) -> Tail:
        below = max(len(rows) - limit, 0)
        return Tail(len(rows), tuple(rows[below:]), rows[below - 1].send_time if below else 0)

    async def find_key(self, conversation: str, key: bytes, since: int, upto: int) -> Row | None:
        await self._call()
        self.searches += 1
        rows = self.conversation(conversation)[:upto]
        if len(rows) < upto:
            raise StoreUnavailable(f"not all of rows 1..{upto} are there")
        return next((row for row in rows if row.key == key and row.send_time >= since), None)


class RecordedEffects:
    """SideEffects that remember what they were told."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.down = False

    async def apply(self, rows: Sequence[Row]) -> None:
        await trio.lowlevel.checkpoint()
        if self.down:
            raise StoreUnavailable("down")
        self.rows.extend(rows)
