"""A client's sends against a server, a network and a database that do what they may do at worst.

The network delivers late, in any order between connections, and loses what an ended connection had
not delivered.  The server stores a message and answers that it does not know, or refuses a repeated
send although the first attempt is stored.  The client dies and starts again from its database.
"""

from __future__ import annotations

import random
from enum import Enum
from itertools import pairwise

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from openim_trio.client.errors import DUPLICATE_KEY
from openim_trio.client.machines.outgoing import (
    Accepted,
    Answer,
    Failed,
    Kind,
    NeedsHistory,
    Never,
    Outcome,
    Outgoing,
    PendingSend,
    Refused,
    Sent,
    Unknown,
)

WINDOW = 3
CONVERSATIONS = ("a", "b", "c", "d")
BUSY, NOT_ALLOWED, TOO_OLD = 90002, 1002, 1001
picks = st.integers(0, 1000)
lives = st.sampled_from([0, 3, 20, 100, 1000])
"""seconds to a send's deadline"""


class Mode(Enum):
    """What the client meets.

    OURS     a server that keeps each key once and takes give-ups
    PLAIN    one that stores whatever comes, and takes no give-ups
    MIXED    ours, but the extension is agreed upon at some of the connections only
    """

    OURS = "ours"
    PLAIN = "plain"
    MIXED = "mixed"


class Mood(Enum):
    """Of the server, at one transmission."""

    GOOD = "good"
    BUSY = "answers that it may succeed later"
    UNCLEAR = "does it, and answers that it may succeed later"
    FORBIDS = "refuses, without looking at what is stored"


class Server:
    def __init__(self, *, keeps_keys: bool) -> None:
        self.rows: dict[str, list[str]] = {name: [] for name in CONVERSATIONS}
        self.given_up: set[str] = set()
        self.too_old: set[str] = set()
        self._keeps_keys = keeps_keys

    def has(self, send: PendingSend) -> bool:
        return send.client_msg_id in self.rows[send.conversation_id]

    def receive(self, kind: Kind, send: PendingSend, mood: Mood) -> Answer:
        if mood is Mood.BUSY:
            return Refused(BUSY, "busy", retriable=True)
        if send.client_msg_id in self.too_old:
            return Refused(TOO_OLD, "created too long ago")
        # As the real one: who may send is not asked when a send is given up.
        if mood is Mood.FORBIDS and kind is Kind.SEND:
            return Refused(NOT_ALLOWED, "not allowed")
        answer = self._send(send) if kind is Kind.SEND else self._give_up(send)
        return Refused(BUSY, "unclear", retriable=True) if mood is Mood.UNCLEAR else answer

    def _send(self, send: PendingSend) -> Answer:
        if send.client_msg_id in self.given_up:
            return Refused(DUPLICATE_KEY, "given up")
        if not (self._keeps_keys and self.has(send)):
            self.rows[send.conversation_id].append(send.client_msg_id)
        return Accepted(server_id(send.client_msg_id), 1)

    def _give_up(self, send: PendingSend) -> Answer:
        if self.has(send):
            return Accepted(server_id(send.client_msg_id), 1)
        self.given_up.add(send.client_msg_id)
        return Never()


def server_id(client_msg_id: str) -> str:
    return f"server's {client_msg_id}"


def number_of(client_msg_id: str) -> int:
    return int(client_msg_id.partition("-")[2])


@attrs.frozen
class OnTheWay:
    epoch: int
    kind: Kind
    send: PendingSend


@attrs.frozen
class Answering:
    epoch: int
    kind: Kind
    client_msg_id: str
    answer: Answer


