"""The list of conversations: settings, what is unread, what is newest."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import attrs
import pytest

from openim_trio.client.database import conversations, messages, positions
from openim_trio.client.machines.position import Position
from openim_trio.client.model import Conversation, MessageStatus
from openim_trio.wire.proto import sdkws_pb2
from tests.support.local_database import CHAT, OWN, memory_database, text_message

GROUP = "sg_g"


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with memory_database() as opened:
        yield opened


def store(connection: sqlite3.Connection, conversation_id: str, *found: sdkws_pb2.MsgData) -> None:
    messages.store(connection, conversation_id, found, own_user=OWN, offline=False)


def get(connection: sqlite3.Connection, conversation_id: str = CHAT) -> Conversation:
    found = conversations.get(connection, conversation_id)
    assert found is not None
    return found


def test_a_conversation_is_new_once(connection: sqlite3.Connection) -> None:
    assert conversations.get(connection, CHAT) is None
    assert conversations.ensure(connection, CHAT, 1, "bob", "")
    assert not conversations.ensure(connection, CHAT, 1, "bob", "")
    assert conversations.ensure(connection, GROUP, 3, "", "g")
    assert get(connection) == Conversation(conversation_id=CHAT, session_type=1, user_id="bob")
    assert get(connection, GROUP).group_id == "g"


def test_settings_of_the_server_leave_the_rest(connection: sqlite3.Connection) -> None:
    settings = Conversation(
        conversation_id=CHAT,
        session_type=1,
        user_id="bob",
        recv_msg_opt=2,
        is_pinned=True,
        is_private_chat=True,
        burn_duration=30,
        group_at_type=1,
        ex="ex",
        attached_info="{}",
    )
    conversations.put(connection, settings)
    assert get(connection) == settings
    assert not conversations.ensure(connection, CHAT, 1, "bob", "")
    assert conversations.set_draft(connection, CHAT, "I was about to")
    conversations.set_read(connection, CHAT, 4)
    store(connection, CHAT, text_message(1))
    positions.save(connection, [Position(CHAT).see_head(9)])
    conversations.put(connection, attrs.evolve(settings, recv_msg_opt=0, is_pinned=False))
    found = get(connection)
    assert (found.recv_msg_opt, found.is_pinned, found.is_private_chat) == (0, False, True)
    assert (found.draft, found.read_seq, found.max_seq) == ("I was about to", 4, 9)
    assert found.latest is not None


def test_unread_is_what_lies_behind_the_read_seq(connection: sqlite3.Connection) -> None:
    conversations.ensure(connection, CHAT, 1, "bob", "")
    positions.save(connection, [Position(CHAT).hold([3]).see_head(10)])
    assert (get(connection).max_seq, get(connection).unread) == (10, 10)
    assert conversations.set_read(connection, CHAT, 4)
    assert (get(connection).read_seq, get(connection).unread) == (4, 6)
    assert not conversations.set_read(connection, CHAT, 4)
    assert not conversations.set_read(connection, CHAT, 3)
    assert conversations.set_read(connection, CHAT, 12)
    assert (get(connection).read_seq, get(connection).unread) == (12, 0)
    assert not conversations.set_read(connection, GROUP, 0)


def test_what_was_read_may_be_known_first(connection: sqlite3.Connection) -> None:
    store(connection, CHAT, text_message(3, OWN))
    assert conversations.set_read(connection, GROUP, 5)
    conversations.ensure(connection, CHAT, 1, "bob", "")
    conversations.ensure(connection, GROUP, 3, "", "g")
    assert (get(connection).read_seq, get(connection, GROUP).read_seq) == (3, 5)


def test_the_total_counts_what_the_user_wants_to_hear_of(connection: sqlite3.Connection) -> None:
    assert conversations.total_unread(connection) == 0
    for name, option in ((CHAT, 0), (GROUP, 0), ("sg_quiet", 2), ("sg_off", 1), ("n_g", 0)):
        conversations.put(connection, Conversation(conversation_id=name, recv_msg_opt=option))
        positions.save(connection, [Position(name).see_head(10)])
    conversations.put(connection, Conversation(conversation_id="sg_unknown"))
    conversations.set_read(connection, CHAT, 7)
    conversations.set_read(connection, GROUP, 99)
    assert conversations.total_unread(connection) == 3
    positions.save(connection, [Position("sg_nowhere").see_head(10)])
    assert conversations.total_unread(connection) == 3


def test_the_order_of_the_list(connection: sqlite3.Connection) -> None:
    assert conversations.listed(connection) == []
    times = {"sg_old": 1_000, "sg_new": 3_000, "sg_mid": 2_000, "sg_pin": 500, "sg_pin_new": 600}
    for name, time in times.items():
        conversations.put(
            connection, Conversation(conversation_id=name, is_pinned=name.startswith("sg_pin"))
        )
        store(connection, name, text_message(1, send_time=time))
    for name in ("sg_empty", "sg_also_empty", "n_g"):
        conversations.ensure(connection, name, 3, "", "g")

    def names(ids: list[str] | None = None) -> list[str]:
        return [found.conversation_id for found in conversations.listed(connection, ids)]

    pinned = ["sg_pin_new", "sg_pin"]
    assert names() == [*pinned, "sg_new", "sg_mid", "sg_old", "sg_also_empty", "sg_empty"]
    assert names(["sg_old", "sg_new", "sg_unknown", "sg_pin", "sg_old"]) == [
        "sg_pin",
        "sg_new",
        "sg_old",
    ]
    assert names([]) == []
    store(connection, "sg_old", text_message(2, send_time=4_000))
    assert names()[2] == "sg_old"
    messages.mark_deleted(connection, "sg_old", [2])
    assert names()[4] == "sg_old"


def test_exactly_those_are_pinned(connection: sqlite3.Connection) -> None:
    for name in ("sg_a", "sg_b", "sg_c"):
        conversations.ensure(connection, name, 3, "", "g")

    def pinned() -> set[str]:
        return {one.conversation_id for one in conversations.listed(connection) if one.is_pinned}

    for ids in ({"sg_a", "sg_b"}, {"sg_b", "sg_c", "sg_unknown"}, set()):
        conversations.set_pinned(connection, ids)
        assert pinned() == ids - {"sg_unknown"}


def test_the_latest_is_the_same_in_lists_and_alone(connection: sqlite3.Connection) -> None:
    conversations.ensure(connection, CHAT, 1, "bob", "")
    assert get(connection).latest is messages.latest(connection, CHAT) is None
    store(connection, CHAT, *(text_message(seq) for seq in (1, 2, 3)))
    steps = [
        lambda: messages.mark_deleted(connection, CHAT, [3]),
        lambda: messages.insert_own(connection, CHAT, text_message(0, OWN, "q", send_time=9)),
        lambda: messages.set_status(connection, OWN, "q", MessageStatus.FAILED),
        lambda: messages.clear(connection, CHAT, 1),
        lambda: messages.revoke(connection, CHAT, 2, b"{}"),
        lambda: messages.clear(connection, CHAT, 3),
        lambda: messages.remove_unsent(connection, OWN, "q"),
    ]
    seen = [get(connection).latest]
    for step in steps:
        step()
        seen.append(get(connection).latest)
        assert seen[-1] == messages.latest(connection, CHAT)
    ids = [message.client_msg_id if message else None for message in seen]
    assert ids == ["m3", "m2", "q", "m2", "m2", "m2", "q", None]


def test_a_removed_conversation_comes_back_as_new(connection: sqlite3.Connection) -> None:
    conversations.ensure(connection, CHAT, 1, "bob", "")
    store(connection, CHAT, text_message(1))
    conversations.set_draft(connection, CHAT, "draft")
    conversations.set_read(connection, CHAT, 1)
    conversations.remove(connection, CHAT)
    conversations.remove(connection, CHAT)
    assert conversations.get(connection, CHAT) is None
    assert not conversations.set_draft(connection, CHAT, "draft")
    assert conversations.ensure(connection, CHAT, 1, "bob", "")
    found = get(connection)
    assert (found.draft, found.read_seq) == ("", 1)
    assert found.latest is not None
