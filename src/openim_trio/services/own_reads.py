"""Whoever sends a message has read the conversation up to it: the sender's own read seq.

It is noted in Redis before the message becomes visible, so that every worker sees it at once, and
written to the store a few seconds later, many in one go: one write a message would cost more than
the message itself.  If Redis forgets the note, the worker still writes it; only if a worker is
killed and Redis is wiped within these seconds, a user's own last messages count as unread until
the user reads or writes again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

import attrs
import structlog
import trio

from openim_trio.append.ports import SequencerUnavailable, StoreUnavailable
from openim_trio.domain.records import ConversationRecord
from openim_trio.services.ports import OwnReadNotes
from openim_trio.store.conversations import Conversations

WRITE_EVERY = 2.0
"""seconds"""
WRITES_AT_ONCE = 1_000
MAX_WAITING = 100_000
"""(user, conversation) pairs; when there are more, senders wait for the store"""

_log = structlog.get_logger()


class OwnReads:
    def __init__(self, conversations: Conversations, notes: OwnReadNotes) -> None:
        self._conversations = conversations
        self._notes = notes
        self._waiting: dict[tuple[str, str], int] = {}

    async def raise_many(self, seqs: Mapping[tuple[str, str], int]) -> None:
        """(user, conversation) -> seq.  Raises StoreUnavailable when too many wait and the store
        does not take them."""
        if len(self._waiting) > MAX_WAITING:
            await self.write()
        for pair, seq in seqs.items():
            self._waiting[pair] = max(seq, self._waiting.get(pair, 0))
        with suppress(SequencerUnavailable):  # then only this worker knows, and soon the store
            await self._notes.put(seqs)

    async def fresh(
        self, user_id: str, rows: Sequence[ConversationRecord]
    ) -> list[ConversationRecord]:
        """The user's rows with the read seqs that are not in the store yet."""
        try:
            noted = await self._notes.get(user_id, [row.conversation_id for row in rows])
        except SequencerUnavailable:
            noted = {}
        out = []
        for row in rows:
            seq = max(
                noted.get(row.conversation_id, 0),
                self._waiting.get((user_id, row.conversation_id), 0),
            )
            out.append(attrs.evolve(row, read_seq=seq) if seq > row.read_seq else row)
        return out

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write now and then, until cancelled."""
        task_status.started()
        while True:
            await trio.sleep(WRITE_EVERY)
            try:
                await self.write()
            except StoreUnavailable as error:
                _log.warning("own_reads_wait", count=len(self._waiting), reason=str(error))

    async def write(self) -> None:
        """Write what waits.  Raises StoreUnavailable; then it still waits."""
        waiting, self._waiting = self._waiting, {}
        items = [(user, name, seq) for (user, name), seq in waiting.items()]
        written = 0
        try:
            while written < len(items):
                await self._conversations.raise_read_seqs(
                    items[written : written + WRITES_AT_ONCE], durable=False
                )
                written += WRITES_AT_ONCE
        finally:
            for user, name, seq in items[written:]:
                self._waiting[user, name] = max(seq, self._waiting.get((user, name), 0))
