"""People chat through gateways on real engines."""

from __future__ import annotations

import json
from functools import partial

import attrs
import pytest
import redis as redis_client
import trio

from openim_trio.config.model import GatewayConfig, MongoConfig, RedisConfig
from openim_trio.demo.login import LoginRefused
from openim_trio.domain.platforms import Platform
from openim_trio.wire.identifiers import Req
from openim_trio.wire.proto import msg_pb2, sdkws_pb2
from tests.support.client import WireClient, connected, text_message
from tests.support.gateway_workers import open_gateway


@pytest.fixture(params=["lean", "trio-websocket"])
def config(request: pytest.FixtureRequest) -> GatewayConfig:
    return GatewayConfig(transport=request.param)


async def next_chat(client: WireClient) -> tuple[str, sdkws_pb2.MsgData]:
    """The next push that is not a notification."""
    while True:
        conversation, message = await client.next_push()
        if not conversation.startswith("n_"):
            return conversation, message


@pytest.mark.parametrize(("js", "gzip"), [(False, True), (False, False), (True, False)])
async def test_two_users_chat_over_two_workers(
    mongo_config: MongoConfig,
    redis_config: RedisConfig,
    config: GatewayConfig,
    js: bool,
    gzip: bool,
) -> None:
    async with (
        open_gateway(mongo_config, redis_config, config) as one,
        open_gateway(mongo_config, redis_config, config) as two,
    ):
        await one.bench.register("a", "b")
        async with (
            connected(one.port, await one.login("a", js=js, gzip=gzip)) as a,
            connected(two.port, await two.login("b", Platform.WEB, msg_resp=True)) as b,
        ):
            sent = []
            for number in range(5):
                sender, receiver = (a, b) if number % 2 else (b, a)
                message = text_message(
                    sender.login.user_id, receiver.login.user_id, f"text {number}"
                )
                answer = await sender.send(message)
                assert answer.serverMsgID
                assert answer.sendTime > 0
                sent.append(message.clientMsgID)
            for client in (a, b):
                pushes = [await next_chat(client) for _ in sent]
                assert {c for c, _ in pushes} == {"si_a_b"}
                assert [m.seq for _, m in pushes] == [1, 2, 3, 4, 5]
                assert [m.clientMsgID for _, m in pushes] == sent
            again = text_message("a", "b", "text 1", client_msg_id=sent[1])
            assert (await a.send(again)).clientMsgID == sent[1]
            newest = await a.call(
                Req.NEWEST_SEQ, sdkws_pb2.GetMaxSeqReq(userID="a"), sdkws_pb2.GetMaxSeqResp
            )
            assert newest.maxSeqs["si_a_b"] == 5
            wanted = sdkws_pb2.SeqRange(conversationID="si_a_b", begin=2, end=4, num=10)
            pulled = await b.call(
                Req.PULL_RANGES,
                sdkws_pb2.PullMessageBySeqsReq(userID="b", seqRanges=[wanted]),
                sdkws_pb2.PullMessageBySeqsResp,
            )
            assert [m.seq for m in pulled.msgs["si_a_b"].Msgs] == [2, 3, 4]
            read = await b.call(
                Req.READ_AND_MAX,
                msg_pb2.GetConversationsHasReadAndMaxSeqReq(userID="b"),
                msg_pb2.GetConversationsHasReadAndMaxSeqResp,
            )
            assert read.seqs["si_a_b"].maxSeq == 5


async def test_a_group_over_two_workers(
    mongo_config: MongoConfig, redis_config: RedisConfig
) -> None:
    async with (
        open_gateway(mongo_config, redis_config) as one,
        open_gateway(mongo_config, redis_config) as two,
    ):
        await one.bench.register("a", "b", "c")
        async with (
            connected(one.port, await one.login("a")) as a,
            connected(two.port, await two.login("b")) as b,
        ):
            # Both are connected when the group comes into being: b learns of it by the bus.
            group = await one.bench.group("a", ["b", "c"])
            async with connected(one.port, await one.login("c")) as c:
                for number in range(3):
                    await a.send(text_message("a", text=str(number), group=group))
                for client in (a, b, c):
                    texts, seqs = [], []
                    while len(texts) < 3:
                        conversation, message = await next_chat(client)
                        assert conversation == f"sg_{group}"
                        if message.contentType == 101:
                            texts.append(json.loads(message.content)["content"])
                            seqs.append(message.seq)
                    assert texts == ["0", "1", "2"]
                    assert seqs == list(range(seqs[0], seqs[0] + 3))


