"""Sending on real engines: checks, answers, what goes along."""

from __future__ import annotations

import json
from functools import partial

import attrs
import pytest
import trio

from openim_trio.config.model import MongoConfig, RedisConfig
from openim_trio.domain.errors import Code, ServiceError
from openim_trio.domain.records import UserRecord
from openim_trio.wire.proto import msg_pb2, sdkws_pb2
from tests.support.services import (
    ADMIN,
    Bench,
    actor,
    code_of,
    detail,
    eventually,
    open_bench,
    text,
)


async def rows_of(bench: Bench, user: str) -> dict[str, int]:
    """conversation -> read seq"""
    rows = await bench.store.conversations.of_owner(user)
    return {row.conversation_id: row.read_seq for row in rows}


async def test_a_single_chat(mongo_config: MongoConfig, redis_config: RedisConfig) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await bench.register("ann", "bob")
        await bench.listen("u:ann", "u:bob")
        message = text("ann", "bob", words="hi", sendTime=5)
        original = sdkws_pb2.MsgData.FromString(message.SerializeToString())
        answer = await bench.send(message)
        assert answer.clientMsgID == original.clientMsgID
        assert len(answer.serverMsgID) == 32
        assert answer.sendTime > 1_000_000  # the server's, not the client's
        await bench.heard.until(lambda: len(bench.heard.messages(101)) == 2)
        for channel in ("u:ann", "u:bob"):
            [shown] = bench.heard.messages(101, channel)
            assert (shown.seq, shown.status, shown.sendTime) == (1, 2, answer.sendTime)
            assert (shown.serverMsgID, shown.content) == (answer.serverMsgID, original.content)
        await eventually(partial(rows_of, bench, "ann"), {"si_ann_bob": 1})
        assert await rows_of(bench, "bob") == {"si_ann_bob": 0}
        [row] = await bench.store.conversations.of_owner("bob")
        assert (row.conversation_type, row.user_id) == (1, "ann")


async def test_a_retry_gets_the_first_answer(
    mongo_config: MongoConfig, redis_config: RedisConfig
) -> None:
    async with (
        open_bench(mongo_config, redis_config) as here,
        open_bench(mongo_config, redis_config) as there,
    ):
        await here.register("ann", "bob")
        message = text("ann", "bob")
        again = sdkws_pb2.MsgData.FromString(message.SerializeToString())
        other = sdkws_pb2.MsgData.FromString(message.SerializeToString())
        other.content = b'{"content":"something else"}'
        first = await here.send(message)
        assert await there.send(again) == first
        assert await code_of(there.send(other)) is Code.DUPLICATE_KEY
        assert len(await here.pull("bob", "si_ann_bob")) == 1


async def test_sends_are_queued_in_order(
    mongo_config: MongoConfig, redis_config: RedisConfig
) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await bench.register("ann", "bob")
        answers: list[msg_pb2.SendMsgResp | ServiceError] = []
        for number in range(50):
            message = text("ann", "bob", words=str(number))
            await bench.services.sending.submit(message, actor("ann"), "op", answers.append)
        refused = text("ann", "nobody")
        await bench.services.sending.submit(refused, actor("ann"), "op", answers.append)
        with trio.fail_after(10):
            await bench.pipeline.drain()
        assert len(answers) == 51
        assert sum(isinstance(a, ServiceError) for a in answers) == 1
        shown = await bench.pull("bob", "si_ann_bob")
        assert [json.loads(m.content)["content"] for m in shown] == [str(n) for n in range(50)]


async def test_refusals_in_a_single_chat(
    mongo_config: MongoConfig, redis_config: RedisConfig
) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await bench.register("ann", "bob")
        await bench.services.users.register([UserRecord("deaf", "d", global_recv_msg_opt=1)])
        eve = actor("eve")
        sending = bench.services.sending
        assert await code_of(sending.send(text("ann", "bob"), eve, "op")) is Code.NO_PERMISSION
        assert await code_of(bench.send(text("ann", "nobody"))) is Code.USER_NOT_FOUND
        assert await code_of(bench.send(text("ann", "deaf"))) is Code.ARGS
        assert await code_of(bench.send(text("ann", "bob", content=b"no"))) is Code.ARGS
        assert await code_of(bench.send(text("ann", "bob", createTime=1))) is Code.ARGS
        await sending.send(text("imAdmin", "deaf"), ADMIN, "op")
        assert await rows_of(bench, "bob") == {}


async def test_receive_options_of_a_conversation(
    mongo_config: MongoConfig, redis_config: RedisConfig
) -> None:
    async with (
        open_bench(mongo_config, redis_config) as here,
        open_bench(mongo_config, redis_config) as there,
    ):
        await here.register("ann", "bob")
        await here.send(text("ann", "bob"))
        await there.set_options("bob", "si_ann_bob", recv_msg_opt=2)
        await here.heard.until(lambda: len(here.heard.items))
        await here.send(text("ann", "bob"))
        shown = await here.pull("bob", "si_ann_bob")
        assert [m.options.get("offlinePush", True) for m in shown] == [True, False]
        assert await there.services.conversations.not_notify_ids("bob") == ["si_ann_bob"]
        here.heard.items.clear()
        await there.set_options("bob", "si_ann_bob", recv_msg_opt=1)
        await here.heard.until(lambda: len(here.heard.items))
        assert await code_of(here.send(text("ann", "bob"))) is Code.ARGS
        await here.send(text("bob", "ann"))


