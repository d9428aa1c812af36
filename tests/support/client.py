"""The demo's client, and what only tests do with it: strange frames, slow reading, strict looks."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlencode

import trio

from openim_trio.demo import client
from openim_trio.demo.client import ANSWER_TIMEOUT
from openim_trio.demo.login import ConnectionOver, Login, LoginRefused, upgrade
from openim_trio.wire import frames
from openim_trio.wire.envelope import Response
from openim_trio.wire.identifiers import Req
from openim_trio.wire.proto import sdkws_pb2

HEADERS = ("Origin: http://elsewhere", "Sec-WebSocket-Extensions: permessage-deflate")
"""what browsers send, too; no extension is accepted"""


class WireClient(client.WireClient):
    """`statuses`: 2005 pushes; `texts`: text messages; `pongs`: their payloads.  Nothing is read
    while `reading` is not set."""

    def __init__(self, stream: trio.abc.Stream, login: Login, first: bytes = b"") -> None:
        super().__init__(stream, login, first)
        self.reading = trio.Event()
        self.reading.set()
        self._came: set[str] = set()
        self._taken = 0
        self._text_in, self.texts = trio.open_memory_channel[bytes](100)
        self._pong_in, self.pongs = trio.open_memory_channel[bytes](100)
        self._status_in, self.statuses = trio.open_memory_channel[
            sdkws_pb2.SubUserOnlineStatusTips
        ](1000)

    async def attended(self) -> None:
        """Until a session answers: what is published from now on is pushed.  A connection may also
        be over at once.  Raises LoginRefused."""
        if self.login.msg_resp:
            answer = await self.texts.receive()
            if json.loads(answer)["errCode"]:
                raise LoginRefused(101, answer)
        with suppress(trio.BrokenResourceError, trio.EndOfChannel):
            await self.send_text(b'{"type":"ping"}')
            await self.texts.receive()

    def answered(self, msg_incr: str) -> bool:
        """Whether its answer came, asked for or not."""
        return msg_incr in self._came

    async def next_push(self) -> tuple[str, sdkws_pb2.MsgData]:
        """Each once, in order.  Raises ConnectionOver, TooSlowError."""
        with trio.fail_after(ANSWER_TIMEOUT):
            new = await self.received_after(self._taken)
        if not new:
            raise ConnectionOver(self.close_code)
        self._taken += 1
        return new[0].conversation, new[0].message

    # -- frames ------------------------------------------------------------------------------------

    async def send_binary(self, payload: bytes) -> None:
        await self.write(frames.binary_frame(payload, mask=os.urandom(4)))

    async def send_text(self, payload: bytes) -> None:
        await self.write(frames.text_frame(payload, mask=os.urandom(4)))

    async def send_ping(self, payload: bytes = b"") -> None:
        await self.write(frames.ping_frame(payload, mask=os.urandom(4)))

    async def listen(self) -> None:
        with self._text_in:
            await super().listen()

    async def receive(self) -> bytes:
        await self.reading.wait()
        return await super().receive()

    async def on_event(self, event: frames.Event) -> None:
        if isinstance(event, frames.Pong):
            self._pong_in.send_nowait(event.data)
        elif isinstance(event, frames.Message) and event.text:
            self._text_in.send_nowait(event.data)
        else:
            await super().on_event(event)

    def on_response(self, response: Response) -> None:
        if response.req_identifier == Req.ONLINE_STATUS and not response.msg_incr:
            self._status_in.send_nowait(sdkws_pb2.SubUserOnlineStatusTips.FromString(response.data))
            return
        if response.req_identifier == Req.KICK:
            assert response == Response(Req.KICK)
        elif response.req_identifier == Req.PUSH:
            pushed = sdkws_pb2.PushMessages.FromString(response.data)
            assert not any(name.startswith("n_") for name in pushed.msgs)
            assert all(name.startswith("n_") for name in pushed.notificationMsgs)
        else:
            assert response.msg_incr in self._waiting
            self._came.add(response.msg_incr)
        super().on_response(response)


def packed_query(login: Login) -> str:
    """The form with one parameter `v`."""
    body = {
        "token": login.token,
        "userID": login.user_id,
        "platformID": login.platform,
        "operationID": "login",
        "compression": "gzip" if login.gzip else "",
        "sdkType": "js" if login.js else "",
        "sendResponse": login.msg_resp,
        **login.extra,
    }
    packed = base64.urlsafe_b64encode(json.dumps(body).encode()).rstrip(b"=")
    return urlencode({"v": packed.decode()})


async def open_stream(host: str, port: int, buffer: int) -> trio.SocketStream:
    if not buffer:
        return await trio.open_tcp_stream(host, port)
    sock = trio.socket.socket()
    sock.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, buffer)
    await sock.connect((host, port))
    return trio.SocketStream(sock)


@asynccontextmanager
async def connected(
    port: int, login: Login, *, host: str = "127.0.0.1", packed: bool = False, buffer: int = 0
) -> AsyncIterator[WireClient]:
    """Leaving cuts the connection.  `buffer`: bytes of the receive buffer of a client that means
    to be slow."""
    async with await open_stream(host, port, buffer) as stream:
        query = packed_query(login) if packed else login.query()
        client = WireClient(stream, login, await upgrade(stream, query, *HEADERS))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.listen)
            with trio.fail_after(ANSWER_TIMEOUT):
                await client.attended()
            try:
                yield client
            finally:
                nursery.cancel_scope.cancel()


def text_message(
    sender: str, receiver: str = "", text: str = "hello", **more: Any
) -> sdkws_pb2.MsgData:
    return client.text_message(sender, text, to=receiver, **more)
