"""Envelopes: the protocol's worked bytes, both codecs, gzip."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openim_trio.wire.envelope import (
    GOB,
    JSON,
    Codec,
    Encoding,
    EnvelopeError,
    Request,
    Response,
    encoding_for,
)
from openim_trio.wire.identifiers import Req
from tests.support import gob_vectors

REQUEST_BYTES = bytes.fromhex(
    """65 7f 03 01 01 0c 47656e6572616c5773526571 01 ff80 00 01 06
    01 0d 5265714964656e746966696572 01 04 00
    01 05 546f6b656e 01 0c 00
    01 06 53656e644944 01 0c 00
    01 0b 4f7065726174696f6e4944 01 0c 00
    01 07 4d7367496e6372 01 0c 00
    01 04 44617461 01 0a 00
    00 00
    1b ff80 01 fe07d2 02 02 7531 01 02 6f70 01 04 75315f37 01 04 0a027531 00"""
)
RESPONSE_DEFINITION = bytes.fromhex(
    """5f7f030101045265737001ff80000106010d5265714964656e7469666965720104000107
    4d7367496e6372010c00010b4f7065726174696f6e4944010c000107457272436f646501
    040001064572724d7367010c00010444617461010a000000"""
)
REQUEST = Request(1001, "u1_7", "op", "u1", "", bytes.fromhex("0a027531"))

texts = st.text(max_size=60)
int64 = st.integers(-(1 << 63), (1 << 63) - 1)
requests = st.builds(Request, int64, texts, texts, texts, texts, st.binary(max_size=500))
responses = st.builds(Response, int64, texts, texts, int64, texts, st.binary(max_size=500))


def test_gob_request_bytes() -> None:
    assert GOB.encode_request(REQUEST) == REQUEST_BYTES
    assert GOB.decode_request(REQUEST_BYTES) == REQUEST
    assert GOB.decode_request(gob_vectors.SDK_REQUEST_ID_65) == REQUEST


@pytest.mark.parametrize(
    ("response", "value"),
    [
        (
            Response(1001, "u1_7", "op", data=b"\1\2"),
            "15 ff80 01fe07d2 010475315f37 01026f70 03020102 00",
        ),
        (
            Response(1003, "u1_7", "op", 1302, "BlockedByPeer"),
            "24 ff80 01fe07d6 010475315f37 01026f70 01fe0a2c 010d426c6f636b6564427950656572 00",
        ),
        (Response(Req.KICK), "07 ff80 01fe0fa4 00"),
    ],
)
def test_gob_response_bytes(response: Response, value: str) -> None:
    assert GOB.encode_response(response) == RESPONSE_DEFINITION + bytes.fromhex(value)
    assert GOB.decode_response(GOB.encode_response(response)) == response


def test_gob_response_in_the_field_order_of_the_sdk() -> None:
    expected = Response(1003, "u1_7", "op", 1302, "BlockedByPeer")
    assert GOB.decode_response(gob_vectors.SDK_ERROR) == expected
    assert GOB.decode_response(gob_vectors.SDK_REPLY) == Response(1001, "u1_7", "op", data=b"\1\2")


def test_gob_bytes_are_an_envelope_error() -> None:
    with pytest.raises(EnvelopeError, match="gob"):
        GOB.decode_request(b"{}")
    with pytest.raises(EnvelopeError, match="gob"):
        GOB.decode_response(b"")


def test_json_bytes() -> None:
    response = Response(1001, "u1_7", "op", data=b"\1\2")
    assert JSON.encode_response(response) == (
        b'{"reqIdentifier":1001,"msgIncr":"u1_7","operationID":"op","errCode":0,"errMsg":"",'
        b'"data":"AQI="}'
    )
    assert JSON.encode_response(Response(Req.KICK)) == (
        b'{"reqIdentifier":2002,"msgIncr":"","operationID":"","errCode":0,"errMsg":"","data":null}'
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"reqIdentifier":1001}', Request(1001)),
        ('{"reqIdentifier":1001,"data":null,"sendID":null,"more":{"a":[1]}}', Request(1001)),
        (
            '{"reqIdentifier":1003,"sendID":"u","data":"AQI="}',
            Request(1003, send_id="u", data=b"\1\2"),
        ),
        ('{"msgIncr":"\\u00e9\\ud83d\\ude00"}', Request(0, "é😀")),
        ("{}", Request(0)),
    ],
)
def test_json_requests(text: str, expected: Request) -> None:
    assert JSON.decode_request(text.encode()) == expected


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"reqIdentifier":"1001"}',
        b'{"reqIdentifier":1001.5}',
        b'{"reqIdentifier":true}',
        b'{"sendID":7}',
        b'{"operationID":["secret"]}',
        b'{"data":"not base64, secret"}',
        b'{"data":"AQI"}',
        b'{"data":[1,2]}',
        b'{"sendID":"\xff\xfe"}',
        b'{"sendID":"a"} trailing',
        b'{"x":' + b"[" * 100_000,
        gob_vectors.SDK_REQUEST_ID_65,
    ],
)
def test_json_that_is_no_request(payload: bytes) -> None:
    with pytest.raises(EnvelopeError) as caught:
        JSON.decode_request(payload)
    assert "secret" not in str(caught.value)
    with pytest.raises(EnvelopeError):
        JSON.decode_response(payload.replace(b"sendID", b"errMsg"))


@settings(deadline=None)
@given(st.binary(max_size=120))
def test_random_bytes_raise_envelope_error_only(payload: bytes) -> None:
    for encoding in (Encoding(GOB, False), Encoding(JSON, False), Encoding(JSON, True)):
        with pytest.raises(EnvelopeError):
            encoding.decode(payload + b"\0", 1000)


@pytest.mark.parametrize("codec", [GOB, JSON], ids=lambda codec: codec.name)
@pytest.mark.parametrize("gzipped", [False, True])
@settings(deadline=None, max_examples=50)
@given(request=requests, response=responses)
def test_round_trip(codec: Codec, gzipped: bool, request: Request, response: Response) -> None:
    encoding = Encoding(codec, gzipped)
    assert encoding.decode(encoding.encode_request(request), 10_000) == request
    assert encoding.decode_response(encoding.encode(response), 10_000) == response


def test_gzip_limit_and_garbage() -> None:
    encoding = Encoding(JSON, True)
    plain = JSON.encode_request(Request(1003, data=b"x" * 5000))
    assert encoding.decode(gzip.compress(plain), len(plain)).data == b"x" * 5000
    with pytest.raises(EnvelopeError):
        encoding.decode(gzip.compress(plain), len(plain) - 1)
    with pytest.raises(EnvelopeError):
        encoding.decode(plain, 10_000)
    assert json.loads(gzip.decompress(encoding.encode(Response(1001))))["reqIdentifier"] == 1001


def test_encoding_of_a_handshake() -> None:
    assert encoding_for("", "gzip") == Encoding(GOB, True)
    assert encoding_for("go", "") == encoding_for("", "GZIP") == Encoding(GOB, False)
    assert encoding_for("js", "gzip") == Encoding(JSON, True)
    assert encoding_for("", "gzip") is encoding_for("", "gzip")
    assert len({encoding_for(a, b) for a in ("", "go", "js") for b in ("", "gzip")}) == 4
    with pytest.raises(ValueError, match="sdkType"):
        encoding_for("JS", "")
