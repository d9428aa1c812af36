"""The official pure-JavaScript SDK, unmodified: log in, chat, be away, read, revoke."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import trio

from openim_trio.demo.server import Server
from tests.official_sdk.driver import OfficialClient, official_client
from tests.support.process import server_on

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server(mongo_uri: str, redis_url: str) -> Iterator[Server]:
    with server_on(mongo_uri, redis_url, workers=2) as running:
        yield running


@pytest.fixture
def people(server: Server) -> dict[str, str]:
    """Two fresh users and their tokens."""
    n = next(_numbers)
    names = [f"js_a{n}", f"js_b{n}"]
    admin = server.admin_token()
    server.register(names, admin)
    return server.tokens(names, admin, platform=5)


async def say(client: OfficialClient, text: str, to: str) -> Any:
    message = await client.call("createTextMessage", text)
    return await client.call("sendMessage", {"recvID": to, "groupID": "", "message": message})


def texts(data: Any) -> list[str]:
    messages = orjson.loads(data) if isinstance(data, str) else data
    return [m["textElem"]["content"] for m in messages if m.get("textElem")]


async def hears(client: OfficialClient, text: str) -> None:
    await client.event("OnRecvNewMessages", lambda data: text in texts(data))


async def history(client: OfficialClient, conversation: str) -> list[Any]:
    result = await client.call(
        "getAdvancedHistoryMessageList",
        {"conversationID": conversation, "count": 50, "startClientMsgID": "", "lastMinSeq": 0,
         "viewType": 0},
    )  # fmt: skip
    return list(result["messageList"])


async def test_two_people_chat_and_one_is_away_for_a_while(
    server: Server, people: dict[str, str], tmp_path: Path
) -> None:
    (anna, anna_token), (ben, ben_token) = people.items()
    conversation = f"si_{anna}_{ben}"
    async with official_client(tmp_path / "anna.log") as a:
        await a.login(server, anna, anna_token)
        async with official_client(tmp_path / "ben.log") as b:
            await b.login(server, ben, ben_token)
            sent = await say(a, "hello Ben", ben)
            assert sent["status"] == 2
            assert sent["serverMsgID"]
            await hears(b, "hello Ben")
            await say(b, "hello Anna", anna)
            await hears(a, "hello Anna")
        for n in range(5):
            await say(a, f"while you were away {n}", ben)
        async with official_client(tmp_path / "ben2.log") as b:
            await b.login(server, ben, ben_token)
            unread = await b.call("getTotalUnreadMsgCount")
            assert unread == 5
            got = texts(await history(b, conversation))
            assert got[-5:] == [f"while you were away {n}" for n in range(5)]
            assert got[:2] == ["hello Ben", "hello Anna"]

            await b.call("markConversationMessageAsRead", conversation)
            receipt = await a.event("OnRecvC2CReadReceipt")
            assert receipt

            last = (await history(a, conversation))[-1]
            await a.call(
                "revokeMessage",
                {"conversationID": conversation, "clientMsgID": last["clientMsgID"]},
            )
            revoked = await b.event("OnNewRecvMessageRevoked")
            content = orjson.loads(revoked) if isinstance(revoked, str) else revoked
            assert content["clientMsgID"] == last["clientMsgID"]
            assert content["revokerID"] == anna

        async with official_client(tmp_path / "ben3.log") as b:
            await b.login(server, ben, ben_token)
            assert await b.call("getTotalUnreadMsgCount") == 0
            assert [m["contentType"] for m in await history(b, conversation)][-1] == 2101


async def test_a_second_login_kicks_the_first(
    server: Server, people: dict[str, str], tmp_path: Path
) -> None:
    anna, token = next(iter(people.items()))
    async with official_client(tmp_path / "first.log") as first:
        await first.login(server, anna, token)
        newer = await trio.to_thread.run_sync(
            lambda: server.tokens([anna], server.admin_token(), platform=5)[anna]
        )
        async with official_client(tmp_path / "second.log") as second:
            await second.login(server, anna, newer)
            await first.event("OnKickedOffline")
