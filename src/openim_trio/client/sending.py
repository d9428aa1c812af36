"""Sends on their way to a definite end, over whatever connection there is.

They live in the database from the moment they are queued until the application was told their end;
`machines.outgoing` says what to transmit and what an answer means.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping

import structlog
import trio

from openim_trio.client.channel import Channel
from openim_trio.client.clock import ServerClock
from openim_trio.client.database import conversations, messages, sends
from openim_trio.client.errors import (
    ClientError,
    DatabaseError,
    LocalCode,
    SendFailed,
    ServerRefused,
    TokenRefused,
)
from openim_trio.client.events import (
    Event,
    LocalDatabaseFailed,
    MessageFailed,
    MessageSent,
    MessageUnknown,
)
from openim_trio.client.ledger import RETRY_EVERY, Ledger
from openim_trio.client.machines.outgoing import (
    Accepted,
    Answer,
    Failed,
    Kind,
    NeedsHistory,
    Never,
    Outcome,
    Outgoing,
    PendingSend,
    Refused,
    Sent,
    Transmission,
    Unknown,
)
from openim_trio.client.model import Message, MessageStatus
from openim_trio.client.settings import Settings
from openim_trio.client.showing import End, Showing
from openim_trio.wire.identifiers import Req
from openim_trio.wire.proto import extension_pb2, msg_pb2, sdkws_pb2

_WITHOUT_AN_END = (MessageStatus.SENDING, MessageStatus.UNKNOWN)

log = structlog.get_logger()


class Sending:
    """`on_needs_history`: the history has to tell what became of a send; it answers which round of
    syncing will."""

    def __init__(
        self,
        user_id: str,
        settings: Settings,
        ledger: Ledger,
        outgoing: Outgoing,
        clock: ServerClock,
        showing: Showing,
        on_needs_history: Callable[[], int],
    ) -> None:
        self._user_id = user_id
        self._settings = settings
        self._database = ledger.database
        self._outgoing = outgoing
        self._clock = clock
        self._showing = showing
        self._on_needs_history = on_needs_history
        self._channel: Channel | None = None
        self._outcomes: list[Outcome] = []
        self._told_by: dict[str, int] = {}
        self._waiting: dict[str, trio.Event] = {}
        self._wake = trio.Event()

    # -- the application's side --------------------------------------------------------------------

    async def restore(self) -> None:
        """At login: what an earlier life left."""
        pending, untold = await self._database.read(
            lambda connection: (
                sends.pending(connection),
                [
                    (outcome, messages.get(connection, outcome.client_msg_id, self._user_id))
                    for outcome in sends.untold(connection)
                ],
            )
        )
        self._outgoing.restore(pending, trio.current_time(), self._settings.clock())
        self._showing.ended(
            _end(message, None if outcome.sent else (outcome.code, outcome.reason))
            for outcome, message in untold
            if message is not None
        )

    async def queue(
        self, data: sdkws_pb2.MsgData, conversation_id: str, parties: tuple[int, str, str]
    ) -> Message:
        """Returns when it is in the database.  Raises DatabaseError, InvalidArgument."""
        send = PendingSend(
            data.clientMsgID,
            conversation_id,
            data.SerializeToString(),
            deadline_at=self._settings.clock() + int(self._settings.send_deadline * 1000),
        )

        def op(connection: sqlite3.Connection) -> tuple[PendingSend, Message, bool]:
            new = conversations.ensure(connection, conversation_id, *parties)
            message = messages.insert_own(connection, conversation_id, data)
            return sends.queue(connection, send), message, new

        with trio.CancelScope(shield=True):  # what is in the database is on its way
            queued, message, new = await self._database.write(op, durable=True)
            self._outgoing.queue(queued, trio.current_time(), self._settings.clock())
        self._wake.set()
        self._showing.changed([conversation_id], [conversation_id] if new else [])
        return message

    async def outcome(self, client_msg_id: str) -> Message:
        """See `Messages.outcome`."""
        while True:
            event = self._waiting.setdefault(client_msg_id, trio.Event())
            message = await self._database.read(
                lambda connection: messages.get(connection, client_msg_id, self._user_id)
            )
            if message is not None and message.status in _WITHOUT_AN_END:
                await event.wait()
                continue
            self._waiting.pop(client_msg_id, None)
            if message is None:
                raise SendFailed(client_msg_id, LocalCode.NOT_FOUND, "was never queued here")
            if message.status is MessageStatus.FAILED:
                raise await self._failure(client_msg_id)
            return message

    async def _failure(self, client_msg_id: str) -> SendFailed:
        reasons = await self._database.read(sends.untold)
        for found in reasons:
            if found.client_msg_id == client_msg_id:
                return SendFailed(client_msg_id, found.code, found.reason)
        return SendFailed(client_msg_id, LocalCode.DEADLINE, "it was never delivered")

    # -- connections -------------------------------------------------------------------------------

    def attach(self, channel: Channel) -> None:
        self._channel = channel
        self._outgoing.connected(trio.current_time(), extension=channel.link.extension)
        self._wake.set()

    def detach(self) -> None:
        self._channel = None
        self._outgoing.disconnected(trio.current_time())
        self._wake.set()

    def met(self, found: Iterable[sdkws_pb2.MsgData]) -> None:
        """Own messages that came in a push or a pull: they are sent, and stored as such."""
        for message in found:
            sent = self._outgoing.seen(message.clientMsgID, message.serverMsgID, message.sendTime)
            if sent is not None:
                self._outcomes.append(sent)
                self._wake.set()

    def history_is_complete(self, number: int) -> None:
        """All conversations are synced up to heads that were read in round `number`."""
        for client_msg_id, _ in list(self._outgoing.needs_history()):
            if self._told_by.get(client_msg_id, number + 1) <= number:
                failed = self._outgoing.verdict(client_msg_id)
                if failed is not None:
                    del self._told_by[client_msg_id]
                    self._outcomes.append(failed)
                    self._wake.set()

    # -- on the way --------------------------------------------------------------------------------

    async def run(self) -> None:
        """For ever."""
        while True:
            now = trio.current_time()
            self._outcomes.extend(self._outgoing.expire(now))
            try:
                while self._outcomes:  # a give-up is in the database before it is asked for
                    await self._record()
                await self._transmit()
            except DatabaseError as error:
                self._showing.emit(LocalDatabaseFailed(error=error, retry_in=RETRY_EVERY))
                await trio.sleep(RETRY_EVERY)
                continue
            wake_at = self._outgoing.wake_at(trio.current_time())
            with trio.move_on_at(wake_at if wake_at is not None else float("inf")):
                await self._wake.wait()
            self._wake = trio.Event()

    async def _transmit(self) -> None:
        channel = self._channel
        if channel is None or channel.over:
            return
        transmissions = self._outgoing.take(trio.current_time())
        unstamped = {t.client_msg_id: t.data for t in transmissions if t.needs_stamp}
        try:
            stamped = await self._stamp(unstamped) if unstamped else {}
        except DatabaseError:
            for t in transmissions:
                self._outgoing.unsent(t.client_msg_id)
            raise
        if channel.over or channel is not self._channel:
            return  # it ended meanwhile; `detach` has taken back what was under way
        for t in transmissions:
            if not t.needs_stamp or t.client_msg_id in stamped:
                data = stamped.get(t.client_msg_id, t.data)
                channel.nursery.start_soon(self._ask, channel, t, data)

    async def _stamp(self, unstamped: Mapping[str, bytes]) -> dict[str, bytes]:
        """createTime is part of a send's identity: it is kept before it is used.  Returns those
        that are to be transmitted, with it."""
        now = self._clock.now()
        times = dict.fromkeys(unstamped, now)
        with trio.CancelScope(shield=True):
            kept = await self._database.write(
                lambda connection: sends.stamp(connection, times), durable=True
            )
        stamped = {}
        for client_msg_id, create_time in kept.items():
            data = _stamped(unstamped[client_msg_id], create_time)
            if self._outgoing.stamped(client_msg_id, create_time, data):
                stamped[client_msg_id] = data
        return stamped

    async def _ask(self, channel: Channel, t: Transmission, data: bytes) -> None:
        """One transmission and its answer.  No answer: the connection ends, `detach` knows."""
        answer: Answer
        try:
            if t.kind is Kind.SEND:
                sent = await channel.call(Req.SEND, data, msg_pb2.SendMsgResp)
                answer = Accepted(sent.serverMsgID, sent.sendTime)
            else:
                told = await channel.call(Req.GIVE_UP, data, extension_pb2.GiveUpResp)
                answer = (
                    Accepted(told.sent.serverMsgID, told.sent.sendTime)
                    if told.delivered
                    else Never()
                )
        except TokenRefused:
            channel.end()
            return
        except ServerRefused as refused:
            answer = Refused(refused.code, refused.name, refused.retriable)
        except ClientError as error:
            log.debug("send_unanswered", reason=str(error))
            channel.end()
            return
        outcome = self._outgoing.answered(t.client_msg_id, t.kind, answer, trio.current_time())
        if outcome is not None:
            self._outcomes.append(outcome)
        self._wake.set()

    # -- ends --------------------------------------------------------------------------------------

    async def _record(self) -> None:
        """Into the database, then to the application."""
        outcomes = list(self._outcomes)
        with trio.CancelScope(shield=True):
            found = await self._database.write(
                lambda connection: [self._write(connection, outcome) for outcome in outcomes]
            )
        del self._outcomes[: len(outcomes)]
        ends: list[End] = []
        events: list[Event] = []
        for outcome, message in zip(outcomes, found, strict=True):
            if isinstance(outcome, NeedsHistory):
                self._told_by[outcome.client_msg_id] = self._on_needs_history()
            elif message is None:
                continue
            elif isinstance(outcome, Unknown):
                events.append(MessageUnknown(message=message))
            else:
                failure = (outcome.code, outcome.reason) if isinstance(outcome, Failed) else None
                ends.append(_end(message, failure))
        for event in events:
            self._showing.emit(event)
        self._showing.ended(ends)
        self._showing.changed({end.message.conversation_id for end in ends})
        for end in ends:
            waiting = self._waiting.pop(end.message.client_msg_id, None)
            if waiting is not None:
                waiting.set()

    def _write(self, connection: sqlite3.Connection, outcome: Outcome) -> Message | None:
        name = outcome.client_msg_id
        match outcome:
            case Sent():
                sends.settle(connection, name, sent=True)
                return messages.acknowledge(
                    connection, self._user_id, name, outcome.server_msg_id, outcome.send_time
                )
            case Failed():
                sends.settle(connection, name, sent=False, code=outcome.code, reason=outcome.reason)
                return messages.set_status(connection, self._user_id, name, MessageStatus.FAILED)
            case Unknown():
                sends.give_up(connection, name, outcome.code, outcome.reason)
                return messages.set_status(connection, self._user_id, name, MessageStatus.UNKNOWN)
            case NeedsHistory():
                return None


def _stamped(data: bytes, create_time: int) -> bytes:
    message = sdkws_pb2.MsgData.FromString(data)
    message.createTime = create_time
    return message.SerializeToString()


def _end(message: Message, failure: tuple[int, str] | None) -> End:
    if failure is None:
        return MessageSent(message=message)
    code, reason = failure
    error = SendFailed(message.client_msg_id, code, reason)
    return MessageFailed(message=message, error=error)
