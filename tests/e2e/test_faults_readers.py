"""A reader that does not read, in a group and in a single chat: it costs itself only."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import pytest
import trio

from openim_trio.demo.login import Login
from openim_trio.domain.conversations import group_chat, single_chat
from openim_trio.wire.identifiers import Req
from openim_trio.wire.proto import sdkws_pb2
from tests.support import client
from tests.support.chatter import PATIENCE, Chatter, chatting
from tests.support.client import WireClient
from tests.support.site import Site, metric

SLOW = "slow"
SETTINGS = {
    "GATEWAY__OUTBOX_FRAMES": "32",
    "GATEWAY__OUTBOX_BYTES": "262144",
    "GATEWAY__WRITE_TIMEOUT": "5",
}
SMALL_BUFFER = 4096
AT_ONCE = 3
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
    heads = {
        name: sum(bool(line.answers) for line in chatter.lines if line.conversation == name)
        for name in (group_chat(chatter.group), single_chat("left0", SLOW))
    }
    reader.reading.set()
    shown: dict[str, list[int]] = {name: [0] for name in heads}
    with trio.fail_after(PATIENCE):
        while any(shown[name][-1] < head for name, head in heads.items()):
            conversation, message = await reader.next_push()
            if message.seq:
                shown[conversation].append(message.seq)
    assert not reader.over.is_set()
    gaps = 0
    for conversation, seqs in shown.items():
        assert seqs == sorted(set(seqs)), "out of order or twice"
        gaps += seqs[-1] - len(seqs[1:])
        pulled = await _pull_all(reader, conversation, seqs[-1])
        assert pulled == list(range(1, seqs[-1] + 1))
    assert gaps > 0, "nothing was let go"


async def _take_nothing(chatter: Chatter, reader: WireClient) -> None:
    """It is closed; what it has not read meanwhile is not kept for it."""
    reader.reading = trio.Event()
    drops = await _count(chatter, "slow_reader_drops_total")
    while await _count(chatter, "slow_reader_drops_total") == drops:
        await _say_bulk(chatter)
    with trio.fail_after(PATIENCE):
        while not await _count(chatter, "slow_reader_closes_total"):
            await trio.lowlevel.checkpoint()
    reader.reading.set()
    with trio.fail_after(PATIENCE):
        await reader.over.wait()


async def _say_bulk(chatter: Chatter) -> None:
    """Large messages to the group and to the slow reader; every neighbour is shown the first ones
    before this returns."""
    person, group = chatter.people["left0"], chatter.group
    in_group = [person.line(secrets.token_hex(BULK), group=group) for _ in range(AT_ONCE)]
    alone = [person.line(secrets.token_hex(BULK), to=SLOW) for _ in range(AT_ONCE)]
    async with trio.open_nursery() as nursery:
        for line in [*in_group, *alone]:
            nursery.start_soon(person.send, line)
    ids = {line.message.clientMsgID for line in in_group}
    everybody = chatter.people.values()
    await chatter.until(
        lambda: all(ids.issubset(p.shown[group_chat(group)]) for p in everybody),
        "the neighbours are shown it",
    )


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
