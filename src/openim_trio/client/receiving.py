"""What comes, from a push or a pull, into the database; then it is shown, acknowledged, synced.

A message is stored first.  Its conversation's position moves in the same transaction, so that it
can neither be lost nor stored twice, whenever the process dies.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence

import attrs
import structlog
import trio

from openim_trio.client import effects
from openim_trio.client.conversation_ids import parties
from openim_trio.client.database import conversations, messages, sends
from openim_trio.client.database.messages import Verdict
from openim_trio.client.effects import Effects
from openim_trio.client.errors import DatabaseError
from openim_trio.client.events import Event, LocalDatabaseFailed, RecvOnlineOnlyMessage
from openim_trio.client.ledger import RETRY_EVERY, Draft, Ledger
from openim_trio.client.machines.position import SeqRange
from openim_trio.client.model import MessageStatus, message_of
from openim_trio.domain.conversations import is_notification
from openim_trio.wire.proto import sdkws_pb2

WAITING_PUSHES = 1_000
"""messages that wait to be stored; then the connection is read no further"""

log = structlog.get_logger()

Batch = Mapping[str, Sequence[sdkws_pb2.MsgData]]


@attrs.define
class Ingested:
    """What one transaction did: own messages that were met, and what changed for the reader."""

    met: list[sdkws_pb2.MsgData] = attrs.field(factory=list)
    stored: set[str] = attrs.field(factory=set)
    effects: Effects = attrs.field(factory=Effects)


class Receiver:
    """`on_ingested` is called after each commit."""

    def __init__(
        self,
        user_id: str,
        ledger: Ledger,
        emit: Callable[[Event], None],
        on_ingested: Callable[[Ingested], None],
    ) -> None:
        self._user_id = user_id
        self._ledger = ledger
        self._emit = emit
        self._on_ingested = on_ingested
        self._pushes, self._take = trio.open_memory_channel[tuple[str, sdkws_pb2.MsgData]](
            WAITING_PUSHES
        )

    async def on_push(self, pushed: sdkws_pb2.PushMessages) -> None:
        """Waits when too much waits already."""
        for group in (pushed.msgs, pushed.notificationMsgs):
            for conversation_id, pulled in group.items():
                for message in pulled.Msgs:
                    await self._pushes.send((conversation_id, message))

    async def store_pushes(self) -> None:
        """For ever.  What has come meanwhile is stored together."""
        while True:
            batch = [await self._take.receive()]
            while len(batch) < WAITING_PUSHES:
                try:
                    batch.append(self._take.receive_nowait())
                except trio.WouldBlock:
                    break
            await self._store_pushed(batch)

    async def _store_pushed(self, batch: list[tuple[str, sdkws_pb2.MsgData]]) -> None:
        stored: dict[str, list[sdkws_pb2.MsgData]] = {}
        passing: list[tuple[str, sdkws_pb2.MsgData]] = []
        for conversation_id, message in batch:
            if message.seq > 0:
                stored.setdefault(conversation_id, []).append(message)
            elif message.seq < 0:
                log.warning("no_place", conversation_id=conversation_id)
            elif is_notification(conversation_id):
                passing.append((conversation_id, message))
            else:
                shown = message_of(message, conversation_id, MessageStatus.SENT)
                self._emit(RecvOnlineOnlyMessage(message=shown))
        while True:
            try:
                await self.ingest(stored, passing=passing, offline=False)
                return
            except DatabaseError as error:
                # Nothing more is read meanwhile; what waits is stored when there is room again.
                self._emit(LocalDatabaseFailed(error=error, retry_in=RETRY_EVERY))
                await trio.sleep(RETRY_EVERY)

    async def ingest(
        self,
        arrived: Batch,
        *,
        offline: bool,
        nothing_in: Iterable[tuple[str, SeqRange]] = (),
        passing: Iterable[tuple[str, sdkws_pb2.MsgData]] = (),
        again: bool = False,
    ) -> None:
        """Store what is not held yet.  `nothing_in`: ranges that hold nothing for this user;
        `passing`: notifications that are stored nowhere; `again`: also what counts as held without
        having been read.  Raises DatabaseError."""

        def work(connection: sqlite3.Connection, draft: Draft) -> Ingested:
            done = Ingested()
            for conversation_id, found in arrived.items():
                fresh = [m for m in found if again or not draft[conversation_id].holds(m.seq)]
                self._ingest_one(connection, draft, conversation_id, fresh, offline, done)
            for conversation_id, gap in nothing_in:
                draft.put(draft[conversation_id].hold_range(gap.first, gap.last))
                done.stored.add(conversation_id)
            for name, message in passing:
                effects.apply(connection, name, message, self._user_id, done.effects)
            return done

        self._on_ingested(await self._ledger.commit(work))

    def _ingest_one(
        self,
        connection: sqlite3.Connection,
        draft: Draft,
        conversation_id: str,
        fresh: Sequence[sdkws_pb2.MsgData],
        offline: bool,
        done: Ingested,
    ) -> None:
        done.stored.add(conversation_id)
        if not fresh:
            return
        if is_notification(conversation_id):
            for message in fresh:
                effects.apply(connection, conversation_id, message, self._user_id, done.effects)
        else:
            if conversations.ensure(
                connection, conversation_id, *parties(conversation_id, self._user_id)
            ):
                done.effects.new_conversations.add(conversation_id)
            done.effects.changed_conversations.add(conversation_id)
            by_seq = {message.seq: message for message in fresh}
            for stored in messages.store(
                connection, conversation_id, fresh, own_user=self._user_id, offline=offline
            ):
                if stored.verdict is Verdict.OWN:
                    sends.settle(connection, stored.client_msg_id, sent=True)
                    done.met.append(by_seq[stored.seq])
        draft.put(draft[conversation_id].hold(message.seq for message in fresh))
