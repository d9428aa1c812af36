"""A client's sends: what is transmitted when, and what an answer means."""

from __future__ import annotations

import random
from collections.abc import Iterable

import attrs
import pytest

from openim_trio.client.errors import LocalCode
from openim_trio.client.machines.outgoing import (
    Accepted,
    Failed,
    Kind,
    NeedsHistory,
    Never,
    Outgoing,
    PendingSend,
    Refused,
    Sent,
    Transmission,
    Unknown,
)
from openim_trio.client.machines.send_lanes import Lane

WALL = 1_000_000
STORED = Accepted("server's", 77)
BUSY = Refused(90002, "busy", retriable=True)
FORBIDDEN = Refused(1002, "not allowed")
TAKEN = Refused(1003, "another message has this clientMsgID")


def pending(name: str, conversation: str = "c", *, seconds: float = 300.0) -> PendingSend:
    """Order is by name."""
    return PendingSend(
        name, conversation, b"raw", order=ord(name[0]), deadline_at=WALL + int(seconds * 1000)
    )


def was_stamped(send: PendingSend) -> PendingSend:
    return attrs.evolve(send, create_time=5, data=b"stamped")


def made(
    *sends: PendingSend, window: int = 32, connected: bool = True, extension: bool = True
) -> Outgoing:
    outgoing = Outgoing(window, random.Random(1))
    outgoing.restore(sends, 0.0, WALL)
    if connected:
        outgoing.connected(0.0, extension=extension)
    return outgoing


def names(transmissions: Iterable[Transmission]) -> list[str]:
    return [transmission.client_msg_id for transmission in transmissions]


def transmit(outgoing: Outgoing, now: float = 0.0) -> list[str]:
    """As a driver does: stamps what has to be."""
    taken = outgoing.take(now)
    for transmission in taken:
        if transmission.needs_stamp:
            assert outgoing.stamped(transmission.client_msg_id, 5, b"stamped")
    return names(taken)


def to_be_given_up(*more: PendingSend) -> Outgoing:
    """Of "a", which was transmitted; its connection broke, its deadline passed at 10."""
    outgoing = made(pending("a", seconds=10), *more)
    transmit(outgoing)
    outgoing.disconnected(1.0)
    assert outgoing.expire(10.0) == [
        Unknown("a", LocalCode.DEADLINE, "its deadline passed without an answer")
    ]
    outgoing.connected(11.0, extension=True)
    return outgoing


# -- order and limits ------------------------------------------------------------------------------


def test_nothing_leaves_without_a_connection() -> None:
    outgoing = made(pending("a"), connected=False)
    assert outgoing.take(0.0) == []
    outgoing.connected(0.0, extension=True)
    assert names(outgoing.take(0.0)) == ["a"]
    assert outgoing.take(0.0) == []


def test_a_conversation_sends_one_after_the_other() -> None:
    outgoing = made(pending("a"), pending("b"), pending("c"))
    for name in "abc":
        assert transmit(outgoing) == [name]
        assert outgoing.answered(name, Kind.SEND, STORED, 0.0) == Sent(name, "server's", 77)
    assert len(outgoing) == 0
    assert outgoing.conversations_with_pending == frozenset()
    assert outgoing.wake_at(0.0) is None


def test_conversations_take_the_window_in_the_order_of_the_queue() -> None:
    outgoing = made(*(pending(name, name.lower()) for name in "abcde"), window=2)
    outgoing.queue(pending("A", "a"), 0.0, WALL)
    assert transmit(outgoing) == ["a", "b"]
    assert outgoing.in_flight == 2
    assert transmit(outgoing) == []
    outgoing.answered("b", Kind.SEND, STORED, 0.0)
    assert transmit(outgoing) == ["c"]
    outgoing.answered("a", Kind.SEND, STORED, 0.0)
    assert transmit(outgoing) == ["d"]
    assert outgoing.conversations_with_pending == {"a", "c", "d", "e"}


def test_what_is_restored_is_put_into_its_order() -> None:
    outgoing = made(pending("c", "z"), pending("a", "x"), pending("b", "y"))
    outgoing.queue(pending("A", "w"), 0.0, WALL)
    assert transmit(outgoing) == ["a", "b", "c", "A"]


def test_a_name_is_queued_once() -> None:
    outgoing = made(pending("a"))
    with pytest.raises(ValueError, match="a: is queued already"):
        outgoing.queue(pending("a", "other"), 0.0, WALL)


# -- stamps ----------------------------------------------------------------------------------------


