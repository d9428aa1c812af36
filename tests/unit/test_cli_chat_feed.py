"""What `openim-trio chat` makes of each event: lines, and what stands below them."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import orjson
import pytest

from openim_trio.cli.chat_feed import MISSED_ELSEWHERE, MISSED_HERE, ON_THE_WAY_SHOWN, Feed
from openim_trio.cli.chat_lines import Peer, Wording
from openim_trio.cli.chat_status import TYPING_LASTS, Link, connection, toolbar
from openim_trio.client import Message, MessageStatus, ReadReceipt, Revocation
from openim_trio.client.errors import (
    DatabaseFull,
    LocalCode,
    NotConnected,
    SendFailed,
    ServerRefused,
    TokenRefused,
)
from openim_trio.client.events import (
    ConnectFailed,
    Connecting,
    ConnectSuccess,
    Event,
    KickedOffline,
    LocalDatabaseFailed,
    MessageFailed,
    MessageSent,
    MessagesRecovered,
    MessageUnknown,
    MsgDeleted,
    NewRecvMessageRevoked,
    RecvCustomBusinessMessage,
    RecvNewMessage,
    RecvOnlineOnlyMessage,
    SyncServerFailed,
    SyncServerFinish,
    SyncServerProgress,
    SyncServerStart,
    TotalUnreadChanged,
    UserTokenExpired,
    UserTokenInvalid,
)

BOB = Peer(user="bob")
NOW = 1_700_000_000_000  # 22:13 UTC


def message(text: str = "hello", **more: Any) -> Message:
    given = {
        "client_msg_id": text,
        "conversation_id": "si_alice_bob",
        "send_id": "bob",
        "content_type": 101,
        "raw_content": orjson.dumps({"content": text}),
        "send_time": NOW,
        **more,
    }
    return Message(**given)


def own(text: str = "hello", **more: Any) -> Message:
    return message(text, send_id="alice", **more)


def from_carol(text: str, **more: Any) -> Message:
    return message(text, conversation_id="si_alice_carol", send_id="carol", **more)


class Teller:
    """A feed, and what it said."""

    def __init__(self, *, hold_missed: bool = True) -> None:
        self.feed = Feed(Wording("alice", lambda: NOW, UTC), "ws://server", hold_missed=hold_missed)
        self.now = 100.0

    def __call__(self, event: Event) -> list[str]:
        return [line.text for line in self.feed.take(event, self.now)]

    @property
    def toolbar(self) -> str:
        return toolbar(self.feed.status, self.now).text

    @property
    def below(self) -> list[str]:
        return [line.text for line in self.feed.view().on_the_way]


@pytest.fixture
def tell() -> Teller:
    teller = Teller()
    teller.feed.open(BOB)
    return teller


# -- connection ------------------------------------------------------------------------------------


def test_the_first_connection(tell: Teller) -> None:
    assert tell(Connecting()) == []
    assert tell.toolbar == " ◌ connecting  │  alice → bob  │  0 unread"
    assert tell(ConnectSuccess()) == ["— connected"]
    assert tell.toolbar == " ● online  │  alice → bob  │  0 unread"


def test_a_lost_connection_is_told_once_and_counts_down(tell: Teller) -> None:
    tell(ConnectSuccess())
    lost = ConnectFailed(error=NotConnected("cut"), retry_in=1.2)
    assert tell(lost) == ["— connection lost, again in 1.2 s: cut"]
    assert "○ offline, again in 1.2 s" in tell.toolbar
    tell.now += 0.9
    assert "○ offline, again in 0.3 s" in tell.toolbar
    tell.now += 10
    assert "○ offline, again in 0.1 s" in tell.toolbar
    tell(Connecting())
    assert tell(ConnectFailed(error=NotConnected("refused"), retry_in=2.4)) == []
    assert connection(tell.feed.status, tell.now) == "no connection to ws://server; again in 2.4 s"
    assert tell(ConnectSuccess()) == ["— connected again"]
    assert connection(tell.feed.status, tell.now) == "connected to ws://server"


def test_no_connection_from_the_start(tell: Teller) -> None:
    assert connection(tell.feed.status, tell.now) == "connecting to ws://server"
    failed = ConnectFailed(error=NotConnected("refused"), retry_in=0.5)
    assert tell(failed) == ["— no connection, again in 0.5 s: refused"]
    assert tell(failed) == []
    assert tell(ConnectSuccess()) == ["— connected"]


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (KickedOffline(), "another login took this one's place"),
        (UserTokenExpired(), "the token has expired"),
        (UserTokenInvalid(error=TokenRefused(1503, "TokenMalformedError")), "1503 TokenMalformed"),
    ],
)
def test_the_end_of_a_login(event: Event, why: str, tell: Teller) -> None:
    assert tell(event) == []
    assert why in tell.feed.fatal


def test_a_sync_shows_how_far_it_is(tell: Teller) -> None:
    tell(ConnectSuccess())
    assert tell(SyncServerStart(reinstalled=True)) == []
    assert "fetching" not in tell.toolbar
    assert tell(SyncServerProgress(done=900, total=1_200)) == []
    assert "fetching ━━━━━━━━━╌╌╌ 900/1,200" in tell.toolbar
    refused = SyncServerFailed(error=ServerRefused(500, "Busy"))
    assert tell(refused) == ["✗ what came meanwhile, again soon: 500 Busy"]
    finished = SyncServerFinish(reinstalled=True)
    assert tell(finished) == ["— 1,200 messages fetched that came meanwhile"]
    assert "fetching" not in tell.toolbar


def test_a_sync_that_found_nothing_says_nothing(tell: Teller) -> None:
    tell(SyncServerStart(reinstalled=False))
    assert tell(SyncServerFinish(reinstalled=False)) == []


def test_a_lost_connection_ends_the_sync(tell: Teller) -> None:
    tell(SyncServerProgress(done=1, total=2))
    tell(ConnectFailed(error=NotConnected("cut"), retry_in=1))
    assert "fetching" not in tell.toolbar


def test_unread_and_typing(tell: Teller) -> None:
    def typing(tips: str, sender: str = "bob") -> RecvOnlineOnlyMessage:
        content = orjson.dumps({"msgTips": tips})
        return RecvOnlineOnlyMessage(
            message=message(content_type=113, raw_content=content, send_id=sender)
        )

    tell(TotalUnreadChanged(count=3))
    assert "3 unread" in tell.toolbar
    tell(typing("yes", sender="alice"))
    assert "typing" not in tell.toolbar
    assert tell(typing("yes")) == []
    assert "bob is typing" in tell.toolbar
    tell(RecvNewMessage(message=from_carol("hi")))
    assert "bob is typing" in tell.toolbar
    tell(typing("no"))
    assert "typing" not in tell.toolbar
    tell(typing("yes"))
    tell(RecvNewMessage(message=message("there")))
    assert "typing" not in tell.toolbar
    tell(typing("yes"))
    tell.now += TYPING_LASTS
    assert "typing" not in tell.toolbar


# -- what comes ------------------------------------------------------------------------------------


def test_messages_come_and_may_be_marked_as_read(tell: Teller) -> None:
    assert tell(RecvNewMessage(message=from_carol("psst"))) == ["22:13  #1 carol → you  psst"]
    assert not tell.feed.read
    assert tell(RecvNewMessage(message=message())) == ["22:13  #2 bob  hello"]
    assert tell.feed.read


def test_what_a_history_showed_does_not_come_again(tell: Teller) -> None:
    assert tell.feed.shown(message()).text == "22:13  #1 bob  hello"
    assert tell(RecvNewMessage(message=message())) == []


def test_of_many_missed_messages_the_last_are_shown(tell: Teller) -> None:
    for n in range(MISSED_HERE + 5):
        assert tell(RecvNewMessage(message=message(f"b{n}", offline=True))) == []
    for n in range(MISSED_ELSEWHERE):
        assert tell(RecvNewMessage(message=from_carol(f"c{n}", offline=True))) == []
    assert tell.feed.missed == MISSED_HERE + 5 + MISSED_ELSEWHERE
    assert not tell.feed.read
    lines = [line.text for line in tell.feed.flush()]
    assert lines[0] == "— 5 earlier ones with bob are in /history"
    assert lines[1].endswith("#1 bob  b5")
    assert lines[MISSED_HERE].endswith(f"bob  b{MISSED_HERE + 4}")
    assert [line.split("  ")[-1] for line in lines[MISSED_HERE + 1 :]] == ["c0", "c1", "c2"]
    assert tell.feed.read
    assert tell.feed.flush() == []


def test_a_live_message_comes_behind_what_was_missed_of_its_conversation(tell: Teller) -> None:
    tell(RecvNewMessage(message=message("old", offline=True)))
    tell(RecvNewMessage(message=from_carol("older", offline=True)))
    told = tell(RecvNewMessage(message=message("new")))
    assert [line.split("  ")[-1] for line in told] == ["old", "new"]
    assert tell.feed.missed == 1


def test_turning_to_a_conversation_lets_what_was_missed_of_it_go(tell: Teller) -> None:
    tell(RecvNewMessage(message=from_carol("older", offline=True)))
    tell.feed.open(Peer(user="carol"))
    assert tell.feed.missed == 0


def test_a_pipe_gets_every_missed_message() -> None:
    tell = Teller(hold_missed=False)
    told = [tell(RecvNewMessage(message=message(str(n), offline=True))) for n in range(50)]
    assert [len(lines) for lines in told] == [1] * 50


def test_what_a_crash_left_ambiguous(tell: Teller) -> None:
    told = tell(MessagesRecovered(messages=(message("a"), message("b"))))
    assert told[0] == "— perhaps shown before the last run ended, perhaps not:"
    assert [line[-1] for line in told[1:]] == ["a", "b"]


def test_what_happens_to_messages(tell: Teller) -> None:
    shown = message()
    tell(RecvNewMessage(message=shown))

    def revoked(message: Message, by: str) -> list[str]:
        revocation = Revocation(message=message, revoker_id=by, revoke_time=NOW)
        return tell(NewRecvMessageRevoked(revocation=revocation))

    assert revoked(shown, "bob") == ["— bob took back #1"]
    assert revoked(message("never seen", content_type=2101), "alice") == [
        "— you took back “(taken back)”"
    ]
    assert tell(MsgDeleted(message=shown)) == ["— #1 was deleted"]
    business = RecvCustomBusinessMessage(key="k\x1b", data="{}")
    assert tell(business) == ["— a message of the application: k�"]


def test_a_full_disk_is_told(tell: Teller) -> None:
    event = LocalDatabaseFailed(error=DatabaseFull("/x.db", "no room"), retry_in=5.0)
    assert tell(event) == ["✗ /x.db: no room; tried again in 5 s"]


# -- what is sent ----------------------------------------------------------------------------------


def test_a_send_stands_below_until_it_is_stored(tell: Teller) -> None:
    tell.feed.queued(own(status=MessageStatus.SENDING))
    assert tell.below == ["  hello …"]
    assert "1 waiting" in tell.toolbar
    assert tell(MessageSent(message=own())) == ["22:13  #1 alice  hello ✓"]
    assert tell.below == []
    assert "waiting" not in tell.toolbar


def test_a_send_without_an_answer_is_asked_for(tell: Teller) -> None:
    tell.feed.queued(own(status=MessageStatus.SENDING))
    unknown = MessageUnknown(message=own(status=MessageStatus.UNKNOWN))
    assert tell(unknown) == ["? no answer in time to “hello”: the server is asked for it"]
    assert tell.below == ["  hello ?"]
    assert tell.feed.waiting == 1


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (1101, "nobody is registered with this ID"),
        (1201, "there is no such group"),
        (LocalCode.DEADLINE, "it could not be sent in time, and never will be"),
        (1402, "what the server said"),
    ],
)
def test_a_failed_send_says_why(code: int, why: str, tell: Teller) -> None:
    tell.feed.queued(own(status=MessageStatus.SENDING))
    error = SendFailed("hello", code, "what the server said")
    failed = MessageFailed(message=own(status=MessageStatus.FAILED), error=error)
    assert tell(failed) == [f"22:13  #1 alice  hello ✗ {why}"]
    assert (tell.feed.waiting, tell.feed.failed) == (0, 1)


def test_what_waits_for_others_is_named_and_the_list_is_short(tell: Teller) -> None:
    to_carol = own("c", conversation_id="si_alice_carol", status=MessageStatus.SENDING)
    tell.feed.queued(to_carol)
    assert tell.below == ["  → carol  c …"]
    for n in range(ON_THE_WAY_SHOWN + 1):
        tell.feed.queued(own(str(n), status=MessageStatus.SENDING))
    assert len(tell.below) == ON_THE_WAY_SHOWN + 1
    assert tell.below[-1] == "  and 2 more wait"
    tell.feed.not_queued("c")
    assert tell.feed.waiting == ON_THE_WAY_SHOWN + 1


def test_what_the_peer_has_read(tell: Teller) -> None:
    tell(MessageSent(message=own("a")))
    tell(MessageSent(message=own("b")))
    receipt = ReadReceipt(conversation_id="si_alice_bob", user_id="bob", seqs=(1, 2), read_time=NOW)
    unread = tell.feed.unread_by_peer("si_alice_bob")
    assert [m.text for m in unread] == ["a", "b"]
    now = [own("a", is_read=True), own("b", is_read=True)]
    assert tell.feed.read_by(receipt, now).text == "✓✓ bob has read as far as #2"
    assert tell.feed.unread_by_peer("si_alice_bob") == []
    assert tell.feed.read_by(receipt, []).text == "✓✓ bob has read 2 of your messages"


def test_the_link_starts_as_connecting(tell: Teller) -> None:
    assert tell.feed.status.link is Link.CONNECTING
    assert tell.feed.open_conversation == "si_alice_bob"
    assert Teller().feed.open_conversation == ""
