"""Receive: messages from the wire become requests, in order, or a reason to close.

What the protocol answers with a close and no reply: an envelope that cannot be decoded or
gunzipped, a sendID that is not the connection's user, an unknown reqIdentifier, a text message
that is not a ping or pong.
"""

from __future__ import annotations

import attrs
import msgspec

from openim_trio.wire.compression import CompressionError
from openim_trio.wire.envelope import Encoding, EnvelopeError, Request
from openim_trio.wire.frames import Message
from openim_trio.wire.identifiers import Req

CLIENT_REQUESTS = frozenset(
    {
        Req.NEWEST_SEQ,
        Req.PULL_RANGES,
        Req.SEND,
        Req.SIGNAL,
        Req.PULL_SEQS,
        Req.READ_AND_MAX,
        Req.LAST_MESSAGES,
        Req.LOGOUT,
        Req.BACKGROUND,
        Req.ONLINE_STATUS,
    }
)


@attrs.frozen(slots=True)
class Violation:
    """The connection is to be closed: `reason` is a short label, `close_code` RFC 6455's."""

    reason: str
    close_code: int


@attrs.frozen(slots=True)
class Pong:
    """Answer this text message."""

    text: bytes


class _Text(msgspec.Struct):
    type: str
    body: msgspec.Raw = msgspec.Raw()


_decode_text = msgspec.json.Decoder(_Text).decode

BAD_TEXT = Violation("text", 1008)
BAD_ENVELOPE = Violation("envelope", 1007)
BAD_GZIP = Violation("gunzip", 1007)
WRONG_USER = Violation("send_id", 1008)
UNKNOWN_REQUEST = Violation("req_identifier", 1008)


class Receive:
    """One connection's incoming side.

    rate, burst: messages a second that are read at most in the long run, and at once.  Beyond
    them the connection is read more slowly (`pause`); nothing is refused.
    """

    __slots__ = ("_allowance", "_at", "_burst", "_encoding", "_max_inflated", "_rate", "_user_id")

    def __init__(
        self,
        user_id: str,
        encoding: Encoding,
        max_inflated: int,
        *,
        rate: float = 2_000,
        burst: float = 4_000,
    ) -> None:
        self._user_id = user_id
        self._encoding = encoding
        self._max_inflated = max_inflated
        self._rate = rate
        self._burst = burst
        self._allowance = burst
        self._at = 0.0

    def pause(self, now: float) -> float:
        """Count a message; seconds to wait before the next one is read."""
        self._allowance = min(self._burst, self._allowance + (now - self._at) * self._rate)
        self._at = now
        self._allowance -= 1
        return 0.0 if self._allowance >= 0 else -self._allowance / self._rate

    def on_message(self, message: Message) -> Request | Pong | Violation | None:
        """None: nothing to do (a text pong)."""
        if message.text:
            return self._on_text(message.data)
        try:
            request = self._encoding.decode(message.data, self._max_inflated)
        except EnvelopeError as error:
            return BAD_GZIP if isinstance(error.__cause__, CompressionError) else BAD_ENVELOPE
        if request.send_id != self._user_id:
            return WRONG_USER
        if request.req_identifier not in CLIENT_REQUESTS:
            return UNKNOWN_REQUEST
        return request

    def _on_text(self, data: bytes) -> Pong | Violation | None:
        try:
            text = _decode_text(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return BAD_TEXT
        if text.type == "pong":
            return None
        if text.type != "ping":
            return BAD_TEXT
        body = bytes(text.body)
        if not body:
            return Pong(b'{"type":"pong"}')
        return Pong(b'{"type":"pong","body":' + body + b"}")
