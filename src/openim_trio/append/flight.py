"""One flight: reserve, store, advance, answer, for one batch of blocks.

    reserve ─┬─ known ─────────────────────────────────────────────▶ answer
             ├─ unknown ─ read the tail, seed ─────────────────────▶ reserve again
             ├─ old ───── look up ─┬─ found ───────────────────────▶ answer
             │                     └─ not there ───────────────────▶ reserve again
             ├─ busy ──────────────────────────────────────────────▶ reserve again, later
             └─ new ───── store ─┬─ stored ─ effects ─ advance ─┬──▶ answer
                                 │                              ├─ behind: catch up, reserve again
                                 │                              └─ unknown ──────▶ reserve again
                                 └─ not stored or unclear: catch up ─────────────▶ reserve again

"Reserve again" is a later flight: the block lands with what it learned, and a flight never loops.
An engine that does not answer is a setback like any other; nothing is concluded from it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import attrs
import structlog
import trio

from openim_trio.append.answers import Answers, Entry, unknown_outcome
from openim_trio.append.catch_up import CatchUp
from openim_trio.append.lanes import Block
from openim_trio.append.limits import ahead_of, clock_error_ms, too_far_ahead
from openim_trio.append.ports import (
    AdvanceBlock,
    Advanced,
    Behind,
    KnownKey,
    Reserved,
    RowStore,
    Sequencer,
    SequencerUnavailable,
    StoreUnavailable,
    Unknown,
)
from openim_trio.append.publication import publication
from openim_trio.append.recent import RecentAdvances
from openim_trio.append.requests import SideEffects
from openim_trio.append.seed import Seeder
from openim_trio.append.setbacks import Setback
from openim_trio.config.model import AppendConfig
from openim_trio.domain.rows import Row, seal
from openim_trio.observability.metrics import Metrics

TOKEN_SIZE = 8

_log = structlog.get_logger()


@attrs.frozen(slots=True)
class Tools:
    """What every flight of a worker uses."""

    sequencer: Sequencer
    rows: RowStore
    effects: SideEffects
    seeder: Seeder
    catch_up: CatchUp
    answers: Answers
    recent: RecentAdvances
    config: AppendConfig
    metrics: Metrics


@attrs.define(slots=True, eq=False)
class Part:
    """A block in flight.  It lands when its last open step is done."""

    block: Block
    again: list[Entry] = attrs.field(factory=list)
    setback: Setback | None = None
    steps: int = 1

    @property
    def conversation(self) -> str:
        return self.block.conversation


@attrs.frozen(slots=True)
class Placed:
    """The new messages of one conversation, with the slots they are to get."""

    part: Part
    entries: tuple[Entry, ...]
    rows: tuple[Row, ...]

    @property
    def first_seq(self) -> int:
        return self.rows[0].seq


Land = Callable[[Block, Sequence[Entry], Setback | None], None]
Step = Callable[[], Awaitable[None]]


class Flight:
    def __init__(self, tools: Tools, blocks: Sequence[Block], land: Land) -> None:
        self._tools = tools
        self._blocks = blocks
        self._land = land
        self._token = os.urandom(TOKEN_SIZE)  # per flush, never per worker
        self._parts = [Part(block) for block in blocks]

    async def run(self) -> None:
        """Never raises but when cancelled: what is unexpected ends this flight's requests only."""
        try:
            with _timed(self._tools.metrics, "total"):
                await self._run()
        except Exception:
            _log.exception("flight_failed", conversations=len(self._blocks))
            self._fail_all()

    async def _run(self) -> None:
        tools = self._tools
        try:
            with _timed(tools.metrics, "reserve"):
                results = await tools.sequencer.reserve(
                    self._token, [block.request() for block in self._blocks]
                )
        except SequencerUnavailable:
            for part in self._parts:
                self._retry(part, part.block.entries, Setback.UNAVAILABLE)
                self._finish(part)
            return
        steps = self._sort(results)
        for part in self._parts:
            self._finish(part)
        if len(steps) == 1:
            await steps[0]()
        elif steps:
            async with trio.open_nursery() as nursery:
                for step in steps:
                    nursery.start_soon(step)

    # -- what the reserve said ---------------------------------------------------------------------

    def _sort(self, results: Sequence[Reserved | Unknown]) -> list[Step]:
        """Answer what is known and say which steps the rest needs."""
        placed: list[Placed] = []
        unknown: list[tuple[Part, bytes]] = []
        steps: list[Step] = []
        for part, result in zip(self._parts, results, strict=True):
            if isinstance(result, Unknown):
                unknown.append((part, result.ticket))
                part.steps += 1
                continue
            entries = part.block.entries
            self._answer_known(part, result)
            if result.old:
                part.steps += 1
                steps.append(self._look_up_step(part, result))
            if result.new:
                new = self._within_clock_error(part, result)
                if new:
                    part.steps += 1
                    placed.append(_place(part, new, result))
            elif result.busy:
                settled = {*result.known, *result.old}
                self._retry(
                    part, [e for i, e in enumerate(entries) if i not in settled], Setback.BUSY
                )
                self._tools.metrics.busy_leases.inc()
        if placed:
            steps.append(lambda: self._store(placed))
        if unknown:
            steps.append(lambda: self._seed(unknown))
        return steps

    def _answer_known(self, part: Part, result: Reserved) -> None:
        for index, slot in result.known.items():
            self._tools.recent.note(part.conversation, slot.seq)
            self._tools.answers.settle(part.block.entries[index], slot)
        if result.known:
            self._tools.metrics.known_keys.inc(len(result.known))

    def _within_clock_error(self, part: Part, result: Reserved) -> list[Entry]:
        """Every row has createTime <= sendTime + clock error, whatever this worker's own clock
        says: windows, seeds and look-ups rest on it (C4, C5)."""
        tools = self._tools
        kept: list[Entry] = []
        for index in result.new:
            entry = part.block.entries[index]
            if ahead_of(entry.append.create_time, result.send_time, tools.config):
                tools.answers.fail(entry, too_far_ahead(tools.config))
            else:
                kept.append(entry)
        return kept

    def _look_up_step(self, part: Part, result: Reserved) -> Step:
        entries = [part.block.entries[index] for index in result.old]
        return lambda: self._look_up(part, entries, result.head)

    # -- store, advance, answer --------------------------------------------------------------------

    async def _store(self, placed: Sequence[Placed]) -> None:
        tools = self._tools
        with _timed(tools.metrics, "store"):
            stored = await tools.rows.insert([item.rows for item in placed])
        lost = [item for item, ok in zip(placed, stored, strict=True) if not ok]
        kept = [item for item, ok in zip(placed, stored, strict=True) if ok]
        for item in kept:
            for entry, row in zip(item.entries, item.rows, strict=True):
                entry.own_seq = row.seq
        if lost:
            tools.metrics.duplicate_keys.inc(len(lost))
        if not lost:
            await self._advance(kept)
            return
        async with trio.open_nursery() as nursery:
            for item in lost:
                nursery.start_soon(self._catch_up, item, item.first_seq - 1)
            if kept:
                nursery.start_soon(self._advance, kept)

    async def _advance(self, placed: Sequence[Placed]) -> None:
        tools = self._tools
        try:
            with _timed(tools.metrics, "effects"):
                await tools.effects.apply([row for item in placed for row in item.rows])
            with _timed(tools.metrics, "advance"):
                results = await tools.sequencer.advance(
                    self._token, [_stored_facts(item) for item in placed]
                )
        except (SequencerUnavailable, StoreUnavailable) as error:
            if isinstance(error, StoreUnavailable):
                await self._release([item.part.conversation for item in placed])
            for item in placed:
                self._retry(item.part, item.entries, Setback.UNAVAILABLE)
                self._finish(item.part)
            return
        behind: list[tuple[Placed, int]] = []
        for item, result in zip(placed, results, strict=True):
            if isinstance(result, Advanced):
                self._visible(item)
            elif isinstance(result, Behind):
                behind.append((item, result.head))
            else:
                self._retry(item.part, item.entries)
                self._finish(item.part)
        if behind:
            async with trio.open_nursery() as nursery:
                for item, head in behind:
                    nursery.start_soon(self._catch_up, item, head)

    def _visible(self, item: Placed) -> None:
        """Stored and advanced: only now are the senders told (C10)."""
        self._tools.recent.note(item.part.conversation, item.rows[-1].seq)
        for entry, row in zip(item.entries, item.rows, strict=True):
            slot = KnownKey(row.seq, row.kind, row.send_time, row.fingerprint)
            self._tools.answers.settle(entry, slot)
        self._finish(item.part)

    # -- what makes a block reserve again ----------------------------------------------------------

    async def _catch_up(self, item: Placed, head: int) -> None:
        """Whoever holds the slots is made visible; the next reserve then knows our keys, or gives
        out other seqs.  "Not stored" is never concluded from a read."""
        setback: Setback | None = None
        try:
            moved = await self._tools.catch_up.from_head(item.part.conversation, head, self._token)
            if not moved:
                setback = Setback.UNCLEAR
                await self._release([item.part.conversation])
        except (SequencerUnavailable, StoreUnavailable):
            setback = Setback.UNAVAILABLE
        self._retry(item.part, item.entries, setback)
        self._finish(item.part)

    async def _seed(self, unknown: Sequence[tuple[Part, bytes]]) -> None:
        setback: Setback | None = None
        try:
            with _timed(self._tools.metrics, "seed"):
                await self._tools.seeder.seed({p.conversation: ticket for p, ticket in unknown})
        except (SequencerUnavailable, StoreUnavailable):
            setback = Setback.UNAVAILABLE
        for part, _ in unknown:
            self._retry(part, part.block.entries, setback)
            self._finish(part)

    async def _look_up(self, part: Part, entries: Sequence[Entry], head: int) -> None:
        """Search rows 1..head, all visible, for keys that may be below the window (C4)."""
        tools = self._tools
        again: list[Entry] = []
        setback: Setback | None = None
        for entry in entries:
            tools.metrics.look_ups.inc()
            since = max(0, entry.append.create_time - clock_error_ms(tools.config))
            try:
                row = await tools.rows.find_key(part.conversation, entry.append.key, since, head)
            except StoreUnavailable:
                setback = Setback.UNAVAILABLE
                again.append(entry)
                continue
            if row is None:
                entry.looked_through = head
                again.append(entry)
            else:
                slot = KnownKey(row.seq, row.kind, row.send_time, row.fingerprint)
                tools.answers.settle(entry, slot)
        self._retry(part, again, setback)
        self._finish(part)

    async def _release(self, conversations: Sequence[str]) -> None:
        """Let others (and our own next flush) in at once; a lease that stays runs out soon."""
        with suppress(SequencerUnavailable):
            await self._tools.sequencer.release(self._token, conversations)

    # -- landing -----------------------------------------------------------------------------------

    def _retry(self, part: Part, entries: Sequence[Entry], setback: Setback | None = None) -> None:
        part.again.extend(entries)
        part.setback = setback or part.setback

    def _finish(self, part: Part) -> None:
        part.steps -= 1
        if part.steps == 0:
            if len(part.again) > 1:  # old keys and others may have come back out of order
                order = {id(entry): index for index, entry in enumerate(part.block.entries)}
                part.again.sort(key=lambda entry: order[id(entry)])
            self._land(part.block, part.again, part.setback)

    def _fail_all(self) -> None:
        for part in self._parts:
            if part.steps > 0:
                part.steps = 0
                for entry in part.block.entries:
                    self._tools.answers.fail(entry, unknown_outcome("internal error"))
                self._land(part.block, (), None)


def _place(part: Part, entries: Sequence[Entry], result: Reserved) -> Placed:
    """Give the new messages the seqs behind n, in order."""
    rows = []
    for seq, entry in enumerate(entries, result.first_seq):
        append = entry.append
        rows.append(
            Row(
                conversation=append.conversation,
                seq=seq,
                kind=append.kind,
                key=append.key,
                fingerprint=append.fingerprint,
                create_time=append.create_time,
                send_time=result.send_time,
                data=seal(append.head, seq, append.send_time or result.send_time),
            )
        )
    return Placed(part, tuple(entries), tuple(rows))


def _stored_facts(item: Placed) -> AdvanceBlock:
    publications = tuple(
        [
            publication(row, entry.append.channels, entry.append.operation_id)
            for entry, row in zip(item.entries, item.rows, strict=True)
        ]
    )
    return AdvanceBlock(item.part.conversation, item.first_seq, item.rows, publications)


class _timed:
    """Observe how long a step of a batch took."""

    __slots__ = ("_began", "_histogram")

    def __init__(self, metrics: Metrics, step: str) -> None:
        self._histogram = metrics.append_seconds.labels(step)

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._histogram.observe(time.perf_counter() - self._began)
