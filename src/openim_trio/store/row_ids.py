"""Where a row lives: partition (conversation, bucket), clustering key seq.

    _id = blake2b-128(conversation, bucket) ‖ seq as 8 bytes big-endian      24 bytes

Rows 1..5000 are bucket 0, 5001..10000 bucket 1 and so on.  Ids of one bucket sort by seq, so a
range of seqs in a bucket is one range of `_id`; different buckets spread over the shards.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b

import attrs

from openim_trio.domain.rows import ROWS_PER_BUCKET

PREFIX_SIZE = 16


def bucket_of(seq: int) -> int:
    """seq starts at 1."""
    return (seq - 1) // ROWS_PER_BUCKET


def bucket_prefix(conversation: str, bucket: int) -> bytes:
    name = conversation.encode() + bucket.to_bytes(8, "big")
    return blake2b(name, digest_size=PREFIX_SIZE).digest()


def row_id(conversation: str, seq: int) -> bytes:
    return bucket_prefix(conversation, bucket_of(seq)) + seq.to_bytes(8, "big")


def seq_of(identifier: bytes) -> int:
    return int.from_bytes(identifier[PREFIX_SIZE:], "big")


@attrs.frozen(slots=True)
class IdRange:
    """Seqs first..last (inclusive) of one bucket."""

    prefix: bytes
    first: int
    last: int

    @property
    def low(self) -> bytes:
        return self.prefix + self.first.to_bytes(8, "big")

    @property
    def high(self) -> bytes:
        return self.prefix + self.last.to_bytes(8, "big")


def id_ranges(conversation: str, first: int, last: int) -> Iterator[IdRange]:
    """Seqs first..last cut at the bucket borders; none when last < first."""
    first = max(first, 1)
    while first <= last:
        bucket = bucket_of(first)
        end = min(last, (bucket + 1) * ROWS_PER_BUCKET)
        yield IdRange(bucket_prefix(conversation, bucket), first, end)
        first = end + 1


def row_ids(conversation: str, first: int, count: int) -> list[bytes]:
    """Ids of `count` rows from `first` on; hashes once a bucket."""
    return [
        part.prefix + seq.to_bytes(8, "big")
        for part in id_ranges(conversation, first, first + count - 1)
        for seq in range(part.first, part.last + 1)
    ]
