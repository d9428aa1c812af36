"""The hash by which a client and the server compare lists of IDs (OpenIM v3.8, full ID lists)."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import md5

from openim_trio.wire.proto_json import dumps


def id_hash(ids: Sequence[str]) -> int:
    """0 for an empty list, otherwise the first 8 bytes of MD5 over the compact JSON array, as an
    unsigned big-endian number."""
    if not ids:
        return 0
    digest = md5(dumps(list(ids)).encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest[:8], "big")
