"""The queue by conversation: order, limits, one block in flight, rests."""

from __future__ import annotations

import math

from openim_trio.append.answers import Entry, Waiter
from openim_trio.append.lanes import Block, Lanes
from tests.support.appends import send


def entry(word: str, peer: str = "bob", at: float = 0.0) -> Entry:
    append = send(word, peer=peer)
    made = Entry(append, at)
    made.waiters.append(Waiter(append, lambda outcome: None, 10.0))
    return made


def words(blocks: list[Block]) -> list[list[bytes]]:
    return [[item.append.key for item in block.entries] for block in blocks]


def test_a_batch_takes_conversations_in_the_order_they_became_ready() -> None:
    lanes = Lanes()
    entries = [entry("1"), entry("2", "carol"), entry("3")]
    for item in entries:
        lanes.add(item)
    assert lanes.ready == 3
    blocks = lanes.take(10)
    assert words(blocks) == [
        [entries[0].append.key, entries[2].append.key],
        [entries[1].append.key],
    ]
    assert lanes.ready == 0
    assert lanes.oldest == math.inf


def test_messages_of_a_conversation_in_flight_wait_behind_it() -> None:
    lanes = Lanes()
    first, second = entry("1"), entry("2")
    lanes.add(first)
    [block] = lanes.take(10)
    lanes.add(second)
    assert lanes.ready == 0
    assert lanes.take(10) == []
    lanes.land(block, [first])
    [block] = lanes.take(10)
    assert block.entries == [first, second]


def test_a_batch_is_limited_and_the_rest_of_a_lane_stays_in_order() -> None:
    lanes = Lanes()
    entries = [entry(str(n), at=float(n)) for n in range(5)]
    for item in entries:
        lanes.add(item)
    [block] = lanes.take(3)
    assert block.entries == entries[:3]
    assert lanes.take(3) == []
    lanes.land(block, [])
    assert lanes.oldest == 3.0
    [block] = lanes.take(3)
    assert block.entries == entries[3:]


def test_a_resting_lane_waits_for_its_time() -> None:
    lanes = Lanes()
    only = entry("1")
    lanes.add(only)
    [block] = lanes.take(1)
    lanes.land(block, [only], rest_until=5.0)
    lanes.wake(4.9)
    assert lanes.ready == 0
    assert lanes.next_wake() == 5.0
    lanes.wake(5.0)
    assert lanes.ready == 1
    assert lanes.next_wake() == math.inf


def test_entries_that_nobody_waits_for_are_dropped() -> None:
    lanes = Lanes()
    gone, kept, other = entry("1"), entry("2"), entry("3", "carol")
    for item in (gone, kept, other):
        lanes.add(item)
    gone.waiters.clear()
    other.waiters.clear()
    [block] = lanes.take(10)
    assert block.entries == [kept]
    lanes.land(block, [])
    assert lanes.take(10) == []


def test_what_reserves_again_goes_before_others() -> None:
    lanes = Lanes()
    first, other = entry("1"), entry("2", "carol")
    lanes.add(first)
    [block] = lanes.take(1)
    lanes.add(other)
    lanes.land(block, [first])
    assert [b.entries for b in lanes.take(10)] == [[first], [other]]
