"""Finds, in the bytes that a server sends over a WebSocket, the answers to sends.  No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import attrs

from openim_trio.wire.envelope import GOB, Encoding, EnvelopeError, encoding_for
from openim_trio.wire.frames import BINARY
from openim_trio.wire.identifiers import Req

LONGEST_FRAME = 1 << 24
HEAD_END = b"\r\n\r\n"


@attrs.frozen
class Caller:
    """Who connects, from the first line of the upgrade request."""

    user: str
    encoding: Encoding

    @classmethod
    def of(cls, head: bytes) -> Caller:
        """An unknown sdkType is for the server to refuse."""
        target = head.split(b"\r\n", 1)[0].split(b" ")[1].decode("latin-1")
        query = {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
        try:
            encoding = encoding_for(query.get("sdkType", ""), query.get("compression", ""))
        except ValueError:
            encoding = Encoding(GOB, gzip=False)
        return cls(query.get("sendID", ""), encoding)


@attrs.frozen
class Frame:
    """As it is on the wire."""

    raw: bytes
    head: int
    """bytes before the payload"""

    def accepts_a_send(self, encoding: Encoding) -> bool:
        if self.raw[0] & 0x0F != BINARY:
            return False
        try:
            answer = encoding.decode_response(self.raw[self.head :], LONGEST_FRAME)
        except EnvelopeError:
            return False
        return answer.req_identifier == Req.SEND and not answer.err_code


class Frames:
    """Bytes in, whole frames out.  ValueError for one that is too long."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Frame]:
        data = self._rest + data
        found, at = [], 0
        for head, size in _sizes(data):
            found.append(Frame(data[at : at + head + size], head))
            at += head + size
        self._rest = data[at:]
        return found


def _sizes(data: bytes) -> Iterator[tuple[int, int]]:
    """Of the head and the payload of each whole frame.  A server does not mask."""
    at = 0
    while len(data) >= at + 2:
        size, head = data[at + 1], 2
        if size >= 126:
            head = 4 if size == 126 else 10
            if len(data) < at + head:
                return
            size = int.from_bytes(data[at + 2 : at + head], "big")
        if size > LONGEST_FRAME:
            raise ValueError(f"a frame of {size} bytes")
        if len(data) < at + head + size:
            return
        yield head, size
        at += head + size
