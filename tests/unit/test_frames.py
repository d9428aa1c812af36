"""The frame reader and writer by the rules of RFC 6455."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openim_trio.wire import frames
from openim_trio.wire.frames import (
    Close,
    Event,
    FrameReader,
    Message,
    Ping,
    Pong,
    ProtocolError,
    encode_frame,
)

KEY = b"\x01\xa2\x00\xff"
LIMIT = 1000


def masked(opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    return encode_frame(opcode, payload, mask=KEY, fin=fin)


def read(data: bytes, limit: int = LIMIT) -> list[Event]:
    return FrameReader(limit).feed(data)


def error_of(data: bytes, limit: int = LIMIT) -> ProtocolError:
    with pytest.raises(ProtocolError) as caught:
        read(data, limit)
    return caught.value


# --- what is allowed ------------------------------------------------------------------------------


def test_example_of_the_rfc() -> None:
    hello = bytes.fromhex("818537fa213d7f9f4d5158")
    assert read(hello) == [Message(True, b"Hello")]
    assert FrameReader(9, expect_masked=False).feed(bytes.fromhex("810548656c6c6f")) == [
        Message(True, b"Hello")
    ]
    assert frames.text_frame(b"Hello", mask=bytes.fromhex("37fa213d")) == hello
    assert frames.text_frame(b"Hello") == bytes.fromhex("810548656c6c6f")


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 125, 126, 127, 65_535, 65_536, 70_000])
@pytest.mark.parametrize("key", [None, KEY, b"\0\0\0\0"])
def test_every_length(size: int, key: bytes | None) -> None:
    payload = bytes(i * 7 & 0xFF for i in range(size))
    frame = frames.binary_frame(payload, mask=key)
    reader = FrameReader(70_000, expect_masked=key is not None)
    assert reader.feed(frame) == [Message(False, payload)]
    head = {True: 2, False: 4}[size < 126] if size < 65_536 else 10
    assert len(frame) == head + (4 if key else 0) + size


def test_control_frames_between_fragments() -> None:
    data = b"".join(
        (
            masked(1, "añ".encode()[:2], fin=False),
            masked(9, b"ping"),
            masked(0, b"", fin=False),
            masked(10, b"pong"),
            masked(0, "ñb".encode()[1:]),
            masked(2, b"next"),
            masked(8, b"\x03\xe8bye"),
        )
    )
    assert read(data) == [
        Ping(b"ping"),
        Pong(b"pong"),
        Message(True, "añb".encode()),
        Message(False, b"next"),
        Close(1000, "bye"),
    ]


def test_byte_by_byte() -> None:
    data = masked(1, b"x" * 200) + masked(9) + masked(2, b"", fin=False) + masked(0, b"y")
    reader = FrameReader(LIMIT)
    events = [event for byte in data for event in reader.feed(bytes((byte,)))]
    assert events == [Message(True, b"x" * 200), Ping(b""), Message(False, b"y")]


def test_nothing_after_close() -> None:
    reader = FrameReader(LIMIT)
    assert reader.feed(masked(8) + masked(1, b"late") + b"\xff\xff") == [Close(1005, "")]
    assert reader.feed(masked(1, b"later")) == []


def test_limit_is_inclusive_and_per_message() -> None:
    whole = masked(2, b"z" * LIMIT)
    assert [len(event.data) for event in read(whole * 3) if isinstance(event, Message)] == [
        LIMIT
    ] * 3
    halves = masked(2, b"z" * 500, fin=False) + masked(0, b"z" * 500)
    assert read(halves + halves) == [Message(False, b"z" * LIMIT)] * 2
    assert read(masked(9, b"p" * 125), limit=10) == [Ping(b"p" * 125)]


# --- what is not ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(b"\xc2\x80" + KEY, 1002, id="reserved bit 1"),
        pytest.param(b"\xa2\x80" + KEY, 1002, id="reserved bit 2"),
        pytest.param(b"\x92\x80" + KEY, 1002, id="reserved bit 3"),
        *(pytest.param(bytes((0x80 | op, 0x80)), 1002, id=f"opcode {op}") for op in (3, 7, 11, 15)),
        pytest.param(b"\x81\x01a", 1002, id="not masked"),
        pytest.param(b"\x09\x80", 1002, id="ping in fragments"),
        pytest.param(b"\x89\xfe", 1002, id="ping of 126 bytes or more"),
        pytest.param(b"\x88\xff", 1002, id="close of 126 bytes or more"),
        pytest.param(masked(0, b"a"), 1002, id="continuation of nothing"),
        pytest.param(masked(1, b"a", fin=False) + masked(1), 1002, id="text inside text"),
        pytest.param(b"\x82\xfe\x00\x7d", 1002, id="125 in two bytes"),
        pytest.param(b"\x82\xff" + struct.pack(">Q", 65_535), 1002, id="65535 in eight bytes"),
        pytest.param(b"\x82\xff" + struct.pack(">Q", 1 << 63), 1002, id="length with the top bit"),
        pytest.param(b"\x82\xfe" + struct.pack(">H", LIMIT + 1), 1009, id="too big"),
        pytest.param(b"\x82\xff" + struct.pack(">Q", (1 << 63) - 1), 1009, id="far too big"),
        pytest.param(masked(2, b"a" * 600, fin=False) + b"\x80\xfe\x01\x91", 1009, id="sum"),
        pytest.param(masked(1, b"\xff"), 1007, id="text not UTF-8"),
        pytest.param(masked(1, b"\xc3"), 1007, id="text cut in a character"),
        pytest.param(masked(1, b"\xed\xa0\x80"), 1007, id="surrogate"),
        pytest.param(masked(1, b"\xc3", fin=False) + masked(0, b"a"), 1007, id="split, bad"),
        pytest.param(masked(1, b"\xc3", fin=False) + masked(0), 1007, id="split, cut at the end"),
        pytest.param(masked(1, b"a\xff", fin=False), 1007, id="bad before the last fragment"),
        pytest.param(masked(8, b"\x03"), 1002, id="close of 1 byte"),
        pytest.param(masked(8, b"\x03\xe8\xff"), 1007, id="close reason not UTF-8"),
    ],
)
def test_violations(data: bytes, code: int) -> None:
    error = error_of(masked(9, b"before") + data)
    assert error.close_code == code
    assert error.events == [Ping(b"before")]
    # the same, however it is cut
    reader = FrameReader(LIMIT)
    with pytest.raises(ProtocolError) as caught:
        for byte in data:
            assert reader.feed(bytes((byte,))) == []
    assert caught.value.close_code == code
    assert reader.feed(masked(1, b"more")) == []


def test_masked_server_frame() -> None:
    with pytest.raises(ProtocolError):
        FrameReader(10, expect_masked=False).feed(masked(1, b"a"))


@pytest.mark.parametrize("code", [*range(990, 1020), 2999, 3000, 4999, 5000, 65_535, 0])
def test_close_codes(code: int) -> None:
    valid = code in {1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 4999}
    frame = masked(8, struct.pack(">H", code) + b"why")
    assert frames.is_valid_close_code(code) is valid
    if valid:
        assert read(frame) == [Close(code, "why")]
        assert frames.close_frame(code, "why", mask=KEY) == frame
    else:
        assert error_of(frame).close_code == 1002
        if code != 1005:
            with pytest.raises(ValueError, match="must not"):
                frames.close_frame(code)


def test_close_frame_is_cut_to_fit() -> None:
    frame = frames.close_frame(1001, "é" * 100)
    (event,) = FrameReader(10, expect_masked=False).feed(frame)
    assert event == Close(1001, "é" * 61)
    assert frames.close_frame(1005) == b"\x88\x00"


def test_control_payload_too_long() -> None:
    for build in (frames.ping_frame, frames.pong_frame):
        assert len(build(b"a" * 125)) == 127
        with pytest.raises(ValueError, match="125"):
            build(b"a" * 126)


# --- how much it keeps and how long it takes ------------------------------------------------------


def test_an_oversized_frame_is_refused_at_its_header() -> None:
    header = b"\x82\xff" + struct.pack(">Q", 1 << 40)
    reader = FrameReader(1 << 20)
    assert reader.feed(header[:9]) == []
    with pytest.raises(ProtocolError):
        reader.feed(header[9:])


def test_unfinished_input_is_looked_at_once_it_suffices(monkeypatch: pytest.MonkeyPatch) -> None:
    """50,000 single bytes of one frame: counted looks, not seconds."""
    looks = 0
    original = FrameReader._frame

    def counted(self: FrameReader, data: bytes, at: int, events: list[Event]) -> int:
        nonlocal looks
        looks += 1
        return original(self, data, at, events)

    monkeypatch.setattr(FrameReader, "_frame", counted)
    reader = FrameReader(50_000)
    data = masked(2, b"q" * 50_000)
    events = [event for byte in data for event in reader.feed(bytes((byte,)))]
    assert events == [Message(False, b"q" * 50_000)]
    assert looks <= 5


def test_many_tiny_fragments_are_kept_in_one_piece() -> None:
    reader = FrameReader(LIMIT)
    reader.feed(masked(2, b"a", fin=False))
    for _ in range(5000):
        assert reader.feed(masked(0, b"", fin=False)) == []
    assert reader._parts is not None
    assert len(reader._parts) == 1
    assert reader.feed(masked(0, b"b")) == [Message(False, b"ab")]


@settings(deadline=None)
@given(st.binary(max_size=300), st.binary(min_size=4, max_size=4))
def test_masking_is_xor_and_its_own_inverse(payload: bytes, key: bytes) -> None:
    expected = bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))
    assert frames.mask_payload(payload, key) == expected
    assert frames.mask_payload(expected, key) == payload
