"""A server that does what a test says, behind the SDK's seam to the network: no sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import trio

from openim_trio.client import Settings
from openim_trio.client.channel import ENCODING
from openim_trio.client.errors import ClientError
from openim_trio.client.link import Identity, Link, LinkBroken
from openim_trio.wire.envelope import Request, Response
from openim_trio.wire.identifiers import Req
from openim_trio.wire.proto import extension_pb2, msg_pb2, sdkws_pb2

LARGEST = 1 << 24

Answer = Callable[[sdkws_pb2.MsgData], "bytes | int | None"]


def settings_for(directory: Path, **more: Any) -> Settings:
    """REST leads nowhere, at once."""
    return Settings(
        **{
            "ws_address": "ws://scripted",
            "api_address": "http://127.0.0.1:9",
            "data_dir": directory,
            "first_wait": 0.1,
            "longest_wait": 2.0,
            **more,
        }
    )


class ScriptedLink:
    def __init__(self, server: ScriptedServer) -> None:
        self.extension = server.extension
        self.server_time = server.time
        self.closed = False
        self._server = server
        self._in, self._out = trio.open_memory_channel[bytes](1_000)

    def put(self, payload: bytes) -> None:
        self._in.send_nowait(payload)

    def push(self, pushed: sdkws_pb2.PushMessages) -> None:
        self.put(ENCODING.encode(Response(Req.PUSH, data=pushed.SerializeToString())))

    def cut(self) -> None:
        self.closed = True
        self._in.close()

    async def send(self, payload: bytes) -> None:
        await trio.lowlevel.checkpoint()
        if self.closed:
            raise LinkBroken("cut")
        request = ENCODING.decode(payload, LARGEST)
        self._server.requests.append(request)
        answer = self._server.answer(request)
        if answer is None or self.closed:
            return
        code, data = (answer, b"") if isinstance(answer, int) else (0, answer)
        name = "Refused" if code else ""
        self.put(
            ENCODING.encode(
                Response(request.req_identifier, request.msg_incr, "", code, name, data)
            )
        )

    async def receive(self) -> bytes:
        try:
            return await self._out.receive()
        except trio.EndOfChannel:
            raise LinkBroken("cut") from None

    async def ping(self) -> None:
        if self._server.silent:
            await trio.sleep_forever()
        await trio.lowlevel.checkpoint()

    async def close(self) -> None:
        self.cut()


@attrs.define(eq=False)
class ScriptedServer:
    """refuse      what a handshake is answered with, instead of a connection
    on_send     the answer to a send: its body, an errCode, or None for no answer
    on_give_up  the same for a give-up
    rows        conversation -> its messages
    pulled_to   pulls know of no message above it; heads do
    """

    refuse: ClientError | None = None
    extension: bool = True
    time: int = 1_700_000_000_000
    silent: bool = False
    on_send: Answer = lambda message: msg_pb2.SendMsgResp(
        serverMsgID=f"s-{message.clientMsgID}", clientMsgID=message.clientMsgID, sendTime=1
    ).SerializeToString()
    on_give_up: Answer = lambda _: extension_pb2.GiveUpResp().SerializeToString()
    rows: dict[str, list[sdkws_pb2.MsgData]] = attrs.field(factory=dict)
    pulled_to: int = 1 << 62
    requests: list[Request] = attrs.field(factory=list)
    links: list[ScriptedLink] = attrs.field(factory=list)
    attempts: int = 0

    @asynccontextmanager
    async def dial(self, settings: Settings, identity: Identity) -> AsyncIterator[Link]:
        await trio.lowlevel.checkpoint()
        self.attempts += 1
        if self.refuse is not None:
            raise self.refuse
        link = ScriptedLink(self)
        self.links.append(link)
        try:
            yield link
        finally:
            link.cut()

    def sends(self) -> list[sdkws_pb2.MsgData]:
        return [
            sdkws_pb2.MsgData.FromString(request.data)
            for request in self.requests
            if request.req_identifier == Req.SEND
        ]

    def answer(self, request: Request) -> bytes | int | None:
        match request.req_identifier:
            case Req.SEND:
                return self.on_send(sdkws_pb2.MsgData.FromString(request.data))
            case Req.GIVE_UP:
                return self.on_give_up(sdkws_pb2.MsgData.FromString(request.data))
            case Req.NEWEST_SEQ:
                heads = {name: rows[-1].seq for name, rows in self.rows.items() if rows}
                return sdkws_pb2.GetMaxSeqResp(maxSeqs=heads).SerializeToString()
            case Req.PULL_RANGES:
                return self._pull(sdkws_pb2.PullMessageBySeqsReq.FromString(request.data))
            case Req.DELIVERED:
                return None
            case _:
                return b""

    def _pull(self, request: sdkws_pb2.PullMessageBySeqsReq) -> bytes:
        answer = sdkws_pb2.PullMessageBySeqsResp()
        for wanted in request.seqRanges:
            found = [
                row
                for row in self.rows.get(wanted.conversationID, ())
                if wanted.begin <= row.seq <= min(wanted.end, self.pulled_to)
            ][-wanted.num :]
            if found:
                answer.msgs[wanted.conversationID].Msgs.extend(found)
        return answer.SerializeToString()


def row(sender: str, receiver: str, seq: int, text: str = "") -> sdkws_pb2.MsgData:
    return sdkws_pb2.MsgData(
        sendID=sender,
        recvID=receiver,
        clientMsgID=f"{sender}-{seq}",
        serverMsgID=f"s-{seq}",
        sessionType=1,
        msgFrom=100,
        contentType=101,
        content=b'{"content":"%s"}' % (text or str(seq)).encode(),
        seq=seq,
        sendTime=1_700_000_000_000 + seq,
        createTime=1_700_000_000_000 + seq,
        status=2,
    )
