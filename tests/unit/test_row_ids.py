from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from openim_trio.domain.rows import ROWS_PER_BUCKET
from openim_trio.store.row_ids import bucket_of, id_ranges, row_id, row_ids, seq_of

seqs = st.integers(1, 2**62)


def test_buckets_hold_5000_seqs_each() -> None:
    assert [bucket_of(seq) for seq in (1, 4_999, 5_000, 5_001, 10_000, 10_001)] == [
        0, 0, 0, 1, 1, 2,
    ]  # fmt: skip


@given(st.text(), seqs)
def test_an_id_is_24_bytes_and_ends_with_the_seq(conversation: str, seq: int) -> None:
    identifier = row_id(conversation, seq)
    assert len(identifier) == 24
    assert seq_of(identifier) == seq


@given(seqs, st.integers(0, 3 * ROWS_PER_BUCKET))
def test_ranges_cover_every_seq_once_within_buckets(first: int, length: int) -> None:
    parts = list(id_ranges("sg_g", first, first + length))
    assert parts[0].first == first
    assert parts[-1].last == first + length
    for part, following in itertools.pairwise(parts):
        assert following.first == part.last + 1
    for part in parts:
        assert bucket_of(part.first) == bucket_of(part.last)
        assert part.low == row_id("sg_g", part.first)
        assert part.high == row_id("sg_g", part.last)


def test_an_empty_range_has_no_parts() -> None:
    assert list(id_ranges("c", 5, 4)) == []
    assert list(id_ranges("c", -3, 0)) == []


@given(st.integers(1, 2 * ROWS_PER_BUCKET), st.integers(1, 40))
def test_ids_of_a_block_are_those_of_its_rows(first: int, count: int) -> None:
    assert row_ids("c", first, count) == [row_id("c", first + i) for i in range(count)]


def test_conversations_and_buckets_do_not_share_prefixes() -> None:
    prefixes = {row_id(c, seq)[:16] for c in ("a", "b", "a\0") for seq in (1, 5_001, 10_001)}
    assert len(prefixes) == 9
