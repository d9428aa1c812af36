"""The SDK against a server on real engines: what people do all day."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from openim_trio.client import LoginStatus, MessageStatus, contents, open_client
from openim_trio.client.errors import AlreadyLoggedIn, NotLoggedIn, ProtocolError, TokenRefused
from openim_trio.client.events import (
    ConnectFailed,
    ConnectSuccess,
    ConversationChanged,
    KickedOffline,
    MessageSent,
    NewConversation,
    NewRecvMessageRevoked,
    RecvC2CReadReceipt,
    RecvOnlineOnlyMessage,
    SyncServerFinish,
    UserTokenInvalid,
)
from openim_trio.config.model import MongoConfig, RedisConfig
from tests.support.sdk import Diary, People, people_of
from tests.support.serving import serving, serving_config


@pytest.fixture
async def people(
    tmp_path: Path, mongo_config: MongoConfig, redis_config: RedisConfig
) -> AsyncIterator[People]:
    config = serving_config(tmp_path / "server", mongo_config, redis_config)
    async with serving(config) as server:
        yield await people_of(server, tmp_path / "clients")


async def test_two_people_chat(people: People) -> None:
    async with people.online("alice") as alice, people.online("bob") as bob:
        assert alice.client.login_status is LoginStatus.LOGGED_IN
        assert alice.client.login_user == "alice"
        said = await alice.client.messages.send(contents.text("hello"), to="bob")
        assert said.status is MessageStatus.SENDING
        got = await bob.diary.wait_for_text("hello")
        assert (got.client_msg_id, got.send_id, got.seq) == (said.client_msg_id, "alice", 1)
        assert not got.offline
        sent = await alice.client.messages.outcome(said.client_msg_id)
        assert sent.status is MessageStatus.SENT
        assert (sent.server_msg_id, sent.send_time) == (got.server_msg_id, got.send_time)
        event = await alice.diary.wait_for(MessageSent)
        assert event.message.client_msg_id == said.client_msg_id
        await bob.client.messages.send(contents.text("hi"), to="alice")
        await alice.diary.wait_for_text("hi")
        for person in (alice, bob):
            texts = [m.text for m in await person.client.messages.history("si_alice_bob")]
            assert texts == ["hello", "hi"]
        assert len(bob.diary.received) == 1
        assert len(alice.diary.received) == 1, "one's own messages are not news"


async def test_messages_wait_for_who_is_away(people: People) -> None:
    await people.token("bob")
    async with people.online("alice") as alice:
        for number in range(120):
            await alice.client.messages.send(contents.text(f"{number}"), to="bob")
        await alice.diary.until(lambda: len(alice.diary.of(MessageSent)) == 120)
    async with people.online("bob") as bob:
        await bob.diary.wait_for(SyncServerFinish)
        await bob.diary.until(lambda: len(bob.diary.received) == 120)
        assert [m.text for m in bob.diary.received] == [f"{n}" for n in range(120)]
        assert all(m.offline for m in bob.diary.received)
    async with people.online("bob") as bob:
        await bob.diary.wait_for(SyncServerFinish)
        assert not bob.diary.received, "nothing is shown twice"
        [conversation] = await bob.client.conversations.list()
        assert conversation.unread == 120
        assert conversation.latest is not None
        assert conversation.latest.text == "119"
        await bob.client.conversations.mark_read("si_alice_bob")
        assert await bob.client.conversations.total_unread() == 0


async def test_what_is_queued_offline_is_sent_later(people: People) -> None:
    token = await people.token("alice")
    await people.token("bob")
    nowhere = people.settings(ws_address="ws://127.0.0.1:9")
    async with open_client(nowhere) as client:
        await client.login("alice", token)
        for number in range(5):
            await client.messages.send(contents.text(f"{number}"), to="bob")
        assert client.login_status is LoginStatus.LOGGING_IN
    async with people.online("alice") as alice, people.online("bob") as bob:
        await alice.diary.until(lambda: len(alice.diary.of(MessageSent)) == 5)
        await bob.diary.until(lambda: len(bob.diary.received) == 5)
        assert [m.text for m in bob.diary.received] == [f"{n}" for n in range(5)]


async def test_read_receipts_revocation_and_typing(people: People) -> None:
    async with people.online("alice") as alice, people.online("bob") as bob:
        said = await alice.client.messages.send(contents.text("secret"), to="bob")
        got = await bob.diary.wait_for_text("secret")
        await bob.client.conversations.mark_read(got.conversation_id)
        [receipt] = (await alice.diary.wait_for(RecvC2CReadReceipt)).receipts
        assert (receipt.user_id, receipt.seqs) == ("bob", (1,))
        assert (await alice.client.messages.get(said.client_msg_id)).is_read
        await alice.client.messages.revoke(said)
        revoked = await bob.diary.wait_for(NewRecvMessageRevoked)
        assert revoked.revocation.revoker_id == "alice"
        assert revoked.revocation.message.client_msg_id == said.client_msg_id
        assert "secret" not in str(await bob.client.messages.history(got.conversation_id))
        await bob.client.messages.send(contents.typing(True), to="alice")
        await alice.diary.wait_for(RecvOnlineOnlyMessage)
        assert not alice.diary.received


async def test_logging_in_and_out(people: People) -> None:
    token = await people.token("alice")
    async with people.online("alice") as alice:
        with pytest.raises(AlreadyLoggedIn):
            await alice.client.login("alice", token)
        await alice.client.logout()
        assert alice.client.login_status is LoginStatus.LOGGED_OUT
        with pytest.raises(NotLoggedIn):
            _ = alice.client.messages
        await alice.client.login("alice", token)
        await alice.client.until_connected()
        assert len(alice.diary.of(ConnectSuccess)) >= 1


async def test_events_as_an_iterator(people: People) -> None:
    async with (
        people.online("alice") as alice,
        people.online("bob") as bob,
        bob.client.events() as stream,
    ):
        await alice.client.messages.send(contents.text("one"), to="bob")
        async for event in stream:
            if getattr(event, "message", None) is not None:
                assert event.message.text == "one"
                break


async def test_settings_of_conversations(people: People) -> None:
    async with people.online("alice") as alice, people.online("bob") as bob:
        await bob.client.messages.send(contents.text("hello"), to="alice")
        await alice.diary.wait_for_text("hello")
        name = "si_alice_bob"
        await alice.client.conversations.pin(name, True)
        await alice.diary.wait_for(
            ConversationChanged, lambda e: any(c.is_pinned for c in e.conversations)
        )
        await alice.client.conversations.set_receive_option(name, 2)
        await alice.diary.wait_for(
            ConversationChanged, lambda e: any(c.recv_msg_opt == 2 for c in e.conversations)
        )
        assert await alice.client.conversations.total_unread() == 0, "it does not notify"
        await alice.client.conversations.set_draft(name, "dear Bob")
        assert (await alice.client.conversations.get(name)).draft == "dear Bob"
        assert alice.diary.of(NewConversation)
    async with people.online("alice") as alice:
        conversation = await alice.client.conversations.get(name)
        assert (conversation.is_pinned, conversation.recv_msg_opt) == (True, 2)
        await alice.client.conversations.pin(name, False)
        await alice.diary.wait_for(
            ConversationChanged, lambda e: any(not c.is_pinned for c in e.conversations)
        )


async def test_history_search_and_deletion(people: People) -> None:
    await people.token("bob")
    async with people.online("alice") as alice:
        for number in range(60):
            await alice.client.messages.send(contents.text(f"line {number}"), to="bob")
        await alice.diary.until(lambda: len(alice.diary.of(MessageSent)) == 60)
    name = "si_alice_bob"
    async with people.online("bob", history_limit=10) as bob:
        await bob.diary.until(lambda: len(bob.diary.received) == 10)
        assert [m.seq for m in bob.diary.received] == list(range(51, 61))
        newest = await bob.client.messages.history(name, count=20)
        assert [m.seq for m in newest] == list(range(41, 61)), "what is older comes when asked for"
        older = await bob.client.messages.history(name, before=newest[0], count=50)
        assert [m.seq for m in older] == list(range(1, 41))
        assert len(bob.diary.received) == 10, "history is no news"
        [found] = await bob.client.messages.search("LINE 7")
        assert found.text == "line 7"
        await bob.client.messages.delete(found)
        assert not await bob.client.messages.search("line 7")
        page = await bob.client.messages.history(name, before=older[20], count=20)
        assert [m.seq for m in page] == [*range(1, 8), *range(9, 21)]
        await bob.client.conversations.clear(name)
        assert not await bob.client.messages.history(name)
    async with people.online("alice") as alice:
        assert len(await alice.client.messages.history(name, count=100)) == 60


async def test_every_kind_of_message_arrives_as_it_was_sent(people: People) -> None:
    async with people.online("alice") as alice, people.online("bob") as bob:
        first = await alice.client.messages.send(contents.text("first"), to="bob")
        first = await alice.client.messages.outcome(first.client_msg_id)
        drafts = [
            contents.picture("http://x/p.png", width=3, height=4, size=5, mime="image/png"),
            contents.sound("http://x/s.mp3", duration=3),
            contents.file("http://x/f.pdf", "f.pdf", size=7),
            contents.card("carol", "Carol"),
            contents.location("here", 1.5, 2.5),
            contents.custom('{"a":1}'),
            contents.quote("as you say", first),
            contents.merger("both", ["a", "b"], [first]),
            contents.face(3),
        ]
        for draft in drafts:
            await alice.client.messages.send(draft, to="bob")
        await bob.diary.until(lambda: len(bob.diary.received) == 1 + len(drafts))
        got = bob.diary.received[1:]
        assert [m.content_type for m in got] == [d.content_type for d in drafts]
        assert [m.raw_content for m in got] == [d.content for d in drafts]


async def test_another_device_of_the_same_user(people: People) -> None:
    await people.token("alice")
    other = People(people.serving, people.directory / "tablet", people.admin, people.tokens)
    async with (
        people.online("alice") as phone,
        other.online("alice") as tablet,
        people.online("bob") as bob,
    ):
        said = await phone.client.messages.send(contents.text("from the phone"), to="bob")
        await bob.diary.wait_for_text("from the phone")
        seen = await tablet.diary.wait_for_text("from the phone")
        assert (seen.client_msg_id, seen.send_id) == (said.client_msg_id, "alice")
        assert not phone.diary.received
        await bob.client.messages.send(contents.text("hello both"), to="alice")
        await phone.diary.wait_for_text("hello both")
        await tablet.diary.wait_for_text("hello both")
        await phone.client.conversations.mark_read("si_alice_bob")
        await tablet.diary.wait_for(
            ConversationChanged,
            lambda e: any(c.unread == 0 and c.max_seq == 2 for c in e.conversations),
        )


async def test_tokens_that_the_server_refuses(people: People) -> None:
    await people.token("alice")
    async with open_client(people.settings()) as client:
        diary = Diary()
        client.listen(diary)
        await client.login("alice", "no-token")
        with pytest.raises(TokenRefused):
            await client.until_connected()
        await diary.wait_for(UserTokenInvalid)
        assert client.login_status is LoginStatus.LOGIN_FAILED
        await client.login("alice", people.tokens["alice"])
        await client.until_connected()


async def test_another_login_displaces_this_one(people: People) -> None:
    async with people.online("alice") as alice:
        old = people.tokens.pop("alice")
        await people.token("alice")
        other = People(people.serving, people.directory / "other", people.admin, people.tokens)
        async with other.online("alice") as newer:
            await alice.diary.wait_for(KickedOffline)
            assert alice.client.login_status is LoginStatus.LOGGED_OUT
            await alice.client.login("alice", old)
            with pytest.raises(TokenRefused) as caught:
                await alice.client.until_connected()
            assert caught.value.code == 1506
            assert newer.client.login_status is LoginStatus.LOGGED_IN


async def test_a_port_that_speaks_something_else(people: People) -> None:
    token = await people.token("alice")
    rest = people.settings(ws_address=f"ws://127.0.0.1:{people.serving.api_port}")
    async with open_client(rest) as client:
        diary = Diary()
        client.listen(diary)
        await client.login("alice", token)
        failed = await diary.wait_for(ConnectFailed)
        assert isinstance(failed.error, ProtocolError)
