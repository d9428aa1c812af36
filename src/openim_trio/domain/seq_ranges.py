"""Which seqs of a conversation a pull answers with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

DESC = 1
"""`PullOrder` on the wire; 0 is ascending"""


@attrs.frozen(slots=True)
class SeqWindow:
    """first..last, inclusive.  cut: the upper end was brought down, so that a further pull is
    needed to reach what was asked for."""

    first: int
    last: int
    cut: bool = False

    def __len__(self) -> int:
        return max(self.last - self.first + 1, 0)


def newest_window(begin: int, end: int, low: int, high: int, num: int, limit: int) -> SeqWindow:
    """The newest `num` seqs of begin..end inside low..high, `limit` at most; num <= 0: no number
    was given."""
    first, last = max(begin, low), min(end, high)
    count = min(num, limit) if num > 0 else limit
    return SeqWindow(max(first, last - count + 1), last)


def whole_window(begin: int, end: int, low: int, high: int, limit: int) -> SeqWindow:
    """All seqs of begin..end inside low..high; beyond `limit` the first ones."""
    first, last = max(begin, low), min(end, high)
    cut = last - first + 1 > limit
    return SeqWindow(first, first + limit - 1 if cut else last, cut)


def range_is_end(order: int, begin: int, end: int, low: int, high: int) -> bool:
    return begin <= low if order == DESC else high <= end


def list_end(order: int, seqs: Iterable[int], low: int, high: int) -> tuple[bool, int]:
    """isEnd and endSeq of a pull of listed seqs: whether one beyond the readable end in the
    direction of reading was asked for, and where that end is."""
    if order == DESC:
        return (True, low) if any(seq < low for seq in seqs) else (False, 0)
    return (True, high) if any(seq > high for seq in seqs) else (False, 0)


def fitting(sizes: Sequence[int], room: int) -> int:
    """How many of the first sizes fit into `room`."""
    for count, size in enumerate(sizes):
        room -= size
        if room < 0:
            return count
    return len(sizes)
