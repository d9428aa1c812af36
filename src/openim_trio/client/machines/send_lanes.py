"""Sends by conversation, and the conversations in line for transmission."""

from __future__ import annotations

import heapq
import random
from collections import OrderedDict
from enum import Enum

import attrs

from openim_trio.client.machines.sends import Kind, PendingSend


class State(Enum):
    QUEUED = "queued"
    FLYING = "under way"
    HISTORY = "waits for what the history says"
    ENDED = "ended"


@attrs.define(slots=True, eq=False)
class Entry:
    """A send.

    number      its place among all sends of the user
    deadline    monotonic seconds; timed: it is in the heap of deadlines
    doubtful    a transmission before the one that is under way may have been stored
    """

    client_msg_id: str
    lane: Lane
    number: int
    data: bytes = attrs.field(repr=False)
    create_time: int
    deadline: float
    doubtful: bool
    giving_up: bool
    code: int
    reason: str
    state: State = State.QUEUED
    timed: bool = False

    @classmethod
    def of(cls, send: PendingSend, number: int, lane: Lane, deadline: float) -> Entry:
        return cls(
            client_msg_id=send.client_msg_id,
            lane=lane,
            number=number,
            data=send.data,
            create_time=send.create_time,
            deadline=deadline,
            doubtful=send.create_time > 0 or send.giving_up,
            giving_up=send.giving_up,
            code=send.reason_code,
            reason=send.reason,
        )

    @property
    def kind(self) -> Kind:
        return Kind.GIVE_UP if self.giving_up else Kind.SEND

    @property
    def needs_stamp(self) -> bool:
        return not self.create_time and not self.giving_up

    @property
    def needs_no_deadline(self) -> bool:
        return self.giving_up or self.state is State.ENDED


class Lane:
    """One conversation's sends in order.  `setbacks`: retriable refusals in a row."""

    __slots__ = ("_aside", "_waiting", "conversation_id", "in_line_as", "rests_until", "setbacks")

    def __init__(self, conversation_id: str) -> None:
        self.conversation_id = conversation_id
        self.setbacks = 0
        self.rests_until: float | None = None
        self.in_line_as = 0
        # Ordered, and any of them can be taken out at once: deadlines don't follow the order.
        self._waiting: OrderedDict[int, Entry] = OrderedDict()
        self._aside: OrderedDict[int, Entry] = OrderedDict()

    @property
    def is_empty(self) -> bool:
        return not self._waiting and not self._aside

    @property
    def head(self) -> Entry:
        return next(iter(self._waiting.values()))

    @property
    def can_be_taken(self) -> bool:
        return bool(self._waiting) and self.rests_until is None and self.head.state is State.QUEUED

    def append(self, entry: Entry) -> None:
        self._waiting[entry.number] = entry

    def remove(self, entry: Entry) -> None:
        self._waiting.pop(entry.number, None)
        self._aside.pop(entry.number, None)

    def put_doubtful_aside(self) -> None:
        """Those at the front: further ones follow when they have come there."""
        while self._waiting and (entry := self.head).doubtful and entry.state is not State.FLYING:
            self._aside[entry.number] = self._waiting.pop(entry.number)

    def bring_back(self) -> None:
        while self._aside:
            number, entry = self._aside.popitem()
            self._waiting[number] = entry
            self._waiting.move_to_end(number, last=False)


class ReadyLanes:
    """The lanes whose first send may be transmitted, in the order of these sends; and the lanes
    that rest."""

    def __init__(self, rng: random.Random, first_wait: float, longest_wait: float) -> None:
        self._rng = rng
        self._first_wait = first_wait
        self._longest_wait = longest_wait
        self._ready: list[int] = []
        self._standing: dict[int, Lane] = {}
        self._resting: list[tuple[float, int, Lane]] = []
        self._rests = 0

    def clear(self) -> None:
        """Nobody is in line any more.  Who rests, rests."""
        for lane in self._standing.values():
            lane.in_line_as = 0
        self._ready.clear()
        self._standing.clear()

    def stand(self, lane: Lane) -> None:
        """In line, at the place of the lane's first send; out of it, if that cannot be taken."""
        number = lane.head.number if lane.can_be_taken else 0
        lane.in_line_as = number  # what it stood as before is skipped, once it comes
        if number and number not in self._standing:
            self._standing[number] = lane
            heapq.heappush(self._ready, number)

    def next(self) -> Lane | None:
        while self._ready:
            number = heapq.heappop(self._ready)
            lane = self._standing.pop(number)
            if lane.in_line_as == number:
                lane.in_line_as = 0
                return lane
        return None

    def rest(self, lane: Lane, now: float) -> None:
        wait = min(self._first_wait * 2.0 ** min(lane.setbacks, 32), self._longest_wait)
        lane.setbacks += 1
        lane.rests_until = now + wait * self._rng.uniform(0.5, 1.0)
        self._rests += 1
        heapq.heappush(self._resting, (lane.rests_until, self._rests, lane))

    def wake(self, now: float) -> list[Lane]:
        """Those that have rested long enough."""
        woken: list[Lane] = []
        while self._resting and self._resting[0][0] <= now:
            lane = heapq.heappop(self._resting)[2]
            lane.rests_until = None
            woken.append(lane)
        return woken

    def next_wake(self) -> float | None:
        return self._resting[0][0] if self._resting else None