async def test_online_only_is_never_stored(
    mongo_config: MongoConfig, redis_config: RedisConfig
) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await bench.register("ann", "bob")
        await bench.listen("u:ann", "u:bob")
        typing = text("ann", "bob", contentType=113, content=b'{"msgTips":"yes"}')
        answer = await bench.send(typing)
        assert answer.serverMsgID
        await bench.heard.until(lambda: bench.heard.messages(113))
        [shown] = bench.heard.messages(113)
        assert (shown.seq, shown.sendTime) == (0, answer.sendTime)
        assert [channel for channel, _ in bench.heard.items] == ["u:bob"]
        assert await rows_of(bench, "bob") == {}
        assert await bench.store.rows.head("si_ann_bob") == 0


async def test_a_given_up_message_is_never_delivered(
    mongo_config: MongoConfig, redis_config: RedisConfig
) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await bench.register("ann", "bob")
        kept, lost = text("ann", "bob"), text("ann", "bob")
        delivered = await bench.send(kept)
        assert (await bench.give_up(kept)).sent == delivered
        assert not (await bench.give_up(lost)).delivered
        assert await code_of(bench.send(lost)) is Code.DUPLICATE_KEY
        shown = await bench.pull("bob", "si_ann_bob")
        assert [(m.seq, m.status, bool(m.content)) for m in shown] == [(1, 2, True), (2, 4, False)]


async def test_system_notifications(mongo_config: MongoConfig, redis_config: RedisConfig) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await bench.register("ann", "bob")
        await bench.services.users.add_notification_account("news", "News", "", 3)
        content = {"notificationName": "n", "notificationType": 1, "text": "t", "mixType": 0}
        wanted = {
            "sessionType": 4,
            "contentType": 1400,
            "content": json.dumps({"detail": json.dumps(content)}).encode(),
        }
        sending = bench.services.sending
        assert await code_of(bench.send(text("ann", "bob", **wanted))) is Code.NO_PERMISSION
        by_admin = sending.send(text("ann", "bob", **wanted), ADMIN, "op")
        assert await code_of(by_admin) is Code.NO_PERMISSION
        unknown = sending.send(text("nobody", "bob", **wanted), ADMIN, "op")
        assert await code_of(unknown) is Code.USER_NOT_FOUND
        await sending.send_remembered(text("news", "bob", **wanted), ADMIN, "op9")
        assert await sending.status("op9") == 2
        assert await sending.status("op10") == 0
        assert await rows_of(bench, "bob") == {"sn_bob_news": 0}
        assert await rows_of(bench, "news") == {}


async def test_administrators_may_set_the_send_time(
    mongo_config: MongoConfig, redis_config: RedisConfig
) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await bench.register("ann", "bob")
        message = text("ann", "bob", sendTime=1_700_000_000_000)
        answer = await bench.services.sending.send(message, ADMIN, "op")
        assert answer.sendTime == 1_700_000_000_000
        [shown] = await bench.pull("bob", "si_ann_bob")
        assert shown.sendTime == 1_700_000_000_000


async def test_a_group(mongo_config: MongoConfig, redis_config: RedisConfig) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await bench.register("ann", "bob", "eve")
        group = await bench.group("ann", ["bob"])
        await bench.listen(f"g:{group}")
        answer = await bench.send(text("bob", group_id=group))
        await bench.heard.until(lambda: bench.heard.messages(101))
        [shown] = bench.heard.messages(101)
        assert (shown.seq, shown.sendTime, shown.recvID) == (2, answer.sendTime, "")
        await eventually(partial(rows_of, bench, "bob"), {f"sg_{group}": 2})
        assert await code_of(bench.send(text("eve", group_id=group))) is Code.NOT_IN_GROUP
        assert await code_of(bench.send(text("bob", group_id="none"))) is Code.GROUP_NOT_FOUND
        await bench.services.sending.send(text("imAdmin", group_id=group), ADMIN, "op")


@pytest.mark.parametrize(
    ("at", "marks"),
    [
        (["bob", "eve", "nobody"], {"ann": 0, "bob": 1, "cid": 0}),
        (["AtAllTag"], {"ann": 0, "bob": 2, "cid": 2}),
        (["AtAllTag", "bob"], {"ann": 0, "bob": 3, "cid": 2}),
    ],
)
async def test_mentions(
    mongo_config: MongoConfig, redis_config: RedisConfig, at: list[str], marks: dict[str, int]
) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await bench.register("ann", "bob", "cid", "eve")
        group = await bench.group("ann", ["bob", "cid"])
        await bench.listen("u:bob")
        content = json.dumps({"text": "@", "atUserList": at, "isAtSelf": False}).encode()
        message = text("ann", group_id=group, contentType=106, content=content, atUserIDList=at)
        await bench.send(message)
        name = f"sg_{group}"
        for user, mark in marks.items():
            [row] = await bench.store.conversations.get_many(user, [name])
            assert row.group_at_type == mark, user
        await bench.heard.until(lambda: bench.heard.messages(1300))
        [word] = bench.heard.messages(1300)
        assert detail(word) == {"userID": "bob", "conversationIDList": [name]}
        assert word.seq == 0


async def test_side_effects_may_be_repeated(
    mongo_config: MongoConfig, redis_config: RedisConfig
) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await bench.register("ann", "bob")
        await bench.send(text("ann", "bob"))
        before = await bench.services.conversations.full_ids("bob", 0)
        rows = await bench.store.rows.read_above("si_ann_bob", 0, 10)
        bench.services.on_bus_lost()
        await bench.services._effects.apply(rows)
        await bench.services._effects.apply([attrs.evolve(rows[0])])
        assert await bench.services.conversations.full_ids("bob", 0) == before
