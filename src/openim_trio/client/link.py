"""The bare connection to a server: messages out, messages in, signs of life.

`Link` is all that the rest of the SDK sees of the network; `dial` opens one over WebSocket.
"""

from __future__ import annotations

import json
import secrets
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol
from urllib.parse import urlencode, urlsplit

import attrs
import trio
import trio_websocket

from openim_trio import __version__
from openim_trio.client.errors import (
    ClientError,
    NotConnected,
    ProtocolError,
    refused,
)
from openim_trio.client.settings import Settings

LARGEST_FRAME = 1 << 20
"""bytes, as the native SDKs"""
WAITING_FRAMES = 16
"""read ahead; beyond them TCP pushes back"""


class LinkBroken(NotConnected):
    """The connection is over.  `close_code`: what the server said, 0 if nothing."""

    def __init__(self, why: str, close_code: int = 0) -> None:
        super().__init__(why)
        self.close_code = close_code


class Link(Protocol):
    """extension    the server takes give-ups and delivered-acks
    server_time  its clock at the handshake, Unix ms; 0: it did not say
    """

    @property
    def extension(self) -> bool: ...
    @property
    def server_time(self) -> int: ...

    async def send(self, payload: bytes) -> None:
        """One binary message.  Raises LinkBroken."""
        ...

    async def receive(self) -> bytes:
        """The next binary message.  Raises LinkBroken, ProtocolError."""
        ...

    async def ping(self) -> None:
        """Until the answer to it.  Raises LinkBroken."""
        ...

    async def close(self) -> None:
        """Say goodbye, and hear the server do the same."""
        ...


@attrs.frozen
class Identity:
    """Who connects."""

    user_id: str
    token: str = attrs.field(repr=False)


TcpStream = trio.SocketStream | trio.SSLStream[trio.SocketStream]
Dial = Callable[[Settings, Identity], AbstractAsyncContextManager[Link]]


class WebSocketLink:
    def __init__(self, socket: trio_websocket.WebSocketConnection) -> None:
        self._socket = socket
        headers = {name.lower(): value for name, value in socket.handshake_headers}
        self.extension = headers.get(b"openim-trio-extension") == b"1"
        stated = headers.get(b"openim-trio-time", b"")
        self.server_time = int(stated) if stated.isdigit() and len(stated) < 16 else 0

    async def send(self, payload: bytes) -> None:
        try:
            await self._socket.send_message(payload)
        except trio_websocket.ConnectionClosed as closed:
            raise _broken(closed) from None

    async def receive(self) -> bytes:
        while True:
            try:
                message = await self._socket.get_message()
            except trio_websocket.ConnectionClosed as closed:
                raise _broken(closed) from None
            if isinstance(message, bytes):
                return message
            # Text is for browsers: keep-alives, which other clients get as pings.

    async def ping(self) -> None:
        try:
            await self._socket.ping()
        except trio_websocket.ConnectionClosed as closed:
            raise _broken(closed) from None

    async def close(self) -> None:
        await self._socket.aclose()


def _broken(closed: trio_websocket.ConnectionClosed) -> LinkBroken:
    code = int(closed.reason.code) if closed.reason else 0
    code = 0 if code == 1006 else code
    return LinkBroken(f"the connection ended ({code or 'cut'})", code)


@asynccontextmanager
async def dial(settings: Settings, identity: Identity) -> AsyncIterator[Link]:
    """Leaving cuts it.  Raises TokenRefused, ServerRefused, NotConnected, ProtocolError."""
    error: Exception | None = None
    stream: TcpStream | None = None
    try:
        async with trio.open_nursery() as nursery:
            try:
                with trio.move_on_after(settings.connect_timeout) as limit:
                    try:
                        stream = await _connect(settings.ws_address)
                        socket = await _upgrade(nursery, stream, _request(settings, identity))
                    except ClientError as found:
                        error = found
                if limit.cancelled_caught:
                    error = NotConnected("the server did not answer the handshake in time")
                if error is None:
                    try:
                        yield WebSocketLink(socket)
                    except Exception as found:
                        error = found  # the caller's own: not for the group below
            finally:
                if stream is not None:
                    with trio.CancelScope(shield=True):  # closing a socket waits for nobody
                        await trio.aclose_forcefully(stream)
                nursery.cancel_scope.cancel()
    except* Exception as group:
        # The library's reading task: a refused handshake, and bytes that it can make nothing of.
        error = error or _found_by_reading(group)
    if error is not None:
        raise error


def _found_by_reading(group: BaseExceptionGroup[Exception]) -> ClientError:
    for found in group.exceptions:
        if isinstance(found, trio_websocket.ConnectionRejected):
            return refusal(found.status_code, found.body or b"")
    return ProtocolError(f"the server speaks no WebSocket ({type(group.exceptions[0]).__name__})")


async def _connect(address: str) -> TcpStream:
    url = urlsplit(address)
    host, secure = url.hostname or "", url.scheme == "wss"
    try:
        stream = await trio.open_tcp_stream(host, url.port or (443 if secure else 80))
    except (OSError, ValueError) as error:
        raise NotConnected(f"cannot connect: {error}") from None
    if not secure:
        return stream
    context = ssl.create_default_context()
    return trio.SSLStream(stream, context, server_hostname=host, https_compatible=True)


async def _upgrade(
    nursery: trio.Nursery, stream: TcpStream, request: tuple[str, str]
) -> trio_websocket.WebSocketConnection:
    try:
        return await trio_websocket.wrap_client_stream(
            nursery,
            stream,
            *request,
            message_queue_size=WAITING_FRAMES,
            max_message_size=LARGEST_FRAME,
            receive_buffer_size=65_536,
        )
    except (trio_websocket.HandshakeError, trio_websocket.ConnectionClosed) as error:
        raise NotConnected(f"the handshake failed: {type(error).__name__}") from None
    except (OSError, trio.BrokenResourceError, ssl.SSLError) as error:
        raise NotConnected(f"the handshake failed: {error}") from None


def _request(settings: Settings, identity: Identity) -> tuple[str, str]:
    """Host and resource of the upgrade."""
    parts = urlsplit(settings.ws_address)
    query = urlencode(
        {
            "sendID": identity.user_id,
            "token": identity.token,
            "platformID": int(settings.platform),
            "operationID": secrets.token_hex(8),
            "isBackground": "false",
            "compression": "gzip",
            "sdkVersion": f"openim-trio-{__version__}",
            "extension": "1",
        }
    )
    whole = f"{parts.query}&{query}" if parts.query else query
    return parts.netloc, f"{parts.path or '/'}?{whole}"


def refusal(status: int, body: bytes) -> ClientError:
    """What the server's answer to a handshake means, when it is no upgrade."""
    try:
        answer = json.loads(body)
        code = int(answer["errCode"])
        name, detail = str(answer.get("errMsg", "")), str(answer.get("errDlt", ""))
    except (ValueError, KeyError, TypeError):
        return ProtocolError(f"the server answered the handshake with HTTP {status} and no error")
    return refused(code, name, detail)
