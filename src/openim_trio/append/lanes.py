"""The queue, by conversation: one block of a conversation is in flight at a time.

Plain data structures without I/O or clock; `now` is an argument.  A lane is

    ready    in line for the next flush
    flying   a block of it is in flight; further messages wait behind it
    resting  had a setback and waits for its turn to try again
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Sequence
from enum import Enum
from itertools import count

import attrs

from openim_trio.append.answers import Entry
from openim_trio.append.ports import ReserveBlock


class LaneState(Enum):
    NEW = 0
    READY = 1
    FLYING = 2
    RESTING = 3


@attrs.define(slots=True, eq=False)
class Lane:
    conversation: str
    waiting: deque[Entry] = attrs.field(factory=deque)
    state: LaneState = LaneState.NEW
    setbacks: int = 0


@attrs.define(slots=True, eq=False)
class Block:
    """The messages of one conversation in one flight, with distinct keys, in order."""

    lane: Lane
    entries: list[Entry]

    @property
    def conversation(self) -> str:
        return self.lane.conversation

    def request(self) -> ReserveBlock:
        keys = tuple([entry.reserve_key() for entry in self.entries])
        return ReserveBlock(self.conversation, keys)


class Lanes:
    """`ready` counts the messages in ready lanes; `oldest` is when the first of them came."""

    def __init__(self) -> None:
        self._lanes: dict[str, Lane] = {}
        self._ready: deque[Lane] = deque()
        self._resting: list[tuple[float, int, Lane]] = []
        self._order = count()
        self.ready = 0
        self.oldest = math.inf

    def add(self, entry: Entry) -> None:
        conversation = entry.append.conversation
        lane = self._lanes.get(conversation)
        if lane is None:
            lane = self._lanes[conversation] = Lane(conversation)
        lane.waiting.append(entry)
        if lane.state is LaneState.NEW:
            self._make_ready(lane)
        elif lane.state is LaneState.READY:
            self.ready += 1

    def take(self, limit: int) -> list[Block]:
        """At most `limit` messages of ready lanes, in the order in which the lanes became ready.
        Entries that nobody waits for any more are dropped."""
        blocks: list[Block] = []
        while self._ready and limit > 0:
            lane = self._ready.popleft()
            self.ready -= len(lane.waiting)
            entries: list[Entry] = []
            while lane.waiting and len(entries) < limit:
                entry = lane.waiting.popleft()
                if entry.waiters:
                    entries.append(entry)
            if entries:
                limit -= len(entries)
                lane.state = LaneState.FLYING
                blocks.append(Block(lane, entries))
            else:
                self._end(lane)
        self.oldest = self._ready[0].waiting[0].queued_at if self._ready else math.inf
        return blocks

    def land(self, block: Block, again: Sequence[Entry], rest_until: float = 0.0) -> None:
        """The block's flight is over; `again` goes to the front of its lane, and the lane to the
        front of the line, or to rest until then."""
        lane = block.lane
        lane.waiting.extendleft(reversed(again))
        if not lane.waiting:
            self._end(lane)
        elif rest_until:
            lane.state = LaneState.RESTING
            heapq.heappush(self._resting, (rest_until, next(self._order), lane))
        else:
            self._make_ready(lane, first=bool(again))

    def wake(self, now: float) -> None:
        """Lanes that have rested long enough become ready."""
        while self._resting and self._resting[0][0] <= now:
            self._make_ready(heapq.heappop(self._resting)[2])

    def next_wake(self) -> float:
        return self._resting[0][0] if self._resting else math.inf

    def _make_ready(self, lane: Lane, *, first: bool = False) -> None:
        lane.state = LaneState.READY
        if first:
            self._ready.appendleft(lane)
        else:
            self._ready.append(lane)
        self.ready += len(lane.waiting)
        self.oldest = min(self.oldest, lane.waiting[0].queued_at)

    def _end(self, lane: Lane) -> None:
        del self._lanes[lane.conversation]
