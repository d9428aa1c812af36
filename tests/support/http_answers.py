"""An HTTP server that answers what a test wants, byte by byte, on 127.0.0.1."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import attrs
import trio

Stream = trio.abc.Stream
Answer = Callable[[Stream], Awaitable[None]]


@attrs.define
class Asked:
    """A request that came.  Names of `headers` are lower case."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@attrs.define
class Answers:
    """`answer` writes the whole answer; it may be replaced between two requests.  An answer that
    raises BrokenResourceError has met a client that went away, which `gone` tells."""

    answer: Answer
    port: int = 0
    connections: int = 0
    asked: list[Asked] = attrs.field(factory=list)
    gone: trio.Event = attrs.field(factory=trio.Event)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, stream: Stream) -> None:
        self.connections += 1
        try:
            while (request := await _read(stream)) is not None:
                self.asked.append(request)
                await self.answer(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.gone.set()
        finally:
            await trio.aclose_forcefully(stream)


@asynccontextmanager
async def answering(answer: Answer, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Answers]:
    server = Answers(answer)
    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        server.port = listener.socket.getsockname()[1]
        listeners: list[trio.abc.Listener[Any]] = [listener]
        if tls is not None:
            listeners = [trio.SSLListener(listener, tls)]
        nursery.start_soon(partial(trio.serve_listeners, server.serve, listeners))
        try:
            yield server
        finally:
            nursery.cancel_scope.cancel()


def says(data: object = None, *, code: int = 0, name: str = "", detail: str = "") -> Answer:
    """OpenIM's envelope; without `data` there is none in it."""
    envelope: dict[str, object] = {"errCode": code, "errMsg": name, "errDlt": detail}
    if data is not None:
        envelope["data"] = data
    return sends(json.dumps(envelope).encode())


def sends(body: bytes, *headers: str, status: str = "200 OK") -> Answer:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return raw("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


def raw(data: bytes, *, then_close: bool = False) -> Answer:
    async def write(stream: Stream) -> None:
        await stream.send_all(data)
        if then_close:
            await stream.aclose()

    return write


async def _read(stream: Stream) -> Asked | None:
    """None: the client closed."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = await stream.receive_some()
        if not more:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    pairs = (line.partition(": ") for line in lines)
    headers = {name.lower(): value for name, _, value in pairs}
    while len(body) < int(headers.get("content-length", "0")):
        body += await stream.receive_some()
    return Asked(first.split()[1], headers, body)
