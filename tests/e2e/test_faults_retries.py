"""One message, sent fifty times at once over connections on both workers."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio

from openim_trio.demo.client import Refused, WireClient, connected, text_message
from openim_trio.demo.server import Server
from openim_trio.domain.conversations import group_chat, single_chat
from openim_trio.domain.errors import Code
from openim_trio.wire.proto import msg_pb2, sdkws_pb2
from tests.support.site import Site, metric_of_workers

SENDERS = 50
AT_LEAST = 10
"""connections on each worker"""


@pytest.fixture
def site(mongo_uri: str, redis_url: str, tmp_path: Path) -> Site:
    return Site(mongo_uri, redis_url, tmp_path)


async def test_one_message_is_sent_fifty_times_at_once(site: Site) -> None:
    with site.serving() as server:
        group, tokens = await trio.to_thread.run_sync(_prepare, server)
        async with AsyncExitStack() as stack:
            senders = await _connect(stack, server, tokens["alice"])
            bob = await stack.enter_async_context(
                connected(server.ws_address, "bob", tokens["bob"])
            )
            for number in range(3):
                for to, in_group in (("bob", ""), ("", group)):
                    text = f"once {number}"
                    message = text_message("alice", text, to=to, group=in_group)
                    await _send_everywhere(senders, message)
                    await _refuse_other_body(senders, message)
                    await bob.wait_for_id(message.clientMsgID)
            await _check_inboxes([bob, *senders], bob)
    rows = site.stored()
    for conversation in (single_chat("alice", "bob"), group_chat(group)):
        assert [row.seq for row in rows[conversation]] == [1, 2, 3]


def _prepare(server: Server) -> tuple[str, dict[str, str]]:
    admin = server.admin_token()
    server.register(["alice", "bob"], admin)
    body = {
        "ownerUserID": "alice",
        "memberUserIDs": ["bob"],
        "groupInfo": {"groupName": "Both", "groupType": 2, "creatorUserID": "alice"},
        "sendMessage": False,
    }
    group = server.post("/group/create_group", body, admin)["groupInfo"]["groupID"]
    return str(group), server.tokens(["alice", "bob"], admin)


async def _connect(stack: AsyncExitStack, server: Server, token: str) -> list[WireClient]:
    """Connections of one client (one token), enough of them on each worker."""
    senders: list[WireClient] = []
    while True:
        senders.append(
            await stack.enter_async_context(connected(server.ws_address, "alice", token))
        )
        if len(senders) >= SENDERS:
            counts = await trio.to_thread.run_sync(metric_of_workers, server, "connections")
            if len(counts) == server.workers and min(counts) >= AT_LEAST:
                return senders
        assert len(senders) < 10 * SENDERS, "the kernel gives all of them to one worker"


async def _send_everywhere(senders: list[WireClient], message: sdkws_pb2.MsgData) -> None:
    answers: list[msg_pb2.SendMsgResp] = []

    async def send(sender: WireClient) -> None:
        answers.append(await sender.send(message))

    async with trio.open_nursery() as nursery:
        for sender in senders:
            nursery.start_soon(send, sender)
    assert len(answers) == len(senders)
    assert all(answer == answers[0] for answer in answers)


async def _refuse_other_body(senders: list[WireClient], message: sdkws_pb2.MsgData) -> None:
    other = sdkws_pb2.MsgData()
    other.CopyFrom(message)
    other.content = b'{"content":"something else"}'
    codes: list[int] = []

    async def send(sender: WireClient) -> None:
        with pytest.raises(Refused) as refused:
            await sender.send(other)
        codes.append(refused.value.code)

    async with trio.open_nursery() as nursery:
        for sender in senders:
            nursery.start_soon(send, sender)
    assert codes == [Code.DUPLICATE_KEY] * len(senders)


async def _check_inboxes(clients: list[WireClient], receiver: WireClient) -> None:
    """Every connection, those of the sender too, was pushed each message once, in order."""
    expected = _seqs(receiver)
    assert sorted(len(seqs) for seqs in expected.values()) == [3, 3]
    for client in clients:
        for conversation in expected:
            await client.wait_for(
                lambda r, name=conversation: r.conversation == name and r.message.seq == 3
            )
        assert _seqs(client) == expected == {name: [1, 2, 3] for name in expected}


def _seqs(client: WireClient) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for received in client.received:
        if received.message.seq:
            found.setdefault(received.conversation, []).append(received.message.seq)
    return found
