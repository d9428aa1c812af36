"""The SDK's own calls: bodies as the API document wants them, answers as the server writes them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from openim_trio.client.calls import Calls, ConversationChanges, UserInfo
from openim_trio.client.errors import ClientError, InvalidArgument, ProtocolError, ServerRefused
from openim_trio.client.friends import Black, Friend, Friends
from openim_trio.client.model import Conversation
from openim_trio.client.rest import Rest
from tests.support.http_answers import Answers, answering, says

DOCUMENT = json.loads(
    (Path(__file__).resolve().parents[2] / "schemas" / "openapi.json").read_text()
)
ROW = {
    "ownerUserID": "a", "conversationID": "sg_g", "recvMsgOpt": 2, "conversationType": 3,
    "userID": "", "groupID": "g", "isPinned": True, "attachedInfo": "i", "isPrivateChat": True,
    "groupAtType": 1, "ex": "e", "burnDuration": 30, "minSeq": 5, "maxSeq": 9,
    "msgDestructTime": 0, "latestMsgDestructTime": 0, "isMsgDestruct": False,
}  # fmt: skip
CONVERSATION = Conversation(
    conversation_id="sg_g", session_type=3, group_id="g", recv_msg_opt=2, is_pinned=True,
    is_private_chat=True, burn_duration=30, group_at_type=1, ex="e", attached_info="i",
)  # fmt: skip
USER = {"userID": "bob", "nickname": "Bob", "faceURL": "f", "ex": "e", "createTime": 5}
BOB = UserInfo(user_id="bob", nickname="Bob", face_url="f", ex="e")


async def asking(data: object, ask: Callable[[Calls], Awaitable[Any]]) -> tuple[Any, Answers]:
    async with answering(says(data)) as server, Rest(server.address) as rest:
        try:
            answer = await ask(Calls(rest))
        except ClientError as error:
            answer = error
    if isinstance(answer, ClientError):  # here, so that no nursery puts it into a group
        raise answer
    return answer, server


def check_body(server: Answers, path: str, expected: dict[str, Any]) -> None:
    """One request was made: this one, and the API document takes it."""
    [asked] = server.asked
    assert (asked.path, asked.json) == (path, expected)
    body = DOCUMENT["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    jsonschema.Draft202012Validator({**DOCUMENT, **body["schema"]}).validate(asked.json)
    name = body["schema"]["$ref"].rpartition("/")[2]
    assert asked.json.keys() <= DOCUMENT["components"]["schemas"][name]["properties"].keys()


@pytest.mark.parametrize(
    ("ask", "path", "body"),
    [
        (
            lambda calls: calls.mark_read("a", "si_a_b", 7, [5, 7]),
            "/msg/mark_conversation_as_read",
            {"conversationID": "si_a_b", "userID": "a", "hasReadSeq": 7, "seqs": [5, 7]},
        ),
        (
            lambda calls: calls.mark_read("a", "sg_g", 7),
            "/msg/mark_conversation_as_read",
            {"conversationID": "sg_g", "userID": "a", "hasReadSeq": 7, "seqs": []},
        ),
        (
            lambda calls: calls.revoke("a", "si_a_b", 7),
            "/msg/revoke_msg",
            {"conversationID": "si_a_b", "seq": 7, "userID": "a"},
        ),
        (
            lambda calls: calls.delete("a", "si_a_b", (5, 7)),
            "/msg/delete_msgs",
            {"conversationID": "si_a_b", "seqs": [5, 7], "userID": "a"},
        ),
        (
            lambda calls: calls.delete("a", "si_a_b", (5,), tell_devices=True),
            "/msg/delete_msgs",
            {
                "conversationID": "si_a_b", "seqs": [5], "userID": "a",
                "deleteSyncOpt": {"IsSyncSelf": True, "IsSyncOther": False},
            },
        ),
        (
            lambda calls: calls.delete("a", "si_a_b", (5,), for_all=True),
            "/msg/delete_msgs",
            {
                "conversationID": "si_a_b", "seqs": [5], "userID": "a",
                "deleteSyncOpt": {"IsSyncSelf": False, "IsSyncOther": True},
            },
        ),
        (
            lambda calls: calls.clear("a", ["x", "y"]),
            "/msg/clear_conversation_msg",
            {"conversationIDs": ["x", "y"], "userID": "a"},
        ),
        (
            lambda calls: calls.clear("a", ["x"], tell_devices=True),
            "/msg/clear_conversation_msg",
            {
                "conversationIDs": ["x"], "userID": "a",
                "deleteSyncOpt": {"IsSyncSelf": True, "IsSyncOther": False},
            },
        ),
    ],
)  # fmt: skip
async def test_calls_without_an_answer(
    ask: Callable[[Calls], Awaitable[None]], path: str, body: dict[str, Any]
) -> None:
    _, server = await asking(None, ask)
    check_body(server, path, body)


async def test_the_servers_time() -> None:
    time, server = await asking({"serverTime": 1_700_000_000_000}, Calls.server_time)
    assert time == 1_700_000_000_000
    check_body(server, "/msg/get_server_time", {})


async def test_changes_of_conversations() -> None:
    data = {
        "version": 7, "versionID": "v", "full": False, "delete": ["x"], "insert": [ROW],
        "update": [{**ROW, "ex": "other"}],
    }  # fmt: skip
    changes, server = await asking(data, lambda calls: calls.incremental_conversations("a", "u", 3))
    assert changes.inserted == (CONVERSATION,)
    assert [found.ex for found in changes.updated] == ["other"]
    assert (changes.version_id, changes.version, changes.full) == ("v", 7, False)
    assert changes.deleted == ("x",)
    body = {"userID": "a", "versionID": "u", "version": 3}
    check_body(server, "/conversation/get_incremental_conversations", body)


async def test_no_changes() -> None:
    data = {
        "version": 0, "versionID": "", "full": True, "delete": None, "insert": None, "update": None
    }  # fmt: skip
    changes, _ = await asking(data, lambda calls: calls.incremental_conversations("a", "", 0))
    assert changes == ConversationChanges(
        version_id="", version=0, full=True, deleted=(), inserted=(), updated=()
    )


async def test_conversations() -> None:
    data = {"conversations": [ROW]}
    some, server = await asking(data, lambda calls: calls.conversations("a", ["sg_g", "sg_h"]))
    assert some == [CONVERSATION]
    body = {"ownerUserID": "a", "conversationIDs": ["sg_g", "sg_h"]}
    check_body(server, "/conversation/get_conversations", body)
    found, server = await asking(data, lambda calls: calls.all_conversations("a"))
    assert found == [CONVERSATION]
    check_body(server, "/conversation/get_all_conversations", {"ownerUserID": "a"})


async def test_users() -> None:
    found, server = await asking({"usersInfo": [USER]}, lambda calls: calls.users_info(["bob"]))
    assert found == [BOB]
    check_body(server, "/user/get_users_info", {"userIDs": ["bob"]})


async def test_nothing_is_asked_about_nobody() -> None:
    async with answering(says()) as server, Rest(server.address) as rest:
        assert await Calls(rest).users_info([]) == []
        assert await Calls(rest).conversations("a", []) == []
        assert await Friends(rest, "a").designated([]) == ()
    assert not server.asked


async def test_a_conversation_is_changed() -> None:
    _, server = await asking(
        None,
        lambda calls: calls.set_conversation("a", CONVERSATION, is_pinned=False, recv_msg_opt=0),
    )
    change = {
        "conversationID": "sg_g", "conversationType": 3, "userID": "", "groupID": "g",
        "isPinned": False, "recvMsgOpt": 0,
    }  # fmt: skip
    body = {"userIDs": ["a"], "conversation": change}
    check_body(server, "/conversation/set_conversations", body)


async def test_a_single_chat_is_changed() -> None:
    chat = Conversation(conversation_id="si_a_b", session_type=1, user_id="b")
    changes: dict[str, Any] = {
        "is_private_chat": True, "burn_duration": 30, "group_at_type": 0, "attached_info": "i",
        "ex": "",
    }  # fmt: skip
    _, server = await asking(None, lambda calls: calls.set_conversation("a", chat, **changes))
    change = {
        "conversationID": "si_a_b", "conversationType": 1, "userID": "b", "groupID": "",
        "isPrivateChat": True, "burnDuration": 30, "groupAtType": 0, "attachedInfo": "i", "ex": "",
    }  # fmt: skip
    body = {"userIDs": ["a"], "conversation": change}
    check_body(server, "/conversation/set_conversations", body)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"conversations": {}}, "data.conversations must be array"),
        ({"conversations": [5]}, "data.conversations[0] must be object"),
        ({"conversations": [{}]}, "data.conversations[0].conversationID must not be empty"),
        ({"conversations": [ROW, {**ROW, "isPinned": "do-not-quote-me"}]},
         "data.conversations[1].isPinned must be boolean"),
        ({"conversations": [{**ROW, "burnDuration": 2**63}]},
         "data.conversations[0].burnDuration must be a 64-bit integer"),
    ],
)  # fmt: skip
async def test_answers_of_another_shape(data: object, problem: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        await asking(data, lambda calls: calls.all_conversations("a"))
    path = "/conversation/get_all_conversations"
    assert str(caught.value) == f"{path}: answer.{problem}"


@pytest.mark.parametrize("data", [None, {"serverTime": 0}, {"serverTime": "5"}])
async def test_a_time_that_is_none(data: object) -> None:
    with pytest.raises(ProtocolError, match=r"answer\.data\.serverTime must be"):
        await asking(data, Calls.server_time)


async def test_refusals_pass() -> None:
    refused = says(code=1404, name="MsgAlreadyRevoke")
    async with answering(refused) as server, Rest(server.address) as rest:
        with pytest.raises(ServerRefused) as caught:
            await Calls(rest).revoke("a", "si_a_b", 7)
    assert caught.value.code == 1404


# --- friends --------------------------------------------------------------------------------------

FRIEND = {
    "ownerUserID": "a", "remark": "r", "createTime": 1_700_000_000, "friendUser": USER,
    "addSource": 2, "operatorUserID": "a", "ex": "x", "isPinned": True,
}  # fmt: skip
BLACK = {
    "ownerUserID": "a", "createTime": 1_700_000_000, "blackUserInfo": USER, "addSource": 1,
    "operatorUserID": "a", "ex": "x",
}  # fmt: skip


async def listing(data: object, ask: Callable[[Friends], Awaitable[Any]]) -> tuple[Any, Answers]:
    return await asking(data, lambda calls: ask(Friends(calls.rest, "a")))


async def test_friends() -> None:
    expected = (
        Friend(
            user=BOB, remark="r", is_pinned=True, add_source=2, operator_id="a",
            since=1_700_000_000_000, ex="x",
        ),
    )  # fmt: skip
    data = {"friendsInfo": [FRIEND], "total": 1}
    found, server = await listing(data, lambda friends: friends.list(2, 50))
    assert found == expected
    pagination = {"pageNumber": 2, "showNumber": 50}
    body = {"userID": "a", "pagination": pagination}
    check_body(server, "/friend/get_friend_list", body)
    found, server = await listing(data, lambda friends: friends.designated(["bob", "c", "bob"]))
    assert found == expected
    body = {"ownerUserID": "a", "friendUserIDs": ["bob", "c"]}
    check_body(server, "/friend/get_designated_friends", body)


async def test_the_black_list() -> None:
    found, server = await listing({"blacks": [BLACK]}, lambda friends: friends.black_list())
    assert found == (
        Black(user=BOB, add_source=1, operator_id="a", since=1_700_000_000_000, ex="x"),
    )
    body = {"userID": "a", "pagination": {"pageNumber": 1, "showNumber": 100}}
    check_body(server, "/friend/get_black_list", body)


async def test_empty_lists_as_the_server_has_them() -> None:
    assert (await listing({"friendsInfo": None}, lambda friends: friends.list()))[0] == ()
    assert (await listing({"blacks": []}, lambda friends: friends.black_list()))[0] == ()


@pytest.mark.parametrize(
    ("ask", "problem"),
    [
        (lambda friends: friends.list(0), "page: must be at least 1"),
        (lambda friends: friends.list(1, 0), "size: must be from 1 to 10000"),
        (lambda friends: friends.black_list(1, 10_001), "size: must be from 1 to 10000"),
        (lambda friends: friends.designated("bob"), "user_ids: must be several, not one string"),
        (lambda friends: friends.designated(["bob", ""]), "user_ids[1]: must not be empty"),
    ],
)
async def test_wrong_arguments(ask: Callable[[Friends], Awaitable[Any]], problem: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await ask(Friends(Rest("http://127.0.0.1:1"), "a"))
    assert str(caught.value) == problem
