"""One gzip member per frame: how OpenIM clients compress (`compression=gzip` at the handshake)."""

from __future__ import annotations

import struct
import zlib

STORED_BELOW = 200
"""bytes: smaller payloads go out as a stored block; deflating them costs 8 us and gains nothing"""

_GZIP = 31  # zlib's window bits for a gzip header and trailer
_HEAD = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"  # deflate, no flags, no time, unknown system
_STORED = struct.Struct("<BHH")
_TRAILER = struct.Struct("<II")


class CompressionError(ValueError):
    """Not exactly one complete gzip member, or more than the limit once inflated."""


def compress(data: bytes) -> bytes:
    """`data` as one gzip member: fastest level, or a stored block when it is small."""
    size = len(data)
    if size >= STORED_BELOW:
        return zlib.compress(data, 1, _GZIP)
    return b"".join(
        (_HEAD, _STORED.pack(1, size, size ^ 0xFFFF), data, _TRAILER.pack(zlib.crc32(data), size))
    )


def decompress(data: bytes, limit: int) -> bytes:
    """Inflate exactly one gzip member to at most `limit` bytes (inclusive).

    Never inflates more than limit + 1 bytes, whatever the member claims.
    """
    inflater = zlib.decompressobj(_GZIP)
    try:
        # One byte above the limit tells "just full" from "too much"; 0 would mean no limit.
        out = inflater.decompress(data, limit + 1)
    except zlib.error as error:
        raise CompressionError(f"not gzip: {error}") from error
    if len(out) > limit:
        raise CompressionError(f"more than {limit} bytes once inflated")
    if not inflater.eof:
        raise CompressionError("gzip member is cut short")
    if inflater.unused_data:
        raise CompressionError("bytes after the gzip member")
    return out
