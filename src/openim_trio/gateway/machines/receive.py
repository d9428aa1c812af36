"""Receive: messages from the wire become requests, in order, or a reason to close.

What the protocol answers with a close and no reply: an envelope that cannot be decoded or
gunzipped, a sendID that is not the connection's user, an unknown reqIdentifier, a text message
that is not a ping or pong, an acknowledgement that is none.
"""

from __future__ import annotations

from collections.abc import Collection

import attrs
import msgspec
from google.protobuf.message import DecodeError

from openim_trio.wire.compression import CompressionError
from openim_trio.wire.envelope import Encoding, EnvelopeError, Request
from openim_trio.wire.frames import Message
from openim_trio.wire.identifiers import Req
from openim_trio.wire.proto import extension_pb2

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
EXTENSION_REQUESTS = CLIENT_REQUESTS | {Req.GIVE_UP, Req.DELIVERED}
MAX_DELIVERED = 1_000
"""conversations in one acknowledgement"""


@attrs.frozen(slots=True)
class Violation:
    """The connection is to be closed: `reason` is a short label, `close_code` RFC 6455's."""

    reason: str
    close_code: int


@attrs.frozen(slots=True)
class Pong:
    """Answer this text message."""

    text: bytes


@attrs.frozen(slots=True)
class Acknowledgement:
    """(conversation, seq) each: the client has stored everything up to seq.  Not answered."""

    positions: tuple[tuple[str, int], ...]


class _Text(msgspec.Struct):
    type: str
    body: msgspec.Raw = msgspec.Raw()


_decode_text = msgspec.json.Decoder(_Text).decode

BAD_TEXT = Violation("text", 1008)
BAD_ENVELOPE = Violation("envelope", 1007)
BAD_GZIP = Violation("gunzip", 1007)
WRONG_USER = Violation("send_id", 1008)
UNKNOWN_REQUEST = Violation("req_identifier", 1008)
BAD_DELIVERED = Violation("delivered", 1007)
WRONG_DELIVERED = Violation("delivered", 1008)


class Receive:
    """One connection's incoming side.

    known        the requests that it may make; others are a violation
    rate, burst  messages a second that are read at most in the long run, and at once.  Beyond
                 them the connection is read more slowly (`pause`); nothing is refused
    """

    __slots__ = (
        "_allowance",
        "_at",
        "_burst",
        "_encoding",
        "_known",
        "_max_inflated",
        "_rate",
        "_user_id",
    )

    def __init__(
        self,
        user_id: str,
        encoding: Encoding,
        max_inflated: int,
        *,
        known: Collection[int] = CLIENT_REQUESTS,
        rate: float = 2_000,
        burst: float = 4_000,
    ) -> None:
        self._user_id = user_id
        self._encoding = encoding
        self._max_inflated = max_inflated
        self._known = known
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

    def on_message(self, message: Message) -> Request | Acknowledgement | Pong | Violation | None:
        """None: nothing to do (a text pong)."""
        if message.text:
            return self._on_text(message.data)
        try:
            request = self._encoding.decode(message.data, self._max_inflated)
        except EnvelopeError as error:
            return BAD_GZIP if isinstance(error.__cause__, CompressionError) else BAD_ENVELOPE
        if request.send_id != self._user_id:
            return WRONG_USER
        if request.req_identifier not in self._known:
            return UNKNOWN_REQUEST
        if request.req_identifier == Req.DELIVERED:
            return _delivered(request.data)
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


def _delivered(data: bytes) -> Acknowledgement | Violation:
    try:
        request = extension_pb2.DeliveredReq.FromString(data)
    except DecodeError:
        return BAD_DELIVERED
    items = request.conversations
    if len(items) > MAX_DELIVERED or any(item.seq < 0 for item in items):
        return WRONG_DELIVERED
    return Acknowledgement(tuple([(item.conversationID, item.seq) for item in items]))
