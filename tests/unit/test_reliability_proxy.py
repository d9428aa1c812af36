"""The proxy of the reliability test passes everything on, and breaks exactly what it is told."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial

import attrs
import pytest
import trio
from stress.reliability.answers import Caller, Frames
from stress.reliability.proxy import Proxy
from stress.reliability.proxy_process import Order, give, take_orders

from openim_trio.wire import frames
from openim_trio.wire.envelope import GOB, JSON, Encoding, Response
from openim_trio.wire.identifiers import Req

NATIVE = Encoding(GOB, gzip=True)
ANSWER_HEAD = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
LIMIT = 10.0
SILENCE = 0.1
"""seconds in which nothing comes"""


def head(user: str, query: str = "compression=gzip") -> bytes:
    return f"GET /?sendID={user}&token=t&{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def frame(req: int, name: str, code: int = 0, encoding: Encoding = NATIVE) -> bytes:
    response = Response(req, name, "", code, "", b"x" * 300)
    return frames.binary_frame(encoding.encode(response))


ACK = frame(Req.SEND, "ack")
PUSH, REFUSAL, OTHER = frame(Req.PUSH, ""), frame(Req.SEND, "no", 90002), frame(1001, "heads")
TEXT, PING = frames.text_frame(b"{}"), frames.ping_frame(b"p")


@attrs.define
class Line:
    """A client, and the server's end of its connection."""

    client: trio.SocketStream
    server: trio.SocketStream

    async def down(self, data: bytes) -> None:
        await self.server.send_all(data)


@attrs.define
class Bench:
    proxy: Proxy
    accepted: trio.MemoryReceiveChannel[trio.SocketStream]
    clients: list[trio.SocketStream] = attrs.field(factory=list)

    async def call(self, user: str, query: str = "compression=gzip") -> trio.SocketStream:
        """Connect, and say who it is."""
        client = await trio.open_tcp_stream("127.0.0.1", self.proxy.port)
        self.clients.append(client)
        await client.send_all(head(user, query))
        return client

    async def connect(self, user: str = "ann", query: str = "compression=gzip") -> Line:
        client = await self.call(user, query)
        server = await self.accepted.receive()
        assert await exactly(server, len(head(user, query))) == head(user, query)
        await server.send_all(ANSWER_HEAD)
        assert await exactly(client, len(ANSWER_HEAD)) == ANSWER_HEAD
        return Line(client, server)


async def exactly(stream: trio.SocketStream, size: int) -> bytes:
    data = b""
    with trio.fail_after(LIMIT):
        while len(data) < size:
            more = await stream.receive_some(size - len(data))
            assert more, f"it ended after {data!r}"
            data += more
    return bytes(data)


async def to_the_end(stream: trio.SocketStream) -> bytes:
    """All that comes until the connection ends, in whatever way."""
    data = b""
    with trio.fail_after(LIMIT), suppress(trio.BrokenResourceError):
        async for more in stream:
            data += more
    return data


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    send, receive = trio.open_memory_channel[trio.SocketStream](10)

    async def serve(stream: trio.SocketStream) -> None:
        await send.send(stream)
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        [listener] = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        proxy = Proxy(listener.socket.getsockname()[1])
        await nursery.start(proxy.run)
        found = Bench(proxy, receive)
        yield found
        for client in found.clients:
            await client.aclose()
        nursery.cancel_scope.cancel()


# -- passing on ------------------------------------------------------------------------------------


async def test_everything_passes_both_ways(bench: Bench) -> None:
    line = await bench.connect()
    await line.client.send_all(b"up" * 50_000)
    assert await exactly(line.server, 100_000) == b"up" * 50_000
    sent = ACK + PUSH + TEXT + PING + frames.binary_frame(b"y" * 70_000) + ACK
    await line.down(sent)
    assert await exactly(line.client, len(sent)) == sent


async def test_an_end_is_passed_on(bench: Bench) -> None:
    one, other = await bench.connect("ann"), await bench.connect("bob")
    await one.client.aclose()
    assert await to_the_end(one.server) == b""
    await other.down(PUSH)
    await other.server.aclose()
    assert await to_the_end(other.client) == PUSH


async def test_a_server_that_is_not_there(bench: Bench) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        bench.proxy._target = sock.getsockname()[1]
        client = await bench.call("ann")
        assert await to_the_end(client) == b""


# -- before the ack --------------------------------------------------------------------------------


async def test_cut_exactly_before_the_ack(bench: Bench) -> None:
    line, bystander = await bench.connect("ann"), await bench.connect("bob")
    assert bench.proxy.arm(["ann"]) == 1
    await line.client.send_all(b"a send")
    assert await exactly(line.server, 6) == b"a send"
    before = PUSH + REFUSAL + OTHER + TEXT + PING
    await line.down(before + ACK + PUSH)
    assert await to_the_end(line.client) == before
    assert bench.proxy.cut_before_ack == 1
    await bystander.down(ACK)
    assert await exactly(bystander.client, len(ACK)) == ACK


async def test_also_when_it_comes_byte_by_byte(bench: Bench) -> None:
    line = await bench.connect("ann")
    bench.proxy.arm(["ann"])
    await line.down(PUSH[:-1])
    for at in range(len(ACK)):
        await line.down((PUSH[-1:] + ACK)[at : at + 1])
        await trio.lowlevel.checkpoint()
    await line.down(ACK[-1:])
    assert await to_the_end(line.client) == PUSH


