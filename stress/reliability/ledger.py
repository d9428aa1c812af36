"""What everybody's journal says, put together while the run goes on.

What cannot be right at any moment is a difference at once; what is only late is not.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from enum import Enum
from functools import singledispatchmethod

import attrs

from openim_trio.domain.conversations import single_chat
from stress.reliability import journal
from stress.reliability.differences import Difference, Rule
from stress.reliability.schedule import Part


class End(Enum):
    SENT = "sent"
    FAILED = "failed"


@attrs.define(slots=True)
class LetterState:
    """`recovered_in`: in which life of the receiver; 0: it was not."""

    sender: str
    number: int
    receiver: str = ""
    client_msg_id: str = ""
    handed_at: float = 0.0
    queued: bool = False
    unknown: bool = False
    end: End | None = None
    received: bool = False
    recovered_in: int = 0

    @property
    def arrived(self) -> bool:
        return self.received or self.recovered_in > 0

    def __str__(self) -> str:
        return f"letter {self.number} of {self.sender} to {self.receiver} ({self.client_msg_id})"


@attrs.define
class PersonState:
    """`lives`: processes that this person has had.  `shown`: conversation -> seq."""

    part: Part
    lives: int = 0
    ended_well: int = 0
    online: bool = False
    shown: dict[str, int] = attrs.field(factory=lambda: defaultdict(int))

    @property
    def was_killed(self) -> bool:
        return self.lives > 1

    @property
    def may_hear_again(self) -> bool:
        """Of what was told last.  To who iterates, an event counts as taken when the next one is
        asked for: the last one before the client is closed may come again, as after a crash."""
        return self.was_killed or self.part.iterates


@attrs.define
class Counts:
    queued: int = 0
    sent: int = 0
    failed: int = 0
    unknown: int = 0
    """letters that are so now"""
    arrived: int = 0
    offline: int = 0
    """of those: received by a sync"""
    recovered: int = 0
    refused: int = 0
    """attempts to queue that a client did not take"""
    connections: int = 0
    connect_failures: int = 0
    told_again: int = 0
    """that a send succeeded or failed"""

    @property
    def ended(self) -> int:
        return self.sent + self.failed


@attrs.define
class Series:
    """Events of each second since the run began; seconds from queueing on."""

    queued: Counter[int] = attrs.field(factory=Counter)
    sent: Counter[int] = attrs.field(factory=Counter)
    received: Counter[int] = attrs.field(factory=Counter)
    to_ack: array[float] = attrs.field(factory=lambda: array("d"))
    to_receipt: array[float] = attrs.field(factory=lambda: array("d"))
    """of messages that were received while online"""
    to_late_receipt: array[float] = attrs.field(factory=lambda: array("d"))


class Ledger:
    """`progress` grows with everything that brings the end nearer."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.people = {part.user: PersonState(part) for part in parts}
        self.letters: dict[tuple[str, int], LetterState] = {}
        self.counts = Counts()
        self.series = Series()
        self.differences: list[Difference] = []
        self.progress = 0
        self.total = sum(part.letters for part in parts)

    # -- questions ---------------------------------------------------------------------------------

    @property
    def online(self) -> int:
        return sum(person.online for person in self.people.values())

    @property
    def all_queued(self) -> bool:
        return self.counts.queued == self.total

    @property
    def settled(self) -> bool:
        """Every send has its end and what was sent has arrived."""
        return self.counts.ended == self.total and not self.missing()

    def missing(self) -> list[LetterState]:
        """Acknowledged, not arrived as far as is known."""
        return [x for x in self.letters.values() if x.end is End.SENT and not x.arrived]

    def excused(self) -> bool:
        """Whatever is missing may be in the databases of people who were killed while they were
        being shown it; all else is settled."""
        killed = {user for user, person in self.people.items() if person.was_killed}
        return self.counts.ended == self.total and all(
            letter.receiver in killed for letter in self.missing()
        )

    # -- entries -----------------------------------------------------------------------------------

    def take(self, user: str, entries: Iterable[journal.Entry]) -> None:
        """The next ones of `user`'s journal."""
        person = self.people[user]
        for entry in entries:
            self._take(entry, person)

    def blame(self, rule: Rule, what: str) -> None:
        self.differences.append(Difference(rule, what))

    def _letter(self, sender: str, number: int) -> LetterState | None:
        """None: nobody was to write it."""
        found = self.letters.get((sender, number))
        if found is None:
            person = self.people.get(sender)
            if person is None or not 0 <= number < person.part.letters:
                return None
            found = self.letters[sender, number] = LetterState(sender, number)
        return found

    def _own(self, person: PersonState, number: int, client_msg_id: str = "") -> LetterState | None:
        """Of the person's own letters; with this id from now on."""
        letter = self._letter(person.part.user, number)
        if letter is None:
            self.blame(Rule.NOTHING_FOREIGN, f"{person.part.user} told of a letter {number}")
        elif client_msg_id:
            self._named(letter, client_msg_id)
        return letter

    def _named(self, letter: LetterState, client_msg_id: str) -> None:
        if not letter.client_msg_id:
            letter.client_msg_id = client_msg_id
        elif letter.client_msg_id != client_msg_id:
            self.blame(Rule.ONCE, f"{letter} is {client_msg_id}, too")

    @singledispatchmethod
    def _take(self, entry: journal.Entry, person: PersonState) -> None:
        raise TypeError(f"{entry}")

    @_take.register
    def _(self, entry: journal.Began, person: PersonState) -> None:
        person.lives += 1
        person.online = False

    @_take.register
    def _(self, entry: journal.Ended, person: PersonState) -> None:
        person.ended_well += 1

    @_take.register
    def _(self, entry: journal.Link, person: PersonState) -> None:
        self.counts.connections += entry.up
        person.online = entry.up

    @_take.register
    def _(self, entry: journal.ConnectFailed, person: PersonState) -> None:
        self.counts.connect_failures += 1

    @_take.register
    def _(self, entry: journal.Trouble, person: PersonState) -> None:
        self.blame(Rule.NO_TROUBLE, f"{person.part.user} at {entry.at:.1f} s: {entry.what}")

    # -- sending -----------------------------------------------------------------------------------

    @_take.register
    def _(self, entry: journal.Intended, person: PersonState) -> None:
        letter = self._own(person, entry.number)
        if letter is None:
            return
        if letter.receiver not in ("", entry.receiver):
            self.blame(Rule.NOTHING_FOREIGN, f"{letter} was for {entry.receiver}")
        letter.receiver = entry.receiver
        letter.handed_at = entry.at

    @_take.register
    def _(self, entry: journal.NotQueued, person: PersonState) -> None:
        self.counts.refused += 1

    @_take.register
    def _(self, entry: journal.Queued, person: PersonState) -> None:
        letter = self._own(person, entry.number, entry.client_msg_id)
        if letter is None:
            return
        if letter.queued:
            self.blame(Rule.ONCE, f"{letter} was queued again")
            return
        letter.queued = True
        self.counts.queued += 1
        self.progress += 1
        self.series.queued[int(entry.at)] += 1

    @_take.register
    def _(self, entry: journal.Sent, person: PersonState) -> None:
        letter = self._own(person, entry.number, entry.client_msg_id)
        if letter is not None and self._ends(letter, End.SENT, person):
            self.counts.sent += 1
            self.series.sent[int(entry.at)] += 1
            self.series.to_ack.append(entry.at - letter.handed_at)

    @_take.register
    def _(self, entry: journal.Failed, person: PersonState) -> None:
        letter = self._own(person, entry.number, entry.client_msg_id)
        if letter is None or not self._ends(letter, End.FAILED, person):
            return
        self.counts.failed += 1
        if letter.arrived:
            self.blame(Rule.FAILED_NEVER, f"{letter} had arrived when it failed: {entry.code}")

    @_take.register
    def _(self, entry: journal.Unknown, person: PersonState) -> None:
        letter = self._own(person, entry.number, entry.client_msg_id)
        if letter is not None and letter.end is None and not letter.unknown:
            letter.unknown = True
            self.counts.unknown += 1

    def _ends(self, letter: LetterState, end: End, person: PersonState) -> bool:
        """Whether this is news."""
        if letter.end is not None:
            if letter.end is not end:
                was = letter.end.value
                self.blame(Rule.DEFINITE_END, f"{letter} ended as {was}, then as {end.value}")
            elif person.may_hear_again:
                self.counts.told_again += 1
            else:
                self.blame(Rule.DEFINITE_END, f"{letter} ended as {end.value} again")
            return False
        letter.end = end
        if letter.unknown:
            letter.unknown = False
            self.counts.unknown -= 1
        self.progress += 1
        return True

    # -- receiving ---------------------------------------------------------------------------------

    @_take.register
    def _(self, entry: journal.Received, person: PersonState) -> None:
        letter = self._arrived(entry, person)
        if letter is None:
            return
        if letter.received:
            self.blame(Rule.ONCE, f"{letter} was shown again")
            return
        if letter.recovered_in:
            self.blame(Rule.ONCE, f"{letter} was shown after it was recovered")
        self._in_order(letter, entry, person)
        self._count_arrival(letter, entry.at)
        letter.received = True
        self.counts.offline += entry.offline
        series = self.series.to_late_receipt if entry.offline else self.series.to_receipt
        series.append(entry.latency)

    @_take.register
    def _(self, entry: journal.Recovered, person: PersonState) -> None:
        letter = self._arrived(entry, person)
        if letter is None:
            return
        if not person.may_hear_again:
            self.blame(Rule.SHOWN, f"{letter} was recovered, but nobody was killed")
        if letter.recovered_in == person.lives:
            self.blame(Rule.ONCE, f"{letter} was recovered again")
            return
        self._count_arrival(letter, entry.at)
        letter.recovered_in = person.lives
        self.counts.recovered += 1

    def _arrived(
        self, entry: journal.Received | journal.Recovered, person: PersonState
    ) -> LetterState | None:
        user = person.part.user
        letter = self._letter(entry.sender, entry.number)
        if letter is None:
            self.blame(
                Rule.NOTHING_FOREIGN, f"{user} was shown letter {entry.number} of {entry.sender}"
            )
            return None
        self._named(letter, entry.client_msg_id)
        letter.receiver = letter.receiver or user
        if letter.receiver != user:
            self.blame(Rule.NOTHING_FOREIGN, f"{user} was shown {letter}")
            return None
        if letter.end is End.FAILED:
            self.blame(Rule.FAILED_NEVER, f"{letter} arrives though it failed")
        return letter

    def _in_order(self, letter: LetterState, entry: journal.Received, person: PersonState) -> None:
        if entry.conversation != single_chat(letter.sender, letter.receiver):
            self.blame(Rule.NOTHING_FOREIGN, f"{letter} was shown in {entry.conversation}")
        before = person.shown[entry.conversation]
        if entry.seq <= before:
            self.blame(Rule.SHOWN, f"{letter} has seq {entry.seq} and was shown after {before}")
        person.shown[entry.conversation] = max(before, entry.seq)

    def _count_arrival(self, letter: LetterState, at: float) -> None:
        if not letter.arrived:
            self.counts.arrived += 1
            self.progress += 1
            self.series.received[int(at)] += 1
