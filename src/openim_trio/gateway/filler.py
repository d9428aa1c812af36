"""Gaps: rows that a connection was not shown are read from the store and shown, in order.

Wishes of many connections for one conversation are served by one read.  Bounds: `MAX_CONVERSATIONS`
at a time (further wishes are let go; the periodic look at the heads finds them again), `READERS`
reads at once, `NEWEST` rows a conversation (what is older the client pulls when it sees the gap).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import structlog
import trio

from openim_trio.append.ports import SequencerUnavailable, StoreUnavailable
from openim_trio.domain.errors import ServiceError
from openim_trio.gateway.ports import RowReader
from openim_trio.gateway.published import Published
from openim_trio.observability.metrics import Metrics
from openim_trio.wire.proto import sdkws_pb2

if TYPE_CHECKING:
    from openim_trio.gateway.session import Session

NEWEST = 100
READERS = 8
MAX_CONVERSATIONS = 4_096
ATTEMPTS = 5
FIRST_WAIT = 0.2

log = structlog.get_logger()


@attrs.define(slots=True, eq=False)
class _Wishes:
    """For one conversation: who lacks rows up to `upto`; who wants its newest row if it is not
    older than a time (Unix ms); who wants to see a row again."""

    upto: int = 0
    behind: dict[Session, None] = attrs.field(factory=dict)
    newest: dict[Session, int] = attrs.field(factory=dict)
    again: dict[Session, int] = attrs.field(factory=dict)


class GapFiller:
    """`run` serves what the plain methods ask for."""

    def __init__(self, rows: RowReader, metrics: Metrics) -> None:
        self._rows = rows
        self._metrics = metrics
        self._wishes: dict[str, _Wishes] = {}
        self._waiting: list[str] = []
        self._wake = trio.Event()

    def gap(self, session: Session, conversation: str, upto: int) -> None:
        wishes = self._wishes_of(conversation)
        if wishes is not None:
            wishes.behind[session] = None
            wishes.upto = max(wishes.upto, upto)

    def newest(self, session: Session, conversation: str, seq: int, not_before: int) -> None:
        wishes = self._wishes_of(conversation)
        if wishes is not None:
            wishes.newest[session] = not_before
            wishes.upto = max(wishes.upto, seq)

    def show_again(self, session: Session, conversation: str, seq: int) -> None:
        wishes = self._wishes_of(conversation)
        if wishes is not None:
            wishes.again[session] = seq
            wishes.upto = max(wishes.upto, seq)

    def _wishes_of(self, conversation: str) -> _Wishes | None:
        wishes = self._wishes.get(conversation)
        if wishes is None:
            if len(self._wishes) >= MAX_CONVERSATIONS:
                return None
            wishes = self._wishes[conversation] = _Wishes()
            self._waiting.append(conversation)
            self._wake.set()
        return wishes

    async def run(self) -> None:
        limiter = trio.Semaphore(READERS)
        async with trio.open_nursery() as nursery:
            while True:
                await self._wake.wait()
                self._wake = trio.Event()
                while self._waiting:
                    await limiter.acquire()
                    nursery.start_soon(self._serve, self._waiting.pop(), limiter)

    async def _serve(self, conversation: str, limiter: trio.Semaphore) -> None:
        try:
            await self._fill(conversation)
        except Exception:
            log.exception("gap_not_filled", conversation=conversation)
        finally:
            self._wishes.pop(conversation, None)
            limiter.release()

    async def _fill(self, conversation: str) -> None:
        """Until nobody lacks anything: more may be wished for during a read."""
        wait = FIRST_WAIT
        for _ in range(ATTEMPTS):
            wishes = self._wishes[conversation]
            low = self._lowest(conversation, wishes)
            try:
                rows = await self._rows.rows_between(conversation, low, wishes.upto)
            except (StoreUnavailable, SequencerUnavailable, ServiceError) as error:
                log.warning("gap_read_failed", conversation=conversation, reason=str(error))
                await trio.sleep(wait)
                wait *= 2
                continue
            self._hand_out(conversation, wishes, rows)
            if not (wishes.behind or wishes.newest or wishes.again):
                return

    def _lowest(self, conversation: str, wishes: _Wishes) -> int:
        """The lowest row to read."""
        low = wishes.upto
        for session in wishes.behind:
            shown = session.positions.get(conversation)
            if shown is not None:
                low = min(low, shown + 1)
        for seq in wishes.again.values():
            low = min(low, seq)
        return max(low, wishes.upto - NEWEST + 1, 1)

    def _hand_out(self, conversation: str, wishes: _Wishes, rows: list[sdkws_pb2.MsgData]) -> None:
        """No waiting here: positions can't change between the look and the push."""
        if not rows:
            wishes.behind.clear()
            wishes.newest.clear()
            wishes.again.clear()
            return
        published = {row.seq: Published.from_row(conversation, row) for row in rows}
        in_order = [published[seq] for seq in sorted(published)]
        last, last_time = in_order[-1], rows[-1].sendTime
        shown = 0
        for session in [s for s in wishes.behind if s.positions.get(conversation) is not None]:
            shown += session.fill(in_order)
        for session, not_before in wishes.newest.items():
            if last_time >= not_before or session.positions.get(conversation) is not None:
                shown += session.fill([last])
        for session, seq in wishes.again.items():
            if seq in published:
                session.show_again(published[seq])
        wishes.newest.clear()
        wishes.again.clear()
        for session in list(wishes.behind):
            if not session.positions.behind(conversation, wishes.upto):
                del wishes.behind[session]
        self._metrics.reconciled.inc(shown)
