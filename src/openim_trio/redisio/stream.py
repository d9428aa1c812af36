"""One open socket to Redis: connect, log in, send packed commands, receive replies.

Plain sockets are also written to directly (`send_now`), so that a command costs no task switch;
TLS goes through trio's stream.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from typing import Any

import attrs
import hiredis
import trio

from openim_trio.append.ports import SequencerUnavailable
from openim_trio.redisio.address import RedisAddress
from openim_trio.redisio.errors import ConnectionLost, RedisReplyError

Argument = bytes | str | int
CHUNK = 256 * 1024
_NOTHING = object()
_LOST = (OSError, trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError)


def pack(command: Sequence[Argument]) -> bytes:
    packed: bytes = hiredis.pack_command(tuple(command))  # type: ignore[arg-type]
    return packed


@attrs.frozen
class ServerInfo:
    """`incarnation`: the same value as the scripts take (lua/conversation.lua): it changes with
    every start of a server and with every change of master."""

    incarnation: str
    version: str


class RedisStream:
    def __init__(self, stream: trio.abc.Stream, raw: socket.socket | None) -> None:
        self._stream = stream
        self._raw = raw
        self._reader = hiredis.Reader(
            protocolError=ConnectionLost,
            replyError=RedisReplyError,
            notEnoughData=_NOTHING,
        )

    async def receive(self) -> list[Any]:
        """All replies that are complete after the next chunk; error replies are RedisReplyError
        objects among them.  Raises ConnectionLost."""
        replies: list[Any] = []
        while not replies:
            try:
                data = await self._stream.receive_some(CHUNK)
            except _LOST as error:
                raise ConnectionLost(str(error) or type(error).__name__) from error
            if not data:
                raise ConnectionLost("closed by Redis")
            self._reader.feed(bytes(data))
            while (reply := self._reader.gets()) is not _NOTHING:
                replies.append(reply)
        return replies

    def send_now(self, data: bytes) -> bytes:
        """Hand over what the kernel takes without waiting; returns the rest (all of it with TLS).
        An error is left to the reader, which meets it too."""
        if self._raw is None:
            return data
        try:
            sent = self._raw.send(data)
        except OSError:
            return data
        return data[sent:]

    async def send_all(self, data: bytes) -> None:
        try:
            await self._stream.send_all(data)
        except _LOST as error:
            raise ConnectionLost(str(error) or type(error).__name__) from error

    async def ask(self, commands: Sequence[Sequence[Argument]]) -> list[Any]:
        """Send commands and wait for their replies, nothing else being under way."""
        await self.send_all(b"".join(map(pack, commands)))
        replies: list[Any] = []
        while len(replies) < len(commands):
            replies += await self.receive()
        return replies

    async def close(self) -> None:
        """At once, without a farewell."""
        await trio.aclose_forcefully(self._stream)


async def open_stream(
    address: RedisAddress, client_name: str, timeout: float
) -> tuple[RedisStream, ServerInfo]:
    """Connect and log in within `timeout` seconds, to a master that is ready.

    Raises SequencerUnavailable."""
    try:
        with trio.fail_after(timeout):
            stream = await _connect(address)
            try:
                return stream, await _log_in(stream, address, client_name)
            except BaseException:
                await stream.close()
                raise
    except trio.TooSlowError:
        raise SequencerUnavailable(f"{address.shown} does not answer") from None
    except (*_LOST, ConnectionLost) as error:
        raise SequencerUnavailable(f"{address.shown}: {error}") from error


async def _connect(address: RedisAddress) -> RedisStream:
    plain, raw = await _connect_socket(address)
    if address.tls is None:
        return RedisStream(plain, raw)
    secure = trio.SSLStream(plain, address.tls, server_hostname=address.host)
    try:
        await secure.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(plain)
        raise
    return RedisStream(secure, None)


async def _connect_socket(address: RedisAddress) -> tuple[trio.SocketStream, socket.socket]:
    if address.path:
        return await _try_connect(socket.AF_UNIX, address.path)
    found = await trio.socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    error: OSError | None = None
    for family, _, _, _, target in found:
        try:
            return await _try_connect(family, target)
        except OSError as failed:
            error = failed
    raise error or OSError(f"{address.host} has no address")


async def _try_connect(family: int, target: Any) -> tuple[trio.SocketStream, socket.socket]:
    raw = socket.socket(family, socket.SOCK_STREAM)
    wrapped = trio.socket.from_stdlib_socket(raw)
    try:
        if family != socket.AF_UNIX:
            wrapped.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wrapped.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        await wrapped.connect(target)
        return trio.SocketStream(wrapped), raw
    except BaseException:
        wrapped.close()
        raise


async def _log_in(stream: RedisStream, address: RedisAddress, client_name: str) -> ServerInfo:
    if address.password:
        user = (address.username,) if address.username else ()
        _check(await stream.ask([("AUTH", *user, address.password)]))
    if address.db:
        _check(await stream.ask([("SELECT", address.db)]))
    # The name is for people who look at CLIENT LIST; where it is not allowed, do without.
    _, *replies = await stream.ask(
        [("CLIENT", "SETNAME", client_name), ("PING",), ("INFO", "server"), ("INFO", "replication")]
    )
    _check(replies)
    server, replication = (_fields(reply) for reply in replies[1:])
    if replication.get("role", "master") != "master":
        raise SequencerUnavailable(f"{address.shown} is a replica")
    run_id, replid = server.get("run_id", ""), replication.get("master_replid", "")
    return ServerInfo(run_id[:16] + replid[:16], server.get("redis_version", ""))


def _check(replies: list[Any]) -> None:
    for reply in replies:
        if isinstance(reply, RedisReplyError):
            raise reply


def _fields(info: bytes) -> dict[str, str]:
    lines = info.decode(errors="replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)
