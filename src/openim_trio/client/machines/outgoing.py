"""All sends of one user that have no definite end yet.

Plain data structures without I/O; `now` is monotonic seconds.  Sends of one conversation form a
lane: the first of them may be under way, the others wait until it has ended.  A send is *doubtful*
when an earlier transmission of it may have been stored; only the server's word ends such a send.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Iterable

from openim_trio.client.errors import DUPLICATE_KEY, LocalCode
from openim_trio.client.machines.send_lanes import Entry, Lane, ReadyLanes, State
from openim_trio.client.machines.sends import (
    Accepted,
    Answer,
    Failed,
    Kind,
    NeedsHistory,
    Never,
    Outcome,
    PendingSend,
    Refused,
    Sent,
    Transmission,
    Unknown,
)

__all__ = [
    "Accepted",
    "Answer",
    "Failed",
    "Kind",
    "NeedsHistory",
    "Never",
    "Outcome",
    "Outgoing",
    "PendingSend",
    "Refused",
    "Sent",
    "Transmission",
    "Unknown",
]

_NOT_SENT = "it could not be sent before its deadline"
_NO_ANSWER = "its deadline passed without an answer"


class Outgoing:
    """
    window          transmissions under way at a time, over all conversations
    first_wait, longest_wait   seconds that a conversation rests after a retriable refusal,
                    doubling, shortened by up to a half
    longest_life    no deadline is further away than so many seconds, whatever the wall clock says

    The driver asks `take` and `expire` after each event and at `wake_at`, and persists every
    outcome before it acts on it.
    """

    def __init__(
        self,
        window: int,
        rng: random.Random,
        first_wait: float = 0.2,
        longest_wait: float = 10.0,
        *,
        longest_life: float = math.inf,
    ) -> None:
        self._window = window
        self._longest_life = longest_life
        self._entries: dict[str, Entry] = {}
        self._flying: dict[str, Entry] = {}
        self._history: dict[str, Entry] = {}
        self._lanes: dict[str, Lane] = {}
        self._line = ReadyLanes(rng, first_wait, longest_wait)
        self._deadlines: list[tuple[float, int, Entry]] = []
        self._count = 0
        self._connected = False
        self._extension = False

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def in_flight(self) -> int:
        return len(self._flying)

    @property
    def conversations_with_pending(self) -> frozenset[str]:
        return frozenset(self._lanes)

    # -- what the application wants ----------------------------------------------------------------

    def restore(self, sends: Iterable[PendingSend], now: float, wall_ms: int) -> None:
        """What an earlier process left in the database, in any order; before anything is queued.
        A stamped one may have been transmitted, so it is doubtful."""
        for send in sorted(sends, key=lambda send: send.order):
            self.queue(send, now, wall_ms)

    def queue(self, send: PendingSend, now: float, wall_ms: int) -> None:
        """The send is in the database; calls come in the order of the queue."""
        if send.client_msg_id in self._entries:
            raise ValueError(f"{send.client_msg_id}: is queued already")
        lane = self._lanes.get(send.conversation_id)
        if lane is None:
            lane = self._lanes[send.conversation_id] = Lane(send.conversation_id)
        self._count += 1
        left = max(send.deadline_at - wall_ms, 0) / 1000
        entry = Entry.of(send, self._count, lane, now + min(left, self._longest_life))
        self._entries[entry.client_msg_id] = entry
        lane.append(entry)
        self._time(entry)
        self._settle(lane)

    # -- the connection ----------------------------------------------------------------------------

    def connected(self, now: float, *, extension: bool) -> None:
        """`extension`: the server takes give-ups and stores a repeated send once.  To one that
        does not, nothing doubtful is transmitted: it waits aside, and its lane goes on."""
        self.disconnected(now)
        self._connected, self._extension = True, extension
        for lane in list(self._lanes.values()):
            if extension:
                lane.bring_back()
            self._settle(lane)

    def disconnected(self, now: float) -> None:
        """What was under way waits again.  Answers of that connection are none any more."""
        self._connected = False
        self._line.clear()
        for entry in list(self._flying.values()):
            # Without a stamp it was not transmitted.
            entry.doubtful = entry.doubtful or entry.create_time > 0
            self._wait_again(entry)

    # -- transmitting ------------------------------------------------------------------------------

    def take(self, now: float) -> list[Transmission]:
        """What to transmit now, in the order of the queue; it counts as under way.

        Of each conversation the first send only, unless it rests; at most the window in all.
        Nothing whose deadline has passed: that is for `expire`.
        """
        taken: list[Transmission] = []
        if not self._connected:
            return taken
        for woken in self._line.wake(now):
            if self._lanes.get(woken.conversation_id) is woken:
                self._settle(woken)
        while len(self._flying) < self._window:
            lane = self._line.next()
            if lane is None:
                break
            entry = lane.head
            if entry.deadline <= now and not entry.giving_up:
                continue  # `expire` settles the lane
            entry.state = State.FLYING
            self._flying[entry.client_msg_id] = entry
            taken.append(
                Transmission(entry.client_msg_id, entry.kind, entry.data, entry.needs_stamp)
            )
        return taken

    def stamped(self, client_msg_id: str, create_time: int, data: bytes) -> bool:
        """`create_time` is persisted and in `data`: each further attempt uses the same.  True:
        transmit it now.  False: it is not under way any more, `take` will list it again if it must.

        When `take` wants a stamp, there was no transmission, so it replaces any that was persisted
        and not told here; such an earlier one must not be told after that `take`.
        """
        entry = self._entries.get(client_msg_id)
        if entry is None or entry.create_time:
            return False
        entry.create_time, entry.data = create_time, data
        return entry.state is State.FLYING

    def unsent(self, client_msg_id: str) -> None:
        """What `take` listed was certainly not transmitted: it could not be stamped, say."""
        entry = self._flying.get(client_msg_id)
        if entry is not None:
            self._wait_again(entry)

    # -- answers -----------------------------------------------------------------------------------

    def answered(
        self, client_msg_id: str, kind: Kind, answer: Answer, now: float
    ) -> Outcome | None:
        """None: nothing changes for the application; or nothing like that is under way."""
        entry = self._flying.get(client_msg_id)
        if entry is None or entry.kind is not kind or entry.needs_stamp:
            return None
        if isinstance(answer, Refused) and answer.retriable:
            entry.doubtful = True
            self._line.rest(entry.lane, now)
            self._wait_again(entry)
            return None
        entry.lane.setbacks = 0
        if isinstance(answer, Accepted):
            self._end(entry)
            return Sent(client_msg_id, answer.server_msg_id, answer.send_time)
        if isinstance(answer, Never):
            if kind is Kind.SEND:
                raise ValueError("a send cannot be answered with Never")
            return self._fail_given_up(entry)
        if kind is Kind.GIVE_UP:
            self._wait_again(entry, State.HISTORY)
            return NeedsHistory(client_msg_id)
        # A duplicate key speaks of the earlier attempts, too: none of them is what is stored.
        if answer.code == DUPLICATE_KEY or not entry.doubtful:
            self._end(entry)
            return Failed(client_msg_id, answer.code, answer.reason)
        return self._give_up(entry, answer.code, answer.reason)

    def seen(self, client_msg_id: str, server_msg_id: str, send_time: int) -> Sent | None:
        """The own message came in a push or a pull: it is stored, whatever else was heard of it."""
        entry = self._entries.get(client_msg_id)
        if entry is None:
            return None
        self._end(entry)
        return Sent(client_msg_id, server_msg_id, send_time)

    def needs_history(self) -> list[tuple[str, str]]:
        """(client_msg_id, conversation_id) of those that wait for `verdict`."""
        return [
            (entry.client_msg_id, entry.lane.conversation_id) for entry in self._history.values()
        ]

    def verdict(self, client_msg_id: str) -> Failed | None:
        """The history up to a head that was read after the refusal does not have it."""
        entry = self._history.get(client_msg_id)
        return None if entry is None else self._fail_given_up(entry)

    # -- time --------------------------------------------------------------------------------------

    def expire(self, now: float) -> list[Failed | Unknown]:
        """Sends whose deadline has passed.  What is under way is left until it is answered or the
        connection ends."""
        outcomes: list[Failed | Unknown] = []
        while self._deadlines and self._deadlines[0][0] <= now:
            entry = heapq.heappop(self._deadlines)[2]
            entry.timed = False
            if entry.state is not State.QUEUED or entry.giving_up:
                continue
            if entry.doubtful:
                outcomes.append(self._give_up(entry, LocalCode.DEADLINE, _NO_ANSWER))
            else:
                self._end(entry)
                outcomes.append(Failed(entry.client_msg_id, LocalCode.DEADLINE, _NOT_SENT))
        return outcomes

    def wake_at(self, now: float) -> float | None:
        """When `take` or `expire` may have something, if nothing happens before: the next end of a
        rest or deadline.  None: nothing to wait for."""
        while self._deadlines and self._deadlines[0][2].needs_no_deadline:
            heapq.heappop(self._deadlines)[2].timed = False
        times = [self._deadlines[0][0]] if self._deadlines else []
        if self._connected and (rest := self._line.next_wake()) is not None:
            times.append(rest)
        return min(times, default=None)

    # -- inside ------------------------------------------------------------------------------------

    def _give_up(self, entry: Entry, code: int, reason: str) -> Unknown:
        entry.giving_up, entry.code, entry.reason = True, code, reason
        self._wait_again(entry)
        return Unknown(entry.client_msg_id, code, reason)

    def _fail_given_up(self, entry: Entry) -> Failed:
        self._end(entry)
        code = entry.code or LocalCode.DEADLINE
        return Failed(entry.client_msg_id, code, entry.reason or _NO_ANSWER)

    def _wait_again(self, entry: Entry, state: State = State.QUEUED) -> None:
        self._flying.pop(entry.client_msg_id, None)
        entry.state = state
        if state is State.HISTORY:
            self._history[entry.client_msg_id] = entry
        self._time(entry)
        self._settle(entry.lane)

    def _end(self, entry: Entry) -> None:
        del self._entries[entry.client_msg_id]
        self._flying.pop(entry.client_msg_id, None)
        self._history.pop(entry.client_msg_id, None)
        entry.state = State.ENDED
        entry.lane.remove(entry)
        self._settle(entry.lane)
        # Ended ones leave the heap at their deadline; where they are most of it, at once.
        if len(self._deadlines) > 2 * len(self._entries) + 64:
            self._deadlines = [item for item in self._deadlines if item[2].state is not State.ENDED]
            heapq.heapify(self._deadlines)

    def _time(self, entry: Entry) -> None:
        """`expire` finds it, once its deadline has passed."""
        if not entry.timed and not entry.giving_up:
            entry.timed = True
            heapq.heappush(self._deadlines, (entry.deadline, entry.number, entry))

    def _settle(self, lane: Lane) -> None:
        """The lane, its first send or the connection is another: stand in line accordingly."""
        if self._connected and not self._extension:
            lane.put_doubtful_aside()
        if self._connected:
            self._line.stand(lane)
        if lane.is_empty:
            del self._lanes[lane.conversation_id]
