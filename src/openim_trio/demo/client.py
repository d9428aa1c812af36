"""A minimal client of the wire protocol: enough to chat, be away, come back and compare.

Used by the demo and by tests; the client SDK is another thing.
"""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from json import dumps
from typing import Any, TypeVar
from urllib.parse import urlsplit

import attrs
import trio
from google.protobuf.message import Message as ProtoMessage

from openim_trio.demo.login import ConnectionOver, Login, upgrade
from openim_trio.wire import frames
from openim_trio.wire.envelope import Request, Response
from openim_trio.wire.identifiers import Req
from openim_trio.wire.proto import msg_pb2, sdkws_pb2

LARGEST_MESSAGE = 16 << 20
ANSWER_TIMEOUT = 15.0
HANDSHAKE_TIMEOUT = 5.0
CLOSE_TIMEOUT = 2.0

M = TypeVar("M", bound=ProtoMessage)
_BROKEN = (trio.BrokenResourceError, trio.ClosedResourceError)


class Refused(Exception):
    """The server answered with an errCode."""

    def __init__(self, code: int, name: str) -> None:
        super().__init__(f"{code} {name}")
        self.code = code
        self.name = name


@attrs.frozen
class Received:
    """A message as it came: when (monotonic seconds) and how (push or pull)."""

    conversation: str
    message: sdkws_pb2.MsgData
    at: float
    how: str


class WireClient:
    """One connection, upgraded already.  `received` has every message in the order of arrival."""

    def __init__(self, stream: trio.abc.Stream, login: Login, first: bytes = b"") -> None:
        """`first`: what came behind the answer to the upgrade."""
        self.login = login
        self.stream = stream
        self.kicked = trio.Event()
        self.over = trio.Event()
        self.close_code: int | None = None
        """what the server said at the end, None if nothing"""
        self.received: list[Received] = []
        self._first = first
        self._reader = frames.FrameReader(LARGEST_MESSAGE, expect_masked=False)
        self._writing = trio.Lock()
        self._closing = False
        self._numbers = itertools.count(1)
        self._waiting: dict[str, trio.Event] = {}
        self._answers: dict[str, Response] = {}
        self._arrival = trio.Event()

    @property
    def user(self) -> str:
        return self.login.user_id

    # -- requests ----------------------------------------------------------------------------------

    async def post(self, req: int, body: ProtoMessage | bytes, **changes: Any) -> str:
        """Send a request and don't wait; its msgIncr.  `changes`: fields of the envelope.  Raises
        ConnectionOver."""
        msg_incr = f"{self.user}_{next(self._numbers)}"
        data = body if isinstance(body, bytes) else body.SerializeToString()
        request = Request(int(req), msg_incr, secrets.token_hex(8), self.user, "", data)
        payload = self.login.encoding.encode_request(attrs.evolve(request, **changes))
        self._waiting[msg_incr] = trio.Event()
        try:
            await self.write(frames.binary_frame(payload, mask=secrets.token_bytes(4)))
        except _BROKEN:
            raise ConnectionOver(self.close_code) from None
        return msg_incr

    async def answer(self, msg_incr: str) -> Response:
        """To what was posted.  Raises ConnectionOver, TooSlowError."""
        try:
            with trio.fail_after(ANSWER_TIMEOUT):
                while msg_incr not in self._answers and not self.over.is_set():
                    await self._waiting[msg_incr].wait()
        finally:
            del self._waiting[msg_incr]
        if msg_incr not in self._answers:
            raise ConnectionOver(self.close_code)
        return self._answers.pop(msg_incr)

    async def request(self, req: int, body: ProtoMessage | bytes, **changes: Any) -> Response:
        return await self.answer(await self.post(req, body, **changes))

    async def call(self, req: int, body: ProtoMessage, kind: type[M]) -> M:
        """Raises Refused, too."""
        answer = await self.request(req, body)
        if answer.err_code:
            raise Refused(answer.err_code, answer.err_msg)
        return kind.FromString(answer.data)

    async def send(self, message: sdkws_pb2.MsgData) -> msg_pb2.SendMsgResp:
        return await self.call(Req.SEND, message, msg_pb2.SendMsgResp)

    async def heads(self) -> dict[str, int]:
        request = sdkws_pb2.GetMaxSeqReq(userID=self.user)
        answer = await self.call(Req.NEWEST_SEQ, request, sdkws_pb2.GetMaxSeqResp)
        return dict(answer.maxSeqs)

    async def pull(self, conversation: str, begin: int, end: int) -> list[sdkws_pb2.MsgData]:
        request = sdkws_pb2.PullMessageBySeqsReq(userID=self.user)
        request.seqRanges.add(
            conversationID=conversation, begin=begin, end=end, num=end - begin + 1
        )
        answer = await self.call(Req.PULL_RANGES, request, sdkws_pb2.PullMessageBySeqsResp)
        found = [*answer.msgs.items(), *answer.notificationMsgs.items()]
        return [message for _, pulled in found for message in pulled.Msgs]

    async def sync(self, known: dict[str, int]) -> None:
        """Pull what is newer than `known` (conversation -> seq) into `received`."""
        for conversation, head in (await self.heads()).items():
            first = known.get(conversation, 0) + 1
            if first <= head:
                for message in await self.pull(conversation, first, head):
                    self._arrived(conversation, message, "pull")

    # -- what comes by itself ----------------------------------------------------------------------

    async def wait_for(
        self, accept: Callable[[Received], bool], seconds: float = ANSWER_TIMEOUT
    ) -> Received:
        """The first received message that `accept`s, past or to come.  Raises ConnectionOver,
        TooSlowError."""
        seen = 0
        with trio.fail_after(seconds):
            while True:
                for received in self.received[seen:]:
                    seen += 1
                    if accept(received):
                        return received
                if self.over.is_set():
                    raise ConnectionOver(self.close_code)
                await self._arrival.wait()
        raise AssertionError("unreachable")

    async def wait_for_id(self, client_msg_id: str) -> Received:
        return await self.wait_for(lambda r: r.message.clientMsgID == client_msg_id)

    async def received_after(self, count: int) -> list[Received]:
        """What came after the first `count` messages; waits for one.  Empty: nothing more comes."""
        while len(self.received) == count and not self.over.is_set():
            await self._arrival.wait()
        return self.received[count:]

    async def listen(self) -> None:
        """Until the connection ends."""
        data = self._first
        try:
            while True:
                for event in self._reader.feed(data):
                    await self.on_event(event)
                data = await self.receive()
                if not data:
                    return
        except _BROKEN:
            return
        finally:
            self.over.set()
            for waiting in self._waiting.values():
                waiting.set()
            self._arrival.set()

    async def on_event(self, event: frames.Event) -> None:
        """Text messages (keep-alives of browsers) and pongs are nothing to this client."""
        if isinstance(event, frames.Message) and not event.text:
            self.on_response(self.login.encoding.decode_response(event.data, LARGEST_MESSAGE))
        elif isinstance(event, frames.Ping):
            await self.write(frames.pong_frame(event.data, mask=secrets.token_bytes(4)))
        elif isinstance(event, frames.Close):
            self.close_code = event.code
            await self._say_close()

    def on_response(self, response: Response) -> None:
        if response.req_identifier == Req.PUSH:
            pushed = sdkws_pb2.PushMessages.FromString(response.data)
            for group in (pushed.msgs, pushed.notificationMsgs):
                for conversation, pulled in group.items():
                    for message in pulled.Msgs:
                        self._arrived(conversation, message, "push")
        elif response.req_identifier == Req.KICK:
            self.kicked.set()
        elif (waiting := self._waiting.get(response.msg_incr)) is not None:
            self._answers[response.msg_incr] = response
            waiting.set()

    def _arrived(self, conversation: str, message: sdkws_pb2.MsgData, how: str) -> None:
        self.received.append(Received(conversation, message, time.monotonic(), how))
        self._arrival.set()
        self._arrival = trio.Event()

    # -- bytes -------------------------------------------------------------------------------------

    async def receive(self) -> bytes:
        return bytes(await self.stream.receive_some(65536))

    async def write(self, data: bytes) -> None:
        async with self._writing:
            await self.stream.send_all(data)

    async def close(self) -> None:
        """Say goodbye and wait a moment for the server to do the same."""
        with trio.move_on_after(CLOSE_TIMEOUT), suppress(*_BROKEN):
            await self._say_close()
            await self.over.wait()

    async def _say_close(self) -> None:
        if not self._closing:
            self._closing = True
            await self.write(frames.close_frame(mask=secrets.token_bytes(4)))


