"""One client connection: ties its transport, its machines and the services together.

Sends and give-ups are pipelined, up to a limit; every other request waits until they are answered,
and is answered before the next message is read.  Every request is answered; acknowledgements, which
clients with the extension send, are none.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import attrs
import structlog
import trio
from google.protobuf.message import DecodeError, Message

from openim_trio.domain.actors import Actor
from openim_trio.domain.errors import Code, ServiceError, args_error
from openim_trio.domain.platforms import Platform
from openim_trio.domain.rows import RowKind
from openim_trio.gateway.machines.deliver import STORED, Offer, Positions
from openim_trio.gateway.machines.receive import (
    CLIENT_REQUESTS,
    EXTENSION_REQUESTS,
    Acknowledgement,
    Pong,
    Receive,
    Violation,
)
from openim_trio.gateway.machines.retry import Retry, Unacknowledged
from openim_trio.gateway.outgoing import Opcode, OutFrame
from openim_trio.gateway.published import Published, shared_encoding
from openim_trio.gateway.transports.base import Transport
from openim_trio.wire.envelope import JSON, Encoding, Request, Response
from openim_trio.wire.identifiers import Req
from openim_trio.wire.proto import sdkws_pb2

if TYPE_CHECKING:
    from openim_trio.gateway.dispatch import Dispatcher

REQUEST_LIMIT = 9.0
"""seconds; official clients wait 10 s for an answer"""
CLIENT_READ_LIMIT = 1_048_576
"""bytes of one frame that native clients read; a larger one makes them drop the connection"""
JSON_READ_LIMIT = 8 * CLIENT_READ_LIMIT
"""JavaScript clients have no limit, and JSON makes a third more of the same answer"""
PIPELINED = frozenset({Req.SEND, Req.GIVE_UP})

log = structlog.get_logger()


@attrs.frozen(slots=True)
class _SendInFlight:
    request: Request
    answer_by: float


class Session:
    """`conn_id` is unique among all workers.  `connected_at`: Unix ms.  `kickable`: its own
    registration was seen on the user's channel, so that of two simultaneous logins exactly one
    stays.  `unacknowledged`: None for clients without the extension."""

    __slots__ = (
        "_answered",
        "_busy",
        "_dispatcher",
        "_drain_code",
        "_receive",
        "_sends",
        "_web_ping_at",
        "actor",
        "background",
        "conn_id",
        "connected_at",
        "encoding",
        "kickable",
        "positions",
        "retry",
        "sdk_version",
        "transport",
        "unacknowledged",
        "user_id",
        "watched",
    )

    def __init__(
        self,
        conn_id: str,
        actor: Actor,
        encoding: Encoding,
        transport: Transport,
        dispatcher: Dispatcher,
        sdk_version: str = "",
        *,
        extension: bool = False,
    ) -> None:
        self.conn_id = conn_id
        self.actor = actor
        self.user_id = actor.user_id
        self.encoding = shared_encoding(encoding)
        self.transport = transport
        self.sdk_version = sdk_version
        self.connected_at = int(time.time() * 1000)
        self.background = False
        self.kickable = False
        self.positions = Positions()
        self.retry = Retry()
        self.unacknowledged = Unacknowledged() if extension else None
        self.watched: set[str] | None = None
        self._dispatcher = dispatcher
        self._receive = Receive(
            actor.user_id,
            self.encoding,
            dispatcher.config.max_inflated,
            known=EXTENSION_REQUESTS if extension else CLIENT_REQUESTS,
        )
        self._sends: dict[object, _SendInFlight] = {}
        self._answered: trio.Event | None = None
        self._busy = False
        self._drain_code = 0
        self._web_ping_at = trio.current_time() + dispatcher.config.web_ping_interval

    @property
    def platform(self) -> Platform:
        return self.actor.platform

    # -- requests

    async def run(self) -> None:
        """Until the connection is over."""
        while (message := await self.transport.receive()) is not None:
            pause = self._receive.pause(self.transport.last_heard)
            if pause > 0:
                await trio.sleep(pause)
            item = self._receive.on_message(message)
            if isinstance(item, Request):
                await self._on_request(item)
            elif isinstance(item, Acknowledgement):
                self._on_acknowledgement(item)
            elif isinstance(item, Pong):
                self._put(OutFrame(item.text, Opcode.TEXT))
            elif isinstance(item, Violation):
                self._dispatcher.metrics.protocol_errors.labels(reason=item.reason).inc()
                self.transport.close(item.close_code, item.reason)
        if self.transport.failure:
            self._dispatcher.metrics.protocol_errors.labels(reason=self.transport.failure).inc()

    async def _on_request(self, request: Request) -> None:
        self._busy = True
        try:
            if request.req_identifier in PIPELINED:
                await self._submit(request)
            else:
                while self._sends:
                    await self._wait_for_answers()
                await self._serve(request)
        finally:
            self._busy = False
        # Time spent on the peer's request is not the peer's silence.
        self.transport.last_heard = trio.current_time()
        self._close_if_drained()

    def _on_acknowledgement(self, delivered: Acknowledgement) -> None:
        now = trio.current_time()
        for conversation, seq in delivered.positions:
            self.retry.acknowledge(conversation, seq)
            if self.unacknowledged is not None:
                self.unacknowledged.acknowledge(conversation, seq, now)
        self._dispatcher.count_request(Req.DELIVERED, 0)

    async def _serve(self, request: Request) -> None:
        outcome: bytes | ServiceError
        with trio.move_on_after(REQUEST_LIMIT) as limit:
            outcome = await self._dispatcher.serve(self, request)
        if limit.cancelled_caught:
            outcome = ServiceError(Code.NETWORK, "took too long", retriable=True)
        self._reply(request, outcome)
        if request.req_identifier == Req.LOGOUT:
            self.transport.close(1000, "logout")

    async def _submit(self, request: Request) -> None:
        """Hand a send or a give-up over; its answer comes by `_on_sent`."""
        while len(self._sends) >= self._dispatcher.config.sends_in_flight:
            await self._wait_for_answers()
        token = object()
        self._sends[token] = _SendInFlight(request, self.transport.last_heard + REQUEST_LIMIT)
        try:
            message = sdkws_pb2.MsgData.FromString(request.data)
        except DecodeError:
            self._on_sent(token, args_error("data", "is not a MsgData"))
            return
        done = partial(self._on_sent, token)
        error = await self._dispatcher.submit(self, request, message, done)
        if error is not None:
            done(error)

    def _on_sent(self, token: object, outcome: Message | ServiceError) -> None:
        send = self._sends.pop(token, None)
        if send is None:
            return  # answered before: it took too long
        if isinstance(outcome, ServiceError):
            self._reply(send.request, outcome)
        else:
            self._reply(send.request, outcome.SerializeToString())
        if self._answered is not None:
            self._answered.set()
            self._answered = None
        self._close_if_drained()

    async def _wait_for_answers(self) -> None:
        if self._answered is None:
            self._answered = trio.Event()
        await self._answered.wait()

    def _reply(self, request: Request, outcome: bytes | ServiceError) -> None:
        frame = self._encode_reply(request, outcome)
        if frame.size > self._read_limit:
            outcome = ServiceError(Code.ARGS, "the answer is too large: ask for less at once")
            frame = self._encode_reply(request, outcome)
        code = int(outcome.code) if isinstance(outcome, ServiceError) else 0
        self._dispatcher.count_request(request.req_identifier, code)
        self._put(frame)

    @property
    def _read_limit(self) -> int:
        return JSON_READ_LIMIT if self.encoding.codec is JSON else CLIENT_READ_LIMIT

    def _encode_reply(self, request: Request, outcome: bytes | ServiceError) -> OutFrame:
        failed = isinstance(outcome, ServiceError)
        return OutFrame(
            self.encoding.encode(
                Response(
                    request.req_identifier,
                    request.msg_incr,
                    request.operation_id,
                    int(outcome.code) if isinstance(outcome, ServiceError) else 0,
                    outcome.name if isinstance(outcome, ServiceError) else "",
                    b"" if failed else outcome,  # type: ignore[arg-type]
                )
            )
        )

    # -- pushes

    def offer(self, published: Published) -> bool:
        """A published message or tombstone.  True: a push was put."""
        if published.seq:
            verdict = self.positions.offer(published.conversation, published.seq)
            if verdict is Offer.GAP:
                self._dispatcher.filler.gap(self, published.conversation, published.seq)
            if verdict is not Offer.DELIVER:
                return False
        return self._push(published)

    def offer_head(self, conversation: str, seq: int, *, not_before: int) -> None:
        """Rows up to seq exist.  Where nothing of the conversation was shown yet, its newest row
        is shown if it is not older than `not_before` (Unix ms): the client's own sync had the
        rest."""
        if self.positions.get(conversation) is None:
            self._dispatcher.filler.newest(self, conversation, seq, not_before)
        elif self.positions.behind(conversation, seq):
            self._dispatcher.filler.gap(self, conversation, seq)

    def fill(self, rows: list[Published]) -> int:
        """Rows in order that close a gap; those shown before are skipped.  Number of pushes."""
        pushed = 0
        for row in rows:
            shown = self.positions.get(row.conversation)
            if shown is None or row.seq > shown:
                self.positions.show(row.conversation, row.seq)
                pushed += row.concerns(self.user_id) and self._push(row)
        return pushed

    def show_again(self, row: Published) -> None:
        """A push that was let go or not acknowledged, unless a newer one of its conversation
        followed or it was acknowledged meanwhile."""
        if self.unacknowledged is None:
            newest = self.positions.get(row.conversation)
        else:
            newest = self.unacknowledged.newest(row.conversation)
        if newest == row.seq:
            self._push(row)

    def notify(self, response: Response) -> None:
        """A push that belongs to no conversation."""
        self._put(OutFrame(self.encoding.encode(response)))

    def _push(self, published: Published) -> bool:
        if published.kind is RowKind.TOMBSTONE:
            return False
        if self.background and self.platform is Platform.IOS:
            return False  # it gets a notification of its vendor, and syncs when it is back
        self._put(published.frame(self.encoding))
        if self.unacknowledged is not None and published.seq and not self.transport.closing:
            now = trio.current_time()
            if not self.unacknowledged.pushed(published.conversation, published.seq, now):
                self._cut_off()
        return True

    def _put(self, frame: OutFrame) -> None:
        verdict = self.transport.put(frame)
        if verdict is STORED:
            return
        if verdict.let_go:
            self._dispatcher.metrics.slow_reader_drops.inc(verdict.let_go)
        now = trio.current_time() if verdict.owed else 0.0
        owed_all = all(self.retry.let_go(f.conversation, f.seq, now) for f in verdict.owed)
        if verdict.overflow or not owed_all:
            self._cut_off()

    def _cut_off(self) -> None:
        """It is too far behind to be helped; the client syncs when it is back."""
        self._dispatcher.metrics.slow_reader_closes.inc()
        self.transport.abort()

    # -- ending

    def kick(self) -> None:
        """The kick frame (all its fields but the identifier are empty), then the end."""
        self._put(OutFrame(self.encoding.encode(Response(Req.KICK))))
        self.transport.close(1000, "kicked")

    def drain(self, code: int) -> None:
        """Read no more requests; close with `code` once those in flight are answered."""
        self._drain_code = code
        self._close_if_drained()

    def _close_if_drained(self) -> None:
        if self._drain_code and not self._sends and not self._busy:
            self.transport.close(self._drain_code, "the server stops")

    def sweep(self, now: float) -> None:
        """Deadlines, about once a second."""
        transport = self.transport
        transport.sweep(now)
        if transport.closing:
            return
        if not self._busy and now - transport.last_heard > self._dispatcher.config.read_timeout:
            log.debug("read_timeout", conn_id=self.conn_id)
            transport.close(None)
            return
        if self.platform is Platform.WEB and now >= self._web_ping_at:
            self._web_ping_at = now + self._dispatcher.config.web_ping_interval
            transport.ping()
        if self._sends:
            self._answer_overdue(now)
        self._show_what_is_due(now)

    def _show_what_is_due(self, now: float) -> None:
        outbox_empty = self.transport.waiting == 0
        debts = self.retry.due(now, outbox_empty=outbox_empty)
        if self.unacknowledged is not None:
            more = self.unacknowledged.due(now, outbox_empty=outbox_empty)
            if more is None:
                self._dispatcher.metrics.slow_reader_closes.inc()
                self.transport.close(1012, "pushes are not acknowledged")
                return
            debts += more
        for debt in debts:
            self._dispatcher.filler.show_again(self, debt.conversation, debt.seq)

    def _answer_overdue(self, now: float) -> None:
        overdue = [token for token, send in self._sends.items() if send.answer_by <= now]
        for token in overdue:
            self._on_sent(token, ServiceError(Code.NETWORK, "took too long", retriable=True))
