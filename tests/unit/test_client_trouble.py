"""What a client makes of a bad token, a bad server, a bad disk: a typed error or an event that says
what to do, never a hang, never a lost send."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openim_trio.client import Client, LoginStatus, MessageStatus, contents, open_client
from openim_trio.client.database.database import database_path
from openim_trio.client.errors import (
    DatabaseCorrupt,
    DatabaseFull,
    DatabaseInUse,
    InvalidArgument,
    LocalCode,
    NotConnected,
    ProtocolError,
    SendFailed,
    ServerRefused,
    TokenRefused,
)
from openim_trio.client.events import (
    ConnectFailed,
    ConnectSuccess,
    KickedOffline,
    LocalDatabaseFailed,
    MessageFailed,
    MessageSent,
    MessagesRecovered,
    MessageUnknown,
    SyncServerFinish,
    UserTokenExpired,
    UserTokenInvalid,
)
from openim_trio.client.sending import Sending
from openim_trio.wire.envelope import Response
from openim_trio.wire.identifiers import Req
from openim_trio.wire.proto import extension_pb2, msg_pb2, sdkws_pb2
from tests.support.scripted_server import ScriptedServer, row, settings_for
from tests.support.sdk import Diary

CONVERSATION = "si_alice_bob"


@asynccontextmanager
async def logged_in(
    server: ScriptedServer, directory: Path, **more: Any
) -> AsyncIterator[tuple[Client, Diary]]:
    async with open_client(
        settings_for(directory, **more), dial=server.dial, threads=False
    ) as client:
        diary = Diary()
        client.listen(diary)
        await client.login("alice", "token")
        yield client, diary


# -- tokens ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "event"),
    [
        (1501, UserTokenExpired),
        (1502, UserTokenInvalid),
        (1505, UserTokenInvalid),
        (1506, KickedOffline),
        (1507, UserTokenInvalid),
    ],
)
async def test_a_token_that_is_not_taken_ends_the_login(
    code: int, event: type, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    server = ScriptedServer(refuse=TokenRefused(code, "TokenError"))
    async with logged_in(server, tmp_path) as (client, diary):
        with pytest.raises(TokenRefused) as caught:
            await client.until_connected()
        assert caught.value.code == code
        await diary.wait_for(event)
        assert client.login_status is LoginStatus.LOGIN_FAILED
        await trio.sleep(100)
        assert server.attempts == 1, "it is not tried again"
        server.refuse = None
        await client.login("alice", "a-better-token")
        await client.until_connected()
        assert client.login_status is LoginStatus.LOGGED_IN


async def test_a_kick_ends_the_login(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    server = ScriptedServer()
    async with logged_in(server, tmp_path) as (client, diary):
        await client.until_connected()
        from openim_trio.client.channel import ENCODING

        server.links[0].put(ENCODING.encode(Response(Req.KICK)))
        await diary.wait_for(KickedOffline)
        assert client.login_status is LoginStatus.LOGGED_OUT
        await trio.sleep(100)
        assert server.attempts == 1


# -- servers ---------------------------------------------------------------------------------------


async def test_an_unreachable_server_is_tried_again_with_growing_pauses(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    server = ScriptedServer(refuse=NotConnected("nobody is there"))
    async with logged_in(server, tmp_path) as (client, diary):
        said = await client.messages.send(contents.text("hello"), to="bob")
        await trio.sleep(60)
        pauses = [event.retry_in for event in diary.of(ConnectFailed)]
        assert len(pauses) > 5
        assert max(pauses) <= 2.0
        assert pauses[0] <= 0.1 < min(pauses[5:])
        assert client.login_status is LoginStatus.LOGGING_IN
        server.refuse = None
        sent = await client.messages.outcome(said.client_msg_id)
        assert sent.status is MessageStatus.SENT
        assert len(server.sends()) == 1


async def test_a_refusal_that_is_not_the_tokens_is_tried_again(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    server = ScriptedServer(refuse=ServerRefused(1601, "ConnOverMaxNumLimit"))
    async with logged_in(server, tmp_path) as (_, diary):
        event = await diary.wait_for(ConnectFailed)
        assert event.error.code == 1601
        await diary.until(lambda: server.attempts > 3)


async def test_garbage_ends_the_connection_and_no_send(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    server = ScriptedServer(on_send=lambda _: None)
    async with logged_in(server, tmp_path) as (client, diary):
        await client.until_connected()
        said = await client.messages.send(contents.text("hello"), to="bob")
        await diary.until(lambda: len(server.sends()) == 1)
        server.on_send = ScriptedServer().on_send
        server.links[0].put(b"\x00 this is no envelope")
        failed = await diary.wait_for(ConnectFailed)
        assert isinstance(failed.error, ProtocolError)
        assert (await client.messages.outcome(said.client_msg_id)).seq == 0
        first, second = server.sends()
        assert first == second, "it is the same send, createTime and all"
        assert first.createTime >= server.time


async def test_a_server_that_always_sends_garbage_is_not_stormed(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    server = ScriptedServer()
    async with logged_in(server, tmp_path) as (_, diary):
        seen = 0
        began = trio.current_time()
        while trio.current_time() < began + 60:
            await trio.sleep(0.01)
            if len(server.links) > seen:
                seen = len(server.links)
                server.links[-1].put(b"garbage")
        assert 20 < seen < 80
        assert all(isinstance(e.error, ProtocolError) for e in diary.of(ConnectFailed))


async def test_a_silent_server_is_given_up(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    server = ScriptedServer()
    async with logged_in(server, tmp_path) as (client, diary):
        await client.until_connected()
        server.silent = True
        await diary.wait_for(ConnectFailed)
        assert trio.current_time() >= 30.0
        server.silent = False
        await diary.until(lambda: len(diary.of(ConnectSuccess)) == 2)


async def test_a_request_without_an_answer_ends_the_connection(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    server = ScriptedServer(on_send=lambda _: None)
    async with logged_in(server, tmp_path, answer_timeout=5.0) as (client, diary):
        said = await client.messages.send(contents.text("hello"), to="bob")
        await diary.wait_for(ConnectFailed)
        server.on_send = ScriptedServer().on_send
        await client.messages.outcome(said.client_msg_id)
        assert [m.clientMsgID for m in server.sends()] == [said.client_msg_id] * len(server.sends())


async def test_a_connection_that_ends_while_a_send_is_being_stamped(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ScriptedServer()
    stamp = Sending._stamp
    cuts = iter((True, False))

    async def stamp_and_cut(self: Sending, unstamped: Any) -> Any:
        stamped = await stamp(self, unstamped)
        if next(cuts, False):
            server.links[-1].cut()
            await trio.sleep(0.01)
        return stamped

    monkeypatch.setattr(Sending, "_stamp", stamp_and_cut)
    async with logged_in(server, tmp_path) as (client, _):
        said = await client.messages.send(contents.text("hello"), to="bob")
        await client.messages.outcome(said.client_msg_id)
        assert len(server.links) == 2
        assert len(server.sends()) == 1


async def test_a_server_that_does_not_know_its_newest_messages_for_a_while(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """What a pull leaves out at the end of a conversation may come later."""
    server = ScriptedServer(pulled_to=7)
    server.rows[CONVERSATION] = [row("bob", "alice", seq) for seq in range(1, 11)]
    async with logged_in(server, tmp_path) as (_, diary):
        await diary.until(lambda: len(diary.received) == 7)
        await trio.sleep(30)
        count = len(server.requests)
        await trio.sleep(30)
        assert len(server.requests) < count + 30, "it is not asked all the time"
        server.pulled_to = 10
        await diary.until(lambda: len(diary.received) == 10)


async def test_what_is_below_the_readable_messages_is_not_waited_for(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    server = ScriptedServer()
    server.rows[CONVERSATION] = [row("bob", "alice", seq) for seq in range(501, 505)]
    async with logged_in(server, tmp_path) as (_, diary):
        await diary.until(lambda: len(diary.received) == 4)
        assert [message.seq for message in diary.received] == [501, 502, 503, 504]


messages = st.builds(
    sdkws_pb2.MsgData,
    sendID=st.sampled_from(["alice", "bob", "", "\0", "a_b"]),
    recvID=st.sampled_from(["alice", "bob", ""]),
    clientMsgID=st.sampled_from(["", "a", "b", "c" * 100]),
    sessionType=st.integers(-1, 5),
    contentType=st.sampled_from([0, -1, 101, 113, 1300, 1400, 2001, 2101, 2102, 2200, 1703, 5]),
    content=st.sampled_from(
        [b"", b"{}", b'{"detail":"{}"}', b'{"detail":"[1]"}', b"\xff", b'{"content":1}']
    )
    | st.binary(max_size=20),
    seq=st.integers(-3, 12) | st.sampled_from([2**62, -(2**63)]),
    sendTime=st.integers(-(2**63), 2**63 - 1),
    status=st.integers(-1, 9),
    options=st.dictionaries(st.sampled_from(["history", "x"]), st.booleans(), max_size=2),
)
pushes = st.builds(
    lambda chats, notes: (chats, notes),
    st.dictionaries(
        st.sampled_from(["si_alice_bob", "sg_g", "", "x", "sn_a_b"]),
        st.lists(messages, max_size=4),
        max_size=2,
    ),
    st.dictionaries(
        st.sampled_from(["n_alice_bob", "n_", "si_a_b"]), st.lists(messages, max_size=4), max_size=2
    ),
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(pushes, max_size=5))
def test_whatever_is_pushed_the_client_goes_on(
    tmp_path_factory: pytest.TempPathFactory, pushed: list[Any]
) -> None:
    directory = tmp_path_factory.mktemp("pushed")

    async def main() -> None:
        server = ScriptedServer()
        async with logged_in(server, directory) as (client, _):
            await client.until_connected()
            for chats, notes in pushed:
                if server.links[-1].closed:
                    break
                push = sdkws_pb2.PushMessages()
                for name, found in chats.items():
                    push.msgs[name].Msgs.extend(found)
                for name, found in notes.items():
                    push.notificationMsgs[name].Msgs.extend(found)
                server.links[-1].push(push)
                await trio.sleep(0.2)
            said = await client.messages.send(contents.text("still here"), to="bob")
            with trio.fail_after(60):
                await client.messages.outcome(said.client_msg_id)
            await client.conversations.list()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


# -- sends that are given up -----------------------------------------------------------------------


async def test_a_send_without_an_answer_is_given_up_and_fails(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    server = ScriptedServer(on_send=lambda _: 90002, on_give_up=lambda _: 90002)
    async with logged_in(server, tmp_path, send_deadline=10.0) as (client, diary):
        said = await client.messages.send(contents.text("hello"), to="bob")
        unknown = await diary.wait_for(MessageUnknown)
        assert unknown.message.status is MessageStatus.UNKNOWN
        assert (await client.messages.get(said.client_msg_id)).status is MessageStatus.UNKNOWN
        await trio.sleep(60)
        assert not diary.of(MessageFailed), "the server has not said so"
        server.on_give_up = lambda _: extension_pb2.GiveUpResp().SerializeToString()
        failed = await diary.wait_for(MessageFailed)
        assert failed.error.code == LocalCode.DEADLINE
        with pytest.raises(SendFailed):
            await client.messages.outcome(said.client_msg_id)
        count = len(server.sends())
        await trio.sleep(60)
        assert len(server.sends()) == count, "it is not sent any more"


async def test_a_give_up_may_learn_that_it_was_delivered(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    delivered = extension_pb2.GiveUpResp(
        delivered=True, sent=msg_pb2.SendMsgResp(serverMsgID="s", sendTime=77)
    )
    server = ScriptedServer(
        on_send=lambda _: 90002, on_give_up=lambda _: delivered.SerializeToString()
    )
    async with logged_in(server, tmp_path, send_deadline=10.0) as (client, diary):
        said = await client.messages.send(contents.text("hello"), to="bob")
        sent = await client.messages.outcome(said.client_msg_id)
        assert (sent.status, sent.send_time) == (MessageStatus.SENT, 77)
        assert diary.of(MessageUnknown)
        await diary.wait_for(MessageSent)


async def test_what_never_left_fails_without_asking(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    server = ScriptedServer(refuse=NotConnected("nobody is there"))
    async with logged_in(server, tmp_path, send_deadline=10.0) as (client, diary):
        said = await client.messages.send(contents.text("hello"), to="bob")
        with pytest.raises(SendFailed):
            await client.messages.outcome(said.client_msg_id)
        assert not diary.of(MessageUnknown)


async def test_giving_up_goes_on_after_a_restart(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    server = ScriptedServer(on_send=lambda _: 90002, on_give_up=lambda _: 90002)
    async with logged_in(server, tmp_path, send_deadline=10.0) as (client, diary):
        said = await client.messages.send(contents.text("hello"), to="bob")
        await diary.wait_for(MessageUnknown)
    server.on_give_up = ScriptedServer().on_give_up
    count = len(server.sends())
    async with logged_in(server, tmp_path, send_deadline=10.0) as (client, diary):
        failed = await diary.wait_for(MessageFailed)
        assert failed.message.client_msg_id == said.client_msg_id
        assert len(server.sends()) == count
    async with logged_in(server, tmp_path) as (client, diary):
        await trio.sleep(60)
        assert not diary.of(MessageFailed), "it was told"


async def test_a_server_without_the_extension_is_never_sent_to_twice(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """It would store the message twice.  What became of it, the conversation shows."""
    server = ScriptedServer(extension=False, on_send=lambda _: None)
    async with logged_in(server, tmp_path, send_deadline=10.0, check_heads_every=5.0) as (
        client,
        diary,
    ):
        said = await client.messages.send(contents.text("hello"), to="bob")
        later = await client.messages.send(contents.text("later"), to="bob")
        await diary.until(lambda: len(server.sends()) == 1)
        server.on_send = ScriptedServer().on_send
        server.links[0].cut()
        await client.messages.outcome(later.client_msg_id)
        await diary.wait_for(MessageUnknown)
        await trio.sleep(60)
        assert [m.clientMsgID for m in server.sends()] == [said.client_msg_id, later.client_msg_id]
        assert not diary.of(MessageFailed)
        stored = row("alice", "bob", 1, "hello")
        stored.clientMsgID = said.client_msg_id
        server.rows[CONVERSATION] = [stored]
        sent = await client.messages.outcome(said.client_msg_id)
        assert (sent.status, sent.seq) == (MessageStatus.SENT, 1)


@pytest.mark.parametrize("stored", [False, True])
async def test_where_the_server_says_no_more_the_history_does(
    stored: bool, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """The first attempt has no answer; then the server takes neither the send nor its give-up (it
    is too old by now, say)."""
    server = ScriptedServer(on_send=lambda _: None, on_give_up=lambda _: 1001)
    async with logged_in(server, tmp_path) as (client, diary):
        said = await client.messages.send(contents.text("hello"), to="bob")
        await diary.until(lambda: len(server.sends()) == 1)
        if stored:
            kept = row("alice", "bob", 1, "hello")
            kept.clientMsgID = said.client_msg_id
            server.rows[CONVERSATION] = [kept]
        server.on_send = lambda _: 1001
        server.links[0].cut()
        if stored:
            sent = await client.messages.outcome(said.client_msg_id)
            assert (sent.status, sent.seq) == (MessageStatus.SENT, 1)
        else:
            failed = await diary.wait_for(MessageFailed)
            assert failed.error.code == 1001
            assert diary.of(MessageUnknown)


async def test_a_refusal_of_the_only_attempt_is_its_end(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    server = ScriptedServer(on_send=lambda _: 1203)
    async with logged_in(server, tmp_path) as (client, diary):
        said = await client.messages.send(contents.text("hello"), group="g")
        failed = await diary.wait_for(MessageFailed)
        assert failed.error.code == 1203
        assert failed.message.client_msg_id == said.client_msg_id
        await client.messages.forget_failed(said.client_msg_id)
        assert not await client.messages.history("sg_g")


# -- leaving -------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [1, 7, 30])
async def test_leaving_in_order_leaves_nothing_ambiguous(
    page: int, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    server = ScriptedServer()
    shown: list[int] = []
    for life in range(60):
        server.rows[CONVERSATION] = [row("bob", "alice", seq) for seq in range(1, 3 * life + 2)]
        async with logged_in(server, tmp_path, page=page) as (_, diary):
            while len(diary.received) < life % 4 and len(shown) + len(diary.received) < 3 * life:
                await trio.lowlevel.checkpoint()
            for _ in range(life % 7):
                await trio.lowlevel.checkpoint()
        assert not diary.of(MessagesRecovered)
        shown += [message.seq for message in diary.received]
    async with logged_in(server, tmp_path, page=page) as (_, diary):
        await diary.until(lambda: len(shown) + len(diary.received) == 178)
        shown += [message.seq for message in diary.received]
    assert shown == list(range(1, 179))


async def test_what_is_sent_at_once_after_a_login_is_queued_once(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    server = ScriptedServer()
    for _ in range(5):
        async with logged_in(server, tmp_path) as (client, _):
            await client.messages.send(contents.text("hello"), to="bob")
    async with logged_in(server, tmp_path) as (client, diary):
        await diary.until(lambda: len({m.clientMsgID for m in server.sends()}) == 5)


# -- disks -----------------------------------------------------------------------------------------


def _limit(pages: int) -> Any:
    def op(connection: sqlite3.Connection) -> None:
        [now] = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {now + pages}")

    return op


async def test_a_full_disk_takes_nothing_and_loses_nothing(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    server = ScriptedServer()
    async with logged_in(server, tmp_path) as (client, diary):
        await diary.wait_for(SyncServerFinish)
        database = client._login.account.ledger.database  # type: ignore[union-attr]
        await database.write(_limit(0))
        large = "x" * 50_000
        with pytest.raises(DatabaseFull):
            await client.messages.send(contents.text(large), to="bob")
        push = sdkws_pb2.PushMessages()
        push.msgs[CONVERSATION].Msgs.append(row("bob", "alice", 1, large))
        server.links[-1].push(push)
        event = await diary.wait_for(LocalDatabaseFailed)
        assert isinstance(event.error, DatabaseFull)
        assert not diary.received
        await database.write(_limit(10_000))
        await diary.until(lambda: len(diary.received) == 1)
        said = await client.messages.send(contents.text(large), to="bob")
        await client.messages.outcome(said.client_msg_id)


async def test_a_damaged_database_is_refused_untouched(tmp_path: Path) -> None:
    path = database_path(tmp_path, "alice")
    path.write_bytes(b"this is no database" * 1000)
    async with open_client(settings_for(tmp_path), dial=ScriptedServer().dial) as client:
        with pytest.raises(DatabaseCorrupt, match="Move it to"):
            await client.login("alice", "token")
        assert client.login_status is LoginStatus.LOGGED_OUT
    assert path.read_bytes() == b"this is no database" * 1000


async def test_two_clients_on_one_database(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    server = ScriptedServer()
    async with (
        logged_in(server, tmp_path),
        open_client(settings_for(tmp_path), dial=server.dial, threads=False) as other,
    ):
        with pytest.raises(DatabaseInUse):
            await other.login("alice", "token")


# -- arguments -------------------------------------------------------------------------------------


async def test_wrong_arguments_are_named(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    with pytest.raises(InvalidArgument, match="ws_address"):
        settings_for(tmp_path, ws_address="http://x")
    with pytest.raises(InvalidArgument, match="send_deadline"):
        settings_for(tmp_path, send_deadline=0)
    async with logged_in(ScriptedServer(), tmp_path) as (client, _):
        with pytest.raises(InvalidArgument, match="to"):
            await client.messages.send(contents.text("x"))
        with pytest.raises(InvalidArgument, match="count"):
            await client.messages.history(CONVERSATION, count=0)
        with pytest.raises(InvalidArgument, match="text"):
            await client.messages.search("")
    async with open_client(settings_for(tmp_path), dial=ScriptedServer().dial) as client:
        with pytest.raises(InvalidArgument, match="user_id"):
            await client.login("", "token")
        with pytest.raises(InvalidArgument, match="token"):
            await client.login("alice", "")
