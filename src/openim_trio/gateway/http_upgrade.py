"""The HTTP side of a handshake: one GET with an upgrade, or a short answer.

Any path and any Origin are taken; extensions and subprotocols are declined by not naming them.
"""

from __future__ import annotations

import base64
import binascii
import re
import socket
from hashlib import sha1
from http import HTTPStatus

import attrs
import h11
import trio

MAX_HEAD = 16 * 1024
"""bytes of request line and headers"""
_ACCEPT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
JSON_TYPE = "application/json; charset=utf-8"
Headers = tuple[tuple[str, str], ...]
_BEYOND_ASCII = re.compile(rb"[\x80-\xff]")


@attrs.frozen(slots=True)
class UpgradeRequest:
    """A valid WebSocket upgrade.  `raw` is all that was read, `trailing` its part behind the
    request's head (frames that did not wait for the answer)."""

    query: str = attrs.field(repr=False)
    compression_header: str
    accept_key: str
    raw: bytes = attrs.field(repr=False)
    trailing: bytes = attrs.field(repr=False)


@attrs.frozen(slots=True)
class HttpAnswer:
    """A response that ends the connection."""

    status: HTTPStatus
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    headers: Headers = ()

    def encode(self) -> bytes:
        lines = [
            f"HTTP/1.1 {self.status.value} {self.status.phrase}",
            f"Content-Type: {self.content_type}",
            f"Content-Length: {len(self.body)}",
            "Connection: close",
            *_lines(self.headers),
        ]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body


class BadRequest(Exception):
    """Not an upgrade that can be accepted; carries the answer."""

    def __init__(self, answer: HttpAnswer) -> None:
        super().__init__(answer.status.phrase)
        self.answer = answer


class Disconnected(Exception):
    """The peer went away before its request was complete."""


def switching_protocols(request: UpgradeRequest, headers: Headers = ()) -> bytes:
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {request.accept_key}",
        *_lines(headers),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def _lines(headers: Headers) -> list[str]:
    return [f"{name}: {value}" for name, value in headers]


class UpgradeParser:
    """Feed it what arrives; it returns the request once it is complete, or raises BadRequest.

    The native SDK escapes nothing in its query, so a user ID beyond ASCII comes as bare UTF-8.
    HTTP allows no such bytes in a request line; here they are escaped on arrival."""

    def __init__(self) -> None:
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self._raw: list[bytes] = []
        self._in_first_line = True

    def feed(self, data: bytes) -> UpgradeRequest | None:
        if self._in_first_line:
            line, newline, rest = data.partition(b"\n")
            self._in_first_line = not newline
            data = _BEYOND_ASCII.sub(_escaped, line) + newline + rest
        self._raw.append(data)
        try:
            self._connection.receive_data(data)
            event = self._connection.next_event()
            if event is h11.NEED_DATA:
                return None
            if not isinstance(event, h11.Request):
                raise _bad("expected a request")
            end = self._connection.next_event()
        except h11.RemoteProtocolError as error:
            raise BadRequest(_plain(HTTPStatus(error.error_status_hint), "Bad request")) from error
        return self._upgrade(event, complete=isinstance(end, h11.EndOfMessage))

    def _upgrade(self, request: h11.Request, *, complete: bool) -> UpgradeRequest:
        headers = {name.decode("latin-1"): value for name, value in reversed(list(request.headers))}
        if request.method != b"GET":
            raise BadRequest(
                _plain(
                    HTTPStatus.METHOD_NOT_ALLOWED,
                    "This port speaks WebSocket only; the REST API has its own port.",
                    ("Allow", "GET"),
                )
            )
        if not complete:
            raise _bad("a WebSocket upgrade has no body")
        if not _has_token(headers.get("upgrade", b""), b"websocket") or not _has_token(
            headers.get("connection", b""), b"upgrade"
        ):
            raise BadRequest(
                _plain(
                    HTTPStatus.UPGRADE_REQUIRED,
                    "This port speaks WebSocket only: connect with ws://host:port/?sendID=...",
                    ("Upgrade", "websocket"),
                )
            )
        if headers.get("sec-websocket-version", b"").strip() != b"13":
            raise BadRequest(
                _plain(
                    HTTPStatus.UPGRADE_REQUIRED,
                    "Only WebSocket version 13 is spoken.",
                    ("Sec-WebSocket-Version", "13"),
                )
            )
        return self._accepted(request, headers)

    def _accepted(self, request: h11.Request, headers: dict[str, bytes]) -> UpgradeRequest:
        key = headers.get("sec-websocket-key", b"").strip()
        try:
            valid = len(base64.b64decode(key, validate=True)) == 16
        except binascii.Error:
            valid = False
        if not valid:
            raise _bad("Sec-WebSocket-Key must be 16 bytes in base64")
        digest = sha1(key + _ACCEPT_GUID, usedforsecurity=False).digest()
        return UpgradeRequest(
            query=request.target.partition(b"?")[2].decode("latin-1"),
            compression_header=headers.get("compression", b"").decode("latin-1"),
            accept_key=base64.b64encode(digest).decode(),
            raw=b"".join(self._raw),
            trailing=bytes(self._connection.trailing_data[0]),
        )


def _escaped(match: re.Match[bytes]) -> bytes:
    return b"%%%02X" % match[0][0]


def _has_token(value: bytes, token: bytes) -> bool:
    return token in (part.strip() for part in value.lower().split(b","))


def _plain(status: HTTPStatus, text: str, *headers: tuple[str, str]) -> HttpAnswer:
    return HttpAnswer(status, text.encode() + b"\n", headers=headers)


def _bad(problem: str) -> BadRequest:
    return BadRequest(_plain(HTTPStatus.BAD_REQUEST, f"Bad WebSocket upgrade: {problem}."))


# -- I/O on the bare socket ------------------------------------------------------------------------


async def read_upgrade(sock: socket.socket) -> UpgradeRequest:
    """Raises BadRequest or Disconnected.  The caller sets the time limit for the whole request."""
    parser = UpgradeParser()
    while True:
        await trio.lowlevel.wait_readable(sock)
        try:
            data = sock.recv(MAX_HEAD)
        except BlockingIOError:
            continue
        except OSError as error:
            raise Disconnected from error
        if not data:
            raise Disconnected
        request = parser.feed(data)
        if request is not None:
            return request


async def send_all(sock: socket.socket, data: bytes) -> None:
    """Raises Disconnected.  The caller sets the time limit."""
    view = memoryview(data)
    while view:
        try:
            view = view[sock.send(view) :]
        except BlockingIOError:
            await trio.lowlevel.wait_writable(sock)
        except OSError as error:
            raise Disconnected from error


async def finish(sock: socket.socket, wait: float = 1.0) -> None:
    """After the last answer: let it arrive before the close.

    A close with unread input would reset the connection and the answer could be lost, so what
    still comes is read and thrown away for `wait` seconds at most."""
    try:
        sock.shutdown(socket.SHUT_WR)
        with trio.move_on_after(wait):
            while True:
                await trio.lowlevel.wait_readable(sock)
                try:
                    if not sock.recv(MAX_HEAD):
                        return
                except BlockingIOError:
                    continue
    except OSError:
        return
