"""What one client sends must not hurt another, and what an official client sends must be taken."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

import attrs
import pytest
import trio

from openim_trio.config.model import GatewayConfig
from openim_trio.demo.login import Login
from openim_trio.domain.actors import Actor
from openim_trio.domain.errors import Code, ServiceError
from openim_trio.gateway.handshake import parse_arguments
from openim_trio.gateway.http_upgrade import BadRequest, UpgradeParser, UpgradeRequest
from openim_trio.wire.identifiers import Req
from openim_trio.wire.proto import msg_pb2, sdkws_pb2
from tests.support.client import WireClient, connected, text_message
from tests.support.gateway_fakes import World, login, serving

HEAD = (
    b"Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.fixture(params=["lean", "trio-websocket"])
def config(request: pytest.FixtureRequest) -> GatewayConfig:
    return GatewayConfig(transport=request.param)


class Recorder:
    def __init__(self) -> None:
        self.operation_ids: list[str] = []

    async def submit(
        self,
        msg: sdkws_pb2.MsgData,
        actor: Actor,
        operation_id: str,
        done: Callable[[msg_pb2.SendMsgResp | ServiceError], None],
    ) -> None:
        self.operation_ids.append(operation_id)
        done(msg_pb2.SendMsgResp())


async def test_a_long_operation_id_is_echoed_but_not_passed_on() -> None:
    """It would go to every receiver of the message."""
    async with (
        serving(World(), GatewayConfig()) as served,
        connected(served.port, login("ann")) as ann,
    ):
        recorder = Recorder()
        served.services.sending = recorder  # type: ignore[assignment]
        long = "x" * 500_000
        message = text_message("ann", "bob")
        answer = await ann.request(Req.SEND, message, operation_id=long)
        assert (answer.err_code, answer.operation_id) == (0, long)
        assert recorder.operation_ids == ["x" * 256]


# -- the native SDK escapes nothing ----------------------------------------------------------------


def upgrade(query: str, *, piece: int = 0) -> UpgradeRequest:
    data = f"GET /路/?{query} HTTP/1.1\r\n".encode() + HEAD
    parser = UpgradeParser()
    size = piece or len(data)
    for at in range(0, len(data), size):
        request = parser.feed(data[at : at + size])
    assert request is not None
    return request


ARGUMENTS = "token=t&platformID=1&operationID=o&isBackground=false"


@pytest.mark.parametrize("piece", [0, 1, 7])
def test_user_ids_beyond_ascii_come_unescaped(piece: int) -> None:
    raw = upgrade(f"sendID=张三_é&{ARGUMENTS}", piece=piece)
    assert parse_arguments(raw.query).user_id == "张三_é"
    assert raw.raw.isascii()
    escaped = upgrade(f"sendID={quote('张三_é')}&{ARGUMENTS}", piece=piece)
    assert parse_arguments(escaped.query).user_id == "张三_é"


def test_bytes_beyond_ascii_behind_the_request_line_stay_refused() -> None:
    parser = UpgradeParser()
    with pytest.raises(BadRequest):
        parser.feed(b"GET /?a=b HTTP/1.1\r\nHo\xe5st: x\r\n\r\n")


async def test_a_user_beyond_ascii_connects(config: GatewayConfig) -> None:
    wanted = login("张三")
    query = f"sendID=张三&token={wanted.token}&platformID=1&operationID=o&isBackground=false"
    async with serving(World(), config) as served:
        stream = await trio.open_tcp_stream("127.0.0.1", served.port)
        async with stream:
            await stream.send_all(f"GET /?{query}&compression=gzip HTTP/1.1\r\n".encode() + HEAD)
            data = b""
            with trio.fail_after(5):
                while b"\r\n\r\n" not in data:
                    data += await stream.receive_some()
            assert data.startswith(b"HTTP/1.1 101")
            client = WireClient(stream, wanted, data.partition(b"\r\n\r\n")[2])
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.listen)
                await client.call(Req.NEWEST_SEQ, sdkws_pb2.GetMaxSeqReq(), sdkws_pb2.GetMaxSeqResp)
                assert served.services.requests == ["max_seqs 张三"]
                nursery.cancel_scope.cancel()


# -- answers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("js", "code"), [(True, 0), (False, 1001)])
async def test_only_the_native_sdk_reads_no_more_than_a_mebibyte(js: bool, code: int) -> None:
    """The JSON form of a full answer is a third longer, and no browser has that limit."""
    world = World()
    for _ in range(9):
        message = text_message("ann", "bob")
        message.content = b"x" * 128 * 1024
        world.store(message)
    wanted = Login("ann", "ann:1:", 1, js, gzip=False)
    asked = sdkws_pb2.SeqRange(conversationID="si_ann_bob", begin=1, end=9, num=9)
    async with (
        serving(world, GatewayConfig()) as served,
        connected(served.port, wanted) as ann,
    ):
        answer = await ann.request(
            Req.PULL_RANGES, sdkws_pb2.PullMessageBySeqsReq(userID="ann", seqRanges=[asked])
        )
        assert answer.err_code == code


async def test_who_was_refused_takes_nobodys_place(config: GatewayConfig) -> None:
    """Its connection may stay open for a moment after the answer."""
    world = World()
    world.refused["eve:1:"] = ServiceError(Code.TOKEN_INVALID)
    async with (
        serving(world, attrs.evolve(config, max_connections=1)) as served,
        await trio.open_tcp_stream("127.0.0.1", served.port) as stream,
    ):
        query = login("eve").query()
        await stream.send_all(f"GET /?{query} HTTP/1.1\r\n".encode() + HEAD)
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")
        async with connected(served.port, login("ann")) as ann:
            await ann.call(Req.NEWEST_SEQ, sdkws_pb2.GetMaxSeqReq(), sdkws_pb2.GetMaxSeqResp)
