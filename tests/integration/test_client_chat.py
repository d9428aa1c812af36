"""The SDK against a server on real engines: what people do all day."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from openim_trio.client import LoginStatus, MessageStatus, contents
from openim_trio.client.errors import AlreadyLoggedIn, NotLoggedIn
from openim_trio.client.events import (
    ConnectSuccess,
    MessageSent,
    NewRecvMessageRevoked,
    RecvC2CReadReceipt,
    RecvOnlineOnlyMessage,
    SyncServerFinish,
)
from openim_trio.config.model import MongoConfig, RedisConfig
from tests.support.sdk import People, people_of
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
            await person.diary.until(lambda: False) if False else None
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
    from openim_trio.client import open_client

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
