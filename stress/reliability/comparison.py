"""The end of a run: what everybody was told, what everybody holds and what the server has, compared
message by message."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

import attrs

from openim_trio.client.model import MessageStatus
from openim_trio.domain.conversations import single_chat
from stress.reliability import texts
from stress.reliability.differences import Difference, Rule
from stress.reliability.evidence import Held, Slot
from stress.reliability.ledger import End, Ledger, LetterState

STATUS_OF = {End.SENT: MessageStatus.SENT, End.FAILED: MessageStatus.FAILED}


@attrs.frozen
class Comparison:
    """`shown_or_not`: letters that arrived at somebody who was killed, without a word whether they
    had been shown."""

    differences: list[Difference]
    letters: int
    conversations: int
    rows: int
    shown_or_not: int


def compare(
    ledger: Ledger, held: Mapping[str, Sequence[Held]], slots: Mapping[str, Sequence[Slot]]
) -> Comparison:
    """`held`: user -> what is in that user's database; `slots`: conversation -> rows.  The ledger's
    own differences are not among those of the comparison."""
    comparing = _Comparing(ledger, held, slots)
    return Comparison(
        differences=[Difference(*found) for found in comparing.everything()],
        letters=len(ledger.letters),
        conversations=len(slots),
        rows=sum(map(len, slots.values())),
        shown_or_not=comparing.shown_or_not,
    )


Found = Iterator[tuple[Rule, str]]


class _Comparing:
    def __init__(
        self,
        ledger: Ledger,
        held: Mapping[str, Sequence[Held]],
        slots: Mapping[str, Sequence[Slot]],
    ) -> None:
        self._ledger = ledger
        self._held = held
        self._slots = slots
        self._known = {x.client_msg_id: x for x in ledger.letters.values() if x.client_msg_id}
        self._holders: dict[str, list[str]] = defaultdict(list)
        self._own: dict[str, Held] = {}
        """the sender's copy, by id"""
        for user, messages in held.items():
            for message in messages:
                self._holders[message.client_msg_id].append(user)
                if message.sender == user:
                    self._own[message.client_msg_id] = message
        self._delivered = {
            slot.client_msg_id for rows in slots.values() for slot in rows if slot.is_message
        }
        self.shown_or_not = 0

    def everything(self) -> Found:
        for person in self._ledger.people.values():
            for number in range(person.part.letters):
                letter = self._ledger.letters.get((person.part.user, number))
                yield from self._letter(letter or LetterState(person.part.user, number))
        yield from self._rows()
        yield from self._foreign()
        yield from self._order()

    # -- letter by letter --------------------------------------------------------------------------

    def _letter(self, letter: LetterState) -> Found:
        own = self._own.get(letter.client_msg_id)
        if letter.end is None:
            state = "unknown" if letter.unknown else "queued" if letter.queued else "not queued"
            yield Rule.DEFINITE_END, f"{letter} has no end, it is {state}"
        elif own is None:
            yield Rule.DEFINITE_END, f"{letter} is not in its sender's database"
        elif own.status is not STATUS_OF[letter.end]:
            was, status = letter.end.value, own.status.name
            yield Rule.DEFINITE_END, f"{letter} ended as {was}, its sender holds it as {status}"
        elif letter.end is End.SENT and not own.seq:
            yield Rule.SAME_ORDER, f"{letter} has no seq in its sender's database"
        for holder in set(self._holders[letter.client_msg_id]) - {letter.sender, letter.receiver}:
            yield Rule.NOTHING_FOREIGN, f"{letter} is in the database of {holder}"
        if letter.end is End.SENT:
            yield from self._sent(letter)
        elif letter.end is End.FAILED:
            yield from self._failed(letter)

    def _sent(self, letter: LetterState) -> Found:
        holds = self._holders[letter.client_msg_id].count(letter.receiver)
        if not holds:
            yield Rule.DELIVERED, f"{letter} is not in its receiver's database"
        if letter.client_msg_id not in self._delivered:
            yield Rule.DELIVERED, f"{letter} is not in the server's rows"
        if letter.arrived:
            return
        if self._ledger.people[letter.receiver].was_killed:
            self.shown_or_not += 1
        else:
            yield Rule.SHOWN, f"{letter} was never shown"

    def _failed(self, letter: LetterState) -> Found:
        if letter.receiver in self._holders[letter.client_msg_id]:
            yield Rule.FAILED_NEVER, f"{letter} is in its receiver's database"
        if letter.client_msg_id in self._delivered:
            yield Rule.FAILED_NEVER, f"{letter} is in the server's rows"

    # -- conversation by conversation --------------------------------------------------------------

    def _rows(self) -> Found:
        for conversation, rows in self._slots.items():
            seqs = [slot.seq for slot in rows]
            if seqs != list(range(1, len(rows) + 1)):
                gaps = sorted(set(range(1, max(seqs) + 1)) - set(seqs))
                yield Rule.NO_HOLES, f"{conversation} has {len(rows)} rows, not {gaps[:10]}"
        times = Counter(slot.client_msg_id for rows in self._slots.values() for slot in rows)
        for client_msg_id, count in times.items():
            if count > 1:
                yield Rule.NO_HOLES, f"{self._name(client_msg_id)} has {count} rows"

    def _foreign(self) -> Found:
        for conversation, rows in self._slots.items():
            for slot in rows:
                if self._conversation(slot.client_msg_id) != conversation:
                    what = f"{conversation} {slot.seq} on the server"
                    yield Rule.NOTHING_FOREIGN, f"{self._name(slot.client_msg_id)} is {what}"
        for user, messages in self._held.items():
            for message in filter(_is_there, messages):
                if self._conversation(message.client_msg_id) != message.conversation:
                    what = f"{message.conversation} {message.seq} in the database of {user}"
                    yield Rule.NOTHING_FOREIGN, f"{self._name(message.client_msg_id)} is {what}"
                elif not self._says_what_was_written(message):
                    what = f"has another text in the database of {user}"
                    yield Rule.NOTHING_FOREIGN, f"{self._name(message.client_msg_id)} {what}"
            for client_msg_id, count in Counter(m.client_msg_id for m in messages).items():
                if count > 1 and client_msg_id:
                    what = f"{count} times in the database of {user}"
                    yield Rule.ONCE, f"{self._name(client_msg_id)} is {what}"

    def _order(self) -> Found:
        ours: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
        for user, messages in self._held.items():
            for message in filter(_is_there, messages):
                if message.seq:
                    place = message.seq, message.client_msg_id
                    ours[user, message.conversation].append(place)
        theirs = {
            conversation: [(slot.seq, slot.client_msg_id) for slot in rows if slot.is_message]
            for conversation, rows in self._slots.items()
        }
        sides = set(ours)
        for letter in self._known.values():
            conversation = single_chat(letter.sender, letter.receiver)
            sides |= {(user, conversation) for user in (letter.sender, letter.receiver) if user}
        for user, conversation in sorted(sides):
            if user in self._held:
                order = sorted(ours[user, conversation])
                yield from _first_unlike(user, conversation, order, theirs.get(conversation, []))

    def _conversation(self, client_msg_id: str) -> str:
        """In which it belongs; '' if nobody sent it."""
        letter = self._known.get(client_msg_id)
        return single_chat(letter.sender, letter.receiver) if letter else ""

    def _says_what_was_written(self, message: Held) -> bool:
        letter, found = self._known[message.client_msg_id], texts.signature(message.text)
        return found is not None and (found.sender, found.number) == (letter.sender, letter.number)

    def _name(self, client_msg_id: str) -> str:
        return str(self._known.get(client_msg_id, f"message {client_msg_id!r}"))


def _is_there(message: Held) -> bool:
    """A slot of a conversation may be known to hold no message."""
    return message.status is not MessageStatus.DELETED


def _first_unlike(
    user: str, conversation: str, ours: list[tuple[int, str]], theirs: list[tuple[int, str]]
) -> Found:
    if ours == theirs:
        return
    unlike = [pair for pair in zip(ours, theirs, strict=False) if pair[0] != pair[1]]
    if unlike:
        (seq, mine), (other, its) = unlike[0]
        what = f"{user} has {mine} at {seq}, the server {its} at {other}"
    else:
        what = f"{user} has {len(ours)} messages, the server {len(theirs)}"
    yield Rule.SAME_ORDER, f"{conversation}: {what}"
