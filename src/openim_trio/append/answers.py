"""Who waits for an answer, and what the answer is.

An *entry* is one key in one conversation on its way to a slot; its *waiters* are the requests that
asked for it.  Two requests with one key in one worker share an entry: there is one slot to find.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import structlog

from openim_trio.append.ports import KnownKey, ReserveKey
from openim_trio.append.requests import Append, Appended
from openim_trio.domain.errors import Code, ServiceError
from openim_trio.domain.rows import ANY_BODY, RowKind

Done = Callable[[Appended | ServiceError], None]

_log = structlog.get_logger()


@attrs.define(slots=True, eq=False)
class Waiter:
    append: Append
    done: Done
    deadline: float


@attrs.define(slots=True, eq=False)
class Entry:
    """One key on its way.

    queued_at       trio time of the first request
    looked_through  rows 1..u of the conversation do not hold the key (C4)
    own_seq         where this worker stored the row, 0 before
    """

    append: Append
    queued_at: float
    waiters: list[Waiter] = attrs.field(factory=list)
    looked_through: int = 0
    own_seq: int = 0

    def reserve_key(self) -> ReserveKey:
        return ReserveKey(self.append.key, self.append.create_time, self.looked_through)


def other_body() -> ServiceError:
    return ServiceError(Code.DUPLICATE_KEY, "clientMsgID: already used for another message")


def given_up() -> ServiceError:
    return ServiceError(
        Code.DUPLICATE_KEY, "clientMsgID: given up by its sender, it will never be delivered"
    )


def unknown_outcome(why: str) -> ServiceError:
    return ServiceError(
        Code.DATABASE,
        f"{why}; the outcome is unknown, a retry with the same clientMsgID is safe",
        retriable=True,
    )


def same_body(one: bytes, other: bytes) -> bool:
    return one == other or ANY_BODY in (one, other)


def answer_for(append: Append, slot: KnownKey, *, first: bool) -> Appended | ServiceError:
    """What a request hears once the slot of its key is visible."""
    if append.kind is RowKind.MESSAGE:
        if slot.kind is RowKind.TOMBSTONE:
            return given_up()
        if not same_body(append.fingerprint, slot.fingerprint):
            return other_body()
    return Appended(slot.seq, append.send_time or slot.send_time, slot.kind, first)


class Answers:
    """All requests without an answer; each gets exactly one."""

    def __init__(self) -> None:
        self._waiters: dict[Waiter, None] = {}  # in order of their deadlines
        self._entries: dict[tuple[str, bytes], Entry] = {}
        self.on_answered: Callable[[], None] = lambda: None

    def __len__(self) -> int:
        return len(self._waiters)

    def enter(self, append: Append, done: Done, now: float, deadline: float) -> Entry | None:
        """Note a request.  The entry if its key is not on its way yet, else None: it was attached
        to the one that is, or refused because that one has another body."""
        name = (append.conversation, append.key)
        entry = self._entries.get(name)
        if entry is not None and not same_body(append.fingerprint, entry.append.fingerprint):
            call(done, other_body())
            return None
        waiter = Waiter(append, done, deadline)
        self._waiters[waiter] = None
        if entry is not None:
            entry.waiters.append(waiter)
            return None
        entry = Entry(append, now)
        entry.waiters.append(waiter)
        self._entries[name] = entry
        return entry

    def settle(self, entry: Entry, slot: KnownKey) -> None:
        """The slot is stored and visible (C10): answer everybody who asked for its key."""
        first = entry.own_seq == slot.seq
        self.forget(entry)
        for index, waiter in enumerate(entry.waiters):
            outcome = answer_for(waiter.append, slot, first=first and index == 0)
            self._answer(waiter, outcome)
        entry.waiters.clear()

    def fail(self, entry: Entry, error: ServiceError) -> None:
        self.forget(entry)
        for waiter in entry.waiters:
            self._answer(waiter, error)
        entry.waiters.clear()

    def forget(self, entry: Entry) -> None:
        """The next request with this key starts an entry of its own."""
        name = (entry.append.conversation, entry.append.key)
        if self._entries.get(name) is entry:
            del self._entries[name]

    def expire(self, now: float) -> None:
        """Answer those whose deadline has passed.  A row that is on its way stays correct."""
        expired = []
        for waiter in self._waiters:
            if waiter.deadline > now:
                break
            expired.append(waiter)
        for waiter in expired:
            entry = self._entries.get((waiter.append.conversation, waiter.append.key))
            if entry is not None and waiter in entry.waiters:
                entry.waiters.remove(waiter)
                if not entry.waiters:
                    self.forget(entry)
            self._answer(waiter, unknown_outcome("not stored in time"))

    def fail_all(self, error: ServiceError) -> None:
        self._entries.clear()
        for waiter in list(self._waiters):
            self._answer(waiter, error)

    def _answer(self, waiter: Waiter, outcome: Appended | ServiceError) -> None:
        if waiter in self._waiters:
            del self._waiters[waiter]
            call(waiter.done, outcome)
            self.on_answered()


def call(done: Done, outcome: Appended | ServiceError) -> None:
    """A callback that fails is its owner's bug and must not stop the others of the flight."""
    try:
        done(outcome)
    except Exception:
        _log.exception("append_callback_failed")