async def test_typing_goes_only_to_who_is_online(
    mongo_config: MongoConfig, redis_config: RedisConfig
) -> None:
    async with open_gateway(mongo_config, redis_config) as one:
        await one.bench.register("a", "b")
        async with (
            connected(one.port, await one.login("a")) as a,
            connected(one.port, await one.login("b")) as b,
        ):
            typing = text_message("a", "b")
            typing.contentType = 113
            typing.content = b'{"msgTips":"yes"}'
            for option in ("history", "persistent", "senderSync", "conversationUpdate"):
                typing.options[option] = False
            await a.send(typing)
            _, message = await next_chat(b)
            assert (message.contentType, message.seq) == (113, 0)


async def test_kicked_by_a_login_on_another_worker(
    mongo_config: MongoConfig, redis_config: RedisConfig, config: GatewayConfig
) -> None:
    async with (
        open_gateway(mongo_config, redis_config, config) as one,
        open_gateway(mongo_config, redis_config, config) as two,
    ):
        await one.bench.register("a")
        old = await one.login("a")
        async with connected(one.port, old) as first:
            newer = await two.login("a")
            async with connected(two.port, newer) as second:
                with trio.fail_after(10):
                    await first.over.wait()
                assert first.kicked.is_set()
                with pytest.raises(LoginRefused) as caught:
                    await refused(two.port, old)
                assert caught.value.code == 1506
                newest = sdkws_pb2.GetMaxSeqReq(userID="a")
                await second.call(Req.NEWEST_SEQ, newest, sdkws_pb2.GetMaxSeqResp)


async def refused(port: int, login: object) -> None:
    try:
        async with connected(port, login):  # type: ignore[arg-type]
            pass
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None


async def test_forced_logout(mongo_config: MongoConfig, redis_config: RedisConfig) -> None:
    async with open_gateway(mongo_config, redis_config) as one:
        await one.bench.register("a")
        async with (
            connected(one.port, await one.login("a", Platform.ANDROID)) as phone,
            connected(one.port, await one.login("a", Platform.WINDOWS)) as desktop,
        ):
            await one.bench.services.tokens.force_logout("a", int(Platform.ANDROID))
            with trio.fail_after(10):
                await phone.over.wait()
            assert phone.kicked.is_set()
            assert not desktop.over.is_set()


async def test_presence_over_workers(mongo_config: MongoConfig, redis_config: RedisConfig) -> None:
    async with (
        open_gateway(mongo_config, redis_config) as one,
        open_gateway(mongo_config, redis_config) as two,
    ):
        await one.bench.register("a", "b")
        async with connected(one.port, await one.login("a")) as a:
            watch = sdkws_pb2.SubUserOnlineStatus(subscribeUserID=["b"])
            tips = await a.call(Req.ONLINE_STATUS, watch, sdkws_pb2.SubUserOnlineStatusTips)
            assert [list(e.onlinePlatformIDs) for e in tips.subscribers] == [[]]
            async with connected(two.port, await two.login("b", Platform.WEB)):
                with trio.fail_after(10):
                    tips = await a.statuses.receive()
                assert [list(e.onlinePlatformIDs) for e in tips.subscribers] == [[5]]
                online = await one.gateway.presence.online(["a", "b"])
                assert [c.platform for c in online["a"]] == [1]
                assert [c.platform for c in online["b"]] == [5]
            with trio.fail_after(10):
                tips = await a.statuses.receive()
            assert [list(e.onlinePlatformIDs) for e in tips.subscribers] == [[]]


