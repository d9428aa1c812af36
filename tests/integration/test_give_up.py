"""Giving a send up for good, on real engines."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import pytest
import trio

from openim_trio.config.model import GatewayConfig, MongoConfig, RedisConfig
from openim_trio.domain.errors import Code
from openim_trio.domain.platforms import Platform
from openim_trio.domain.records import UserRecord
from openim_trio.wire.envelope import Response
from openim_trio.wire.identifiers import Req
from openim_trio.wire.proto import extension_pb2, msg_pb2, sdkws_pb2
from tests.support.client import WireClient, connected, text_message
from tests.support.gateway_workers import GatewayWorker, open_gateway
from tests.support.services import ADMIN, Bench, actor, code_of, open_bench, refusal, text

CHAT = "si_a_b"
NEVER = extension_pb2.GiveUpResp()


@pytest.fixture(params=["lean", "trio-websocket"])
def config(request: pytest.FixtureRequest) -> GatewayConfig:
    return GatewayConfig(transport=request.param)


@asynccontextmanager
async def client_of(
    worker: GatewayWorker, user: str, platform: Platform = Platform.IOS
) -> AsyncIterator[WireClient]:
    who = attrs.evolve(await worker.login(user, platform), extra={"extension": "1"})
    async with connected(worker.port, who) as client:
        yield client


def bare(message: sdkws_pb2.MsgData) -> sdkws_pb2.MsgData:
    """What a give-up needs of a send."""
    return sdkws_pb2.MsgData(
        sendID=message.sendID,
        recvID=message.recvID,
        groupID=message.groupID,
        clientMsgID=message.clientMsgID,
        sessionType=message.sessionType,
        createTime=message.createTime,
        options=message.options,
    )


async def give_up(client: WireClient, message: sdkws_pb2.MsgData) -> extension_pb2.GiveUpResp:
    return await client.call(Req.GIVE_UP, bare(message), extension_pb2.GiveUpResp)


async def shown(client: WireClient, conversation: str = CHAT) -> list[tuple[int, int, bytes]]:
    rows = await client.pull(conversation, 1, 100)
    return [(row.seq, row.status, row.content) for row in rows]


async def test_before_the_send_it_is_never_delivered(
    mongo_config: MongoConfig, redis_config: RedisConfig, config: GatewayConfig
) -> None:
    async with (
        open_gateway(mongo_config, redis_config, config) as one,
        open_gateway(mongo_config, redis_config, config) as two,
    ):
        await one.bench.register("a", "b")
        async with (
            client_of(one, "a") as a,
            connected(two.port, await two.login("b")) as b,
        ):
            lost, later = text_message("a", "b"), text_message("a", "b", "later")
            assert await give_up(a, lost) == NEVER
            assert (await a.request(Req.SEND, lost)).err_code == Code.DUPLICATE_KEY
            assert await give_up(a, lost) == NEVER
            await a.send(later)
            for client in (a, b):
                conversation, pushed = await client.next_push()
                assert (conversation, pushed.seq) == (CHAT, 2)
                assert await shown(client) == [(1, 4, b""), (2, 2, later.content)]
            assert await b.heads() == {CHAT: 2}
            assert one.metric("requests_total", req="3101", code="0") == 2


async def test_after_the_send_it_is_delivered(
    mongo_config: MongoConfig, redis_config: RedisConfig, config: GatewayConfig
) -> None:
    async with open_gateway(mongo_config, redis_config, config) as one:
        await one.bench.register("a", "b")
        async with client_of(one, "a") as a, client_of(one, "a", Platform.WINDOWS) as elsewhere:
            message = text_message("a", "b")
            sent = await a.send(message)
            told = extension_pb2.GiveUpResp(delivered=True, sent=sent)
            for client in (a, elsewhere, a):
                assert await give_up(client, message) == told
            assert await a.send(message) == sent
            assert await shown(a) == [(1, 2, message.content)]


async def test_the_answer_stays_when_redis_forgets(
    mongo_config: MongoConfig, redis_config: RedisConfig
) -> None:
    async with open_gateway(mongo_config, redis_config) as one:
        await one.bench.register("a", "b")
        async with client_of(one, "a") as a:
            kept, lost = text_message("a", "b"), text_message("a", "b")
            told = extension_pb2.GiveUpResp(delivered=True, sent=await a.send(kept))
            assert await give_up(a, lost) == NEVER
            for _ in range(2):
                await one.bench.redis_forgets()
                assert await give_up(a, lost) == NEVER
                assert await give_up(a, kept) == told
                assert (await a.request(Req.SEND, lost)).err_code == Code.DUPLICATE_KEY
            assert [seq for seq, _, _ in await shown(a)] == [1, 2]


@pytest.mark.parametrize("forgets", [False, True])
async def test_it_races_with_its_send(
    mongo_config: MongoConfig, redis_config: RedisConfig, forgets: bool
) -> None:
    """From two workers at once: the answers agree, now and later, and readers see what they say."""
    async with (
        open_gateway(mongo_config, redis_config) as one,
        open_gateway(mongo_config, redis_config) as two,
    ):
        await one.bench.register("a", "b")
        async with (
            client_of(one, "a") as a,
            client_of(two, "a", Platform.WINDOWS) as elsewhere,
            connected(two.port, await two.login("b")) as b,
        ):
            rng = random.Random(7)
            first = text_message("a", "b", "first")
            await a.send(first)
            assert (await give_up(elsewhere, first)).delivered
            messages = [text_message("a", "b", str(number)) for number in range(40)]
            answers: dict[str, tuple[Response, Response]] = {}

            async def race(number: int, message: sdkws_pb2.MsgData) -> None:
                # Either worker may be the quicker one for all of them.
                sender, other = (a, elsewhere) if number % 2 else (elsewhere, a)
                asked = [(sender, Req.SEND, message), (other, Req.GIVE_UP, bare(message))]
                posted = {}
                for client, req, body in rng.sample(asked, 2):
                    await trio.sleep(rng.random() / 20)
                    posted[req] = client, await client.post(req, body)
                sent, gave_up = [
                    await posted[req][0].answer(posted[req][1]) for req in (Req.SEND, Req.GIVE_UP)
                ]
                answers[message.clientMsgID] = sent, gave_up

            async with trio.open_nursery() as nursery:
                for number, message in enumerate(messages):
                    nursery.start_soon(race, number, message)
                if forgets:
                    await one.bench.redis_forgets()

            delivered = set()
            for message in messages:
                sent, gave_up = answers[message.clientMsgID]
                assert gave_up.err_code == 0
                told = extension_pb2.GiveUpResp.FromString(gave_up.data)
                assert sent.err_code == (0 if told.delivered else Code.DUPLICATE_KEY)
                if told.delivered:
                    assert told.sent == msg_pb2.SendMsgResp.FromString(sent.data)
                    delivered.add(message.clientMsgID)
                assert await give_up(a, message) == told
            last = text_message("a", "b", "last")
            await a.send(last)
            await b.wait_for_id(last.clientMsgID)
            pulled = await b.pull(CHAT, 1, 100)
            assert [m.seq for m in pulled] == list(range(1, len(messages) + 3))
            stored = [m.clientMsgID for m in pulled if m.status == 2]
            assert sorted(stored) == sorted({*delivered, first.clientMsgID, last.clientMsgID})
            pushed = [r.message for r in b.received if r.how == "push" and r.message.status == 2]
            assert [m.clientMsgID for m in pushed] == stored


async def test_in_a_group(mongo_config: MongoConfig, redis_config: RedisConfig) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await bench.register("ann", "bob", "eve")
        group = await bench.group("ann", ["bob"])
        lost = text("bob", "ann", group_id=group)  # recvID is not for groups
        assert await bench.give_up(lost) == NEVER
        assert await code_of(bench.send(lost)) is Code.DUPLICATE_KEY
        await bench.send(text("ann", group_id=group))
        rows = await bench.pull("ann", f"sg_{group}")
        assert [(m.seq, m.status) for m in rows] == [(1, 2), (2, 4), (3, 2)]
        [row] = await bench.store.rows.read_above(f"sg_{group}", 1, 1)
        assert sdkws_pb2.MsgData.FromString(row.data).recvID == ""
        stranger = text("eve", group_id=group)
        assert await code_of(bench.give_up(stranger)) is Code.NOT_IN_GROUP
        assert await bench.store.rows.head(f"sg_{group}") == 3


async def test_what_forbids_sending_later_on_hides_no_answer(
    mongo_config: MongoConfig, redis_config: RedisConfig
) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await bench.register("ann", "bob", "eve")
        kept, lost = text("ann", "bob"), text("ann", "bob")
        sent = await bench.send(kept)
        await bench.set_options("bob", "si_ann_bob", recv_msg_opt=1)
        assert await code_of(bench.send(lost)) is Code.ARGS
        assert await code_of(bench.send(kept)) is Code.ARGS
        assert await bench.give_up(kept) == extension_pb2.GiveUpResp(delivered=True, sent=sent)
        assert await bench.give_up(lost) == NEVER
        await bench.services.users.register([UserRecord("deaf", "d", global_recv_msg_opt=1)])
        assert await code_of(bench.give_up(text("eve", "deaf"))) is Code.ARGS
        assert await bench.store.rows.head("si_deaf_eve") == 0


async def refused_field(bench: Bench, message: sdkws_pb2.MsgData) -> str:
    error = await refusal(bench.give_up(message))
    assert error.code is Code.ARGS
    assert not error.retriable
    return error.detail.partition(":")[0]


async def test_what_cannot_be_given_up(
    mongo_config: MongoConfig, redis_config: RedisConfig
) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await bench.register("ann", "bob")
        assert await code_of(bench.give_up(text("ann", "bob"), actor("bob"))) is Code.NO_PERMISSION
        assert await code_of(bench.give_up(text("ann", "nobody"))) is Code.USER_NOT_FOUND
        week = 7 * 24 * 60 * 60 * 1000
        now = text("ann", "bob").createTime
        cases = {
            "options.history": [{"options": {"history": False}}, {"contentType": 113}],
            "createTime": [{"createTime": now - week - 60_000}, {"createTime": now + 3_600_000}],
            "clientMsgID": [{"clientMsgID": ""}],
            "sessionType": [{"sessionType": 2}],
            "recvID": [{"recvID": ""}],
        }
        for field, wrong in cases.items():
            for fields in wrong:
                assert await refused_field(bench, text("ann", "bob", **fields)) == field
        assert await bench.store.rows.head("si_ann_bob") == 0


async def test_a_system_message(mongo_config: MongoConfig, redis_config: RedisConfig) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await bench.register("ann", "bob")
        await bench.services.users.add_notification_account("news", "News", "", 3)
        content = {"notificationName": "n", "notificationType": 1, "text": "t", "mixType": 0}
        body = json.dumps({"detail": json.dumps(content)}).encode()
        sent = text("news", "bob", sessionType=4, contentType=1400, content=body)
        told = await bench.services.sending.send(sent, ADMIN, "op")
        assert (await bench.give_up(bare(sent), ADMIN)).sent == told
        lost = text("news", "bob", sessionType=4)
        assert await bench.give_up(bare(lost), ADMIN) == NEVER
        assert await bench.store.rows.head("sn_bob_news") == 2
        assert await code_of(bench.give_up(bare(text("ann", "bob", sessionType=4)))) is (
            Code.NO_PERMISSION
        )