def test_the_first_transmission_wants_a_stamp_and_repeats_carry_it() -> None:
    outgoing = made(pending("a"))
    assert outgoing.take(0.0) == [Transmission("a", Kind.SEND, b"raw", needs_stamp=True)]
    assert outgoing.stamped("a", 5, b"stamped")
    outgoing.disconnected(0.0)
    outgoing.connected(0.0, extension=True)
    assert outgoing.take(0.0) == [Transmission("a", Kind.SEND, b"stamped", needs_stamp=False)]
    assert not outgoing.stamped("a", 6, b"again")


def test_what_could_not_be_stamped_was_certainly_not_transmitted() -> None:
    outgoing = made(pending("a", seconds=10))
    outgoing.take(0.0)
    outgoing.unsent("a")
    assert outgoing.in_flight == 0
    assert outgoing.take(0.0)[0].needs_stamp
    outgoing.unsent("a")
    outgoing.unsent("unheard of")
    assert [type(outcome) for outcome in outgoing.expire(10.0)] == [Failed]


def test_a_connection_that_breaks_before_the_stamp_leaves_no_doubt() -> None:
    outgoing = made(pending("a", seconds=10))
    outgoing.take(0.0)
    outgoing.disconnected(0.0)
    assert not outgoing.stamped("a", 5, b"stamped"), "nothing to transmit it on"
    outgoing.connected(0.0, extension=False)
    assert outgoing.take(0.0) == [Transmission("a", Kind.SEND, b"stamped", needs_stamp=False)]


def test_an_answer_to_what_was_not_transmitted_is_none() -> None:
    outgoing = made(pending("a"))
    outgoing.take(0.0)
    assert outgoing.answered("a", Kind.SEND, STORED, 0.0) is None
    assert outgoing.in_flight == 1


# -- answers to sends ------------------------------------------------------------------------------


def test_a_refusal_of_the_only_transmission_is_definite() -> None:
    outgoing = made(pending("a"), pending("b"))
    transmit(outgoing)
    assert outgoing.answered("a", Kind.SEND, FORBIDDEN, 0.0) == Failed("a", 1002, "not allowed")
    assert transmit(outgoing) == ["b"]


@pytest.mark.parametrize("restored", [True, False])
def test_a_refusal_of_a_repeat_is_not(restored: bool) -> None:
    """The first one may have been stored, before sending was forbidden."""
    outgoing = made(was_stamped(pending("a")) if restored else pending("a"), pending("b"))
    if not restored:
        transmit(outgoing)
        outgoing.disconnected(0.0)
        outgoing.connected(0.0, extension=True)
    assert transmit(outgoing) == ["a"]
    answer = outgoing.answered("a", Kind.SEND, FORBIDDEN, 0.0)
    assert answer == Unknown("a", 1002, "not allowed")
    assert outgoing.take(0.0) == [Transmission("a", Kind.GIVE_UP, b"stamped")]
    assert outgoing.answered("a", Kind.GIVE_UP, Never(), 0.0) == Failed("a", 1002, "not allowed")
    assert transmit(outgoing) == ["b"]


def test_its_deadline_tells_nothing_new_of_what_is_given_up_already() -> None:
    outgoing = made(was_stamped(pending("a", seconds=10)))
    transmit(outgoing)
    assert isinstance(outgoing.answered("a", Kind.SEND, FORBIDDEN, 0.0), Unknown)
    assert outgoing.expire(10.0) == []
    outgoing.take(10.0)
    assert outgoing.answered("a", Kind.GIVE_UP, Never(), 10.0) == Failed("a", 1002, "not allowed")


def test_a_key_that_holds_something_else_is_definite_for_repeats_too() -> None:
    outgoing = made(was_stamped(pending("a")))
    transmit(outgoing)
    assert outgoing.answered("a", Kind.SEND, TAKEN, 0.0) == Failed("a", 1003, TAKEN.reason)
    assert len(outgoing) == 0


def test_a_retriable_refusal_rests_the_conversation_only() -> None:
    outgoing = made(pending("a"), pending("b"), pending("c", "other"), window=1)
    assert transmit(outgoing) == ["a"]
    assert outgoing.answered("a", Kind.SEND, BUSY, 0.0) is None
    assert transmit(outgoing) == ["c"]
    outgoing.answered("c", Kind.SEND, STORED, 0.0)
    assert transmit(outgoing) == []
    wake_at = outgoing.wake_at(0.0)
    assert wake_at is not None
    assert transmit(outgoing, wake_at) == ["a"]


