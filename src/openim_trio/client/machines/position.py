"""Which seqs of a conversation this client holds, and how far they were shown.

A `Position` is immutable: the driver computes the next one, writes it in the transaction that
stores the messages, and adopts it only when that has committed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs


@attrs.frozen(slots=True, order=True)
class SeqRange:
    """first..last, inclusive, never empty."""

    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1


@attrs.frozen(slots=True)
class Position:
    """What is held of a conversation's seqs 1..head.

    head    the conversation's end on the server, as far as this client knows; never below `top`
    top     the highest seq that is held
    gaps    what is not held below `top`: ascending, disjoint, not adjacent
    handed  messages up to there were given to the application, or are just being given
    shown   messages up to there were certainly taken by it; shown <= handed <= `complete`

    To hold a seq is to have its message stored, or to know that there is none for this user.
    Every method that changes something returns another Position (or this one, where nothing
    changes).  Seqs below 1 are no places in a conversation and are ignored.
    """

    conversation_id: str
    head: int = 0
    top: int = 0
    gaps: tuple[SeqRange, ...] = ()
    handed: int = 0
    shown: int = 0

    def holds(self, seq: int) -> bool:
        if not 0 < seq <= self.top:
            return False
        # From the newest: that is where questions are about.
        for gap in reversed(self.gaps):
            if gap.last < seq:
                return True
            if gap.first <= seq:
                return False
        return True

    @property
    def complete(self) -> int:
        """1..complete are all held."""
        return self.gaps[0].first - 1 if self.gaps else self.top

    @property
    def missing(self) -> int:
        """How many seqs of 1..head are not held."""
        return self.head - self.top + sum(map(len, self.gaps))

    def hold(self, seqs: Iterable[int]) -> Position:
        """These are stored now, in any order and as often as you like."""
        return self._with(_runs(seqs))

    def hold_range(self, first: int, last: int) -> Position:
        """Nothing in first..last is there for this user, or all of it is stored."""
        first = max(first, 1)
        return self._with([SeqRange(first, last)] if first <= last else [])

    def reset_to(self, seq: int) -> Position:
        """Everything up to `seq` counts as held without having been read.  Messages that are
        stored keep their turn: `handed` and `shown` stay where they are."""
        return self.hold_range(1, seq)

    def see_head(self, seq: int) -> Position:
        """The server said that the conversation ends there, at least."""
        return attrs.evolve(self, head=seq) if seq > self.head else self

    def hand_over(self, upto: int) -> Position:
        """Messages up to `upto` are about to be given to the application; at most `complete`."""
        upto = min(upto, self.complete)
        return attrs.evolve(self, handed=upto) if upto > self.handed else self

    def count_shown(self, upto: int) -> Position:
        """The application has taken the messages up to `upto`; at most `handed`."""
        upto = min(upto, self.handed)
        return attrs.evolve(self, shown=upto) if upto > self.shown else self

    def next_missing(self, limit: int) -> SeqRange | None:
        """The newest seqs that are not held, `limit` at most, in one range; None: all are held."""
        if self.head > self.top:
            first, last = self.top + 1, self.head
        elif self.gaps:
            first, last = self.gaps[-1].first, self.gaps[-1].last
        else:
            return None
        return SeqRange(max(first, last - limit + 1), last)

    def next_missing_ascending(self, limit: int) -> SeqRange | None:
        """The oldest seqs that are not held, `limit` at most, in one range; None: all are held."""
        if self.gaps:
            first, last = self.gaps[0].first, self.gaps[0].last
        elif self.head > self.top:
            first, last = self.top + 1, self.head
        else:
            return None
        return SeqRange(first, min(last, first + limit - 1))

    def _with(self, runs: list[SeqRange]) -> Position:
        """`runs`: ascending, disjoint."""
        if not runs:
            return self
        top = max(self.top, runs[-1].last)
        # Seqs above the old top are one more gap, of which the runs then take their part.
        gaps = (*self.gaps, SeqRange(self.top + 1, top)) if top > self.top else self.gaps
        left = tuple(_subtract(gaps, runs))
        if top == self.top and left == self.gaps:
            return self
        return attrs.evolve(self, head=max(self.head, top), top=top, gaps=left)


def _runs(seqs: Iterable[int]) -> list[SeqRange]:
    """Ascending, disjoint, not adjacent."""
    runs: list[SeqRange] = []
    first = last = 0
    for seq in sorted(seq for seq in seqs if seq > 0):
        if first and seq > last + 1:
            runs.append(SeqRange(first, last))
            first = 0
        first, last = first or seq, seq
    if first:
        runs.append(SeqRange(first, last))
    return runs


def _subtract(gaps: Iterable[SeqRange], runs: list[SeqRange]) -> Iterator[SeqRange]:
    """What `runs` leave of `gaps`; both ascending and disjoint."""
    at = 0
    for gap in gaps:
        first = gap.first
        while at < len(runs) and runs[at].first <= gap.last:
            run = runs[at]
            if run.first > first:
                yield SeqRange(first, run.first - 1)
            first = max(first, run.last + 1)
            if run.last > gap.last:
                break  # it reaches into the next gap, perhaps
            at += 1
        if first == gap.first:
            yield gap
        elif first <= gap.last:
            yield SeqRange(first, gap.last)
