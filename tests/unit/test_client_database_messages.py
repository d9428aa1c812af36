"""How messages are stored, and what becomes of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import orjson
import pytest

from openim_trio.client.database import conversations, messages
from openim_trio.client.database.messages import Stored, Verdict
from openim_trio.client.errors import InvalidArgument
from openim_trio.client.model import Message, MessageStatus
from openim_trio.wire.proto import sdkws_pb2
from tests.support.local_database import (
    CHAT,
    OWN,
    content_message,
    memory_database,
    placeholder,
    text_message,
)


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with memory_database() as opened:
        yield opened


def store(
    connection: sqlite3.Connection,
    *found: sdkws_pb2.MsgData,
    conversation_id: str = CHAT,
    offline: bool = False,
) -> list[Verdict]:
    stored = messages.store(connection, conversation_id, found, own_user=OWN, offline=offline)
    assert [one.seq for one in stored] == [data.seq for data in found]
    assert [one.client_msg_id for one in stored] == [data.clientMsgID for data in found]
    return [one.verdict for one in stored]


def queue(connection: sqlite3.Connection, client_msg_id: str) -> Message:
    return messages.insert_own(connection, CHAT, text_message(0, OWN, client_msg_id, send_time=0))


def shown(connection: sqlite3.Connection, conversation_id: str = CHAT) -> list[tuple[int, str]]:
    page = messages.page(connection, conversation_id, 0, 1_000)
    return [(message.seq, message.client_msg_id) for message in page]


def read_seq(connection: sqlite3.Connection) -> int:
    conversations.ensure(connection, CHAT, 1, "bob", "")
    found = conversations.get(connection, CHAT)
    assert found is not None
    return found.read_seq


# -- what comes from the server --------------------------------------------------------------------


def test_what_others_wrote_is_new(connection: sqlite3.Connection) -> None:
    data = sdkws_pb2.MsgData(
        sendID="bob",
        recvID="alice",
        clientMsgID="m1",
        serverMsgID="s1",
        senderPlatformID=2,
        senderNickname="Bob",
        senderFaceURL="http://face",
        sessionType=1,
        contentType=101,
        content=b'{"content":"hi"}',
        seq=7,
        sendTime=5_000,
        createTime=4_999,
        status=2,
        isRead=True,
        atUserIDList=["alice"],
        attachedInfo="{}",
        ex="ex",
    )
    stored = messages.store(connection, CHAT, [data], own_user=OWN, offline=True)
    assert stored == [Stored(7, Verdict.NEW, "m1")]
    assert messages.get(connection, "m1") == Message(
        client_msg_id="m1",
        server_msg_id="s1",
        conversation_id=CHAT,
        send_id="bob",
        recv_id="alice",
        session_type=1,
        content_type=101,
        raw_content=b'{"content":"hi"}',
        seq=7,
        send_time=5_000,
        create_time=4_999,
        status=MessageStatus.SENT,
        is_read=True,
        sender_nickname="Bob",
        sender_face_url="http://face",
        sender_platform=2,
        at_user_ids=("alice",),
        attached_info="{}",
        ex="ex",
        offline=True,
    )
    assert read_seq(connection) == 0


def test_a_seq_that_is_held_changes_nothing(connection: sqlite3.Connection) -> None:
    assert store(connection, text_message(1), placeholder(2)) == [Verdict.NEW, Verdict.PLACEHOLDER]
    before = list(connection.execute("SELECT * FROM messages"))
    repeated = (text_message(1, text="other"), text_message(2), text_message(1, OWN, "own"))
    assert store(connection, *repeated) == [Verdict.KNOWN] * 3
    assert list(connection.execute("SELECT * FROM messages")) == before
    assert read_seq(connection) == 0


def test_a_seq_twice_in_one_batch(connection: sqlite3.Connection) -> None:
    verdicts = store(connection, text_message(1), text_message(1, text="other"))
    assert verdicts == [Verdict.NEW, Verdict.KNOWN]


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_the_second_slot_of_a_message_shows_nothing(
    connection: sqlite3.Connection, order: tuple[int, int]
) -> None:
    twins = [text_message(seq, client_msg_id="m") for seq in order]
    assert store(connection, *twins) == [Verdict.NEW, Verdict.DUPLICATE]
    assert shown(connection) == [(order[0], "m")]
    assert store(connection, *reversed(twins)) == [Verdict.KNOWN] * 2
    assert store(connection, text_message(3, client_msg_id="m")) == [Verdict.DUPLICATE]


def test_equal_ids_of_other_senders_or_conversations_are_other_messages(
    connection: sqlite3.Connection,
) -> None:
    assert store(connection, text_message(1, "bob", "m"), text_message(2, "eve", "m")) == [
        Verdict.NEW,
        Verdict.NEW,
    ]
    group = text_message(1, "bob", "m")
    assert store(connection, group, conversation_id="sg_g") == [Verdict.NEW]
    assert shown(connection) == [(1, "m"), (2, "m")]
    assert shown(connection, "sg_g") == [(1, "m")]


def test_messages_without_an_id_are_stored_each(connection: sqlite3.Connection) -> None:
    nameless = [text_message(seq, client_msg_id="") for seq in (1, 2)]
    assert store(connection, *nameless) == [Verdict.NEW, Verdict.NEW]
    assert shown(connection) == [(1, ""), (2, "")]


def test_empty_slots(connection: sqlite3.Connection) -> None:
    erased = text_message(2, client_msg_id="gone", status=4, text="secret")
    assert store(connection, placeholder(1), erased, placeholder(3)) == [Verdict.PLACEHOLDER] * 3
    assert shown(connection) == []
    found = messages.get(connection, "gone")
    assert found is not None
    assert found.status is MessageStatus.DELETED
    assert found.raw_content == b""
    # It was a message, so its repetition is one.
    assert store(connection, text_message(4, client_msg_id="gone")) == [Verdict.DUPLICATE]


def test_an_erased_repetition_leaves_the_message(connection: sqlite3.Connection) -> None:
    store(connection, text_message(1, client_msg_id="m"))
    erased = text_message(2, client_msg_id="m", status=4)
    assert store(connection, erased) == [Verdict.PLACEHOLDER]
    assert shown(connection) == [(1, "m")]


@pytest.mark.parametrize("seq", [0, -1])
def test_a_seq_that_is_no_place_is_refused(connection: sqlite3.Connection, seq: int) -> None:
    with pytest.raises(InvalidArgument, match=f"seq {seq} "):
        store(connection, text_message(seq))


def test_own_messages_are_read(connection: sqlite3.Connection) -> None:
    found = (text_message(1), text_message(5, OWN), text_message(3, OWN), text_message(6))
    assert store(connection, *found) == [Verdict.NEW] * 4
    assert read_seq(connection) == 5
    store(connection, text_message(4, OWN))
    assert read_seq(connection) == 5
    # A slot that shows nothing was not written by the user there.
    store(connection, text_message(7, OWN, "m5"), text_message(8, OWN, status=4))
    assert read_seq(connection) == 5


# -- what is queued here ---------------------------------------------------------------------------


def test_a_queued_message_learns_its_place(connection: sqlite3.Connection) -> None:
    queued = queue(connection, "q")
    assert (queued.seq, queued.status, queued.text) == (0, MessageStatus.SENDING, "hi")
    data = text_message(4, OWN, "q")
    data.serverMsgID = "s4"
    assert store(connection, data, offline=True) == [Verdict.OWN]
    found = messages.get(connection, "q", OWN)
    assert found is not None
    assert (found.seq, found.server_msg_id, found.send_time) == (4, "s4", 1_004)
    assert found.status is MessageStatus.SENT
    assert shown(connection) == [(4, "q")]
    assert read_seq(connection) == 4
    assert store(connection, data) == [Verdict.KNOWN]
    assert store(connection, text_message(5, OWN, "q")) == [Verdict.DUPLICATE]


@pytest.mark.parametrize("status", [MessageStatus.FAILED, MessageStatus.UNKNOWN])
def test_what_the_server_has_was_sent_whatever_was_thought(
    connection: sqlite3.Connection, status: MessageStatus
) -> None:
    queue(connection, "q")
    messages.set_status(connection, OWN, "q", status)
    assert store(connection, text_message(1, OWN, "q")) == [Verdict.OWN]
    for late in (status, MessageStatus.SENDING):
        found = messages.set_status(connection, OWN, "q", late)
        assert found is not None
        assert found.status is MessageStatus.SENT


def test_another_senders_message_of_that_id_is_not_ours(connection: sqlite3.Connection) -> None:
    queue(connection, "q")
    assert store(connection, text_message(1, "bob", "q")) == [Verdict.NEW]
    assert shown(connection) == [(1, "q"), (0, "q")]


def test_a_queued_message_that_was_erased_before_it_was_seen(
    connection: sqlite3.Connection,
) -> None:
    queue(connection, "q")
    erased = text_message(1, OWN, "q", status=4)
    assert store(connection, erased) == [Verdict.PLACEHOLDER]
    assert shown(connection) == []
    found = messages.acknowledge(connection, OWN, "q", "s1", 7_000)
    assert found is not None
    assert (found.seq, found.status, found.server_msg_id) == (1, MessageStatus.DELETED, "s1")


def test_an_answer_before_the_place(connection: sqlite3.Connection) -> None:
    queue(connection, "q")
    found = messages.acknowledge(connection, OWN, "q", "s1", 7_000)
    assert found is not None
    assert (found.seq, found.status) == (0, MessageStatus.SENT)
    assert (found.server_msg_id, found.send_time) == ("s1", 7_000)
    assert store(connection, text_message(1, OWN, "q", send_time=7_000)) == [Verdict.OWN]


def test_an_answer_after_the_place_keeps_it(connection: sqlite3.Connection) -> None:
    queue(connection, "q")
    data = text_message(3, OWN, "q", send_time=7_000)
    data.serverMsgID = "s1"
    store(connection, data)
    for answer in (("s1", 7_000), ("", 0)):
        found = messages.acknowledge(connection, OWN, "q", *answer)
        assert found is not None
        assert (found.seq, found.server_msg_id, found.send_time) == (3, "s1", 7_000)


def test_only_messages_of_this_device_have_a_status(connection: sqlite3.Connection) -> None:
    store(connection, text_message(1, OWN, "elsewhere"), text_message(2, "bob", "theirs"))
    for name in ("elsewhere", "theirs", "nobody's"):
        assert messages.acknowledge(connection, OWN, name, "s", 1) is None
        assert messages.set_status(connection, OWN, name, MessageStatus.FAILED) is None
        assert not messages.remove_unsent(connection, OWN, name)


def test_an_id_can_be_queued_once(connection: sqlite3.Connection) -> None:
    queue(connection, "q")
    store(connection, text_message(1, OWN, "elsewhere"), conversation_id="sg_g")
    store(connection, text_message(1, "bob", "theirs"))
    for name in ("q", "elsewhere"):
        with pytest.raises(InvalidArgument, match=f"clientMsgID: {name} exists already"):
            queue(connection, name)
    with pytest.raises(InvalidArgument, match="clientMsgID: must not be empty"):
        queue(connection, "")
    queue(connection, "theirs")


def test_only_what_failed_is_removed(connection: sqlite3.Connection) -> None:
    for name in "abc":
        queue(connection, name)
    messages.set_status(connection, OWN, "b", MessageStatus.FAILED)
    messages.set_status(connection, OWN, "c", MessageStatus.UNKNOWN)
    assert [messages.remove_unsent(connection, OWN, name) for name in "abc"] == [False, True, False]
    assert shown(connection) == [(0, "a"), (0, "c")]
    assert not messages.remove_unsent(connection, OWN, "b")
    queue(connection, "b")


# -- what becomes of them later --------------------------------------------------------------------


def test_a_revoked_message_says_so(connection: sqlite3.Connection) -> None:
    data = content_message(106, {"text": "secret"}, seq=1, client_msg_id="m")
    data.atUserIDList.append("alice")
    store(connection, data, placeholder(2))
    messages.mark_read(connection, CHAT, [1])
    content = orjson.dumps({"detail": "{}"})
    found = messages.revoke(connection, CHAT, 1, content)
    assert found is not None
    assert (found.content_type, found.raw_content, found.at_user_ids) == (2101, content, ())
    assert (found.seq, found.status) == (1, MessageStatus.SENT)
    assert messages.get(connection, "m") == found
    assert messages.search(connection, "secret") == []
    assert messages.revoke(connection, CHAT, 2, content) is None
    assert messages.revoke(connection, CHAT, 3, content) is None
    assert messages.revoke(connection, "sg_g", 1, content) is None


def test_deleted_messages_are_gone(connection: sqlite3.Connection) -> None:
    store(connection, *(text_message(seq, text="secret") for seq in range(1, 6)), placeholder(6))
    gone = messages.mark_deleted(connection, CHAT, [6, 4, 2, 99])
    assert [(message.seq, message.text) for message in gone] == [(2, "secret"), (4, "secret")]
    assert [seq for seq, _ in shown(connection)] == [1, 3, 5]
    assert messages.mark_deleted(connection, CHAT, [2, 4]) == []
    found = messages.get(connection, "m2")
    assert found is not None
    assert (found.seq, found.status, found.raw_content) == (2, MessageStatus.DELETED, b"")
    assert len(messages.search(connection, "secret")) == 3
    assert store(connection, text_message(2)) == [Verdict.KNOWN]
    assert store(connection, text_message(9, client_msg_id="m2")) == [Verdict.DUPLICATE]


def test_a_cleared_conversation_shows_nothing_up_to_there(connection: sqlite3.Connection) -> None:
    store(connection, *(text_message(seq) for seq in (1, 2, 5, 6)))
    queue(connection, "q")
    messages.clear(connection, CHAT, 5)
    assert shown(connection) == [(6, "m6"), (0, "q")]
    late = (text_message(3), text_message(4, OWN, "q"), text_message(7))
    assert store(connection, *late) == [Verdict.PLACEHOLDER, Verdict.PLACEHOLDER, Verdict.NEW]
    assert shown(connection) == [(6, "m6"), (7, "m7")]
    messages.clear(connection, CHAT, 2)  # never back
    assert store(connection, text_message(5, client_msg_id="x")) == [Verdict.KNOWN]
    assert store(connection, text_message(3, client_msg_id="x"), conversation_id="sg_g") == [
        Verdict.NEW
    ]
    assert read_seq(connection) == 0


def test_receipts_mark_own_messages_once(connection: sqlite3.Connection) -> None:
    store(connection, text_message(1, OWN), text_message(2), text_message(3, OWN))
    queue(connection, "q")
    store(connection, text_message(4, OWN, "q"), text_message(5, OWN, status=4))
    assert messages.mark_read(connection, CHAT, [9, 5, 4, 3, 2]) == [3, 4]
    assert messages.mark_read(connection, CHAT, range(1, 100_000)) == [1]
    read = {message.seq: message.is_read for message in messages.page(connection, CHAT, 0, 9)}
    assert read == {1: True, 2: False, 3: True, 4: True}
    later = (
        messages.acknowledge(connection, OWN, "q", "s", 1),
        messages.revoke(connection, CHAT, 1, b"{}"),
    )
    for message in later:
        assert message is not None
        assert message.is_read
