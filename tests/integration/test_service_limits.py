"""Requests that ask for too much, or for what is not there."""

from __future__ import annotations

from typing import Any

import pytest

from openim_trio.config.model import MongoConfig, RedisConfig
from openim_trio.domain.errors import Code
from openim_trio.wire.proto import msg_pb2
from tests.support.api import open_api
from tests.support.services import Bench, actor, code_of, open_bench, text

CHAT = "si_ann_bob"


async def hidden_of(bench: Bench, user: str) -> set[int]:
    everything = (CHAT, 1, 2**63 - 1)
    return (await bench.store.hidden.within(user, [everything])).get(CHAT, set())


async def test_only_messages_that_exist_are_hidden(
    mongo_config: MongoConfig, redis_config: RedisConfig
) -> None:
    """Otherwise anybody could fill the store with marks on nothing."""
    async with open_bench(mongo_config, redis_config) as bench:
        await bench.register("ann", "bob")
        for _ in range(3):
            await bench.send(text("ann", "bob"))
        deletion = bench.services.deletion
        await deletion.delete_msgs(actor("bob"), "bob", CHAT, [2, 3, 4, 2**62])
        assert await hidden_of(bench, "bob") == {2, 3}
        await deletion.delete_msgs(actor("bob"), "bob", CHAT, [7], sync_self=True)
        assert await hidden_of(bench, "bob") == {2, 3}


async def test_notifications_are_neither_revoked_nor_deleted(
    mongo_config: MongoConfig, redis_config: RedisConfig
) -> None:
    """Their sender is who caused them: somebody could take back a revocation."""
    async with open_bench(mongo_config, redis_config) as bench:
        await bench.register("ann", "bob")
        await bench.send(text("ann", "bob"))
        deletion, ann = bench.services.deletion, actor("ann")
        await deletion.revoke(ann, "ann", CHAT, 1)
        twin = "n_ann_bob"
        assert await code_of(deletion.revoke(ann, "ann", twin, 1)) is Code.ARGS
        for sync_other in (False, True):
            delete = deletion.delete_msgs(ann, "ann", twin, [1], sync_other=sync_other)
            assert await code_of(delete) is Code.ARGS
        [told] = await bench.pull("bob", twin)
        assert (told.contentType, told.status) == (2101, 2)


async def test_listed_conversations_are_bounded(
    mongo_config: MongoConfig, redis_config: RedisConfig
) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await bench.register("ann")
        names = [f"si_ann_{number}" for number in range(10_001)]
        request = msg_pb2.GetConversationsHasReadAndMaxSeqReq(userID="ann", conversationIDs=names)
        assert await code_of(bench.services.pulls.read_and_max(request)) is Code.ARGS
        del request.conversationIDs[-1]
        await bench.services.pulls.read_and_max(request)


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/msg/pull_msg_by_seq", {"seqRanges": [{"conversationID": "x"}]}, "seqRanges"),
        ("/msg/delete_msgs", {"conversationID": CHAT, "seqs": [1]}, "seqs"),
        ("/msg/clear_conversation_msg", {"conversationIDs": [CHAT]}, "conversationIDs"),
        (
            "/user/user_register",
            {"users": [{"userID": "x", "nickname": "x"}]},
            "users",
        ),
    ],
)
async def test_the_documented_number_of_items_is_the_real_one(
    mongo_config: MongoConfig,
    redis_config: RedisConfig,
    path: str,
    body: dict[str, Any],
    field: str,
) -> None:
    async with open_api(mongo_config, redis_config) as api:
        document = await (await api.app.test_client().get("/openapi.json")).get_json()
        content = document["paths"][path]["post"]["requestBody"]["content"]
        schema = content["application/json"]["schema"]
        name = schema["$ref"].rpartition("/")[2]
        items = document["components"]["schemas"][name]["properties"][field]["maxItems"]
        (item,) = body[field]
        asked = {"userID": "alice", **body, field: [item] * (items + 1)}
        answer = await api.post(path, asked)
        assert answer.code == 1001
        assert f"holds more than {items} items" in answer.body["errDlt"]
        answer = await api.post(path, {**asked, field: [item] * items})
        assert "holds more than" not in answer.body["errDlt"]


async def test_a_groups_creator_has_an_id(
    mongo_config: MongoConfig, redis_config: RedisConfig
) -> None:
    async with open_api(mongo_config, redis_config) as api:
        info = {"groupType": 2, "creatorUserID": "x" * 300}
        answer = await api.post("/group/create_group", {"ownerUserID": "alice", "groupInfo": info})
        assert answer.code == 1001