@pytest.mark.parametrize(
    ("query", "encoding"),
    [
        ("", Encoding(GOB, gzip=False)),
        ("sdkType=js", Encoding(JSON, gzip=False)),
        ("sdkType=js&compression=gzip", Encoding(JSON, gzip=True)),
    ],
)
async def test_whatever_the_client_speaks(bench: Bench, query: str, encoding: Encoding) -> None:
    line = await bench.connect("ann", query)
    bench.proxy.arm(["ann"])
    first = frame(Req.PUSH, "", encoding=encoding)
    await line.down(first + frame(Req.SEND, "ack", encoding=encoding))
    assert await to_the_end(line.client) == first


async def test_each_is_cut_once(bench: Bench) -> None:
    bench.proxy.arm(["ann"])
    line = await bench.connect("ann")
    await line.down(ACK)
    assert await to_the_end(line.client) == b""
    again = await bench.connect("ann")
    await again.down(ACK)
    assert await exactly(again.client, len(ACK)) == ACK
    assert bench.proxy.cut_before_ack == 1


async def test_orders_can_be_taken_back(bench: Bench) -> None:
    line = await bench.connect("ann")
    bench.proxy.arm(["ann"])
    bench.proxy.arm([])
    await line.down(ACK)
    assert await exactly(line.client, len(ACK)) == ACK


# -- cutting ---------------------------------------------------------------------------------------


async def test_cut(bench: Bench) -> None:
    one, other = await bench.connect("ann"), await bench.connect("bob")
    assert bench.proxy.cut(["ann"]) == 1
    for stream in (one.client, one.server):
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()
    await other.down(PUSH)
    assert await exactly(other.client, len(PUSH)) == PUSH
    assert bench.proxy.cut() == 1
    assert await to_the_end(other.client) == b""


async def test_a_blocked_user_cannot_come_back_before_time(bench: Bench) -> None:
    line = await bench.connect("ann")
    assert bench.proxy.block("ann", 1_000) == 1
    assert await to_the_end(line.client) == b""
    again = await bench.call("ann")
    assert await to_the_end(again) == b""
    await bench.connect("bob")
    assert bench.proxy.block("ann", 0) == 0
    await bench.connect("ann")


# -- silence and delay -----------------------------------------------------------------------------


async def silent(stream: trio.SocketStream) -> bool:
    with trio.move_on_after(SILENCE):
        await stream.receive_some()
        return False
    return True


async def test_half_open_is_silent_and_stays_open(bench: Bench) -> None:
    line, other = await bench.connect("ann"), await bench.connect("bob")
    assert bench.proxy.silence(["ann"]) == 1
    await line.client.send_all(b"x" * 100)
    await line.down(PUSH)
    assert await silent(line.client)
    assert await silent(line.server)
    await line.client.aclose()
    assert await silent(line.server), "the server does not learn that the client is gone"
    await other.down(PUSH)
    assert await exactly(other.client, len(PUSH)) == PUSH
    again = await bench.connect("ann")
    await again.down(PUSH)
    assert await exactly(again.client, len(PUSH)) == PUSH
    assert bench.proxy.silence() == 2, "the first is silent already"


async def test_delay_keeps_the_order(bench: Bench) -> None:
    line = await bench.connect("ann")
    bench.proxy.delay = 0.01
    sent = [frame(Req.PUSH, str(number)) for number in range(20)]
    upwards = [b"%03d" % number for number in range(20)]
    async with trio.open_nursery() as nursery:

        async def write(to: Callable[[bytes], object], parts: list[bytes]) -> None:
            for part in parts:
                await to(part)  # type: ignore[misc]
                await trio.sleep(0.002)

        nursery.start_soon(write, line.down, sent)
        nursery.start_soon(write, line.client.send_all, upwards)
        assert await exactly(line.client, sum(map(len, sent))) == b"".join(sent)
        assert await exactly(line.server, 60) == b"".join(upwards)


# -- orders ----------------------------------------------------------------------------------------


async def test_orders_over_the_network(bench: Bench) -> None:
    async with trio.open_nursery() as nursery:
        handler = partial(take_orders, bench.proxy)
        [listener] = await nursery.start(partial(trio.serve_tcp, handler, 0, host="127.0.0.1"))
        port = listener.socket.getsockname()[1]
        for user in ("ann", "bob"):
            await bench.connect(user)
        assert await give(port, Order("silence", ["ann"])) == 1
        assert await give(port, Order("arm", ["ann", "bob"])) == 2
        assert await give(port, Order("count")) == 0
        assert await give(port, Order("block", ["bob", "carl"], 5.0)) == 1
        assert await give(port, Order("cut")) == 1
        assert await give(port, Order("delay", seconds=0.5)) == 0
        assert bench.proxy.delay == 0.5
        nursery.cancel_scope.cancel()


# -- bytes -----------------------------------------------------------------------------------------


def test_frames_are_found_however_they_come() -> None:
    sent = [PUSH, PING, TEXT, ACK, frames.binary_frame(b"y" * 70_000), OTHER]
    whole = b"".join(sent)
    for step in (1, 2, 3, 7, 1000, len(whole)):
        reader, found = Frames(), []
        for at in range(0, len(whole), step):
            found += reader.feed(whole[at : at + step])
        assert [each.raw for each in found] == sent
    accepted = [each.accepts_a_send(NATIVE) for each in found]
    assert accepted == [False, False, False, True, False, False]


def test_a_frame_that_is_too_long() -> None:
    with pytest.raises(ValueError, match="a frame of"):
        Frames().feed(b"\x82\x7f" + (1 << 30).to_bytes(8, "big"))


def test_who_calls() -> None:
    caller = Caller.of(b"GET /?sendID=a%20b&compression=gzip&sdkType=js HTTP/1.1\r\n\r\n")
    assert caller == Caller("a b", Encoding(JSON, gzip=True))
    assert Caller.of(b"GET /?sdkType=odd HTTP/1.1\r\n\r\n").user == ""
