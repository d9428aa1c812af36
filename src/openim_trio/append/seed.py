"""Seed: tell the sequencer what the store knows of a conversation that it forgot."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import attrs

from openim_trio.append.limits import clock_error_ms
from openim_trio.append.ports import RowStore, SeedBlock, Sequencer, Tail
from openim_trio.append.publication import channels_of
from openim_trio.append.requests import SideEffects
from openim_trio.config.model import AppendConfig
from openim_trio.domain.rows import Row
from openim_trio.observability.metrics import Metrics
from openim_trio.wire.proto import sdkws_pb2

SHORT_TAIL = 16
MIDDLE_TAILS = (128, 1_024)
DEEP_TAIL = 10_000
CONVERSATIONS_AT_ONCE = 200
ROWS_AT_ONCE = 20_000
"""in one read, however many conversations: it has to end within the store's timeout"""
DEEP_BYTES = 16 * 1024 * 1024
"""of one conversation.  Where more rows would be more than that, keys are looked up instead."""


def row_channels(row: Row) -> tuple[str, ...]:
    return channels_of(sdkws_pb2.MsgData.FromString(row.data))


def narrowed(tail: Tail, window: int, clock_error: int) -> Tail:
    """The same tail with at most `window` rows.

    `floor_time` + clock error must bound the createTime of every row below the tail (C5), so for
    rows that were read and are let go, their own createTime counts.
    """
    if len(tail.rows) <= window:
        return tail
    gone, kept = tail.rows[:-window], tail.rows[-window:]
    newest = max(row.create_time for row in gone)
    return Tail(tail.head, kept, max(tail.floor_time, newest - clock_error, 1))


@attrs.frozen(slots=True)
class Seeder:
    sequencer: Sequencer
    rows: RowStore
    effects: SideEffects
    config: AppendConfig
    metrics: Metrics

    async def seed(self, tickets: Mapping[str, bytes]) -> dict[str, Tail]:
        """Read the ends of these conversations and seed them, each with its ticket.

        A few rows are enough for a conversation at rest.  In a busy one they would leave every new
        message "old" until the allowance for clocks has passed, so there more is read, step by
        step, and what is known is told at once.

        Returns what was read: facts, whether or not somebody else seeded first (C7, C8 are the
        sequencer's).  Raises StoreUnavailable and SequencerUnavailable.
        """
        found: dict[str, Tail] = {}
        waiting = list(tickets)
        limits = self._limits()
        for limit, next_limit in zip(limits, (*limits[1:], 0), strict=True):
            deeper: list[str] = []
            at_once = max(1, min(CONVERSATIONS_AT_ONCE, ROWS_AT_ONCE // limit))
            for start in range(0, len(waiting), at_once):
                part = waiting[start : start + at_once]
                tails = dict(zip(part, await self.rows.tails(part, limit), strict=True))
                busy = [n for n in part if next_limit and self._wants(next_limit, tails[n])]
                deeper += busy
                calm = {name: tails[name] for name in part if name not in busy}
                found.update(await self._tell(calm, tickets))
            waiting = deeper
        return found

    def _limits(self) -> Sequence[int]:
        return (min(SHORT_TAIL, self.config.window_rows), *MIDDLE_TAILS, DEEP_TAIL)

    def _wants(self, rows: int, tail: Tail) -> bool:
        """Rows below the tail are so young that their keys should be known, too, and a tail of so
        many would not be too large."""
        recent = time.time() * 1000 - clock_error_ms(self.config)
        if tail.head == len(tail.rows) or tail.floor_time < recent:
            return False
        return sum(len(row.data) for row in tail.rows) * rows <= DEEP_BYTES * len(tail.rows)

    async def _tell(
        self, tails: Mapping[str, Tail], tickets: Mapping[str, bytes]
    ) -> Mapping[str, Tail]:
        if not tails:
            return {}
        kept = {
            name: narrowed(tail, self.config.window_rows, clock_error_ms(self.config))
            for name, tail in tails.items()
        }
        last = [tail.rows[-1] for tail in kept.values() if tail.rows]
        if last:
            await self.effects.apply(last)
        self.metrics.seeds.inc(len(kept))
        await self.sequencer.seed([self._block(c, tickets[c], tail) for c, tail in kept.items()])
        return kept

    def _block(self, conversation: str, ticket: bytes, tail: Tail) -> SeedBlock:
        channels = row_channels(tail.rows[-1]) if tail.rows else ()
        return SeedBlock(conversation, ticket, tail.head, tail.rows, tail.floor_time, channels)
