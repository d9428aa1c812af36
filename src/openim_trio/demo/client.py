"""A minimal client of the wire protocol: enough to chat, be away, come back and compare.

Used by the demo and by tests; the client SDK is another thing.
"""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from json import dumps
from urllib.parse import urlencode, urlsplit

import attrs
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from openim_trio.wire.compression import compress, decompress
from openim_trio.wire.envelope import GOB, JSON, Request, Response
from openim_trio.wire.identifiers import Req
from openim_trio.wire.proto import msg_pb2, sdkws_pb2

LARGEST_FRAME = 1 << 20
ANSWER_TIMEOUT = 15.0
HANDSHAKE_TIMEOUT = 5.0
CLOSE_TIMEOUT = 2.0


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
    """One connection.  `received` has every message in the order of arrival."""

    def __init__(self, user: str, websocket: WebSocketConnection, *, json: bool) -> None:
        self.user = user
        self.kicked = trio.Event()
        self.closed = trio.Event()
        self.close_code: int | None = None
        """what the server said at the end, 1006 if nothing"""
        self.received: list[Received] = []
        self._websocket = websocket
        self._codec = JSON if json else GOB
        self._gzip = not json
        self._numbers = itertools.count(1)
        self._waiting: dict[str, trio.MemorySendChannel[Response]] = {}
        self._arrival = trio.Condition()

    # -- requests ----------------------------------------------------------------------------------

    async def request(self, req: Req, data: bytes) -> bytes:
        """Send a request and wait for its answer.  Raises Refused, ConnectionClosed, TooSlow."""
        incr = f"{self.user}_{next(self._numbers)}"
        send, receive = trio.open_memory_channel[Response](1)
        self._waiting[incr] = send
        payload = self._codec.encode_request(
            Request(req, incr, secrets.token_hex(8), self.user, "", data)
        )
        try:
            await self._websocket.send_message(compress(payload) if self._gzip else payload)
            with trio.fail_after(ANSWER_TIMEOUT):
                answer = await receive.receive()
        except trio.EndOfChannel:
            raise ConnectionClosed(self._websocket.closed) from None
        finally:
            self._waiting.pop(incr, None)
        if answer.err_code:
            raise Refused(answer.err_code, answer.err_msg)
        return answer.data

    async def send(self, message: sdkws_pb2.MsgData) -> msg_pb2.SendMsgResp:
        return msg_pb2.SendMsgResp.FromString(
            await self.request(Req.SEND, message.SerializeToString())
        )

    async def heads(self) -> dict[str, int]:
        request = sdkws_pb2.GetMaxSeqReq(userID=self.user)
        answer = await self.request(Req.NEWEST_SEQ, request.SerializeToString())
        return dict(sdkws_pb2.GetMaxSeqResp.FromString(answer).maxSeqs)

    async def pull(self, conversation: str, begin: int, end: int) -> list[sdkws_pb2.MsgData]:
        request = sdkws_pb2.PullMessageBySeqsReq(userID=self.user)
        request.seqRanges.add(
            conversationID=conversation, begin=begin, end=end, num=end - begin + 1
        )
        answer = sdkws_pb2.PullMessageBySeqsResp.FromString(
            await self.request(Req.PULL_RANGES, request.SerializeToString())
        )
        found = [*answer.msgs.items(), *answer.notificationMsgs.items()]
        return [message for _, pulled in found for message in pulled.Msgs]

    async def sync(self, known: dict[str, int]) -> None:
        """Pull what is newer than `known` (conversation -> seq) into `received`."""
        for conversation, head in (await self.heads()).items():
            first = known.get(conversation, 0) + 1
            if first <= head:
                for message in await self.pull(conversation, first, head):
                    await self._arrived(conversation, message, "pull")

    # -- what comes by itself ----------------------------------------------------------------------

    async def wait_for(
        self, accept: Callable[[Received], bool], seconds: float = ANSWER_TIMEOUT
    ) -> Received:
        """The first received message that `accept`s, past or to come."""
        with trio.fail_after(seconds):
            async with self._arrival:
                while True:
                    for received in self.received:
                        if accept(received):
                            return received
                    await self._arrival.wait()
        raise AssertionError("unreachable")

    async def wait_for_id(self, client_msg_id: str) -> Received:
        return await self.wait_for(lambda r: r.message.clientMsgID == client_msg_id)

    async def received_after(self, count: int) -> list[Received]:
        """What came after the first `count` messages; waits for one.  Empty: nothing more comes."""
        async with self._arrival:
            while len(self.received) == count and not self.closed.is_set():
                await self._arrival.wait()
            return self.received[count:]

    async def listen(self) -> None:
        try:
            while True:
                payload = await self._websocket.get_message()
                if isinstance(payload, bytes):
                    await self._frame(payload)
        except ConnectionClosed as over:
            self.close_code = over.reason.code if over.reason else None
            self.closed.set()
            for waiting in self._waiting.values():
                waiting.close()
            async with self._arrival:
                self._arrival.notify_all()

    async def _frame(self, payload: bytes) -> None:
        if self._gzip:
            payload = decompress(payload, LARGEST_FRAME)
        response = self._codec.decode_response(payload)
        if response.req_identifier == Req.PUSH:
            pushed = sdkws_pb2.PushMessages.FromString(response.data)
            for group in (pushed.msgs, pushed.notificationMsgs):
                for conversation, pulled in group.items():
                    for message in pulled.Msgs:
                        await self._arrived(conversation, message, "push")
        elif response.req_identifier == Req.KICK:
            self.kicked.set()
        elif (waiting := self._waiting.get(response.msg_incr)) is not None:
            waiting.send_nowait(response)

    async def _arrived(self, conversation: str, message: sdkws_pb2.MsgData, how: str) -> None:
        async with self._arrival:
            self.received.append(Received(conversation, message, time.monotonic(), how))
            self._arrival.notify_all()


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


def login_url(
    address: str, user: str, token: str, *, platform: int = 1, json: bool = False, **more: str
) -> str:
    query = {
        "sendID": user,
        "token": token,
        "platformID": str(platform),
        "operationID": secrets.token_hex(8),
        "isBackground": "false",
        **({"sdkType": "js"} if json else {"compression": "gzip"}),
        **more,
    }
    return f"{address}/?{urlencode(query)}"


@asynccontextmanager
async def connected(
    address: str, user: str, token: str, *, platform: int = 1, json: bool = False
) -> AsyncIterator[WireClient]:
    """Log in over ws:// `address`.  `json`: the envelope of the JavaScript SDK; otherwise that of
    the native ones, gob and gzip.  Leaving closes the connection."""
    url = urlsplit(login_url(address, user, token, platform=platform, json=json))
    stream = await trio.open_tcp_stream(str(url.hostname), int(url.port or 80))
    # A connection that breaks is left open by trio-websocket; whoever opened the stream closes it.
    async with stream, trio.open_nursery() as nursery:
        with trio.fail_after(HANDSHAKE_TIMEOUT):
            websocket = await wrap_client_stream(
                nursery, stream, url.netloc, f"/?{url.query}", max_message_size=LARGEST_FRAME
            )
        client = WireClient(user, websocket, json=json)
        nursery.start_soon(client.listen)
        yield client
        with trio.move_on_after(CLOSE_TIMEOUT):
            await websocket.aclose()
        nursery.cancel_scope.cancel()
