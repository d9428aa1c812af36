"""Every route does what it is for, on real services."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from openim_trio.api.route_table import LEGACY, ROUTES
from openim_trio.config.model import MongoConfig, RedisConfig
from openim_trio.wire.proto import jssdk_pb2
from tests.support.api import ADMIN_ID, Api, open_api
from tests.support.legacy import LEGACY_EXAMPLE
from tests.support.services import SECRET

PAGE = {"pageNumber": 1, "showNumber": 100}
CHAT = "si_alice_bob"


@pytest.fixture
async def api(mongo_config: MongoConfig, redis_config: RedisConfig) -> AsyncIterator[Api]:
    async with open_api(mongo_config, redis_config) as opened:
        yield opened


def text_to(receiver: str, words: str = "hi", sender: str = "alice", **more: Any) -> dict[str, Any]:
    return {
        "sendID": sender,
        "recvID": receiver,
        "content": {"content": words},
        "contentType": 101,
        "sessionType": 1,
        **more,
    }


async def create_group(api: Api, **more: Any) -> str:
    body = {
        "groupInfo": {"groupName": "team", "groupType": 2, "ex": "e"},
        "ownerUserID": "alice",
        "memberUserIDs": ["bob"],
        **more,
    }
    created = await api.ok("/group/create_group", body, "alice")
    return str(created["groupInfo"]["groupID"])


async def exercise_tokens(api: Api) -> None:
    wanted = {"secret": SECRET, "userID": ADMIN_ID}
    admin = await api.ok("/auth/get_admin_token", wanted, "")
    parsed = await api.ok("/auth/parse_token", {"token": admin["token"]}, "")
    assert (parsed["userID"], parsed["platformID"]) == (ADMIN_ID, 10)
    assert parsed["expireTimeSeconds"] > admin["expireTimeSeconds"]
    issued = await api.ok("/auth/get_user_token", {"userID": "carol", "platformID": 2})
    assert await api.ok("/auth/force_logout", {"userID": "carol", "platformID": 2}) is None
    assert (await api.post("/auth/parse_token", {"token": issued["token"]}, "")).code == 1506


async def exercise_users(api: Api) -> None:
    found = await api.ok("/user/get_users_info", {"userIDs": ["alice", "nobody"]}, "bob")
    assert [user["nickname"] for user in found["usersInfo"]] == ["Alice"]
    assert found["usersInfo"][0]["appMangerLevel"] == 0
    checked = await api.ok("/user/account_check", {"checkUserIDs": ["nobody", "bob"]})
    assert [item["accountStatus"] for item in checked["results"]] == [0, 1]
    listed = await api.ok("/user/get_users", {"pagination": PAGE, "nickName": "LIC"})
    assert (listed["total"], listed["users"][0]["userID"]) == (1, "alice")
    online = await api.ok("/user/get_users_online_status", {"userIDs": ["bob", "alice"]})
    assert online == [
        {"userID": "bob", "status": 0, "detailPlatformStatus": None},
        {"userID": "alice", "status": 0, "detailPlatformStatus": None},
    ]
    account = await api.ok(
        "/user/add_notification_account", {"nickName": "News", "appMangerLevel": 3}
    )
    assert len(account["userID"]) == 10
    assert account["nickName"] == "News"


async def exercise_friends(api: Api) -> None:
    mine = {"userID": "alice"}
    first = await api.ok("/friend/get_incremental_friends", mine, "alice")
    assert first["full"] is True
    assert len(first["versionID"]) == 24
    known = {**mine, "version": first["version"], "versionID": first["versionID"]}
    again = await api.ok("/friend/get_incremental_friends", known, "alice")
    assert (again["full"], again["version"], again["insert"]) == (False, first["version"], None)
    ids = await api.ok("/friend/get_full_friend_user_ids", mine, "alice")
    assert (ids["equal"], ids["userIDs"], ids["versionID"]) == (True, None, first["versionID"])
    page = await api.ok("/friend/get_friend_list", {**mine, "pagination": PAGE}, "alice")
    assert page == {"friendsInfo": None, "total": 0}
    some = {"ownerUserID": "alice", "friendUserIDs": ["bob"]}
    assert await api.ok("/friend/get_designated_friends", some, "alice") == {"friendsInfo": None}
    blacks = await api.ok("/friend/get_black_list", {**mine, "pagination": PAGE}, "alice")
    assert blacks == {"blacks": None, "total": 0}


async def exercise_groups(api: Api) -> None:
    before = await api.ok("/group/get_incremental_join_groups", {"userID": "bob"}, "bob")
    group = await create_group(api)
    infos = await api.ok("/group/get_groups_info", {"groupIDs": [group, "none"]}, "carol")
    assert [(g["groupName"], g["memberCount"]) for g in infos["groupInfos"]] == [("team", 2)]
    known = {"userID": "bob", "version": before["version"], "versionID": before["versionID"]}
    joined = await api.ok("/group/get_incremental_join_groups", known, "bob")
    assert [g["groupID"] for g in joined["insert"]] == [group]
    ids = await api.ok("/group/get_full_join_group_ids", {"userID": "bob"}, "bob")
    assert ids["groupIDs"] == [group]
    page = {"fromUserID": "bob", "pagination": PAGE}
    assert (await api.ok("/group/get_joined_group_list", page, "bob"))["total"] == 1
    wanted = {"groupID": group, "pagination": PAGE}
    members = await api.ok("/group/get_group_member_list", wanted, "bob")
    assert [(m["userID"], m["roleLevel"]) for m in members["members"]] == [
        ("alice", 100),
        ("bob", 20),
    ]
    ids = await api.ok("/group/get_full_group_member_user_ids", {"groupID": group}, "bob")
    assert ids["userIDs"] == ["alice", "bob"]
    batch = {"userID": "bob", "reqList": [{"groupID": group}]}
    answered = await api.ok("/group/get_incremental_group_members_batch", batch, "bob")
    entry = answered["respList"][group]
    assert entry["full"] is True
    assert entry["group"]["groupID"] == group
    batch["reqList"] = [
        {"groupID": group, "version": entry["version"], "versionID": entry["versionID"]}
    ]
    answered = await api.ok("/group/get_incremental_group_members_batch", batch, "bob")
    assert answered["respList"][group]["group"] is None


async def exercise_sending(api: Api) -> None:
    sent = await api.ok("/msg/send_msg", text_to("bob"), operation_id="send1")
    assert len(sent["clientMsgID"]) == 32
    assert sent["serverMsgID"]
    status = await api.ok("/msg/check_msg_is_send_success", {}, "bob", operation_id="send1")
    assert status == {"status": 2}
    unknown = await api.ok("/msg/check_msg_is_send_success", {}, "bob", operation_id="never")
    assert unknown == {"status": 0}
    batch = {**text_to("", sender=ADMIN_ID), "recvIDs": ["alice", "bob", "nobody"]}
    answered = await api.ok("/msg/batch_send_msg", batch)
    assert {item["recvID"] for item in answered["results"]} == {"alice", "bob"}
    assert len({item["clientMsgID"] for item in answered["results"]}) == 1
    assert answered["failedUserIDs"] == ["nobody"]
    everybody = {**text_to("", sender=ADMIN_ID), "recvIDs": [], "isSendAll": True}
    answered = await api.ok("/msg/batch_send_msg", everybody)
    assert {"alice", "bob", "carol"} <= {item["recvID"] for item in answered["results"]}
    told = {"sendUserID": ADMIN_ID, "recvUserID": "bob", "key": "k", "data": "d"}
    for level in (1, 2):
        body = {**told, "reliabilityLevel": level}
        assert (await api.ok("/msg/send_business_notification", body))["serverMsgID"]
    key = base64.b64encode(json.dumps({"sendID": "alice", "recvID": "bob"}).encode()).decode()
    path = f"/msg/send_simple_msg?key={key}"
    assert (await api.ok(path, {"content": "**hi**"}, "bob"))["serverMsgID"]
    assert (await api.post(path, {"content": "**hi**"}, "carol")).code == 1002
    assert (await api.post("/msg/send_simple_msg", {"content": "x"}, "bob")).code == 1001


async def exercise_reading(api: Api) -> None:
    for number in range(3):
        await api.ok("/msg/send_msg", text_to("bob", f"n{number}"))
    seqs = (await api.ok("/msg/newest_seq", {"userID": "bob"}, "bob"))["maxSeqs"]
    newest = seqs[CHAT]
    wanted = {"conversationID": CHAT, "begin": newest - 1, "end": newest, "num": 10}
    pulled = await api.ok("/msg/pull_msg_by_seq", {"userID": "bob", "seqRanges": [wanted]}, "bob")
    messages = pulled["msgs"][CHAT]["Msgs"]
    assert [m["seq"] for m in messages] == [newest - 1, newest]
    assert json.loads(base64.b64decode(messages[1]["content"])) == {"content": "n2"}
    assert messages[1]["status"] == 2
    asked = {"userID": "bob", "conversationIDs": [CHAT], "returnPinned": True}
    state = await api.ok("/msg/get_conversations_has_read_and_max_seq", asked, "bob")
    assert state["seqs"][CHAT]["maxSeq"] == newest
    assert state["pinnedConversationIDs"] is None
    mine = {"userID": "bob", "conversationID": CHAT}
    assert await api.ok("/msg/mark_msgs_as_read", {**mine, "seqs": [1]}, "bob") is None
    await api.ok("/msg/set_conversation_has_read_seq", {**mine, "hasReadSeq": 2}, "bob")
    await api.ok("/msg/mark_conversation_as_read", {**mine, "hasReadSeq": newest}, "bob")
    state = await api.ok("/msg/get_conversations_has_read_and_max_seq", asked, "bob")
    assert state["seqs"][CHAT]["hasReadSeq"] == newest
    time = (await api.ok("/msg/get_server_time", {}, "bob"))["serverTime"]
    assert time >= messages[1]["sendTime"] - 60_000


async def exercise_conversations(api: Api) -> None:
    await api.ok("/msg/send_msg", text_to("bob"))
    owner, user = {"ownerUserID": "bob"}, {"userID": "bob"}
    rows = (await api.ok("/conversation/get_all_conversations", owner, "bob"))["conversations"]
    assert CHAT in {row["conversationID"] for row in rows}
    one = await api.ok("/conversation/get_conversation", {**owner, "conversationID": CHAT}, "bob")
    assert (one["conversation"]["userID"], one["conversation"]["conversationType"]) == ("alice", 1)
    missing = {**owner, "conversationID": "si_bob_nobody"}
    assert (await api.post("/conversation/get_conversation", missing, "bob")).code == 1004
    some = {**owner, "conversationIDs": [CHAT, "si_bob_nobody"]}
    found = await api.ok("/conversation/get_conversations", some, "bob")
    assert len(found["conversations"]) == 1
    first = await api.ok("/conversation/get_incremental_conversations", user, "bob")
    assert first["full"] is True
    ids = await api.ok("/conversation/get_full_conversation_ids", user, "bob")
    assert CHAT in ids["conversationIDs"]
    page = await api.ok("/conversation/get_owner_conversation", {**user, "pagination": PAGE}, "bob")
    assert page["total"] == len(rows)
    for path in ("get_not_notify_conversation_ids", "get_pinned_conversation_ids"):
        assert await api.ok(f"/conversation/{path}", user, "bob") == {"conversationIDs": None}
    chat = {"conversationID": CHAT, "conversationType": 1, "userID": "alice"}
    wanted = {"recvMsgOpt": 2, "isPinned": True, "ex": "e", "burnDuration": None, "minSeq": 7}
    body = {"userIDs": ["bob"], "conversation": {**chat, **wanted}}
    assert await api.ok("/conversation/set_conversations", body, "bob") is None
    known = {**user, "version": first["version"], "versionID": first["versionID"]}
    changes = await api.ok("/conversation/get_incremental_conversations", known, "bob")
    [row] = changes["update"]
    assert (row["recvMsgOpt"], row["isPinned"], row["ex"], row["minSeq"]) == (2, True, "e", 0)
    for path in ("get_not_notify_conversation_ids", "get_pinned_conversation_ids"):
        assert await api.ok(f"/conversation/{path}", user, "bob") == {"conversationIDs": [CHAT]}
    for wrong in ("recvMsgOpt", "groupAtType", "burnDuration", "msgDestructTime"):
        body["conversation"] = {**chat, wrong: -1}
        answer = await api.post("/conversation/set_conversations", body, "bob")
        assert answer.code == 1001
        assert answer.body["errDlt"].startswith(f"conversation.{wrong}: ")


async def exercise_javascript_sdk(api: Api) -> None:
    await api.ok("/msg/send_msg", text_to("bob", "for the browser"))
    active = await api.ok("/jssdk/get_active_conversations", {"count": 5}, "bob")
    entry = next(c for c in active["conversations"] if c["conversation"]["userID"] == "alice")
    content = json.loads(base64.b64decode(entry["lastMsg"]["content"]))
    assert content == {"content": "for the browser"}
    assert (entry["user"]["userID"], entry["friend"], entry["group"]) == ("alice", None, None)
    assert active["unreadCount"] > 0
    some = {"ownerUserID": "alice", "conversationIDs": [CHAT]}
    mine = await api.ok("/jssdk/get_conversations", some, "bob")
    assert mine["conversations"][0]["conversation"]["ownerUserID"] == "bob"

    wanted = jssdk_pb2.GetActiveConversationsReq(ownerUserID="bob", count=5).SerializeToString()
    path = "/jssdk/get_active_conversations"
    for kind in ("application/protobuf", "application/x-protobuf"):
        headers = {"Content-Type": kind}
        encoded = await api.ok(path, wanted, "bob", headers=headers)
        message = jssdk_pb2.GetActiveConversationsResp.FromString(base64.b64decode(encoded))
        assert message.unreadCount == active["unreadCount"]
    assert (await api.post(path, b"\xff\xff", "bob", headers=headers)).code == 1001


async def exercise_deleting(api: Api) -> None:
    for number in range(4):
        await api.ok("/msg/send_msg", text_to("bob", f"n{number}"))
    mine = {"userID": "alice", "conversationID": CHAT}
    await api.ok("/msg/revoke_msg", {**mine, "seq": 1}, "alice")
    assert (await api.post("/msg/revoke_msg", {**mine, "seq": 1}, "alice")).code == 1404
    assert (await api.post("/msg/revoke_msg", {**mine, "seq": 10_000}, "alice")).code == 1004
    body = {**mine, "seqs": [2], "deleteSyncOpt": {"IsSyncSelf": True}}
    await api.ok("/msg/delete_msgs", body, "alice")
    erased = {"conversationID": CHAT, "seqs": [3]}
    await api.ok("/msg/delete_msg_phsical_by_seq", erased)
    await api.ok("/msg/delete_msg_physical", {"conversationIDs": [CHAT], "timestamp": 86_400})
    wanted = {"conversationID": CHAT, "begin": 1, "end": 4, "num": 10}
    pulled = await api.ok(
        "/msg/pull_msg_by_seq", {"userID": "alice", "seqRanges": [wanted]}, "alice"
    )
    shown = pulled["msgs"][CHAT]["Msgs"]
    assert [m["contentType"] for m in shown[:1]] == [2101]
    assert [m["status"] for m in shown[1:3]] == [4, 4]
    cleared = {"userID": "alice", "conversationIDs": [CHAT]}
    await api.ok("/msg/clear_conversation_msg", cleared, "alice")
    await api.ok("/msg/user_clear_all_msg", {"userID": "alice"}, "alice")


async def exercise_legacy(api: Api) -> None:
    await api.ok("/user/user_register", {"users": [{"userID": "18712345678", "nickname": "phone"}]})
    for app in (api.app, api.legacy):
        data = await api.ok(LEGACY.path, LEGACY_EXAMPLE, app=app, headers={"operationID": ""})
        assert set(data) == {"serverMsgID", "clientMsgID", "sendTime"}
    assert (await api.post(LEGACY.path, LEGACY_EXAMPLE, "bob")).code == 1002
    assert (await api.post(LEGACY.path, LEGACY_EXAMPLE, "")).code == 1001
    without = {key: value for key, value in LEGACY_EXAMPLE.items() if key != "operationID"}
    assert (await api.post(LEGACY.path, without)).body["errDlt"] == "operationID: is required"
    [first, second] = await api.bench.pull("18712345678", "sn_18712345678_openIM123456")
    assert first.senderNickname == second.senderNickname == "系统通知2"
    detail = json.loads(json.loads(first.content)["detail"])
    assert detail["notificationName"] == "公文管理"
    status = await api.ok(
        "/msg/check_msg_is_send_success", {}, operation_id=LEGACY_EXAMPLE["operationID"]
    )
    assert status == {"status": 2}


async def test_every_route(api: Api) -> None:
    await exercise_tokens(api)
    await exercise_users(api)
    await exercise_friends(api)
    await exercise_groups(api)
    await exercise_sending(api)
    await exercise_reading(api)
    await exercise_conversations(api)
    await exercise_javascript_sdk(api)
    await exercise_deleting(api)
    await exercise_legacy(api)
    assert api.asked == {route.path for route in ROUTES}


async def test_the_legacy_port_has_one_route(api: Api) -> None:
    response = await api.legacy.test_client().post("/auth/parse_token")
    assert response.status_code == 404


async def test_health_and_metrics(api: Api) -> None:
    async def get(path: str) -> tuple[int, bytes]:
        response = await api.app.test_client().get(path)
        return response.status_code, await response.get_data()

    assert (await get("/healthz"))[0] == 200
    status, body = await get("/readyz")
    assert (status, orjson.loads(body)["engines"]) == (200, {"mongo": "ok", "redis": "ok"})
    api.engines["redis"] = "connection refused"
    status, body = await get("/readyz")
    assert (status, orjson.loads(body)["engines"]["redis"]) == (503, "connection refused")
    assert await get("/metrics") == (200, b"sum\n")
    assert await get("/metrics?by=worker") == (200, b"by worker\n")
    status, body = await get("/openapi.json")
    assert orjson.loads(body)["openapi"] == "3.1.0"
    response = await api.app.test_client().get("/openapi.json", headers={"Accept-Encoding": "gzip"})
    assert gzip.decompress(await response.get_data()) == body
