"""gzip members: both ways, and members that lie."""

from __future__ import annotations

import contextlib
import gzip
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openim_trio.wire.compression import STORED_BELOW, CompressionError, compress, decompress


@settings(deadline=None)
@given(st.binary(max_size=1000))
def test_round_trip(data: bytes) -> None:
    member = compress(data)
    assert gzip.decompress(member) == data
    assert decompress(member, len(data)) == data
    assert decompress(gzip.compress(data), len(data)) == data


def test_small_payloads_are_stored_and_larger_ones_shrink() -> None:
    small = b"a" * (STORED_BELOW - 1)
    assert len(compress(small)) == len(small) + 23
    assert small in compress(small)
    assert len(compress(b"a" * STORED_BELOW)) < 50


@pytest.mark.parametrize("size", [0, 1, 199, 200, 5000])
def test_the_limit_is_inclusive(size: int) -> None:
    data = b"z" * size
    assert decompress(compress(data), size) == data
    assert decompress(compress(data), size + 1) == data
    if size:
        with pytest.raises(CompressionError):
            decompress(compress(data), size - 1)


def test_a_bomb_is_not_inflated() -> None:
    inner = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(inner.compress(b"\0" * (1 << 20)) for _ in range(64)) + inner.flush()
    assert len(bomb) < 100_000
    with pytest.raises(CompressionError, match="more than 1000"):
        decompress(bomb, 1000)


def test_a_lying_size_field() -> None:
    member = bytearray(gzip.compress(b"hello" * 100))
    member[-4:] = b"\1\0\0\0"
    with pytest.raises(CompressionError):
        decompress(bytes(member), 1000)


@pytest.mark.parametrize("data", [b"", b"hello", b"x" * 3000])
def test_cut_doubled_or_followed(data: bytes) -> None:
    for member in (compress(data), gzip.compress(data)):
        for end in range(len(member)):
            with pytest.raises(CompressionError):
                decompress(member[:end], 10_000)
        for tail in (b"\0", member, b"garbage"):
            with pytest.raises(CompressionError, match="after"):
                decompress(member + tail, 10_000)


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"\x1f\x8b", zlib.compress(b"abc"), b"\x1f\x8b\x08" + b"\xff" * 30]
)
def test_not_gzip(data: bytes) -> None:
    with pytest.raises(CompressionError):
        decompress(data, 1000)


@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(0, 50))
def test_random_bytes(data: bytes, limit: int) -> None:
    for payload in (data, b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + data):
        with contextlib.suppress(CompressionError):
            assert len(decompress(payload, limit)) <= limit
