"""Catch up: make rows visible that are in the store, whoever stored them."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from openim_trio.append.ports import AdvanceBlock, Advanced, Behind, RowStore, Sequencer
from openim_trio.append.publication import publication_from_row
from openim_trio.append.recent import RecentAdvances
from openim_trio.append.requests import SideEffects
from openim_trio.domain.rows import Row
from openim_trio.observability.metrics import Metrics

PAGE = 200
"""rows read and published at once"""


def contiguous(rows: Sequence[Row], first_seq: int) -> tuple[Row, ...]:
    """The rows first_seq, first_seq+1, … up to the first hole.  There are no holes; if a damaged
    store has one, nothing behind it may become a fact."""
    end = 0
    while end < len(rows) and rows[end].seq == first_seq + end:
        end += 1
    return tuple(rows[:end])


def facts(conversation: str, rows: tuple[Row, ...]) -> AdvanceBlock:
    """What an advance says about rows that were read from the store."""
    publications = tuple([publication_from_row(row) for row in rows])
    return AdvanceBlock(conversation, rows[0].seq, rows, publications)


@attrs.frozen(slots=True)
class CatchUp:
    sequencer: Sequencer
    rows: RowStore
    effects: SideEffects
    recent: RecentAdvances
    metrics: Metrics

    async def from_head(self, conversation: str, head: int, token: bytes = b"") -> bool:
        """Advance over the rows above `head`, page by page; ends the lease of `token` on the way.

        False: there was nothing above `head` (a row whose insert is unclear may still land).
        Raises StoreUnavailable and SequencerUnavailable; what was done stays right.
        """
        self.metrics.catch_ups.inc()
        moved = False
        while True:
            read = await self.rows.read_above(conversation, head, PAGE)  # primary, majority: C3
            rows = contiguous(read, head + 1)
            if not rows:
                return moved
            await self.effects.apply(rows)
            [result] = await self.sequencer.advance(token, [facts(conversation, rows)])
            moved = True
            if isinstance(result, Advanced):
                self.recent.note(conversation, rows[-1].seq)
                head = max(result.head, rows[-1].seq)
                if len(read) < PAGE:
                    return True
            elif isinstance(result, Behind) and result.head < head:
                head = result.head  # C2: never jump; fill in from where the sequencer is
            else:
                return True  # unknown by now: the next reserve seeds it
