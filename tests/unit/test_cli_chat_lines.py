"""Messages as lines of `openim-trio chat`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from openim_trio.cli.chat_lines import LONGEST_TEXT, Numbers, Peer, Wording, clean, excerpt, peer_of
from openim_trio.client import Message, MessageStatus

NOON = int(datetime(2026, 3, 4, 12, 5, tzinfo=UTC).timestamp() * 1000)
DAY = 24 * 3600 * 1000
BOB = Peer(user="bob")


def message(text: str = "hello", **more: Any) -> Message:
    given = {
        "client_msg_id": "m1",
        "conversation_id": "si_alice_bob",
        "send_id": "bob",
        "content_type": 101,
        "raw_content": orjson.dumps({"content": text}),
        "send_time": NOON,
        **more,
    }
    return Message(**given)


@pytest.fixture
def wording() -> Wording:
    return Wording("alice", lambda: NOON + 1, UTC)


def test_of_the_open_conversation_only_the_sender_is_named(wording: Wording) -> None:
    assert wording.message(message(), BOB).text == "12:05  #1 bob  hello"


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({}, "12:05  #1 bob → you  hello"),
        ({"send_id": "alice"}, "12:05  #1 alice → bob  hello ✓"),
        ({"conversation_id": "sg_g1"}, "12:05  #1 [g1] bob  hello"),
        ({"send_time": NOON - DAY}, "03 Mar 12:05  #1 bob → you  hello"),
        ({"send_time": 1 << 62}, "01 Jan 00:00  #1 bob → you  hello"),
    ],
)
def test_others_are_named_with_whom_it_is(
    fields: dict[str, Any], line: str, wording: Wording
) -> None:
    assert wording.message(message(**fields), Peer(user="carol")).text == line


@pytest.mark.parametrize(
    ("status", "is_read", "mark"),
    [
        (MessageStatus.SENDING, False, " …"),
        (MessageStatus.SENT, False, " ✓"),
        (MessageStatus.SENT, True, " ✓✓"),
        (MessageStatus.UNKNOWN, False, " ?"),
        (MessageStatus.FAILED, False, " ✗"),
        (MessageStatus.DELETED, False, ""),
    ],
)
def test_marks_of_own_messages(
    status: MessageStatus, is_read: bool, mark: str, wording: Wording
) -> None:
    own = message(send_id="alice", status=status, is_read=is_read)
    assert "".join(span.text for span in wording.mark(own)) == mark
    other = message(status=status, is_read=is_read)
    assert not wording.message(other, BOB).text.endswith(mark or "✓")


def test_a_failure_says_why(wording: Wording) -> None:
    failed = message(send_id="alice", status=MessageStatus.FAILED)
    assert wording.message(failed, BOB, "too\nlate").text == "12:05  #1 alice  hello ✗ too ⏎ late"


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ({"content_type": 102, "raw_content": b"{}"}, "(picture)"),
        ({"content_type": 4711, "raw_content": b"no json"}, "(content type 4711)"),
        ({"content_type": 2101}, "(taken back)"),
        ({"status": MessageStatus.DELETED}, "(deleted)"),
    ],
)
def test_what_has_no_text_is_described(fields: dict[str, Any], body: str, wording: Wording) -> None:
    assert wording.message(message(**fields), BOB).text == f"12:05  #1 bob  {body}"


def test_what_was_taken_back_has_no_mark(wording: Wording) -> None:
    own = message(send_id="alice", content_type=2101, is_read=True)
    assert wording.message(own, BOB).text == "12:05  #1 alice  (taken back)"


def test_a_long_text_is_cut(wording: Wording) -> None:
    line = wording.message(message("x" * (LONGEST_TEXT + 1_500)), BOB).text
    assert line.endswith("x … and 1,500 characters")
    assert len(line) < LONGEST_TEXT + 100


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x1b]0;title\x07", "�[2J�]0;title�"),
        ("\x9b31m", "�31m"),
        ("a\r\nb\nc", "a ⏎ b ⏎ c"),
        ("a\rb", "a�b"),
        ("\u202eevil\u2066", "�evil�"),
        ("a\u2028b", "a�b"),
        ("\udc80", "�"),
        ("שלום 你好 👩‍👩‍👧", "שלום 你好 👩‍👩‍👧"),
        ("[bold]not markup[/bold]", "[bold]not markup[/bold]"),
    ],
)
def test_no_text_reaches_the_terminal_as_a_command(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_ids_are_cleaned_too(wording: Wording) -> None:
    line = wording.message(message(send_id="b\x1bb", conversation_id="sg_\x07"), None).text
    assert "\x1b" not in line
    assert "\x07" not in line


def test_an_excerpt_has_at_most_its_length() -> None:
    assert excerpt("12345", 5) == "12345"
    assert excerpt("123456", 5) == "1234…"


def test_a_summary_is_short(wording: Wording) -> None:
    own = message("w" * 50, send_id="alice", is_read=True)
    assert wording.summary(own) == f"12:05 you: {'w' * 39}… ✓✓"
    assert wording.summary(message()) == "12:05 bob: hello"


@pytest.mark.parametrize(
    ("conversation", "peer"),
    [
        ("si_alice_bob", BOB),
        ("si_alice_zoe_x", Peer(user="zoe_x")),
        ("sg_g_1", Peer(group="g_1")),
        ("sn_alice_system", Peer(user="system")),
    ],
)
def test_whom_a_conversation_is_with(conversation: str, peer: Peer) -> None:
    assert peer_of(conversation, "alice") == peer


def test_a_peer_knows_its_conversation() -> None:
    assert BOB.conversation("alice") == "si_alice_bob"
    assert Peer(group="g1").conversation("alice") == "sg_g1"


def test_a_message_keeps_its_number() -> None:
    numbers = Numbers()
    first, second = message(), message(client_msg_id="m2")
    assert not numbers.knows(first)
    assert [numbers.of(first), numbers.of(second), numbers.of(first)] == [1, 2, 1]
    changed = message("changed")
    assert numbers.of(changed) == 1
    assert numbers.message(1) == changed
    assert numbers.message(3) is None
    assert numbers.of(message(send_id="carol")) == 3


def test_old_numbers_are_forgotten() -> None:
    numbers = Numbers(limit=2)
    for name in ("a", "b", "c"):
        numbers.of(message(client_msg_id=name))
    assert numbers.message(1) is None
    assert numbers.message(2) is not None
    assert numbers.of(message(client_msg_id="a")) == 4


def test_own_messages_that_are_not_read_are_found_in_order() -> None:
    numbers = Numbers()
    for name in ("a", "b", "c", "d"):
        numbers.of(message(client_msg_id=name, send_id="alice", is_read=name == "c"))
    numbers.of(message(client_msg_id="e"))
    numbers.of(message(client_msg_id="f", send_id="alice", conversation_id="sg_g1"))
    found = [m.client_msg_id for m in numbers.unread("si_alice_bob", "alice", 2)]
    assert found == ["b", "d"]