def test_rests_double_up_to_the_longest_and_begin_anew_after_an_answer() -> None:
    outgoing = made(pending("a"), pending("b"))
    now, rests = 0.0, []
    for _ in range(12):
        assert transmit(outgoing, now) == ["a"]
        outgoing.answered("a", Kind.SEND, BUSY, now)
        wake_at = outgoing.wake_at(now)
        assert wake_at is not None
        rests.append(wake_at - now)
        now = wake_at
    for number, rest in enumerate(rests):
        whole = min(0.2 * 2**number, 10.0)
        assert whole / 2 - 1e-6 <= rest <= whole + 1e-6
    assert transmit(outgoing, now) == ["a"]
    outgoing.answered("a", Kind.SEND, STORED, now)
    assert transmit(outgoing, now) == ["b"]
    outgoing.answered("b", Kind.SEND, BUSY, now)
    wake_at = outgoing.wake_at(now)
    assert wake_at is not None
    assert wake_at - now <= 0.2 + 1e-6


def test_a_rest_ends_with_the_sends_it_was_for() -> None:
    outgoing = made(pending("a"))
    transmit(outgoing)
    outgoing.answered("a", Kind.SEND, BUSY, 0.0)
    outgoing.seen("a", "server's", 77)
    outgoing.queue(pending("b"), 0.0, WALL)
    assert transmit(outgoing) == ["b"]
    outgoing.queue(pending("c", "other"), 0.0, WALL)
    assert transmit(outgoing, 1.0) == ["c"]
    assert outgoing.conversations_with_pending == {"c", "other"}


def test_a_retriable_refusal_leaves_a_doubt() -> None:
    """Some of them say that it is unclear whether it was stored."""
    outgoing = made(pending("a", seconds=10))
    transmit(outgoing)
    outgoing.answered("a", Kind.SEND, BUSY, 9.9)
    assert [type(outcome) for outcome in outgoing.expire(10.0)] == [Unknown]


@pytest.mark.parametrize("answer", [STORED, BUSY, FORBIDDEN, TAKEN])
def test_late_answers_change_nothing(answer: Accepted | Refused) -> None:
    outgoing = made(pending("a"), pending("b"))
    transmit(outgoing)
    assert outgoing.answered("a", Kind.GIVE_UP, answer, 0.0) is None
    assert outgoing.answered("b", Kind.SEND, answer, 0.0) is None
    outgoing.disconnected(0.0)
    assert outgoing.answered("a", Kind.SEND, answer, 0.0) is None
    outgoing.connected(0.0, extension=True)
    assert transmit(outgoing) == ["a"]
    assert outgoing.answered("a", Kind.SEND, STORED, 0.0) is not None
    assert outgoing.answered("a", Kind.SEND, answer, 0.0) is None
    assert len(outgoing) == 1


def test_never_is_no_answer_to_a_send() -> None:
    outgoing = made(pending("a"))
    transmit(outgoing)
    with pytest.raises(ValueError, match="Never"):
        outgoing.answered("a", Kind.SEND, Never(), 0.0)
    assert len(outgoing) == 1


# -- deadlines -------------------------------------------------------------------------------------


def test_what_was_never_transmitted_fails_at_its_deadline() -> None:
    outgoing = made(pending("a", seconds=10), connected=False)
    assert outgoing.expire(9.9) == []
    assert outgoing.wake_at(9.9) == 10.0
    assert outgoing.expire(10.0) == [
        Failed("a", LocalCode.DEADLINE, "it could not be sent before its deadline")
    ]
    assert len(outgoing) == 0


def test_deadlines_do_not_follow_the_order() -> None:
    outgoing = made(
        pending("a", seconds=30), pending("b", seconds=10), pending("c", seconds=20), window=1
    )
    transmit(outgoing)
    assert [outcome.client_msg_id for outcome in outgoing.expire(25.0)] == ["b", "c"]
    assert len(outgoing) == 1


def test_what_is_overdue_is_not_transmitted() -> None:
    outgoing = made(pending("a", seconds=10), pending("b", seconds=20))
    assert outgoing.take(10.0) == []
    assert [outcome.client_msg_id for outcome in outgoing.expire(10.0)] == ["a"]
    assert transmit(outgoing, 10.0) == ["b"]


def test_what_is_under_way_is_left_until_it_is_answered() -> None:
    outgoing = made(pending("a", seconds=10))
    transmit(outgoing)
    assert outgoing.expire(11.0) == []
    assert outgoing.wake_at(11.0) is None
    assert outgoing.answered("a", Kind.SEND, STORED, 12.0) is not None