async def test_a_cut_bus_connection_loses_no_message(
    mongo_config: MongoConfig, redis_config: RedisConfig
) -> None:
    """Both listening connections are killed again and again while messages are sent."""
    async with (
        open_gateway(mongo_config, redis_config) as one,
        open_gateway(mongo_config, redis_config) as two,
    ):
        await one.bench.register("a", "b")
        async with (
            connected(one.port, await one.login("a")) as a,
            connected(two.port, await two.login("b")) as b,
        ):
            await a.send(text_message("a", "b", "first"))
            assert (await next_chat(b))[1].seq == 1
            total = 60
            for number in range(2, total + 1):
                if number % 15 == 0:
                    await trio.to_thread.run_sync(kill_listeners, redis_config)
                await a.send(text_message("a", "b", str(number)))
            seqs = [(await next_chat(b))[1].seq for _ in range(total - 1)]
            assert seqs == list(range(2, total + 1))


def kill_listeners(config: RedisConfig) -> None:
    with redis_client.Redis.from_url(config.url, decode_responses=True) as client:
        for info in client.client_list(_type="pubsub"):
            client.client_kill_filter(_id=info["id"])


async def test_draining_answers_what_was_accepted(
    mongo_config: MongoConfig, redis_config: RedisConfig, config: GatewayConfig
) -> None:
    async with open_gateway(mongo_config, redis_config, config) as one:
        await one.bench.register("a", "b")
        async with connected(one.port, await one.login("a")) as a:
            posted = [await a.post(Req.SEND, text_message("a", "b", str(n))) for n in range(30)]
            await a.answer(posted[0])
            with trio.fail_after(20):
                await one.gateway.drain(1012)
                await a.over.wait()
            assert a.close_code == 1012
            stored = await one.bench.pull("b", "si_a_b")
            acked = [m for m in posted if a.answered(m)]
            assert len(stored) == len(acked) > 0


async def test_a_thousand_pipelined_sends_keep_their_order(
    mongo_config: MongoConfig, redis_config: RedisConfig
) -> None:
    async with open_gateway(mongo_config, redis_config) as one:
        await one.bench.register("a", "b")
        async with (
            connected(one.port, await one.login("a")) as a,
            connected(one.port, await one.login("b")) as b,
        ):
            answers = []
            for number in range(1000):
                posted = await a.post(Req.SEND, text_message("a", "b", str(number)))
                answers.append(partial(a.answer, posted))
            for answer in answers:
                assert (await answer()).err_code == 0
            got = [json.loads((await next_chat(b))[1].content)["content"] for _ in range(1000)]
            assert got == [str(number) for number in range(1000)]


async def test_a_slow_reader_pulls_what_it_missed(
    mongo_config: MongoConfig, redis_config: RedisConfig
) -> None:
    small = attrs.evolve(GatewayConfig(), outbox_frames=16)
    async with open_gateway(mongo_config, redis_config, small) as one:
        await one.bench.register("a", "b")
        slow = await one.login("b", gzip=False)
        async with (
            connected(one.port, await one.login("a", gzip=False)) as a,
            connected(one.port, slow, buffer=4096) as b,
        ):
            b.reading = trio.Event()
            for _ in range(300):
                await a.send(text_message("a", "b", "y" * 30_000))
            b.reading.set()
            last, gaps = 0, []
            while last < 300:
                _, message = await next_chat(b)
                assert message.seq > last
                if message.seq > last + 1:
                    gaps.append((last + 1, message.seq - 1))
                last = message.seq
            assert one.metric("slow_reader_drops_total") > 0
            wanted = [
                sdkws_pb2.SeqRange(conversationID="si_a_b", begin=lo, end=min(hi, lo + 9), num=10)
                for lo, hi in gaps
            ]
            pulled = await b.call(
                Req.PULL_RANGES,
                sdkws_pb2.PullMessageBySeqsReq(userID="b", seqRanges=wanted[:1]),
                sdkws_pb2.PullMessageBySeqsResp,
            )
            lo, hi = gaps[0]
            seqs = [m.seq for m in pulled.msgs["si_a_b"].Msgs]
            assert seqs == list(range(lo, min(hi, lo + 9) + 1))
