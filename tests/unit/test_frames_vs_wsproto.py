"""Our frames against wsproto's: the same events from the same bytes, and frames that it reads."""

from __future__ import annotations

import itertools
import struct

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameProtocol, Opcode, ParseFailed

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

# When a test fails, its frames may be too long to print.
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")

LIMIT = 1 << 20
Outcome = tuple[list[Event], int]
"""events, and the close code of the violation that ended them (0: none)"""


def ours(chunks: list[bytes], *, masked: bool = True) -> Outcome:
    reader = FrameReader(LIMIT, expect_masked=masked)
    events: list[Event] = []
    for chunk in chunks:
        try:
            events += reader.feed(chunk)
        except ProtocolError as error:
            return events + error.events, error.close_code
    return events, 0


def theirs(chunks: list[bytes], *, masked: bool = True) -> Outcome:
    """wsproto hands out parts of messages; here they are joined again."""
    protocol = FrameProtocol(client=not masked, extensions=[])
    events: list[Event] = []
    parts: list[bytes] = []
    for chunk in chunks:
        protocol.receive_bytes(chunk)
        try:
            for frame in protocol.received_frames():
                if frame.opcode is Opcode.CLOSE:
                    code, reason = frame.payload
                    events.append(Close(int(code), reason))
                    return events, 0
                if frame.opcode is Opcode.PING:
                    events.append(Ping(bytes(frame.payload)))
                elif frame.opcode is Opcode.PONG:
                    events.append(Pong(bytes(frame.payload)))
                else:
                    text = frame.opcode is Opcode.TEXT
                    parts.append(frame.payload.encode() if text else bytes(frame.payload))
                    if frame.message_finished:
                        events.append(Message(text, b"".join(parts)))
                        parts = []
        except ParseFailed as error:
            return events, int(error.code)
    return events, 0


@attrs.frozen
class RawFrame:
    """Any frame that can be written down, allowed or not."""

    first: int
    has_mask: bool
    width: int
    """bytes of the length: 2 or 8; 0, or what is too few, means the fewest that do"""
    key: bytes
    payload: bytes = attrs.field(repr=lambda payload: f"{payload[:130]!r} of {len(payload)}")

    def encode(self) -> bytes:
        size = len(self.payload)
        width = max(self.width, 1 if size < 126 else 2 if size < 65_536 else 8)
        bit = 0x80 if self.has_mask else 0
        if width == 1:
            head = bytes((self.first, bit | size))
        elif width == 2:
            head = bytes((self.first, bit | 126)) + struct.pack(">H", size)
        else:
            head = bytes((self.first, bit | 127)) + struct.pack(">Q", size)
        if not self.has_mask:
            return head + self.payload
        return head + self.key + frames.mask_payload(self.payload, self.key)


keys = st.binary(min_size=4, max_size=4)
# Cut anywhere, also inside a character.
pieces_of_text = st.tuples(st.text(max_size=40), st.integers(0, 3)).map(
    lambda pair: pair[0].encode()[: len(pair[0].encode()) - pair[1]]
)
close_codes = st.one_of(st.integers(995, 1020), st.integers(2990, 5005), st.integers(0, 0xFFFF))
close_payloads = st.one_of(
    st.binary(max_size=3),
    # wsproto does not know 1014, which the registry has had since.
    st.tuples(close_codes.filter(lambda code: code != 1014), pieces_of_text).map(
        lambda pair: struct.pack(">H", pair[0]) + pair[1][:120]
    ),
)
sizes = st.sampled_from([0, 1, 124, 125, 126, 127, 300, 65_535, 65_536])
payloads = st.one_of(
    pieces_of_text, st.binary(max_size=130), sizes.map(lambda size: b"\x61" * size), close_payloads
)


def raw_frames(firsts: st.SearchStrategy[int], *, sloppy: bool) -> st.SearchStrategy[RawFrame]:
    return st.builds(
        RawFrame,
        first=firsts,
        has_mask=st.sampled_from([True] * 9 + [False]) if sloppy else st.just(True),
        width=st.sampled_from([0] * 9 + [2, 8]) if sloppy else st.just(0),
        key=keys,
        payload=payloads,
    )


fragments = st.sampled_from([0x01, 0x00, 0x80, 0x02, 0x00, 0x00])
whole = st.sampled_from([0x81, 0x82])
control = st.builds(
    RawFrame,
    first=st.sampled_from([0x89, 0x8A]),
    has_mask=st.just(True),
    width=st.just(0),
    key=keys,
    payload=st.binary(max_size=125),
)
closes = st.builds(
    RawFrame,
    first=st.just(0x88),
    has_mask=st.just(True),
    width=st.just(0),
    key=keys,
    payload=close_payloads,
)
any_frame = st.one_of(
    raw_frames(whole, sloppy=False),
    raw_frames(fragments, sloppy=False),
    control,
    closes,
    raw_frames(st.integers(0, 255), sloppy=True),
)


