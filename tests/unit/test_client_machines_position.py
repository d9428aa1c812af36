"""What a client holds of a conversation, against a set of integers."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from random import Random

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from openim_trio.client.machines.position import Position, SeqRange

HIGHEST = 30
seqs = st.integers(-1, HIGHEST)


class PositionMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.position = Position("c")
        self.held: set[int] = set()
        self.head = self.handed = self.shown = 0

    def hold(self, seqs: set[int]) -> None:
        self.held |= {seq for seq in seqs if seq > 0}
        self.head = max(self.head, *self.held, 0)

    @property
    def complete(self) -> int:
        return next(seq for seq in range(HIGHEST + 2) if seq + 1 not in self.held)

    @property
    def missing(self) -> list[int]:
        return [seq for seq in range(1, self.head + 1) if seq not in self.held]

    @rule(seqs=st.lists(seqs, max_size=8))
    def some_are_stored(self, seqs: list[int]) -> None:
        self.position = self.position.hold(seqs)
        self.hold(set(seqs))

    @rule(first=seqs, last=seqs)
    def a_range_holds_nothing(self, first: int, last: int) -> None:
        self.position = self.position.hold_range(first, last)
        self.hold(set(range(first, last + 1)))

    @rule(seq=seqs)
    def a_head_is_seen(self, seq: int) -> None:
        self.position = self.position.see_head(seq)
        self.head = max(self.head, seq)

    @rule(seq=seqs)
    def it_is_reset(self, seq: int) -> None:
        self.position = self.position.reset_to(seq)
        self.hold(set(range(1, seq + 1)))

    @rule(upto=seqs)
    def messages_are_handed_over(self, upto: int) -> None:
        self.position = self.position.hand_over(upto)
        self.handed = max(self.handed, min(upto, self.complete))

    @rule(upto=seqs)
    def messages_are_shown(self, upto: int) -> None:
        self.position = self.position.count_shown(upto)
        self.shown = max(self.shown, min(upto, self.handed))

    @rule(limit=st.integers(1, 6))
    def the_newest_are_fetched(self, limit: int) -> None:
        found = self.position.next_missing(limit)
        if found is None:
            assert not self.missing
            return
        newest = self.missing[-1:]
        while len(newest) < limit and newest[0] - 1 in self.missing:
            newest.insert(0, newest[0] - 1)
        assert list(range(found.first, found.last + 1)) == newest
        assert len(found) == len(newest)

    @rule(limit=st.integers(1, 6))
    def the_oldest_are_fetched(self, limit: int) -> None:
        found = self.position.next_missing_ascending(limit)
        if found is None:
            assert not self.missing
            return
        oldest = self.missing[:1]
        while len(oldest) < limit and oldest[-1] + 1 in self.missing:
            oldest.append(oldest[-1] + 1)
        assert list(range(found.first, found.last + 1)) == oldest

    @invariant()
    def it_is_the_model(self) -> None:
        position = self.position
        assert {seq for seq in range(-1, HIGHEST + 2) if position.holds(seq)} == self.held
        assert (position.head, position.handed, position.shown) == (
            self.head,
            self.handed,
            self.shown,
        )
        assert position.complete == self.complete
        assert position.missing == len(self.missing)
        assert position.top == max(self.held, default=0)

    @invariant()
    def its_gaps_are_as_few_as_can_be(self) -> None:
        position = self.position
        assert all(gap.first <= gap.last < position.top for gap in position.gaps)
        assert all(one.last + 1 < other.first for one, other in pairwise(position.gaps))
        assert position.shown <= position.handed <= position.complete
        assert position.top <= position.head


TestPosition = PositionMachine.TestCase


@given(st.sets(st.integers(1, 200)), st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(seqs: set[int], rng: Random) -> None:
    arrived = sorted(seqs)
    rng.shuffle(arrived)
    one_by_one = Position("c")
    for seq in arrived:
        one_by_one = one_by_one.hold([seq])
    assert one_by_one == Position("c").hold(arrived)


@given(st.integers(1, 50), st.integers(1, 7), st.booleans())
def test_fetching_what_is_missing_ends_with_all(head: int, limit: int, ascending: bool) -> None:
    position = Position("c").hold([head // 2, head // 3]).see_head(head)
    while position.missing:
        before = position.missing
        found = (
            position.next_missing_ascending(limit) if ascending else position.next_missing(limit)
        )
        assert found is not None
        position = position.hold_range(found.first, found.last)
        assert position.missing == before - len(found)
    assert position.complete == head
    assert position.next_missing(limit) is position.next_missing_ascending(limit) is None


def test_a_late_joiner_gets_the_newest_first_and_new_ones_in_between() -> None:
    position = Position("c").see_head(100)
    assert position.next_missing(20) == SeqRange(81, 100)
    position = position.hold(range(81, 101))
    assert position.gaps == (SeqRange(1, 80),)
    position = position.hold([101, 103])
    assert position.gaps == (SeqRange(1, 80), SeqRange(102, 102))
    assert position.next_missing(20) == SeqRange(102, 102)
    assert position.next_missing_ascending(20) == SeqRange(1, 20)
    assert (position.complete, position.missing) == (0, 81)


def test_nothing_is_handed_over_behind_a_hole() -> None:
    position = Position("c").hold([1, 2, 4]).hand_over(4)
    assert position.handed == 2
    assert position.count_shown(4).shown == 2
    assert position.hold([3]).hand_over(4).handed == 4


def test_a_reset_keeps_the_turn_of_what_is_stored() -> None:
    position = Position("c").hold([1, 2]).hand_over(2).count_shown(1).see_head(9).reset_to(8)
    assert (position.complete, position.handed, position.shown, position.missing) == (8, 2, 1, 1)
    assert position.reset_to(3) == position


@pytest.mark.parametrize(
    "same",
    [
        lambda p: p.hold([]),
        lambda p: p.hold([2, 1, 0, -3]),
        lambda p: p.hold_range(5, 4),
        lambda p: p.hold_range(-5, 2),
        lambda p: p.see_head(4),
        lambda p: p.hand_over(1),
        lambda p: p.count_shown(1),
        lambda p: p.reset_to(0),
    ],
)
def test_what_changes_nothing_is_the_same_object(same: Callable[[Position], Position]) -> None:
    position = Position("c", head=4, top=4, gaps=(SeqRange(3, 3),), handed=2, shown=1)
    assert same(position) is position


def test_it_cannot_be_changed() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Position("c").top = 1  # type: ignore[misc]


def test_ranges_are_ordered_and_counted() -> None:
    assert sorted([SeqRange(5, 6), SeqRange(1, 9)]) == [SeqRange(1, 9), SeqRange(5, 6)]
    assert len(SeqRange(5, 6)) == 2
