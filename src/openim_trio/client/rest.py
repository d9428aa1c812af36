"""REST: one POST with a JSON body, and the `data` of its answer.

    {"errCode": 0, "errMsg": "", "errDlt": "", "data": {...}}

Nothing of an answer is believed before it was looked at: it is read up to a limit, inflated up to
the same limit, and only then parsed.  Nothing is repeated here; whoever calls knows what may be.
"""

from __future__ import annotations

import secrets
import ssl
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Self

import httpx
import orjson
import trio

from openim_trio.client.errors import (
    AnswerTimeout,
    InvalidArgument,
    NotConnected,
    ProtocolError,
    ServerRefused,
    refused,
)
from openim_trio.client.members import Members, WrongShape, members_of
from openim_trio.wire.compression import CompressionError, decompress

MAX_CONNECTIONS = 8
"""requests under way at a time; further ones wait, which counts as time of theirs"""
MAX_CONTAINERS = 500_000
"""objects and lists in one answer: each takes some 60 bytes of memory for 2 bytes of text"""
CLOSE_TIMEOUT = 2.0
"""seconds for the last words of TLS; the sockets are closed in any case"""
_SHOWN = 500
"""characters of a refusal's text"""

# How httpcore and h11 begin to say that the server hung up; the same exception also stands for
# bytes that are no HTTP.
_HUNG_UP = ("Server disconnected", "peer closed connection")