@st.composite
def fragmented(draw: st.DrawFn) -> list[RawFrame]:
    """One message, well formed but for its text, in fragments with control frames between."""
    text = draw(st.booleans())
    body = draw(pieces_of_text if text else st.binary(max_size=100))
    cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=4)))
    bounds = [0, *cuts, len(body)]
    parts = [body[a:b] for a, b in itertools.pairwise(bounds)]
    result: list[RawFrame] = []
    for index, part in enumerate(parts):
        opcode = (1 if text else 2) if index == 0 else 0
        fin = 0x80 if index == len(parts) - 1 else 0
        result.append(RawFrame(fin | opcode, True, 0, draw(keys), part))
        if draw(st.booleans()):
            result.append(draw(control))
    return result


streams = st.one_of(
    st.lists(any_frame, max_size=8),
    st.lists(fragmented(), max_size=4).map(lambda many: [f for one in many for f in one]),
    st.tuples(fragmented(), st.lists(any_frame, max_size=3)).map(lambda pair: pair[0] + pair[1]),
)


@settings(deadline=None, max_examples=600)
@given(streams)
def test_same_events_frame_by_frame(stream: list[RawFrame]) -> None:
    chunks = [frame.encode() for frame in stream]
    expected = theirs(chunks)
    assert ours(chunks) == expected
    assert ours([b"".join(chunks)]) == expected


@settings(deadline=None, max_examples=300)
@given(streams, st.data())
def test_cut_anywhere(stream: list[RawFrame], data: st.DataObject) -> None:
    whole_input = b"".join(frame.encode() for frame in stream)
    cuts = data.draw(st.lists(st.integers(0, len(whole_input)), max_size=12).map(sorted))
    bounds = [0, *cuts, len(whole_input)]
    chunks = [whole_input[a:b] for a, b in itertools.pairwise(bounds)]
    assert ours(chunks) == ours([whole_input]) == theirs([whole_input])


@settings(deadline=None, max_examples=200)
@given(streams, st.data())
def test_input_that_ends_early(stream: list[RawFrame], data: st.DataObject) -> None:
    """What was complete is told, and nothing else; the rest follows when it comes."""
    whole_input = b"".join(frame.encode() for frame in stream)
    end = data.draw(st.integers(0, len(whole_input)))
    events, code = ours([whole_input[:end]])
    all_events, final = ours([whole_input])
    assert all_events[: len(events)] == events
    assert code in (0, final)
    expected, their_code = theirs([whole_input[:end]])
    assert events == expected
    if their_code != code:
        # wsproto looks into text before its frame is complete; we at headers before they are.
        assert (code, their_code) in {(0, 1007), (1002, 0)}


@settings(deadline=None)
@given(st.lists(fragmented(), max_size=3), st.booleans())
def test_a_client_reads_the_same(messages: list[list[RawFrame]], bad: bool) -> None:
    stream = [attrs.evolve(frame, has_mask=bad) for many in messages for frame in many]
    chunks = [frame.encode() for frame in stream]
    assert ours(chunks, masked=False) == theirs(chunks, masked=False)


@settings(deadline=None)
@given(
    st.sampled_from([1, 2, 9, 10]),
    st.binary(max_size=125).map(bytes.hex),
    st.one_of(st.none(), keys),
)
def test_wsproto_reads_what_we_write(opcode: int, text: str, key: bytes | None) -> None:
    payload = text.encode()[:125]
    frame = encode_frame(opcode, payload, mask=key)
    masked = key is not None
    assert theirs([frame], masked=masked) == ours([frame], masked=masked)
    assert theirs([frame], masked=masked)[1] == 0


@settings(deadline=None, max_examples=30)
@given(sizes, st.booleans())
def test_we_write_the_bytes_that_wsproto_writes(size: int, text: bool) -> None:
    payload = b"a" * size
    server = FrameProtocol(client=False, extensions=[])
    expected = bytes(server.send_data(payload.decode() if text else payload))
    assert (frames.text_frame if text else frames.binary_frame)(payload) == expected
    assert frames.ping_frame(payload[:125]) == bytes(server.ping(payload[:125]))
    assert frames.pong_frame(payload[:125]) == bytes(server.pong(payload[:125]))
    assert frames.close_frame(1001, "é" * size) == bytes(server.close(1001, "é" * size))
