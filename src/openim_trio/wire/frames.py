"""WebSocket frames (RFC 6455) without I/O: a reader that is fed bytes, and functions that write.

No extensions, so the reserved bits must be zero.  Everything that the RFC forbids ends the
connection with the close code that the RFC names: 1002 protocol, 1007 text not in UTF-8, 1009 too
big.
"""

from __future__ import annotations

import codecs

import attrs

CONTINUATION, TEXT, BINARY = 0, 1, 2
CLOSE, PING, PONG = 8, 9, 10

NORMAL = 1000
PROTOCOL = 1002
NO_STATUS = 1005
"""what a close frame without a code means; never sent"""
INVALID_TEXT = 1007
TOO_BIG = 1009

MAX_CONTROL = 125
_FIN = 0x80
_RESERVED_BITS = 0x70
_MASKED = 0x80
_WHOLE = (_FIN | BINARY, _FIN | TEXT)
_TWO_BYTES, _EIGHT_BYTES = 126, 127
_new_decoder = codecs.getincrementaldecoder("utf-8")


@attrs.frozen(slots=True)
class Message:
    """A whole message.  `data` of a text is valid UTF-8."""

    text: bool
    data: bytes


@attrs.frozen(slots=True)
class Ping:
    data: bytes


@attrs.frozen(slots=True)
class Pong:
    data: bytes


@attrs.frozen(slots=True)
class Close:
    """The last event of a stream; code 1005 when the frame had none."""

    code: int
    reason: str


Event = Message | Ping | Pong | Close


class ProtocolError(Exception):
    """The peer broke the protocol: close with `close_code` and `reason` (which quotes nothing).

    `events` are those of the same chunk that came before the offending frame.
    """

    def __init__(self, close_code: int, reason: str) -> None:
        super().__init__(f"{close_code} {reason}")
        self.close_code = close_code
        self.reason = reason
        self.events: list[Event] = []


def _broken(reason: str) -> ProtocolError:
    return ProtocolError(PROTOCOL, reason)


class FrameReader:
    """Bytes in, events out.  Keeps at most `max_payload` bytes of an unfinished message, the same
    of an unfinished frame, and one chunk."""

    __slots__ = ("_decoder", "_done", "_masked", "_max", "_need", "_opcode", "_parts", "_rest")

    def __init__(self, max_payload: int, *, expect_masked: bool = True) -> None:
        """`max_payload`: bytes of one message, over all its fragments.  `expect_masked`: true on
        a server (clients must mask), false on a client (servers must not)."""
        self._max = max_payload
        self._masked = expect_masked
        self._rest: bytearray | None = None  # the start of a frame that is not all there
        self._need = 0  # bytes that `_rest` must have before it is worth looking at
        self._opcode = CONTINUATION  # of the fragmented message under way; 0: none
        self._parts: bytearray | None = None
        self._decoder: codecs.IncrementalDecoder | None = None
        self._done = False

    def feed(self, data: bytes) -> list[Event]:
        """Events of all frames that are complete now.  Raises ProtocolError, once; after that and
        after a Close everything is ignored."""
        if self._done:
            return []
        rest = self._rest
        if rest is not None:
            rest += data
            if len(rest) < self._need:
                return []
            data = bytes(rest)
            self._rest = None
        events: list[Event] = []
        at, size = 0, len(data)
        try:
            while at < size and not self._done and (end := self._frame(data, at, events)):
                at = end
        except ProtocolError as error:
            self._done = True
            self._rest = self._parts = None
            error.events = events
            raise
        if at < size and not self._done:
            self._rest = bytearray(memoryview(data)[at:])
        return events

    def _frame(self, data: bytes, at: int, events: list[Event]) -> int:
        """Read the frame at `at`: where it ends, or 0 when it is not all there."""
        available = len(data) - at
        if available < 2:
            self._need = 2
            return 0
        first = data[at]
        second = data[at + 1]
        opcode = first & 0x0F
        # Nearly every frame is a whole message; what is allowed of the others takes longer to say.
        if first not in _WHOLE or self._opcode or (second >= _MASKED) is not self._masked:
            self._check_start(first, second, opcode)
        size = second & 0x7F
        head = 2
        if size >= _TWO_BYTES:
            head = 4 if size == _TWO_BYTES else 10
            if available < head:
                self._need = head
                return 0
            size = _long_size(data[at + 2 : at + head])
        if opcode < CLOSE and size > self._max - len(self._parts or b""):
            raise ProtocolError(TOO_BIG, f"message above {self._max} bytes")
        if self._masked:
            head += 4
        if available < head + size:
            self._need = head + size
            return 0
        start = at + head
        end = start + size
        payload = data[start:end]
        if self._masked:
            payload = mask_payload(payload, data[start - 4 : start])
        if opcode >= CLOSE:
            self._control(opcode, payload, events)
        else:
            self._data(opcode, first >= _FIN, payload, events)
        return end

    def _check_start(self, first: int, second: int, opcode: int) -> None:
        if first & _RESERVED_BITS:
            raise _broken("reserved bit set")
        if (second >= _MASKED) is not self._masked:
            raise _broken("frame not masked" if self._masked else "frame masked")
        if opcode >= CLOSE:
            if opcode > PONG:
                raise _broken("reserved opcode")
            if first < _FIN:
                raise _broken("control frame in fragments")
            if second & 0x7F > MAX_CONTROL:
                raise _broken("control frame above 125 bytes")
        elif opcode > BINARY:
            raise _broken("reserved opcode")
        elif opcode == CONTINUATION:
            if not self._opcode:
                raise _broken("continuation of nothing")
        elif self._opcode:
            raise _broken("new message inside a fragmented one")

    def _control(self, opcode: int, payload: bytes, events: list[Event]) -> None:
        if opcode == PING:
            events.append(Ping(payload))
        elif opcode == PONG:
            events.append(Pong(payload))
        else:
            events.append(_read_close(payload))
            self._done = True
            self._parts = None

    def _data(self, opcode: int, fin: bool, payload: bytes, events: list[Event]) -> None:
        if opcode and fin:
            if opcode == TEXT and not payload.isascii():
                _check_text(payload)
            events.append(Message(opcode == TEXT, payload))
            return
        if opcode:
            self._opcode = opcode
            self._parts = bytearray()
            self._decoder = _new_decoder() if opcode == TEXT else None
        parts = self._parts
        if parts is None:
            raise _broken("continuation of nothing")
        if self._decoder is not None:
            _check_text(payload, self._decoder, final=fin)
        parts += payload
        if fin:
            events.append(Message(self._opcode == TEXT, bytes(parts)))
            self._opcode = CONTINUATION
            self._parts = self._decoder = None


