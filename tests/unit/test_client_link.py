"""The SDK's connection against servers that speak no WebSocket, or a bad one."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openim_trio.client.errors import (
    ClientError,
    NotConnected,
    ProtocolError,
    ServerRefused,
    TokenRefused,
)
from openim_trio.client.link import Identity, LinkBroken, dial, refusal
from openim_trio.wire import frames
from tests.support.scripted_server import settings_for

Serve = Callable[[trio.SocketStream], Awaitable[None]]


async def talk(serve: Serve, directory: Path, *, timeout: float = 5.0) -> ClientError | list[bytes]:
    """What came before the end, or how it could not even begin."""
    got: list[bytes] = []
    result: list[ClientError] = []

    async def handle(stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await serve(stream)

    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, handle, [listener])
        port = listener.socket.getsockname()[1]
        chosen = settings_for(
            directory, ws_address=f"ws://127.0.0.1:{port}/x?y=z", connect_timeout=timeout
        )
        try:
            async with dial(chosen, Identity("alice", "token")) as link:
                with suppress(LinkBroken):
                    while True:
                        got.append(await link.receive())
        except ClientError as error:
            result.append(error)
        nursery.cancel_scope.cancel()
    return result[0] if result else got


async def read_head(stream: trio.SocketStream) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        more = await stream.receive_some()
        if not more:
            break
        head += more
    return head


async def accept(stream: trio.SocketStream) -> None:
    head = await read_head(stream)
    [key] = [
        line.partition(b":")[2].strip()
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"sec-websocket-key")
    ]
    digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    await stream.send_all(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
    )


def answering(answer: bytes) -> Serve:
    async def serve(stream: trio.SocketStream) -> None:
        await read_head(stream)
        await stream.send_all(answer)

    return serve


def http(body: bytes, status: int = 200) -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (http(b'{"errCode":1506,"errMsg":"TokenKickedError"}'), TokenRefused),
        (http(b'{"errCode":1601,"errMsg":"ConnOverMaxNumLimit"}'), ServerRefused),
        (http(b"<html>"), ProtocolError),
        (http(b"", 404), ProtocolError),
        (http(b"[]", 502), ProtocolError),
        (b"", NotConnected),
        (b"SSH-2.0-OpenSSH_9.2\r\n", NotConnected),
        (b"\x00\xff" * 200, ProtocolError),
    ],
)
async def test_what_is_no_upgrade_has_its_error(
    answer: bytes, kind: type[ClientError], tmp_path: Path
) -> None:
    assert type(await talk(answering(answer), tmp_path, timeout=0.5)) is kind


async def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(NotConnected):
        async with dial(settings_for(tmp_path, ws_address="ws://127.0.0.1:9"), Identity("a", "b")):
            raise AssertionError("unreachable")


async def test_a_server_that_never_answers_is_given_up(tmp_path: Path) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    assert type(await talk(serve, tmp_path, timeout=0.2)) is NotConnected


async def test_messages_come_whole_and_text_is_passed_over(tmp_path: Path) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await accept(stream)
        await stream.send_all(
            frames.binary_frame(b"one") + frames.text_frame(b"{}") + frames.binary_frame(b"two")
        )

    assert await talk(serve, tmp_path) == [b"one", b"two"]


def test_a_refusal_is_read_with_care() -> None:
    assert isinstance(refusal(200, b'{"errCode":"x"}'), ProtocolError)
    assert isinstance(refusal(200, b'{"errCode":null}'), ProtocolError)
    assert isinstance(refusal(200, b"\xff"), ProtocolError)
    found = refusal(200, b'{"errCode":1501,"errMsg":"TokenExpiredError","errDlt":"expired"}')
    assert isinstance(found, TokenRefused)
    assert (found.code, found.name, found.detail) == (1501, "TokenExpiredError", "expired")


pieces = st.binary(max_size=40) | st.sampled_from(
    [
        frames.binary_frame(b"x" * 300),
        frames.ping_frame(b"x"),
        frames.pong_frame(b"y"),
        frames.close_frame(1000, "bye"),
        frames.text_frame(b"\xff\xfe"),
        b"\x82\x7f" + b"\xff" * 8,
        b"\x02\x01a",
        b"\x80\x01a",
        b"\xf2\x00",
        b"\x88\x01\x00",
    ]
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(pieces, max_size=6))
def test_whatever_bytes_come_it_ends_or_waits(
    tmp_path_factory: pytest.TempPathFactory, sent: list[bytes]
) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await accept(stream)
        for piece in sent:
            await stream.send_all(piece)

    directory = tmp_path_factory.getbasetemp()
    result = trio.run(talk, serve, directory)
    assert isinstance(result, list | ClientError)
