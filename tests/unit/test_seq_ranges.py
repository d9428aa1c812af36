"""Which seqs a pull answers with."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from openim_trio.domain.id_hash import id_hash
from openim_trio.domain.seq_ranges import (
    fitting,
    list_end,
    newest_window,
    range_is_end,
    whole_window,
)

seqs = st.integers(0, 60)


@given(seqs, seqs, seqs, seqs, st.integers(-2, 20), st.integers(1, 30))
def test_newest_window(begin: int, end: int, low: int, high: int, num: int, limit: int) -> None:
    inside = [s for s in range(61) if begin <= s <= end and low <= s <= high]
    count = min(num, limit) if num > 0 else limit
    window = newest_window(begin, end, low, high, num, limit)
    assert list(range(window.first, window.last + 1)) == inside[-count:]
    assert len(window) == len(inside[-count:])


@given(seqs, seqs, seqs, seqs, st.integers(1, 30))
def test_whole_window(begin: int, end: int, low: int, high: int, limit: int) -> None:
    inside = [s for s in range(61) if begin <= s <= end and low <= s <= high]
    window = whole_window(begin, end, low, high, limit)
    assert list(range(window.first, window.last + 1)) == inside[:limit]
    assert window.cut is (len(inside) > limit)


def test_ends_of_ranges() -> None:
    assert range_is_end(0, 1, 10, 1, 10)
    assert not range_is_end(0, 1, 9, 1, 10)
    assert range_is_end(1, 3, 9, 3, 10)
    assert not range_is_end(1, 4, 9, 3, 10)


def test_ends_of_lists() -> None:
    assert list_end(1, [5, 2], 3, 9) == (True, 3)
    assert list_end(1, [10], 3, 9) == (False, 0)
    assert list_end(0, [10], 3, 9) == (True, 9)
    assert list_end(0, [2], 3, 9) == (False, 0)


@given(st.lists(st.integers(0, 50)), st.integers(0, 300))
def test_fitting(sizes: list[int], room: int) -> None:
    count = fitting(sizes, room)
    assert sum(sizes[:count]) <= room
    assert count == len(sizes) or sum(sizes[: count + 1]) > room


def test_id_hash() -> None:
    assert id_hash([]) == 0
    digest = hashlib.md5(b'["a","b"]').digest()
    assert id_hash(["a", "b"]) == int.from_bytes(digest[:8], "big")
