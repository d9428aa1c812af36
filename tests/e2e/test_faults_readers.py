"""A reader that does not read, in a group and in a single chat: it costs itself only."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import pytest
import trio

from openim_trio.domain.conversations import group_chat, single_chat
from openim_trio.wire.identifiers import Req
from openim_trio.wire.proto import sdkws_pb2
from tests.support import client
from tests.support.chatter import PATIENCE, Chatter, chatting
from tests.support.client import Login, WireClient
from tests.support.site import Site, metric

SLOW = "slow"
SETTINGS = {
    "GATEWAY__OUTBOX_FRAMES": "32",
    "GATEWAY__OUTBOX_BYTES": "262144",
    "GATEWAY__WRITE_TIMEOUT": "6",
}
SMALL_BUFFER = 4096
BULK = 15_000
"""random bytes of a message: as many again in hex, which gzip takes away"""


@pytest.fixture
def site(mongo_uri: str, redis_url: str, tmp_path: Path) -> Site:
    return Site(mongo_uri, redis_url, tmp_path)


async def test_a_slow_reader_costs_itself_only(site: Site) -> None:
    with site.serving(settings=SETTINGS) as server:
        async with chatting(site, server, pairs=2, bystanders=[SLOW]) as chatter:
            login = Login(SLOW, chatter.tokens[SLOW])
            async with client.connected(server.ws_port, login, buffer=SMALL_BUFFER) as reader:
                await _let_go_and_catch_up(chatter, reader)
                await _take_nothing(chatter, reader)
            await chatter.end()
            chatter.check()
            connections = [person.connections for person in chatter.people.values()]
            assert connections == [1] * len(connections)
            assert not any(person.gaps for person in chatter.people.values())


async def _let_go_and_catch_up(chatter: Chatter, reader: WireClient) -> None:
    """Reading again, it is shown the newest of both conversations, and pulls what was let go."""
    reader.reading = trio.Event()
    while not await _count(chatter, "slow_reader_drops_total"):
        await _say_bulk(chatter)
    reader.reading.set()
    heads = {group_chat(chatter.group): 0, single_chat("left0", SLOW): 0}
    newest = await _say_bulk(chatter)
    shown: dict[str, list[int]] = {name: [] for name in heads}
    seen: set[str] = set()
    with trio.fail_after(PATIENCE):
        while not newest <= seen:
            conversation, message = await reader.pushes.receive()
            if message.seq:
                shown[conversation].append(message.seq)
                seen.add(message.clientMsgID)
    assert not reader.over.is_set()
    gaps = 0
    for conversation, seqs in shown.items():
        assert seqs == sorted(set(seqs)), "out of order or twice"
        gaps += seqs[-1] - len(seqs)
        pulled = await _pull_all(reader, conversation, seqs[-1])
        assert pulled == list(range(1, seqs[-1] + 1))
    assert gaps > 0, "nothing was let go"


async def _take_nothing(chatter: Chatter, reader: WireClient) -> None:
    """It is closed; what it has not read meanwhile is not kept for it."""
    reader.reading = trio.Event()
    drops = await _count(chatter, "slow_reader_drops_total")
    while not await _count(chatter, "slow_reader_closes_total"):
        await _say_bulk(chatter)
    assert await _count(chatter, "slow_reader_drops_total") > drops
    reader.reading.set()
    with trio.fail_after(PATIENCE):
        await reader.over.wait()


async def _say_bulk(chatter: Chatter) -> set[str]:
    """A large message to the group and one to the slow reader; every neighbour is shown the first
    before this returns.  Their ids."""
    person, group = chatter.people["left0"], chatter.group
    text = secrets.token_hex(BULK)
    in_group = await person.say(text, group=group)
    alone = await person.say(text, to=SLOW)
    name = in_group.message.clientMsgID
    await chatter.until(
        lambda: all(name in p.shown[group_chat(group)] for p in chatter.people.values()),
        "the neighbours are shown it",
    )
    return {name, alone.message.clientMsgID}


async def _count(chatter: Chatter, name: str) -> float:
    return await trio.to_thread.run_sync(metric, chatter.server, name)


async def _pull_all(reader: WireClient, conversation: str, head: int) -> list[int]:
    """As an official client does, a page at a time."""
    found: list[int] = []
    for begin in range(1, head + 1, 20):
        end = min(head, begin + 19)
        request = sdkws_pb2.PullMessageBySeqsReq(userID=SLOW)
        request.seqRanges.add(conversationID=conversation, begin=begin, end=end, num=end)
        answer = await reader.call(Req.PULL_RANGES, request, sdkws_pb2.PullMessageBySeqsResp)
        for message in answer.msgs[conversation].Msgs:
            assert json.loads(message.content)["content"]
            found.append(message.seq)
    return found