def _long_size(raw: bytes) -> int:
    """A length of 2 or 8 bytes; the RFC demands the shortest form."""
    size = int.from_bytes(raw, "big")
    if size <= (MAX_CONTROL if len(raw) == 2 else 0xFFFF):
        raise _broken("length not in its shortest form")
    if size >> 63:
        raise _broken("length above 63 bits")
    return size


def _check_text(
    payload: bytes, decoder: codecs.IncrementalDecoder | None = None, *, final: bool = True
) -> None:
    try:
        if decoder is None:
            payload.decode()
        else:
            decoder.decode(payload, final)
    except UnicodeDecodeError:
        raise ProtocolError(INVALID_TEXT, "text not in UTF-8") from None


def _read_close(payload: bytes) -> Close:
    if not payload:
        return Close(NO_STATUS, "")
    if len(payload) == 1:
        raise _broken("close frame of 1 byte")
    code = int.from_bytes(payload[:2], "big")
    if not is_valid_close_code(code):
        raise _broken("close code that must not be sent")
    _check_text(payload[2:])
    return Close(code, payload[2:].decode())


def is_valid_close_code(code: int) -> bool:
    """Codes that may stand in a close frame: those that the RFC and its registry define for that
    (1014 included), and the ranges of libraries (3000) and applications (4000)."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


# --- writing --------------------------------------------------------------------------------------


def mask_payload(payload: bytes, key: bytes) -> bytes:
    """XOR with the key of 4 bytes, repeated; the same call masks and unmasks.

    As one operation on big integers: 20 times faster than byte by byte, linear in the size.
    """
    size = len(payload)
    stream = (key * ((size + 3) >> 2))[:size]
    number = int.from_bytes(payload, "little") ^ int.from_bytes(stream, "little")
    return number.to_bytes(size, "little")


def encode_frame(
    opcode: int, payload: bytes, *, mask: bytes | None = None, fin: bool = True
) -> bytes:
    """One frame.  `mask`: 4 unpredictable bytes on a client, None on a server."""
    size = len(payload)
    first = opcode | _FIN if fin else int(opcode)
    bit = 0 if mask is None else _MASKED
    if size < _TWO_BYTES:
        head = bytes((first, bit | size))
    elif size < 0x10000:
        head = bytes((first, bit | _TWO_BYTES, size >> 8, size & 0xFF))
    else:
        head = bytes((first, bit | _EIGHT_BYTES)) + size.to_bytes(8, "big")
    if mask is None:
        return head + payload
    return b"".join((head, mask, mask_payload(payload, mask)))


def text_frame(payload: bytes, *, mask: bytes | None = None) -> bytes:
    """`payload`: UTF-8"""
    return encode_frame(TEXT, payload, mask=mask)


def binary_frame(payload: bytes, *, mask: bytes | None = None) -> bytes:
    return encode_frame(BINARY, payload, mask=mask)


def ping_frame(payload: bytes = b"", *, mask: bytes | None = None) -> bytes:
    """ValueError above 125 bytes, as for every control frame."""
    return encode_frame(PING, _control_payload(payload), mask=mask)


def pong_frame(payload: bytes = b"", *, mask: bytes | None = None) -> bytes:
    return encode_frame(PONG, _control_payload(payload), mask=mask)


def close_frame(code: int = NORMAL, reason: str = "", *, mask: bytes | None = None) -> bytes:
    """`reason` is cut to the 123 bytes of UTF-8 that fit.  Code 1005: a frame without a code."""
    if code == NO_STATUS:
        return encode_frame(CLOSE, b"", mask=mask)
    if not is_valid_close_code(code):
        raise ValueError(f"close code {code} must not be sent")
    text = reason.encode()[: MAX_CONTROL - 2].decode(errors="ignore").encode()
    return encode_frame(CLOSE, code.to_bytes(2, "big") + text, mask=mask)


def _control_payload(payload: bytes) -> bytes:
    if len(payload) > MAX_CONTROL:
        raise ValueError("a control frame holds at most 125 bytes")
    return payload
