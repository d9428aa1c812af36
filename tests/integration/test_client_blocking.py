"""The SDK for programs without Trio."""

from __future__ import annotations

import queue
from pathlib import Path

import pytest
import trio

from openim_trio.client import Listener, MessageStatus, contents
from openim_trio.client.blocking import BlockingClient
from openim_trio.client.errors import AlreadyLoggedIn, InvalidArgument, NotLoggedIn
from openim_trio.client.events import RecvNewMessage
from openim_trio.config.model import MongoConfig, RedisConfig
from tests.support.sdk import People, people_of
from tests.support.serving import serving, serving_config


class Inbox(Listener):
    def __init__(self) -> None:
        self.texts: queue.Queue[str] = queue.Queue()

    def on_recv_new_message(self, event: RecvNewMessage) -> None:
        self.texts.put(event.message.text)


def chat(people: People) -> None:
    alice = BlockingClient(people.settings(data_dir=people.directory / "a"))
    bob = BlockingClient(people.settings(data_dir=people.directory / "b"))
    inbox = Inbox()
    with alice, bob:
        bob.listen(inbox)
        alice.login("alice", people.tokens["alice"])
        bob.login("bob", people.tokens["bob"])
        said = alice.call(lambda c: c.messages.send(contents.text("hello"), to="bob"))
        assert inbox.texts.get(timeout=20) == "hello"
        sent = alice.call(lambda c: c.messages.outcome(said.client_msg_id))
        assert sent.status is MessageStatus.SENT
        with pytest.raises(AlreadyLoggedIn):
            alice.login("alice", "x")
        with pytest.raises(InvalidArgument):
            alice.call(lambda c: c.messages.send(contents.text("hello")))
        alice.logout()
        with pytest.raises(NotLoggedIn):
            alice.call(lambda c: c.conversations.list())
    with pytest.raises(NotLoggedIn):
        alice.logout()


async def test_two_people_chat_without_trio(
    tmp_path: Path, mongo_config: MongoConfig, redis_config: RedisConfig
) -> None:
    config = serving_config(tmp_path / "server", mongo_config, redis_config)
    async with serving(config) as server:
        people = await people_of(server, tmp_path / "clients")
        for user in ("alice", "bob"):
            await people.token(user)
        await trio.to_thread.run_sync(chat, people)
