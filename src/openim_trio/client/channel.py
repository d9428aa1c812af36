"""Requests and answers over a link, and what comes unasked."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Awaitable, Callable
from typing import TypeVar

import attrs
import trio
from google.protobuf.message import DecodeError
from google.protobuf.message import Message as ProtoMessage

from openim_trio.client.errors import AnswerTimeout, ProtocolError, refused
from openim_trio.client.link import Link, LinkBroken
from openim_trio.client.settings import Settings
from openim_trio.wire.envelope import GOB, Encoding, EnvelopeError, Request, Response
from openim_trio.wire.identifiers import Req
from openim_trio.wire.proto import sdkws_pb2

LARGEST_INFLATED = 16 << 20
"""bytes of one message once gunzipped"""
ENCODING = Encoding(GOB, gzip=True)

M = TypeVar("M", bound=ProtoMessage)


class Kicked(Exception):
    """The server ended this login."""


@attrs.define(eq=False)
class _Waiting:
    answered: trio.Event = attrs.field(factory=trio.Event)
    answer: Response | None = None


class Channel:
    """One connection in use.  `nursery`: its tasks, cancelled at its end."""

    def __init__(self, link: Link, user_id: str, settings: Settings, nursery: trio.Nursery) -> None:
        self.link = link
        self.nursery = nursery
        self._user_id = user_id
        self._settings = settings
        self._numbers = itertools.count(1)
        self._waiting: dict[str, _Waiting] = {}
        self._heard = trio.current_time()
        self.over = False

    # -- asking ------------------------------------------------------------------------------------

    async def call(self, req: Req, body: ProtoMessage | bytes, kind: type[M]) -> M:
        """Raises ServerRefused, TokenRefused, LinkBroken, AnswerTimeout, ProtocolError."""
        msg_incr = f"{self._user_id}_{next(self._numbers)}"
        waiting = self._waiting[msg_incr] = _Waiting()
        try:
            with trio.move_on_after(self._settings.answer_timeout):
                await self._put(req, body, msg_incr)
                await waiting.answered.wait()
        finally:
            del self._waiting[msg_incr]
        if waiting.answer is None:
            if self.over:
                raise LinkBroken("the connection ended before the answer came")
            # Servers answer in time or not at all: nothing more is to be expected of this one.
            self.end()
            raise AnswerTimeout(f"no answer to request {int(req)}")
        return _body(waiting.answer, kind)

    async def tell(self, req: Req, body: ProtoMessage) -> None:
        """There is no answer to it.  Raises LinkBroken, AnswerTimeout."""
        with trio.move_on_after(self._settings.answer_timeout) as limit:
            await self._put(req, body, f"{self._user_id}_{next(self._numbers)}")
        if limit.cancelled_caught:
            self.end()
            raise AnswerTimeout("the server takes nothing")

    async def _put(self, req: Req, body: ProtoMessage | bytes, msg_incr: str) -> None:
        if self.over:
            raise LinkBroken("the connection is over")
        data = body if isinstance(body, bytes) else body.SerializeToString()
        request = Request(int(req), msg_incr, secrets.token_hex(8), self._user_id, "", data)
        await self.link.send(ENCODING.encode_request(request))

    def end(self) -> None:
        self.over = True
        self.nursery.cancel_scope.cancel()

    # -- hearing -----------------------------------------------------------------------------------

    async def read(self, on_push: Callable[[sdkws_pb2.PushMessages], Awaitable[None]]) -> None:
        """Until the end, which is raised: LinkBroken, ProtocolError, Kicked."""
        try:
            while True:
                payload = await self.link.receive()
                self._heard = trio.current_time()
                response = _decode(payload)
                if response.req_identifier == Req.PUSH:
                    await on_push(_parse(sdkws_pb2.PushMessages, response.data))
                elif response.req_identifier == Req.KICK:
                    raise Kicked
                elif (waiting := self._waiting.get(response.msg_incr)) is not None:
                    waiting.answer = response
                    waiting.answered.set()
        finally:
            self.over = True
            for waiting in self._waiting.values():
                waiting.answered.set()

    async def stay_alive(self) -> None:
        """Ask a silent server for a sign of life.  Raises LinkBroken when there is none."""
        every, limit = self._settings.ping_interval, self._settings.silence_limit
        while True:
            heard = self._heard
            await trio.sleep_until(heard + every)
            if self._heard > heard:
                continue
            with trio.move_on_at(heard + max(limit, every + 1)) as patience:
                await self.link.ping()
                self._heard = trio.current_time()
            if patience.cancelled_caught and self._heard == heard:
                raise LinkBroken("the server is silent")


def _decode(payload: bytes) -> Response:
    try:
        return ENCODING.decode_response(payload, LARGEST_INFLATED)
    except EnvelopeError as error:
        raise ProtocolError(f"the server sent what is no envelope: {error}") from None


def _body(answer: Response, kind: type[M]) -> M:
    if answer.err_code:
        raise refused(answer.err_code, answer.err_msg)
    return _parse(kind, answer.data)


def _parse(kind: type[M], data: bytes) -> M:
    try:
        return kind.FromString(data)
    except DecodeError:
        raise ProtocolError(f"the server sent what is no {kind.DESCRIPTOR.full_name}") from None
