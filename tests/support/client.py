"""A small client on the wire: what an OpenIM SDK says, without its logic."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, TypeVar
from urllib.parse import urlencode

import attrs
import trio
from google.protobuf.message import Message as ProtoMessage

from openim_trio.wire import frames
from openim_trio.wire.envelope import GOB, JSON, Encoding, Request, Response
from openim_trio.wire.frames import Close, FrameReader, Message, Ping, Pong
from openim_trio.wire.identifiers import Req
from openim_trio.wire.proto import msg_pb2, sdkws_pb2

M = TypeVar("M", bound=ProtoMessage)
ANSWER_WITHIN = 20.0


@attrs.frozen
class Login:
    user_id: str
    token: str
    platform: int = 1
    js: bool = False
    gzip: bool = True
    msg_resp: bool = False
    extra: dict[str, str] = attrs.field(factory=dict)

    @property
    def encoding(self) -> Encoding:
        return Encoding(JSON if self.js else GOB, self.gzip)

    def query(self) -> str:
        values = {
            "sendID": self.user_id,
            "token": self.token,
            "platformID": str(self.platform),
            "operationID": "login",
            "isBackground": "false",
        }
        if self.gzip:
            values["compression"] = "gzip"
        if self.js:
            values["sdkType"] = "js"
        if self.msg_resp:
            values["isMsgResp"] = "true"
        return urlencode({**values, **self.extra})

    def packed_query(self) -> str:
        """The form with one parameter `v`."""
        body = {
            "token": self.token,
            "userID": self.user_id,
            "platformID": self.platform,
            "operationID": "login",
            "compression": "gzip" if self.gzip else "",
            "sdkType": "js" if self.js else "",
            "sendResponse": self.msg_resp,
        }
        packed = base64.urlsafe_b64encode(json.dumps(body).encode()).rstrip(b"=")
        return urlencode({"v": packed.decode()})


class Refused(Exception):
    """The upgrade was not accepted."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"{status} {body!r}")
        self.status = status
        self.body = body

    @property
    def code(self) -> int:
        return int(json.loads(self.body)["errCode"])


class ConnectionOver(Exception):
    """The connection ended before an answer came."""


async def open_upgraded(
    stream: trio.abc.Stream, query: str, headers: dict[str, str] | None = None
) -> bytes:
    """Speak the upgrade; returns what came behind the answer's head.  Raises Refused."""
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        f"GET /any/path?{query} HTTP/1.1",
        "Host: test",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Extensions: permessage-deflate",
        "Origin: http://elsewhere",
        *(f"{name}: {value}" for name, value in (headers or {}).items()),
    ]
    await stream.send_all("\r\n".join(lines).encode() + b"\r\n\r\n")
    return await read_answer(stream)


async def read_answer(stream: trio.abc.Stream) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        more = await stream.receive_some()
        if not more:
            raise Refused(0, data)
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    status = int(head.split()[1])
    if status == 101:
        assert b"extensions" not in head.lower()
        return bytes(rest)
    while more := await stream.receive_some():
        rest += more
    raise Refused(status, bytes(rest))


