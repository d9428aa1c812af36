"""Sends until they have ended and the end was told; positions; versions and small values."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openim_trio.client.database import lists, messages, positions, sends
from openim_trio.client.database.sends import Outcome
from openim_trio.client.errors import InvalidArgument
from openim_trio.client.machines.outgoing import PendingSend
from openim_trio.client.machines.position import Position, SeqRange
from openim_trio.wire.proto import sdkws_pb2
from tests.support.local_database import CHAT, OWN, memory_database, pending_send, text_message


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with memory_database() as opened:
        yield opened


def pending_ids(connection: sqlite3.Connection) -> list[str]:
    return [send.client_msg_id for send in sends.pending(connection)]


# -- sends -----------------------------------------------------------------------------------------


def test_sends_keep_their_order_and_all_that_is_known(connection: sqlite3.Connection) -> None:
    plain = [pending_send(name, conversation) for name, conversation in (("b", "x"), ("a", "y"))]
    known = PendingSend(
        client_msg_id="c",
        conversation_id=CHAT,
        data=b"\x0a\x03bob",
        create_time=5_000,
        deadline_at=2**40,
        giving_up=True,
        reason_code=10_901,
        reason="too late",
    )
    queued = [sends.queue(connection, send) for send in (*plain, known)]
    orders = [send.order for send in queued]
    assert orders == sorted(set(orders))
    assert 0 not in orders
    assert sends.pending(connection) == queued
    assert [attrs.evolve(send, order=0) for send in queued] == [*plain, known]


def test_an_order_is_never_used_again(connection: sqlite3.Connection) -> None:
    first = sends.queue(connection, pending_send("a"))
    sends.settle(connection, "a", sent=True)
    assert sends.queue(connection, pending_send("b")).order > first.order


def test_a_send_is_queued_once(connection: sqlite3.Connection) -> None:
    sends.queue(connection, pending_send("a"))
    with pytest.raises(InvalidArgument, match="clientMsgID: a is queued already"):
        sends.queue(connection, pending_send("a"))
    assert pending_ids(connection) == ["a"]


def test_a_stamp_is_kept_everywhere_and_for_good(connection: sqlite3.Connection) -> None:
    for name in ("a", "b"):
        messages.insert_own(connection, CHAT, text_message(0, OWN, name))
        sends.queue(connection, pending_send(name))
    theirs = text_message(1, "bob", "a")
    messages.store(connection, CHAT, [theirs], own_user=OWN, offline=False)
    assert sends.stamp(connection, {"a": 5_000, "unknown": 6_000}) == {"a": 5_000}
    assert sends.stamp(connection, {"a": 7_000}) == {"a": 5_000}
    stamped, other = sends.pending(connection)
    data = sdkws_pb2.MsgData.FromString(stamped.data)
    assert (stamped.create_time, data.createTime, data.content) == (5_000, 5_000, theirs.content)
    assert other.create_time == 0
    found = [messages.get(connection, *key) for key in (("a", OWN), ("b", OWN), ("a", "bob"))]
    assert [message and message.create_time for message in found] == [5_000, 0, 0]


def test_giving_up_is_kept(connection: sqlite3.Connection) -> None:
    for name in ("a", "b"):
        sends.queue(connection, pending_send(name))
    sends.give_up(connection, "a", 10_901, "deadline")
    sends.give_up(connection, "unknown", 1, "")
    given_up, other = sends.pending(connection)
    assert (given_up.giving_up, given_up.reason_code, given_up.reason) == (True, 10_901, "deadline")
    assert not other.giving_up


def test_an_end_is_kept_until_it_is_told(connection: sqlite3.Connection) -> None:
    for name in ("a", "b", "c"):
        sends.queue(connection, pending_send(name))
    sends.settle(connection, "b", sent=False, code=1_302, reason="blocked")
    sends.settle(connection, "a", sent=True)
    assert pending_ids(connection) == ["c"]
    ends = [Outcome("b", CHAT, False, 1_302, "blocked"), Outcome("a", CHAT, True)]
    assert sends.untold(connection) == ends
    sends.told(connection, ["b", "unknown"])
    assert sends.untold(connection) == ends[1:]
    sends.told(connection, [])
    sends.told(connection, ["a"])
    assert sends.untold(connection) == []


def test_the_first_end_is_the_end(connection: sqlite3.Connection) -> None:
    sends.queue(connection, pending_send("a"))
    for sent in (True, False, True):
        sends.settle(connection, "a", sent=sent)
    sends.settle(connection, "unknown", sent=True)
    assert sends.untold(connection) == [Outcome("a", CHAT, True)]
    sends.told(connection, ["a"])
    sends.settle(connection, "a", sent=False)
    assert sends.untold(connection) == []


# -- positions -------------------------------------------------------------------------------------

HELD = st.lists(st.integers(1, 40), max_size=12)
POSITION = st.builds(
    lambda name, held, head, handed, shown: (
        Position(name).hold(held).see_head(head).hand_over(handed).count_shown(shown)
    ),
    st.sampled_from(["si_a_b", "sg_g", "n_g"]),
    HELD,
    st.integers(0, 60),
    st.integers(0, 40),
    st.integers(0, 40),
)


@settings(deadline=None)
@given(st.lists(st.lists(POSITION, max_size=4), max_size=6))
def test_positions_are_loaded_as_they_were_saved_last(saved: list[list[Position]]) -> None:
    expected: dict[str, Position] = {}
    with memory_database() as connection:
        for some in saved:
            expected.update((position.conversation_id, position) for position in some)
            positions.save(connection, some)
            loaded = positions.load(connection)
            assert {position.conversation_id: position for position in loaded} == expected
            assert len(loaded) == len(expected)


def test_only_gaps_that_changed_are_written(connection: sqlite3.Connection) -> None:
    before = Position(CHAT).hold(range(2, 20_001, 2))
    assert len(before.gaps) == 10_000
    positions.save(connection, [before])
    after = before.hold([5_001]).see_head(30_000)
    count = connection.total_changes
    positions.save(connection, [after])
    assert connection.total_changes - count == 2  # the position, and the gap that is gone
    positions.save(connection, [after.hold([20_003])])
    assert positions.load(connection)[0].gaps[-1] == SeqRange(20_001, 20_002)


# -- versions and small values ---------------------------------------------------------------------


def test_versions(connection: sqlite3.Connection) -> None:
    assert lists.version(connection, "friends") == ("", 0)
    lists.set_version(connection, "friends", "abc", 2**64 - 1)
    lists.set_version(connection, "groups", "def", 1)
    assert lists.version(connection, "friends") == ("abc", 2**64 - 1)
    lists.set_version(connection, "friends", "xyz", 0)
    assert lists.version(connection, "friends") == ("xyz", 0)
    assert lists.version(connection, "groups") == ("def", 1)


def test_small_values(connection: sqlite3.Connection) -> None:
    assert lists.get(connection, "installed") == ""
    assert lists.get(connection, "installed", "no") == "no"
    lists.put(connection, "installed", "yes")
    lists.put(connection, "installed", "é\x00")
    assert lists.get(connection, "installed", "no") == "é\x00"