class SendsMachine(RuleBasedStateMachine):
    """The driver of an `Outgoing`, and its world."""

    mode = Mode.OURS

    @initialize(seed=st.integers(0, 1000), lives=st.lists(lives, min_size=2, max_size=6))
    def start(self, seed: int, lives: list[int]) -> None:
        self.rng = random.Random(seed)
        self.server = Server(keeps_keys=self.mode is not Mode.PLAIN)
        self.database: dict[str, PendingSend] = {}
        self.sends: dict[str, PendingSend] = {}
        self.ends: dict[str, Sent | Failed] = {}
        self.unknown: set[str] = set()
        self.create_times: dict[str, int] = {}
        self.transmitted: list[tuple[str, Kind]] = []
        self.network: list[OnTheWay] = []
        self.answers: list[Answering] = []
        self.now = 0.0
        self.connected = False
        self.epoch = 0
        self.begin()
        for life in lives:
            self.a_message_is_sent(self.rng.choice(CONVERSATIONS), life)
        self.it_connects(self.rng.random() < 0.5)

    def begin(self) -> None:
        self.outgoing = Outgoing(WINDOW, self.rng)
        self.under_way: dict[str, Kind] = {}
        self.stamping: list[str] = []
        kept = list(self.database.values())
        self.rng.shuffle(kept)
        self.outgoing.restore(kept, self.now, self.wall_ms)

    @property
    def wall_ms(self) -> int:
        return int(self.now * 1000) + 1_000_000

    # -- what the driver does ----------------------------------------------------------------------

    def conclude(self, outcome: Outcome | None) -> None:
        if outcome is None:
            return
        send = self.database[outcome.client_msg_id]
        if isinstance(outcome, Unknown):
            assert send.client_msg_id not in self.unknown, "told twice"
            self.unknown.add(send.client_msg_id)
            self.database[send.client_msg_id] = attrs.evolve(
                send, giving_up=True, reason_code=outcome.code, reason=outcome.reason
            )
        elif isinstance(outcome, NeedsHistory):
            assert send.client_msg_id in self.server.too_old
        else:
            assert send.client_msg_id not in self.ends, "ended twice"
            self.ends[send.client_msg_id] = outcome
            del self.database[send.client_msg_id]
            self.under_way.pop(send.client_msg_id, None)

    def pump(self) -> None:
        self.expire()
        self.take()
        wake_at = self.outgoing.wake_at(self.now)
        assert wake_at is None or wake_at > self.now, "it would be asked again and again"

    def expire(self) -> None:
        for outcome in self.outgoing.expire(self.now):
            self.conclude(outcome)

    def take(self) -> None:
        for transmission in self.outgoing.take(self.now):
            client_msg_id, kind = transmission.client_msg_id, transmission.kind
            send = self.database[client_msg_id]
            lanes = [self.sends[other].conversation_id for other in self.under_way]
            assert send.conversation_id not in lanes, "two of a conversation"
            assert self.connected
            assert kind is Kind.SEND or send.giving_up, "not persisted"
            assert kind is Kind.GIVE_UP or send.deadline_at > self.wall_ms, "too late"
            if self.mode is Mode.PLAIN:
                assert client_msg_id not in self.create_times, "transmitted again"
            self.under_way[client_msg_id] = kind
            if transmission.needs_stamp:
                assert client_msg_id not in self.create_times, "stamped again"
                self.drop_stamp(client_msg_id)
                self.stamping.append(client_msg_id)
            else:
                self.transmit(client_msg_id, kind, transmission.data)
        assert self.outgoing.in_flight == len(self.under_way) <= WINDOW

    def transmit(self, client_msg_id: str, kind: Kind, data: bytes) -> None:
        send = self.database[client_msg_id]
        create_time = int(data)
        assert create_time == send.create_time, "not what is persisted"
        assert self.create_times.setdefault(client_msg_id, create_time) == create_time
        self.network.append(OnTheWay(self.epoch, kind, send))

    def persist_stamp(self, client_msg_id: str) -> None:
        create_time = self.wall_ms + self.rng.randrange(1000)
        self.database[client_msg_id] = attrs.evolve(
            self.database[client_msg_id],
            create_time=create_time,
            data=str(create_time).encode(),
        )

    def drop_stamp(self, client_msg_id: str) -> None:
        """It was asked for by an earlier `take` and nobody waits for it any more: it is persisted
        or not, but never told."""
        if client_msg_id in self.stamping:
            self.stamping.remove(client_msg_id)
            if client_msg_id in self.database and self.rng.random() < 0.5:
                self.persist_stamp(client_msg_id)

    def look_in_history(self) -> None:
        for client_msg_id, conversation_id in self.outgoing.needs_history():
            send = self.database[client_msg_id]
            assert send.conversation_id == conversation_id
            if self.server.has(send):
                self.conclude(self.outgoing.seen(client_msg_id, server_id(client_msg_id), 1))
            else:
                self.conclude(self.outgoing.verdict(client_msg_id))

    # -- what happens ------------------------------------------------------------------------------

    @rule(conversation=st.sampled_from(CONVERSATIONS), life=lives)
    def a_message_is_sent(self, conversation: str, life: int) -> None:
        number = len(self.sends) + 1
        send = PendingSend(
            f"m-{number}",
            conversation,
            b"",
            order=number,
            deadline_at=self.wall_ms + life * 1000,
        )
        self.sends[send.client_msg_id] = self.database[send.client_msg_id] = send
        self.outgoing.queue(send, self.now, self.wall_ms)

    @rule(turn=st.sampled_from(["expire", "take", "pump"]))
    def the_driver_looks(self, turn: str) -> None:
        getattr(self, turn)()

    @precondition(lambda self: self.connected)
    @rule(turns=st.lists(st.tuples(picks, st.sampled_from(Mood), st.booleans()), max_size=6))
    def it_goes_on(self, turns: list[tuple[int, Mood, bool]]) -> None:
        """Several of the steps below at once, so that long stories are found, too: what can leave
        leaves, some of it arrives, some of that is answered."""
        self.pump()
        while self.stamping:
            self.a_stamp_is_persisted(0, True)
        for pick, mood, answered in turns:
            if self.network:
                self.a_transmission_arrives(pick, mood)
            if self.answers and answered:
                self.an_answer_arrives(len(self.answers) - 1)
        self.pump()

    @rule(seconds=st.sampled_from([0.05, 0.3, 2.0, 10.0, 40.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: not self.connected)
    @rule(extension=st.booleans())
    def it_connects(self, extension: bool) -> None:
        self.epoch += 1
        self.connected = True
        agreed = self.mode is Mode.OURS or (self.mode is Mode.MIXED and extension)
        self.outgoing.connected(self.now, extension=agreed)
        self.pump()

    @precondition(lambda self: self.connected)
    @rule()
    def the_connection_breaks(self) -> None:
        self.connected = False
        self.under_way.clear()
        self.outgoing.disconnected(self.now)

    @precondition(lambda self: self.connected)
    @rule(extension=st.booleans())
    def the_connection_is_another(self, extension: bool) -> None:
        self.the_connection_breaks()
        self.it_connects(extension)

    @precondition(lambda self: self.stamping)
    @rule(pick=picks, works=st.booleans())
    def a_stamp_is_persisted(self, pick: int, works: bool) -> None:
        client_msg_id = self.stamping.pop(pick % len(self.stamping))
        if client_msg_id not in self.database:
            assert not self.outgoing.stamped(client_msg_id, 1, b"1")
            return
        if not works:
            self.outgoing.unsent(client_msg_id)
            self.under_way.pop(client_msg_id, None)
            return
        self.persist_stamp(client_msg_id)
        send = self.database[client_msg_id]
        transmits = self.outgoing.stamped(client_msg_id, send.create_time, send.data)
        assert transmits is (client_msg_id in self.under_way)
        if transmits:
            self.transmit(client_msg_id, Kind.SEND, send.data)

    @precondition(lambda self: self.network)
    @rule(pick=picks, mood=st.sampled_from(Mood))
    def a_transmission_arrives(self, pick: int, mood: Mood) -> None:
        """Also one of a connection that has ended: the server is not done with what it had read."""
        arrived = self.network.pop(pick % len(self.network))
        answer = self.server.receive(arrived.kind, arrived.send, mood)
        self.answers.append(
            Answering(arrived.epoch, arrived.kind, arrived.send.client_msg_id, answer)
        )

    @precondition(lambda self: any(item.epoch < self.epoch for item in self.network))
    @rule(pick=picks)
    def a_transmission_is_lost(self, pick: int) -> None:
        old = [item for item in self.network if item.epoch < self.epoch]
        self.network.remove(old[pick % len(old)])

    @precondition(lambda self: self.answers)
    @rule(pick=picks)
    def an_answer_arrives(self, pick: int) -> None:
        """Also one of an earlier connection, though a driver would drop it."""
        answering = self.answers.pop(pick % len(self.answers))
        if self.connected:
            self.take_answer(answering)

    def take_answer(self, answering: Answering) -> None:
        client_msg_id, kind = answering.client_msg_id, answering.kind
        outcome = self.outgoing.answered(client_msg_id, kind, answering.answer, self.now)
        if self.under_way.get(client_msg_id) is not kind or client_msg_id in self.stamping:
            assert outcome is None, "that was not under way"
        else:
            del self.under_way[client_msg_id]
        self.conclude(outcome)

    @precondition(lambda self: any(self.server.rows.values()))
    @rule(pick=picks)
    def an_own_message_is_pushed_or_pulled(self, pick: int) -> None:
        stored = [one for rows in self.server.rows.values() for one in rows]
        client_msg_id = stored[pick % len(stored)]
        expected = client_msg_id in self.database
        outcome = self.outgoing.seen(client_msg_id, server_id(client_msg_id), 1)
        assert (outcome is not None) is expected
        self.conclude(outcome)

    @rule()
    def the_history_is_read(self) -> None:
        self.look_in_history()

    @precondition(lambda self: self.create_times and self.mode is not Mode.PLAIN)
    @rule(pick=picks)
    def a_send_becomes_too_old(self, pick: int) -> None:
        self.server.too_old.add(sorted(self.create_times)[pick % len(self.create_times)])

    @rule()
    def the_client_dies_and_starts_again(self) -> None:
        for client_msg_id in list(self.stamping):
            self.drop_stamp(client_msg_id)
        self.connected = False
        self.begin()

    # -- what must hold ----------------------------------------------------------------------------

    @invariant()
    def nothing_is_stored_twice(self) -> None:
        for rows in self.server.rows.values():
            assert len(set(rows)) == len(rows)

    @invariant()
    def what_failed_is_not_stored(self) -> None:
        """Never: also not by a transmission that arrives after it was told."""
        for client_msg_id, end in self.ends.items():
            has = self.server.has(self.sends[client_msg_id])
            assert has is isinstance(end, Sent), end

    @invariant()
    def the_order_is_that_of_the_queue(self) -> None:
        """Of *all* that is stored, whatever was told of it: a send leaves when the one before it
        has ended, and what has ended is not stored any later.  Without the extension nothing ends
        what is in doubt, so nothing is said of the order then."""
        if self.mode is Mode.OURS:
            for rows in self.server.rows.values():
                assert all(number_of(one) < number_of(other) for one, other in pairwise(rows))

    @invariant()
    def nothing_is_forgotten(self) -> None:
        assert len(self.outgoing) == len(self.database)
        assert self.outgoing.conversations_with_pending == {
            send.conversation_id for send in self.database.values()
        }

    def teardown(self) -> None:
        """With a good server, and time, everything ends."""
        if not hasattr(self, "server"):
            return
        if self.connected:
            self.the_connection_breaks()
        while self.network:
            self.a_transmission_arrives(0, Mood.GOOD)
        self.answers.clear()
        self.it_connects(True)
        for _ in range(10 * len(self.sends) + 10):
            self.pump()
            while self.stamping:
                self.a_stamp_is_persisted(0, True)
            while self.network:
                self.a_transmission_arrives(0, Mood.GOOD)
            while self.answers:
                self.an_answer_arrives(0)
            self.look_in_history()
            wake_at = self.outgoing.wake_at(self.now)
            if not self.under_way and wake_at is not None:
                self.now = wake_at
        if self.mode is Mode.PLAIN:
            assert set(self.database) <= self.unknown, "neither ended nor told to be unknown"
            for send in list(self.database.values()):
                if self.server.has(send):
                    self.conclude(self.outgoing.seen(send.client_msg_id, "", 1))
        else:
            assert not self.database
            assert self.outgoing.wake_at(self.now) is None
        self.nothing_is_stored_twice()
        self.what_failed_is_not_stored()
        self.the_order_is_that_of_the_queue()
        self.nothing_is_forgotten()


@pytest.mark.timeout(600)  # a failure takes minutes to be made small
@pytest.mark.parametrize("mode", Mode)
def test_every_send_has_one_true_end(mode: Mode) -> None:
    class InMode(SendsMachine):
        pass

    InMode.mode = mode
    run_state_machine_as_test(
        InMode, settings=settings(max_examples=150, stateful_step_count=60, deadline=None)
    )
