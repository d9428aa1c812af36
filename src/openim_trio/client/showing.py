"""Tells listeners and streams what happens: events in order, and each message once.

A message is shown in the order of its conversation, without a hole before it, in steps that the
database keeps: handed over (`handed`), given to the application, counted (`shown`).  If the process
dies in between, what was handed over and not counted was shown once or not at all; the next login
reports it as recovered and does not show it again.
"""

from __future__ import annotations

import inspect
import math
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Sequence

import attrs
import structlog
import trio

from openim_trio.client.database import conversations, messages, sends
from openim_trio.client.errors import DatabaseError
from openim_trio.client.events import (
    ConversationChanged,
    Event,
    Listener,
    LocalDatabaseFailed,
    MessageFailed,
    MessageSent,
    MessagesRecovered,
    NewConversation,
    RecvNewMessage,
    TotalUnreadChanged,
)
from openim_trio.client.ledger import RETRY_EVERY, Draft, Ledger
from openim_trio.client.model import Conversation, Message
from openim_trio.client.streams import EventStream

AT_ONCE = 20
"""messages handed over in one step: so many may be ambiguous after a crash"""
WAITING_EVENTS = 10_000
"""beyond them the oldest are let go: all but messages and ends of sends can be read again"""
CONVERSATIONS_EVERY = 0.1
"""seconds: changes of conversations meanwhile are told together"""

log = structlog.get_logger()

End = MessageSent | MessageFailed


