"""gob: the worked bytes of the protocol, Go's own output, and hostile input."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openim_trio.wire import gob, gob_types
from openim_trio.wire.gob import GobError, Kind, Struct, encode_int, encode_uint
from tests.support import gob_vectors

REQUEST_FIELDS = (
    ("ReqIdentifier", Kind.INT),
    ("Token", Kind.STRING),
    ("SendID", Kind.STRING),
    ("OperationID", Kind.STRING),
    ("MsgIncr", Kind.STRING),
    ("Data", Kind.BYTES),
)
INT64 = st.integers(-(1 << 63), (1 << 63) - 1)


@pytest.fixture
def request_struct() -> Struct:
    return Struct("GeneralWsReq", REQUEST_FIELDS)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, "00"), (127, "7f"), (128, "ff80"), (300, "fe012c"), ((1 << 64) - 1, "f8" + "ff" * 8)],
)
def test_uint(value: int, expected: str) -> None:
    assert encode_uint(value).hex() == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "00"),
        (1001, "fe07d2"),
        (-64, "7f"),
        (64, "ff80"),
        (-65, "ff81"),
        (-(1 << 63), "f8" + "ff" * 8),
    ],
)
def test_int(value: int, expected: str) -> None:
    assert encode_int(value).hex() == expected


def test_go_vectors(request_struct: Struct) -> None:
    decode = request_struct.decode
    expected = [1001, "", "u1", "op", "u1_7", bytes.fromhex("0a027531")]
    assert decode(gob_vectors.SDK_REQUEST_ID_65) == expected
    rich = [1003, "", "u7", "op9", "m1", b"\1\2\3"]
    assert decode(gob_vectors.RICH) == rich
    assert decode(gob_vectors.RICH) == rich  # with the definitions known
    assert decode(gob_vectors.RICH_SPARSE) == [0, "", "u7", "", "", b""]
    assert decode(gob_vectors.SDK_REQUEST_ID_65) == expected


@pytest.mark.parametrize("name", ["STRING_FOR_INT", "UINT_FOR_INT", "SLICE", "NUMBER"])
def test_go_streams_that_do_not_fit(name: str, request_struct: Struct) -> None:
    for _ in range(2):
        with pytest.raises(GobError):
            request_struct.decode(getattr(gob_vectors, name))


def test_a_field_of_another_kind_matters_only_when_it_has_a_value(request_struct: Struct) -> None:
    assert request_struct.decode(gob_vectors.UINT_UNUSED) == [0, "", "", "", "", b"\1"]


@pytest.mark.parametrize("type_id", [64, 65, 127, 128, 129, 20_000])
def test_any_type_id(type_id: int) -> None:
    values = [1003, "", "a", "", "b", b"\0"]
    sent = Struct("X", REQUEST_FIELDS, type_id).encode(values)
    assert Struct("Y", REQUEST_FIELDS).decode(sent) == values


def test_fields_are_matched_by_name() -> None:
    theirs = Struct("T", tuple(reversed(REQUEST_FIELDS)))
    values = [b"d", "m", "o", "s", "t", 7]
    assert Struct("O", REQUEST_FIELDS).decode(theirs.encode(values)) == values[::-1]


def test_more_than_127_fields_before_ours(request_struct: Struct) -> None:
    many = [(f"F{number}", Kind.INT) for number in range(300)]
    theirs = Struct("Many", [*many, ("SendID", Kind.STRING)])
    # A delta above 127 takes two bytes; our own encoder never needs it.
    body = encode_int(64) + encode_uint(301) + b"\1x\0"
    stream = theirs.definition + encode_uint(len(body)) + body
    assert request_struct.decode(stream)[2] == "x"


def test_other_definitions_before_and_after_ours(request_struct: Struct) -> None:
    other = Struct("Other", [("A", Kind.INT)], 70).definition
    more = Struct("More", [("B", Kind.INT)], 71).definition
    plain = request_struct.encode([1, "", "u", "", "", b""])
    size = len(request_struct.definition)
    stream = other + plain[:size] + more + plain[size:]
    assert request_struct.decode(stream) == [1, "", "u", "", "", b""]


def test_cut_or_extended_streams_are_refused(request_struct: Struct) -> None:
    for whole in (gob_vectors.SDK_REQUEST_ID_65, gob_vectors.RICH):
        request_struct.decode(whole)
        for end in range(len(whole)):
            with pytest.raises(GobError):
                request_struct.decode(whole[:end])
        for tail in (b"\0", b"\1", whole):
            with pytest.raises(GobError):
                request_struct.decode(whole + tail)


def test_bad_utf8_is_refused(request_struct: Struct) -> None:
    sent = request_struct.encode([1, "", "uu", "", "", b""]).replace(b"uu", b"\xff\xfe")
    with pytest.raises(GobError):
        request_struct.decode(sent)


# --- hostile input --------------------------------------------------------------------------------


def _stream(*messages: bytes) -> bytes:
    return b"".join(encode_uint(len(message)) + message for message in messages)


def _list_definition(type_id: int, element: int) -> bytes:
    return b"".join(
        (
            encode_int(-type_id),
            b"\2\1\2",
            encode_int(type_id),
            b"\0\1",
            encode_int(element),
            b"\0\0",
        )
    )


def _struct_with_unknown(element_type: int) -> bytes:
    common = b"\1\2" + encode_int(64) + b"\0"
    field = b"\1\1U\1" + encode_int(element_type) + b"\0"
    return encode_int(-64) + b"\3" + b"\1" + common + b"\1\1" + field + b"\0\0"


def test_unknown_list_is_skipped(request_struct: Struct) -> None:
    value = encode_int(64) + b"\1" + b"\3\0\1\2" + b"\0"
    stream = _stream(_list_definition(65, 2), _struct_with_unknown(65), value)
    assert request_struct.decode(stream) == [0, "", "", "", "", b""]


@pytest.mark.parametrize("claimed", [5, 200, 1 << 20, 1 << 62, (1 << 64) - 1])
def test_a_count_beyond_the_payload(claimed: int, request_struct: Struct) -> None:
    value = encode_int(64) + b"\1" + encode_uint(claimed) + b"\0\0\0"
    stream = _stream(_list_definition(65, 2), _struct_with_unknown(65), value)
    with pytest.raises(GobError):
        request_struct.decode(stream)


@pytest.mark.parametrize("claimed", [5, 1 << 20, 1 << 62, (1 << 64) - 1])
def test_a_length_beyond_the_payload(claimed: int, request_struct: Struct) -> None:
    for delta in (b"\2", b"\6"):  # a string, a byte string
        value = encode_int(64) + delta + encode_uint(claimed) + b"ab\0"
        with pytest.raises(GobError):
            request_struct.decode(request_struct.definition + _stream(value))
    with pytest.raises(GobError):
        request_struct.decode(encode_uint(claimed) + request_struct.definition[1:])


def test_depth_is_limited(request_struct: Struct) -> None:
    # type 65 = slice of 65: a value can nest as deep as it is long
    definitions = (_list_definition(65, 65), _struct_with_unknown(65))
    deep = gob_types.MAX_DEPTH - 1
    fits = encode_int(64) + b"\1" + b"\1" * deep + b"\0" + b"\0"
    assert request_struct.decode(_stream(*definitions, fits))
    too_deep = encode_int(64) + b"\1" + b"\1" * 5_000 + b"\0" + b"\0"
    with pytest.raises(GobError, match="deeply"):
        request_struct.decode(_stream(*definitions, too_deep))


def test_work_on_unknown_fields_is_limited(request_struct: Struct) -> None:
    count = gob_types.MAX_SKIPPED + 1
    value = encode_int(64) + b"\1" + encode_uint(count) + b"\0" * count + b"\0"
    with pytest.raises(GobError, match="too many values"):
        request_struct.decode(_stream(_list_definition(65, 2), _struct_with_unknown(65), value))


def test_definitions_are_limited(request_struct: Struct) -> None:
    one = request_struct.encode([5, "", "", "", "", b""])
    size = len(request_struct.definition)
    many = b"".join(Struct("S", REQUEST_FIELDS, 100 + n).definition for n in range(400))
    with pytest.raises(GobError, match="definitions"):
        request_struct.decode(many + one[:size] + one[size:])


def test_a_type_defined_twice_or_never(request_struct: Struct) -> None:
    one = request_struct.encode([5, "", "", "", "", b""])
    with pytest.raises(GobError):
        request_struct.decode(request_struct.definition + one)
    with pytest.raises(GobError):
        request_struct.decode(one[len(request_struct.definition) :])
    value = encode_int(64) + b"\1\1\0"
    with pytest.raises(GobError):
        request_struct.decode(_stream(_struct_with_unknown(99), value))


def test_the_cache_is_bounded(request_struct: Struct) -> None:
    for type_id in range(64, 64 + 2 * gob._CACHED_PLANS):
        sent = Struct("S", REQUEST_FIELDS, type_id).encode([5, "", "", "", "", b""])
        assert request_struct.decode(sent)[0] == 5
    assert len(request_struct._plans) <= gob._CACHED_PLANS


@settings(deadline=None)
@given(st.tuples(INT64, st.text(), st.text(), st.text(), st.text(), st.binary(max_size=400)))
def test_round_trip(values: tuple[int, str, str, str, str, bytes]) -> None:
    struct = Struct("GeneralWsReq", REQUEST_FIELDS)
    assert struct.decode(struct.encode(values)) == list(values)


_SHARED = Struct("GeneralWsReq", REQUEST_FIELDS)


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=200))
def test_random_bytes_raise_gob_error_only(data: bytes) -> None:
    for payload in (data, _SHARED.definition + data, _stream(_SHARED.definition[1:], data)):
        with contextlib.suppress(GobError):
            _SHARED.decode(payload)


@settings(deadline=None, max_examples=500)
@given(st.data())
def test_damaged_streams_raise_gob_error_only(data: st.DataObject) -> None:
    stream = bytearray(
        data.draw(st.sampled_from([gob_vectors.RICH, gob_vectors.SDK_REQUEST_ID_65]))
    )
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(stream) - 1))
        stream[at] = data.draw(st.integers(0, 255))
    try:
        values = Struct("GeneralWsReq", REQUEST_FIELDS).decode(bytes(stream))
    except GobError:
        return
    assert [type(value) for value in values] == [int, str, str, str, str, bytes]