def text_message(
    sender: str, text: str, *, to: str = "", group: str = "", client_msg_id: str = ""
) -> sdkws_pb2.MsgData:
    """A text (contentType 101) to a user or a group, as an official client would fill it in."""
    return sdkws_pb2.MsgData(
        sendID=sender,
        recvID=to,
        groupID=group,
        clientMsgID=client_msg_id or secrets.token_hex(16),
        senderPlatformID=1,
        senderNickname=sender.capitalize(),
        sessionType=3 if group else 1,
        msgFrom=100,
        contentType=101,
        content=dumps({"content": text}, ensure_ascii=False).encode(),
        createTime=time.time_ns() // 1_000_000,
        status=1,
    )


@asynccontextmanager
async def connected(
    address: str, user: str, token: str, *, platform: int = 1, json: bool = False
) -> AsyncIterator[WireClient]:
    """Log in over ws:// `address`.  `json`: the envelope of the JavaScript SDK; otherwise that of
    the native ones, gob and gzip.  Leaving closes the connection.  Raises LoginRefused,
    ConnectionOver."""
    login = Login(user, token, platform, js=json, gzip=not json)
    url = urlsplit(address)
    async with await trio.open_tcp_stream(str(url.hostname), int(url.port or 80)) as stream:
        with trio.fail_after(HANDSHAKE_TIMEOUT):
            first = await upgrade(stream, login.query())
        client = WireClient(stream, login, first)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.listen)
            yield client
            await client.close()
            nursery.cancel_scope.cancel()