class WireClient:
    """`pushes`: (conversation, MsgData) as they come; `statuses`: 2005 pushes; `texts`: text
    messages.  `close_code`: what the server said at the end (None: nothing)."""

    def __init__(self, stream: trio.abc.Stream, login: Login, first: bytes = b"") -> None:
        self.login = login
        self.stream = stream
        self.kicked = False
        self.close_code: int | None = None
        self.over = trio.Event()
        self.reading = trio.Event()
        self.reading.set()
        self.push_in, self.pushes = trio.open_memory_channel[tuple[str, sdkws_pb2.MsgData]](100_000)
        self.text_in, self.texts = trio.open_memory_channel[bytes](100)
        self.pong_in, self.pongs = trio.open_memory_channel[bytes](100)
        self.status_in, self.statuses = trio.open_memory_channel[sdkws_pb2.SubUserOnlineStatusTips](
            1000
        )
        self._first = first
        self._reader = FrameReader(8 << 20, expect_masked=False)
        self._numbers = count(1)
        self._answers: dict[str, Response] = {}
        self._waiting: dict[str, trio.Event] = {}
        self._unanswered: set[str] = set()
        self._lock = trio.Lock()

    # -- requests

    async def request(self, req: int, body: ProtoMessage | bytes, **fields: Any) -> Response:
        """Send and wait for the answer.  Raises ConnectionOver."""
        msg_incr = await self.post(req, body, **fields)
        return await self.answer(msg_incr)

    async def post(self, req: int, body: ProtoMessage | bytes, **fields: Any) -> str:
        """Send without waiting; the msgIncr to wait for."""
        if self.over.is_set():
            raise ConnectionOver(self.close_code)
        msg_incr = f"{self.login.user_id}_{next(self._numbers)}"
        data = body if isinstance(body, bytes) else body.SerializeToString()
        request = Request(int(req), msg_incr, f"op-{msg_incr}", self.login.user_id, "", data)
        request = attrs.evolve(request, **fields)
        self._waiting[msg_incr] = trio.Event()
        await self.send_binary(self.login.encoding.encode_request(request))
        return msg_incr

    async def answer(self, msg_incr: str) -> Response:
        with trio.fail_after(ANSWER_WITHIN):
            await self._waiting[msg_incr].wait()
        if msg_incr not in self._answers:
            raise ConnectionOver(self.close_code)
        return self._answers.pop(msg_incr)

    def answered(self, msg_incr: str) -> bool:
        """Whether its answer came, asked for or not."""
        return self._waiting[msg_incr].is_set() and msg_incr not in self._unanswered

    async def call(self, req: int, body: ProtoMessage, kind: type[M]) -> M:
        response = await self.request(req, body)
        assert response.err_code == 0, response
        return kind.FromString(response.data)

    async def send(self, message: sdkws_pb2.MsgData) -> msg_pb2.SendMsgResp:
        return await self.call(Req.SEND, message, msg_pb2.SendMsgResp)

    async def next_push(self) -> tuple[str, sdkws_pb2.MsgData]:
        with trio.fail_after(ANSWER_WITHIN):
            return await self.pushes.receive()

    # -- frames

    async def send_binary(self, payload: bytes) -> None:
        await self._write(frames.binary_frame(payload, mask=os.urandom(4)))

    async def send_text(self, payload: bytes) -> None:
        await self._write(frames.text_frame(payload, mask=os.urandom(4)))

    async def send_ping(self, payload: bytes = b"") -> None:
        await self._write(frames.ping_frame(payload, mask=os.urandom(4)))

    async def send_raw(self, data: bytes) -> None:
        await self._write(data)

    async def _write(self, data: bytes) -> None:
        async with self._lock:
            await self.stream.send_all(data)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        data = self._first
        try:
            while True:
                for event in self._reader.feed(data):
                    await self._on_event(event)
                await self.reading.wait()
                data = bytes(await self.stream.receive_some(65536))
                if not data:
                    break
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self.over.set()
            for msg_incr, waiting in self._waiting.items():
                if not waiting.is_set():
                    self._unanswered.add(msg_incr)
                waiting.set()
            self.push_in.close()

    async def _on_event(self, event: frames.Event) -> None:
        if isinstance(event, Ping):
            await self._write(frames.pong_frame(event.data, mask=os.urandom(4)))
        elif isinstance(event, Pong):
            self.pong_in.send_nowait(event.data)
        elif isinstance(event, Close):
            self.close_code = event.code
            try:
                await self._write(frames.close_frame(1000, mask=os.urandom(4)))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
        elif isinstance(event, Message):
            if event.text:
                self.text_in.send_nowait(event.data)
            else:
                self._on_response(self.login.encoding.decode_response(event.data, 16 << 20))

    def _on_response(self, response: Response) -> None:
        if response.req_identifier == Req.KICK:
            assert response == Response(Req.KICK)
            self.kicked = True
        elif response.req_identifier == Req.PUSH:
            push = sdkws_pb2.PushMessages.FromString(response.data)
            for is_notification, group in ((False, push.msgs), (True, push.notificationMsgs)):
                for conversation, pulled in group.items():
                    assert conversation.startswith("n_") == is_notification
                    for message in pulled.Msgs:
                        self.push_in.send_nowait((conversation, message))
        elif response.req_identifier == Req.ONLINE_STATUS and not response.msg_incr:
            self.status_in.send_nowait(sdkws_pb2.SubUserOnlineStatusTips.FromString(response.data))
        else:
            self._answers[response.msg_incr] = response
            self._waiting[response.msg_incr].set()


@asynccontextmanager
async def connected(
    port: int, login: Login, *, host: str = "127.0.0.1", packed: bool = False, buffer: int = 0
) -> AsyncIterator[WireClient]:
    """`buffer`: bytes of the receive buffer of a client that means to be slow."""
    if buffer:
        sock = trio.socket.socket()
        sock.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, buffer)
        await sock.connect((host, port))
        stream = trio.SocketStream(sock)
    else:
        stream = await trio.open_tcp_stream(host, port)
    async with stream:
        rest = await open_upgraded(stream, login.packed_query() if packed else login.query())
        client = WireClient(stream, login, rest)
        async with trio.open_nursery() as nursery:
            await nursery.start(client.run)
            if login.msg_resp:
                with trio.fail_after(ANSWER_WITHIN):
                    answer = json.loads(await client.texts.receive())
                if answer["errCode"]:
                    raise Refused(101, json.dumps(answer).encode())
            try:
                yield client
            finally:
                nursery.cancel_scope.cancel()


def text_message(
    sender: str,
    receiver: str = "",
    text: str = "hello",
    *,
    group: str = "",
    client_msg_id: str = "",
) -> sdkws_pb2.MsgData:
    """A text as the native SDK sends it."""
    return sdkws_pb2.MsgData(
        sendID=sender,
        recvID=receiver,
        groupID=group,
        clientMsgID=client_msg_id or os.urandom(16).hex(),
        senderPlatformID=1,
        sessionType=3 if group else 1,
        msgFrom=100,
        contentType=101,
        content=json.dumps({"content": text}).encode(),
        createTime=int(time.time() * 1000),
        status=1,
    )