class Rest:
    """api_address   as OpenIM's apiAddr; a path in it is kept
    timeout       seconds for a whole call, from waiting for a connection to the answer's last byte
    max_answer    bytes of an answer, as sent and inflated
    token         of the user; empty until somebody logs in
    """

    def __init__(
        self,
        api_address: str,
        *,
        timeout: float = 10.0,
        max_answer: int = 8 * 1024 * 1024,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._base = _base(api_address)
        self._timeout = timeout
        self._max_answer = max_answer
        self._ssl_context = ssl_context
        self._http: httpx.AsyncClient | None = None
        self._token = ""

    def __repr__(self) -> str:
        return f"<Rest, {'open' if self._http else 'closed'}>"

    @property
    def token(self) -> str:
        return self._token

    @token.setter
    def token(self, value: str) -> None:
        if not (value.isascii() and value.isprintable()) or " " in value:
            raise InvalidArgument("token: must be printable ASCII without spaces")
        self._token = value

    async def __aenter__(self) -> Self:
        self._http = httpx.AsyncClient(
            http2=False,
            follow_redirects=False,
            trust_env=False,
            verify=self._ssl_context or _ssl_context(self._base),
            timeout=None,  # noqa: S113  (the whole call has one)
            limits=httpx.Limits(max_connections=MAX_CONNECTIONS),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        http, self._http = self._http, None
        if http is not None:
            with trio.move_on_after(CLOSE_TIMEOUT, shield=True):
                await http.aclose()

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer's `data`, {} where it has none.

        Raises InvalidArgument (`body` is no JSON), ServerRefused (with the server's code),
        TokenRefused (1501 to 1507), NotConnected (no connection, or it broke: the request may have
        been carried out), AnswerTimeout (the same), ProtocolError (what came is no OpenIM).
        """
        return (await self.members(path, body)).value

    async def members(self, path: str, body: Mapping[str, Any]) -> Members:
        """The same, to ask for what is expected in it."""
        status, answer = await self._exchange(path, _json(path, body))
        if answer.count(b"{") + answer.count(b"[") > MAX_CONTAINERS:
            raise ProtocolError(f"{path}: more than {MAX_CONTAINERS} objects and lists")
        try:
            envelope = members_of(answer, "answer")
            code = envelope.required_integer("errCode")
            refusal = _refusal(code, envelope) if code else None
            data = envelope.object("data")
        except WrongShape as error:
            problem = error if status == httpx.codes.OK else f"HTTP status {status}"
            raise ProtocolError(f"{path}: {problem}") from None
        if refusal is not None:
            raise refusal
        if status != httpx.codes.OK:
            raise ProtocolError(f"{path}: HTTP status {status}")
        return data

    async def _exchange(self, path: str, body: bytes) -> tuple[int, bytes]:
        """HTTP's status, and the body inflated."""
        if self._http is None:
            raise NotConnected(f"{path}: the REST client is closed")
        headers = {
            "Content-Type": "application/json",
            "Accept-Encoding": "gzip",
            "operationID": secrets.token_hex(16),
            "token": self._token,
        }
        try:
            with trio.fail_after(self._timeout):
                url = httpx.URL(self._base + path)
                headers["Host"] = url.netloc.decode("ascii")
                headers["Content-Length"] = str(len(body))
                request = httpx.Request("POST", url, headers=headers, stream=_Body(body))
                response = await self._http.send(request, stream=True)
                try:
                    raw = await self._read(path, response)
                finally:
                    await response.aclose()
                coding = response.headers.get("Content-Encoding", "").strip().lower()
                return response.status_code, self._inflated(path, raw, coding)
        except trio.TooSlowError:
            raise AnswerTimeout(f"{path}: no answer in {self._timeout:g} s") from None
        except httpx.RemoteProtocolError as error:
            if str(error).startswith(_HUNG_UP):
                raise NotConnected(f"{path}: the connection broke") from error
            raise ProtocolError(f"{path}: the answer is no HTTP") from error
        except httpx.TransportError as error:
            raise NotConnected(f"{path}: {_reason(error)}") from error

    async def _read(self, path: str, response: httpx.Response) -> bytes:
        raw = bytearray()
        # Cancelled, not left: httpx ends the generators that it reads with only by an exception.
        with trio.CancelScope() as enough:
            async for chunk in response.aiter_raw():
                raw += chunk
                if len(raw) > self._max_answer:
                    enough.cancel()
        if len(raw) > self._max_answer:
            raise ProtocolError(f"{path}: the answer is larger than {self._max_answer} bytes")
        return bytes(raw)

    def _inflated(self, path: str, raw: bytes, coding: str) -> bytes:
        if coding in ("", "identity"):
            return raw
        if coding != "gzip":
            raise ProtocolError(f"{path}: the answer's Content-Encoding was not asked for")
        try:
            return decompress(raw, self._max_answer)
        except CompressionError as error:
            raise ProtocolError(f"{path}: {error}") from None


class _Body(httpx.AsyncByteStream):
    """A request's body.  httpx' own is a generator, which a call that is cancelled while it sends
    leaves unfinished: a warning, and now and then an error, when it is collected."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Once(self._body)


class _Once(AsyncIterator[bytes]):
    def __init__(self, piece: bytes) -> None:
        self._pieces = iter((piece,))

    async def __anext__(self) -> bytes:
        for piece in self._pieces:
            return piece
        raise StopAsyncIteration


def _base(address: str) -> str:
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL as error:
        raise InvalidArgument(f"api_address: {error}") from None
    if url.scheme not in ("http", "https") or not url.host or url.query or url.fragment:
        raise InvalidArgument("api_address: must be http:// or https:// and a host")
    return str(url).rstrip("/")


def _ssl_context(base: str) -> ssl.SSLContext:
    """The system's authorities, as for the WebSocket.  Reading them takes a while, and without TLS
    nobody needs them: an empty context trusts nobody."""
    if base.startswith("https://"):
        return ssl.create_default_context()
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _json(path: str, body: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(dict(body))
    except TypeError as error:  # orjson.JSONEncodeError is one
        raise InvalidArgument(f"body of {path}: {error}") from None


def _refusal(code: int, envelope: Members) -> ServerRefused:
    return refused(code, envelope.text("errMsg")[:_SHOWN], envelope.text("errDlt")[:_SHOWN])


def _reason(error: BaseException) -> str:
    """The first text in the chain: httpx has none for a failed TLS handshake."""
    cause = error.__cause__ or error.__context__
    return str(error) or (_reason(cause) if cause else type(error).__name__)