@pytest.mark.parametrize("breaks", [True, False])
def test_what_was_under_way_at_its_deadline_is_given_up_next(breaks: bool) -> None:
    outgoing = made(pending("a", seconds=10))
    transmit(outgoing)
    assert outgoing.expire(11.0) == []
    if breaks:
        outgoing.disconnected(12.0)
    else:
        outgoing.answered("a", Kind.SEND, BUSY, 12.0)
    wake_at = outgoing.wake_at(12.0)
    assert wake_at is not None
    assert wake_at <= 12.0
    assert [type(outcome) for outcome in outgoing.expire(12.0)] == [Unknown]
    assert outgoing.expire(13.0) == []


def test_a_deadline_outlives_the_process() -> None:
    outgoing = Outgoing(1, random.Random(1))
    outgoing.restore([pending("a", seconds=10), pending("b", seconds=1)], 500.0, WALL + 4000)
    assert outgoing.wake_at(500.0) == 500.0
    assert [outcome.client_msg_id for outcome in outgoing.expire(500.0)] == ["b"]
    assert outgoing.wake_at(500.0) == 506.0


def test_a_wall_clock_set_back_does_not_put_a_deadline_off_for_years() -> None:
    outgoing = Outgoing(1, random.Random(1), longest_life=300.0)
    outgoing.restore([pending("a", seconds=10)], 500.0, WALL - 10**9)
    assert outgoing.wake_at(500.0) == 800.0


# -- giving up -------------------------------------------------------------------------------------


def test_giving_up_blocks_the_conversation_until_the_server_has_spoken() -> None:
    outgoing = to_be_given_up(pending("b"))
    assert outgoing.take(11.0) == [Transmission("a", Kind.GIVE_UP, b"stamped")]
    assert outgoing.take(12.0) == []
    answer = outgoing.answered("a", Kind.GIVE_UP, Never(), 12.0)
    assert answer == Failed("a", LocalCode.DEADLINE, "its deadline passed without an answer")
    assert transmit(outgoing, 12.0) == ["b"]


def test_a_give_up_may_learn_that_it_was_delivered() -> None:
    outgoing = to_be_given_up()
    outgoing.take(11.0)
    assert outgoing.answered("a", Kind.GIVE_UP, STORED, 12.0) == Sent("a", "server's", 77)
    assert len(outgoing) == 0


def test_a_give_up_is_asked_until_it_is_answered() -> None:
    outgoing = to_be_given_up()
    outgoing.take(11.0)
    outgoing.disconnected(12.0)
    assert outgoing.expire(12.0) == []
    outgoing.connected(13.0, extension=True)
    assert outgoing.take(13.0) == [Transmission("a", Kind.GIVE_UP, b"stamped")]
    assert outgoing.answered("a", Kind.GIVE_UP, BUSY, 14.0) is None
    assert outgoing.take(14.0) == []
    wake_at = outgoing.wake_at(14.0)
    assert wake_at is not None
    assert outgoing.take(wake_at) == [Transmission("a", Kind.GIVE_UP, b"stamped")]


def test_giving_up_outlives_the_process() -> None:
    kept = attrs.evolve(
        was_stamped(pending("a", seconds=0)), giving_up=True, reason_code=1002, reason="why"
    )
    outgoing = made(kept)
    assert outgoing.expire(0.0) == []
    assert outgoing.wake_at(0.0) is None
    assert outgoing.take(0.0) == [Transmission("a", Kind.GIVE_UP, b"stamped")]
    assert outgoing.answered("a", Kind.GIVE_UP, Never(), 0.0) == Failed("a", 1002, "why")


def refused_for_good() -> Outgoing:
    outgoing = to_be_given_up(pending("b"))
    outgoing.take(11.0)
    assert outgoing.answered("a", Kind.GIVE_UP, FORBIDDEN, 12.0) == NeedsHistory("a")
    assert outgoing.needs_history() == [("a", "c")]
    return outgoing


def test_where_the_server_takes_no_give_up_the_history_decides() -> None:
    outgoing = refused_for_good()
    assert outgoing.take(12.0) == []
    outgoing.connected(13.0, extension=True)
    assert outgoing.take(13.0) == []
    failed = outgoing.verdict("a")
    assert failed == Failed("a", LocalCode.DEADLINE, "its deadline passed without an answer")
    assert outgoing.verdict("a") is None
    assert outgoing.needs_history() == []
    assert transmit(outgoing, 13.0) == ["b"]


def test_the_history_may_have_it() -> None:
    outgoing = refused_for_good()
    assert outgoing.seen("a", "server's", 77) == Sent("a", "server's", 77)
    assert outgoing.verdict("a") is None
    assert transmit(outgoing, 13.0) == ["b"]


def test_there_is_no_verdict_on_what_the_server_still_takes() -> None:
    outgoing = made(pending("a"))
    transmit(outgoing)
    assert outgoing.verdict("a") is None
    assert outgoing.verdict("unheard of") is None
    assert len(outgoing) == 1


