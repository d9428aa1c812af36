"""Pages, searches, what is next to be shown; and that all of them use indexes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator

import pytest

from openim_trio.client.database import conversations, lists, messages, positions, sends
from openim_trio.client.database.texts import text_of
from openim_trio.client.machines.position import Position
from openim_trio.client.model import MessageStatus
from openim_trio.wire.proto import sdkws_pb2
from tests.support.local_database import (
    CHAT,
    OWN,
    content_message,
    memory_database,
    pending_send,
    placeholder,
    plans,
    text_message,
)


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with memory_database() as opened:
        yield opened


def store(
    connection: sqlite3.Connection, *found: sdkws_pb2.MsgData, conversation_id: str = CHAT
) -> None:
    messages.store(connection, conversation_id, found, own_user=OWN, offline=False)


def queue(connection: sqlite3.Connection, client_msg_id: str, send_time: int = 0) -> None:
    data = text_message(0, OWN, client_msg_id, send_time=send_time)
    messages.insert_own(connection, CHAT, data)


def page(connection: sqlite3.Connection, before_seq: int, count: int) -> list[int | str]:
    found = messages.page(connection, CHAT, before_seq, count)
    return [message.seq or message.client_msg_id for message in found]


def test_pages(connection: sqlite3.Connection) -> None:
    seqs = [1, 2, 3, 5, 8, 9]  # the others are not held
    store(connection, *(text_message(seq) for seq in seqs), placeholder(4), placeholder(10))
    store(connection, text_message(7, client_msg_id="m5"))  # shown at 5 already
    store(connection, text_message(1), conversation_id="si_alice_bobby")
    messages.mark_deleted(connection, CHAT, [8])
    queue(connection, "a")
    queue(connection, "b")
    messages.set_status(connection, OWN, "a", MessageStatus.FAILED)
    assert page(connection, 0, 3) == [3, 5, 9, "a", "b"]
    assert page(connection, 3, 3) == [1, 2]
    assert page(connection, 1, 3) == []
    assert page(connection, 6, 1) == [5]
    assert page(connection, 0, 100) == [1, 2, 3, 5, 9, "a", "b"]
    assert messages.page(connection, "sg_none", 0, 10) == []


def test_those_at_given_seqs(connection: sqlite3.Connection) -> None:
    store(connection, text_message(1), placeholder(2), text_message(3), text_message(4))
    found = messages.at(connection, CHAT, [4, 3, 2, 99, 3])
    assert [message.seq for message in found] == [3, 4]
    assert messages.at(connection, CHAT, []) == []
    assert len(messages.at(connection, CHAT, range(1, 200_000))) == 3


def test_what_is_to_be_shown(connection: sqlite3.Connection) -> None:
    queue(connection, "q")
    store(connection, *(text_message(seq) for seq in (1, 2, 3)), text_message(4, OWN, "q"))
    store(connection, text_message(5, OWN, "elsewhere"), placeholder(6), text_message(7))
    queue(connection, "pending")

    def seqs(after: int, upto: int, limit: int = 100) -> list[int]:
        found = messages.to_show(connection, CHAT, after, upto, limit)
        return [message.seq for message in found]

    assert seqs(0, 7) == [1, 2, 3, 5, 7]
    assert seqs(1, 5) == [2, 3, 5]
    assert seqs(0, 7, limit=2) == [1, 2]
    assert seqs(7, 100) == []


def test_the_latest(connection: sqlite3.Connection) -> None:
    def latest() -> str | None:
        found = messages.latest(connection, CHAT)
        return found.client_msg_id if found else None

    assert latest() is None
    store(connection, placeholder(1))
    assert latest() is None
    queue(connection, "failed", send_time=500)
    assert latest() == "failed"
    messages.set_status(connection, OWN, "failed", MessageStatus.FAILED)
    store(connection, text_message(2))
    assert latest() == "m2"  # written later
    queue(connection, "failed later", send_time=9_000)
    messages.set_status(connection, OWN, "failed later", MessageStatus.FAILED)
    assert latest() == "failed later"
    queue(connection, "on its way", send_time=400)  # this device's clock is behind
    queue(connection, "too", send_time=300)
    queue(connection, "refused", send_time=9_500)
    messages.set_status(connection, OWN, "refused", MessageStatus.FAILED)
    assert latest() == "too"  # the others have not got their places yet
    messages.remove_unsent(connection, OWN, "refused")
    messages.acknowledge(connection, OWN, "too", "s", 1_500)
    assert latest() == "too"  # its place is not known yet, but it has one at the end
    store(connection, text_message(3, OWN, "on its way"), text_message(4, OWN, "too"))
    assert latest() == "failed later"
    messages.remove_unsent(connection, OWN, "failed later")
    assert latest() == "too"
    messages.mark_deleted(connection, CHAT, [4])
    assert latest() == "on its way"


def test_the_last_of_equal_ids_is_found(connection: sqlite3.Connection) -> None:
    store(connection, text_message(1, "bob", "m", text="1"), text_message(2, "eve", "m", text="2"))
    store(connection, text_message(5, "bob", "m", text="3"), conversation_id="sg_g")

    def text(*arguments: str) -> str | None:
        found = messages.get(connection, *arguments)
        return found.text if found else None

    assert text("m") == text("m", "bob") == "3"
    assert text("m", "eve") == "2"
    assert text("m", "zoe") is None
    assert text("n") is None


# -- searching -------------------------------------------------------------------------------------

SEARCHED = [
    (101, {"content": "What a person reads"}, "PERSON"),
    (105, {"fileName": "Report 2024.pdf", "sourceUrl": "http://x/secret"}, "report 2024"),
    (106, {"text": "@bob look", "atUserList": ["bob"]}, "@BOB"),
    (107, {"title": "Chat of Ann", "abstractList": ["Ann: hello", "Bo: bye"]}, "bo: BYE"),
    (108, {"userID": "u-77", "nickname": "Zoë Ångström", "faceURL": ""}, "ZOË ÅNGSTRÖM"),
    (109, {"description": "Main Square 1", "longitude": 1.0, "latitude": 2.0}, "main square"),
    (110, {"data": "{}", "description": "An order", "extension": "{}"}, "an ORDER"),
    (114, {"text": "I agree", "quoteMessage": {"content": "hidden"}}, "i agree"),
    (117, {"text": "fancy", "messageEntityList": []}, "FANCY"),
    (118, {"content": "# Heading"}, "# heading"),
    (119, {"description": "quietly"}, "QUIET"),
    (1400, {"detail": '{"notificationName":"System","text":"Down at 5"}'}, "down AT 5"),
]


@pytest.mark.parametrize(("content_type", "content", "query"), SEARCHED)
def test_what_a_person_reads_is_found(
    connection: sqlite3.Connection, content_type: int, content: object, query: str
) -> None:
    store(connection, content_message(content_type, content, seq=1), text_message(2, text="else"))
    assert [message.seq for message in messages.search(connection, query)] == [1]


@pytest.mark.parametrize("query", ["secret", "u-77", "hidden", "http", "notificationName"])
def test_what_nobody_reads_is_not_found(connection: sqlite3.Connection, query: str) -> None:
    found = [
        content_message(content_type, content, seq=seq)
        for seq, (content_type, content, _) in enumerate(SEARCHED, 1)
    ]
    store(connection, *found)
    assert messages.search(connection, query) == []


@pytest.mark.parametrize(
    ("text", "found_by", "not_found_by"),
    [
        ("50% off", ["50%", "0% O", "%"], ["5%0", "_"]),
        ("a_b", ["_", "A_B"], ["a%b", "aXb"]),
        ("back\\slash 'quote' \"double\"", ["\\", "'QUOTE'", '"'], ["\\\\"]),
        ("Straße", ["STRASSE", "straße", "ss"], ["strase"]),
        ("ПРИВЕТ, мир", ["привет", "МИР"], ["приветмир"]),
        ("caf\u00e9", ["cafe\u0301", "CAF\u00c9"], ["cafe!"]),
        ("全角ＡＢＣ", ["abc", "全角", "角a"], ["全ａ"]),
        ("ΣΊΣΥΦΟΣ", ["σίσυφος"], ["σισυφοσ"]),
        ("😀 ok", ["😀"], ["😃"]),
        ("one\ntwo", ["one\ntwo", "two"], ["one two"]),
        ("nul\x00byte", ["\x00", "byte"], ["nulbyte"]),
    ],
)
def test_any_text_in_any_script(
    connection: sqlite3.Connection, text: str, found_by: list[str], not_found_by: list[str]
) -> None:
    store(connection, text_message(1, text=text))
    for query in found_by:
        assert len(messages.search(connection, query)) == 1, query
    for query in not_found_by:
        assert messages.search(connection, query) == [], query


def test_a_query_that_is_no_text_finds_nothing(connection: sqlite3.Connection) -> None:
    store(connection, text_message(1))
    assert messages.search(connection, "\ud800") == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b'{"content": 1, "title": {}, "abstractList": [1], "detail": 1}',
        b'{"content": null, "abstractList": null, "detail": "{"}',
        b"\xff",
        b"[" * 5_000,
    ],
)
@pytest.mark.parametrize("content_type", [101, 107, 1400, 9_999, -1])
def test_contents_that_are_not_what_they_should_be(
    connection: sqlite3.Connection, content_type: int, content: bytes
) -> None:
    assert text_of(content_type, content) == ""
    store(connection, content_message(content_type, content, seq=1))
    assert page(connection, 0, 5) == [1]


def test_filters(connection: sqlite3.Connection) -> None:
    store(connection, *(text_message(seq, text=f"hi {seq}") for seq in range(1, 6)))
    store(connection, text_message(6, OWN, "own", text="hi 6"))
    store(connection, content_message(105, {"fileName": "hi"}, seq=7, send_time=1_007))
    store(connection, text_message(1, client_msg_id="x", send_time=2_000), conversation_id="sg_g")
    queue(connection, "pending", send_time=3_000)

    def seqs(text: str = "HI", **filters: object) -> list[int]:
        return [m.seq for m in messages.search(connection, text, **filters)]  # type: ignore[arg-type]

    assert seqs() == [0, 1, 7, 6, 5, 4, 3, 2, 1]
    assert seqs(conversation_id=CHAT, content_types=(101,)) == [0, 6, 5, 4, 3, 2, 1]
    assert seqs(content_types=[105, 109]) == [7]
    assert seqs(sender=OWN) == [0, 6]
    assert seqs(since=1_003, until=1_005) == [5, 4, 3]
    assert seqs(offset=1, count=3) == [1, 7, 6]
    assert seqs("", count=2) == [0, 1]
    assert seqs("hi 3", conversation_id="sg_g") == []
    messages.mark_deleted(connection, CHAT, [3])
    assert seqs("hi 3") == []


# -- indexes ---------------------------------------------------------------------------------------

READS: dict[str, Callable[[sqlite3.Connection], object]] = {
    "store": lambda c: messages.store(
        c, CHAT, [text_message(30_000), placeholder(30_001)], own_user=OWN, offline=False
    ),
    "insert_own": lambda c: messages.insert_own(c, CHAT, text_message(0, OWN, "new")),
    "acknowledge": lambda c: messages.acknowledge(c, OWN, "q", "s", 1),
    "set_status": lambda c: messages.set_status(c, OWN, "q", MessageStatus.FAILED),
    "page": lambda c: messages.page(c, CHAT, 5_000, 20),
    "newest page": lambda c: messages.page(c, CHAT, 0, 20),
    "to_show": lambda c: messages.to_show(c, CHAT, 9_000, 9_500, 20),
    "at": lambda c: messages.at(c, CHAT, [1, 2, 3]),
    "latest": lambda c: messages.latest(c, CHAT),
    "get": lambda c: messages.get(c, "m5"),
    "get of a sender": lambda c: messages.get(c, "m5", "bob"),
    "mark_read": lambda c: messages.mark_read(c, CHAT, [5, 6]),
    "mark_deleted": lambda c: messages.mark_deleted(c, CHAT, [5, 6]),
    "revoke": lambda c: messages.revoke(c, CHAT, 7, b"{}"),
    "clear": lambda c: messages.clear(c, CHAT, 10),
    "remove_unsent": lambda c: messages.remove_unsent(c, OWN, "q"),
    "listed": lambda c: conversations.listed(c, [CHAT]),
    "get conversation": lambda c: conversations.get(c, CHAT),
    "stamp": lambda c: sends.stamp(c, {"q": 1}),
    "settle": lambda c: sends.settle(c, "q", sent=True),
    "told": lambda c: sends.told(c, ["q"]),
    "save": lambda c: positions.save(c, [Position(CHAT).hold([1, 9])]),
    "version": lambda c: lists.version(c, "friends"),
}


@pytest.fixture(scope="module")
def large() -> Iterator[sqlite3.Connection]:
    """20,000 messages in two conversations."""
    with memory_database() as opened:
        for name in (CHAT, "sg_g"):
            found = [text_message(seq, client_msg_id=f"m{seq}") for seq in range(1, 10_001)]
            store(opened, *found, conversation_id=name)
            conversations.ensure(opened, name, 1, "bob", "")
        queue(opened, "q")
        sends.queue(opened, pending_send("q"))
        yield opened


@pytest.mark.parametrize("read", READS.values(), ids=READS.keys())
def test_nothing_is_read_from_end_to_end(
    large: sqlite3.Connection, read: Callable[[sqlite3.Connection], object]
) -> None:
    large.execute("SAVEPOINT test")
    steps = plans(large, lambda: read(large))
    large.execute("ROLLBACK TO test")
    assert steps
    # json_each is the list that was given.
    scans = [step for step in steps if step.startswith("SCAN") and "json_each" not in step]
    assert scans == []


def test_listing_all_reads_no_messages_from_end_to_end(large: sqlite3.Connection) -> None:
    steps = plans(large, lambda: conversations.listed(large))
    assert any("messages_shown" in step for step in steps)
    scans = [step for step in steps if step.startswith("SCAN") and "json_each" not in step]
    assert len(scans) == 1  # the list itself


def test_one_page_of_many_costs_the_same_whatever_lies_around(large: sqlite3.Connection) -> None:
    def steps_of(work: Callable[[], object]) -> int:
        """Of SQLite's virtual machine, in thousands."""
        count = 0

        def tick() -> None:
            nonlocal count
            count += 1

        large.set_progress_handler(tick, 1_000)
        work()
        large.set_progress_handler(None, 0)
        return count

    assert steps_of(lambda: messages.page(large, CHAT, 0, 20)) <= 2
    assert steps_of(lambda: messages.page(large, CHAT, 5_000, 20)) <= 2
    assert steps_of(lambda: messages.to_show(large, CHAT, 5_000, 9_000, 20)) <= 2
    assert steps_of(lambda: conversations.listed(large)) <= 2
    assert steps_of(lambda: messages.search(large, "nothing")) > 20