class Showing:
    """`listeners`, `streams`: the client's own lists, which may change at any time."""

    def __init__(
        self, ledger: Ledger, listeners: Sequence[Listener], streams: Sequence[EventStream]
    ) -> None:
        self._ledger = ledger
        self._listeners = listeners
        self._streams = streams
        self._events: deque[Event] = deque(maxlen=WAITING_EVENTS)
        self._ends: deque[End] = deque()
        self._told: list[str] = []
        self._ready: dict[str, None] = {}
        self._counts: dict[str, int] = {}
        self._new: set[str] = set()
        self._changed: set[str] = set()
        self._unread: int | None = None
        self._conversations_due = 0.0
        self._wake = trio.Event()

    # -- what is to be told ------------------------------------------------------------------------

    def emit(self, event: Event) -> None:
        self._events.append(event)
        self._wake.set()

    def ended(self, ends: Iterable[End]) -> None:
        """Sends that have their definite end, as the database has it already."""
        self._ends.extend(ends)
        self._wake.set()

    def stored(self, conversation_ids: Iterable[str]) -> None:
        """There may be something to show."""
        for name in conversation_ids:
            position = self._ledger[name]
            if position.complete > position.handed:
                self._ready[name] = None
                self._wake.set()

    def changed(self, conversation_ids: Iterable[str], new: Iterable[str] = ()) -> None:
        self._new.update(new)
        self._changed.update(conversation_ids)
        self._wake.set()

    # -- telling -----------------------------------------------------------------------------------

    async def run(self) -> None:
        """For ever.  Cancelling it counts what was shown."""
        try:
            while True:
                try:
                    if not await self._step():
                        due = self._conversations_due if self._new or self._changed else math.inf
                        with trio.move_on_at(due):
                            await self._wake.wait()
                        self._wake = trio.Event()
                except DatabaseError as error:
                    await self._tell(LocalDatabaseFailed(error=error, retry_in=RETRY_EVERY))
                    await trio.sleep(RETRY_EVERY)
        finally:
            with trio.CancelScope(shield=True):
                try:
                    await self._count()
                except DatabaseError as error:
                    log.warning("shown_not_counted", reason=str(error))

    async def _step(self) -> bool:
        """One thing after the other; False: there is nothing to do."""
        await trio.lowlevel.checkpoint()
        if self._events:
            await self._tell(self._events.popleft())
        elif self._ends:
            await self._tell_ends()
        elif self._ready:
            await self._show_some(next(iter(self._ready)))
        elif (self._new or self._changed) and trio.current_time() >= self._conversations_due:
            self._conversations_due = trio.current_time() + CONVERSATIONS_EVERY
            await self._tell_conversations()
        elif self._counts or self._told:
            await self._count()
        else:
            return False
        return True

    async def recover(self) -> None:
        """At login: what a crash left ambiguous, and ends of sends that nobody was told."""
        found: list[Message] = []
        for position in list(self._ledger):
            if position.shown < position.handed:
                found += await self._read_to_show(
                    position.conversation_id, position.shown, position.handed, AT_ONCE
                )
                self._counts[position.conversation_id] = position.handed
        if found:
            self.emit(MessagesRecovered(messages=tuple(found)))
        self.stored([position.conversation_id for position in self._ledger])

    async def _show_some(self, name: str) -> None:
        position = self._ledger[name]
        found = await self._read_to_show(name, position.handed, position.complete, AT_ONCE)
        upto = found[-1].seq if len(found) == AT_ONCE else position.complete
        counts, told = self._take_counts()

        def hand_over(connection: sqlite3.Connection, draft: Draft) -> None:
            _write_counts(connection, draft, counts, told)
            handed = draft[name].hand_over(upto)
            draft.put(handed if found else handed.count_shown(upto))

        await self._commit_or_keep(hand_over, counts, told)
        await self._show(name, found, position.handed, upto)
        if self._ledger[name].complete <= upto:
            self._ready.pop(name, None)

    async def _show(self, name: str, found: Sequence[Message], before: int, upto: int) -> None:
        started = shown = before
        try:
            for message in found:
                # Here it may be cancelled; what a listener has seen is counted without a chance
                # to be.
                await trio.lowlevel.checkpoint()
                started = message.seq
                await self._tell(RecvNewMessage(message=message))
                shown = message.seq
        except BaseException:
            # Only the one that was being shown is ambiguous: take the others back.
            self._counts[name] = shown
            await self._take_back(name, started)
            raise
        if found:
            self._counts[name] = upto

    async def _take_back(self, name: str, handed: int) -> None:
        """Nothing behind `handed` was given to the application."""
        with trio.CancelScope(shield=True):
            try:
                await self._ledger.commit(
                    lambda _, draft: draft.put(attrs.evolve(draft[name], handed=handed))
                )
            except DatabaseError as error:
                log.warning("handed_over_not_taken_back", reason=str(error))

    async def _read_to_show(self, name: str, after: int, upto: int, limit: int) -> list[Message]:
        return await self._ledger.database.read(
            lambda connection: messages.to_show(connection, name, after, upto, limit)
        )

    async def _tell_ends(self) -> None:
        while self._ends:
            await trio.lowlevel.checkpoint()
            end = self._ends.popleft()
            await self._tell(end)
            self._told.append(end.message.client_msg_id)

    async def _tell_conversations(self) -> None:
        new, changed = self._new, self._changed - self._new
        self._new, self._changed = set(), set()

        def read(
            connection: sqlite3.Connection,
        ) -> tuple[list[Conversation], list[Conversation], int]:
            return (
                conversations.listed(connection, sorted(new)) if new else [],
                conversations.listed(connection, sorted(changed)) if changed else [],
                conversations.total_unread(connection),
            )

        added, others, unread = await self._ledger.database.read(read)
        if added:
            await self._tell(NewConversation(conversations=tuple(added)))
        if others:
            await self._tell(ConversationChanged(conversations=tuple(others)))
        if unread != self._unread:
            self._unread = unread
            await self._tell(TotalUnreadChanged(count=unread))

    async def _tell(self, event: Event) -> None:
        for listener in list(self._listeners):
            try:
                result = getattr(listener, event.callback)(event)
                if inspect.isawaitable(result):
                    await result
            except Exception:
                log.exception("listener_failed", callback=event.callback)
        for stream in list(self._streams):
            await stream.give(event)

    # -- counting ----------------------------------------------------------------------------------

    def _take_counts(self) -> tuple[dict[str, int], list[str]]:
        counts, told = self._counts, self._told
        self._counts, self._told = {}, []
        return counts, told

    async def _count(self) -> None:
        if self._counts or self._told:
            counts, told = self._take_counts()
            await self._commit_or_keep(
                lambda connection, draft: _write_counts(connection, draft, counts, told),
                counts,
                told,
            )

    async def _commit_or_keep(
        self,
        work: Callable[[sqlite3.Connection, Draft], None],
        counts: dict[str, int],
        told: list[str],
    ) -> None:
        try:
            await self._ledger.commit(work)
        except BaseException:
            self._counts = {**counts, **self._counts}
            self._told = [*told, *self._told]
            raise


def _write_counts(
    connection: sqlite3.Connection, draft: Draft, counts: dict[str, int], told: list[str]
) -> None:
    for name, seq in counts.items():
        draft.put(draft[name].count_shown(seq))
    if told:
        sends.told(connection, told)