# -- one's own messages come back ------------------------------------------------------------------


@pytest.mark.parametrize("state", ["under way", "queued", "resting", "giving up", "aside"])
def test_what_is_seen_is_sent_whatever_was_heard_of_it(state: str) -> None:
    outgoing = made(was_stamped(pending("a", seconds=10)), pending("b", seconds=100))
    if state == "aside":
        outgoing.connected(0.0, extension=False)
    elif state != "queued":
        transmit(outgoing)
    if state == "resting":
        outgoing.answered("a", Kind.SEND, BUSY, 0.0)
    elif state == "giving up":
        outgoing.answered("a", Kind.SEND, FORBIDDEN, 0.0)
    assert outgoing.seen("a", "server's", 77) == Sent("a", "server's", 77)
    assert outgoing.seen("a", "server's", 77) is None
    assert outgoing.answered("a", Kind.SEND, FORBIDDEN, 0.0) is None
    assert transmit(outgoing, 20.0) == ["b"]


# -- servers without the extension -----------------------------------------------------------------


def test_without_the_extension_nothing_doubtful_is_repeated_and_the_conversation_goes_on() -> None:
    outgoing = made(
        was_stamped(pending("a", seconds=10)), pending("b"), pending("c"), extension=False
    )
    assert transmit(outgoing) == ["b"]
    assert outgoing.answered("b", Kind.SEND, BUSY, 0.0) is None
    assert transmit(outgoing, 1.0) == ["c"]
    assert [(type(outcome), outcome.client_msg_id) for outcome in outgoing.expire(10.0)] == [
        (Unknown, "a")
    ]
    assert outgoing.take(11.0) == []
    assert outgoing.expire(11.0) == []
    assert len(outgoing) == 3
    assert outgoing.conversations_with_pending == {"c"}
    assert outgoing.seen("a", "server's", 77) == Sent("a", "server's", 77)


def test_a_refusal_is_definite_without_the_extension_too() -> None:
    outgoing = made(pending("a"), extension=False)
    transmit(outgoing)
    assert outgoing.answered("a", Kind.SEND, FORBIDDEN, 0.0) == Failed("a", 1002, "not allowed")


def test_what_was_put_aside_comes_back_in_order_with_the_extension() -> None:
    outgoing = made(
        was_stamped(pending("a", seconds=10)),
        was_stamped(pending("b")),
        pending("c"),
        extension=False,
    )
    assert [type(outcome) for outcome in outgoing.expire(10.0)] == [Unknown]
    outgoing.connected(11.0, extension=True)
    assert outgoing.take(11.0) == [Transmission("a", Kind.GIVE_UP, b"stamped")]
    outgoing.answered("a", Kind.GIVE_UP, Never(), 11.0)
    assert outgoing.take(11.0) == [Transmission("b", Kind.SEND, b"stamped")]
    outgoing.answered("b", Kind.SEND, STORED, 11.0)
    assert transmit(outgoing, 11.0) == ["c"]


# -- how much work it is ---------------------------------------------------------------------------


@pytest.mark.parametrize("conversations", [1, 100, 10_000])
def test_many_queued_sends_are_not_searched(
    conversations: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted in lanes that are looked at: a few for each send, however many wait."""
    looked = 0
    settle = Outgoing._settle

    def counting(outgoing: Outgoing, lane: Lane) -> None:
        nonlocal looked
        looked += 1
        settle(outgoing, lane)

    number = 10_000
    outgoing = made(window=32)
    for order in range(number):
        deadline_at = WALL + 1000 * (order % 300 + 1)
        send = PendingSend(
            f"m{order}", f"c{order % conversations}", b"", order, deadline_at=deadline_at
        )
        outgoing.queue(send, 0.0, WALL)
    monkeypatch.setattr(Outgoing, "_settle", counting)
    ended = 0
    for _ in range(50):
        for name in transmit(outgoing):
            ended += outgoing.answered(name, Kind.SEND, STORED, 0.0) is not None
    for now in range(300):
        ended += len(outgoing.expire(now + 1.0))
    assert ended == number
    assert looked <= 3 * number
    assert outgoing.wake_at(300.0) is None


def test_ended_sends_are_not_kept_until_their_deadline() -> None:
    outgoing = made()
    for number in range(5000):
        name = f"m{number}"
        send = PendingSend(name, "c", b"", number, deadline_at=WALL + 300_000)
        outgoing.queue(send, 0.0, WALL)
        transmit(outgoing)
        outgoing.answered(name, Kind.SEND, STORED, 0.0)
    assert len(outgoing._deadlines) < 200
