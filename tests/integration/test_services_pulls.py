"""What users are shown, and what they are not."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from openim_trio.config.model import MongoConfig, RedisConfig
from openim_trio.domain.errors import Code
from openim_trio.services import pulls
from openim_trio.wire.proto import msg_pb2, sdkws_pb2
from tests.support.services import ADMIN, Bench, actor, code_of, detail, open_bench, text

CHAT = "si_ann_bob"


async def chat(bench: Bench, count: int) -> None:
    await bench.register("ann", "bob", "eve")
    for number in range(count):
        await bench.send(text("ann", "bob", words=str(number + 1)))


def seqs(messages: Sequence[sdkws_pb2.MsgData]) -> list[int]:
    return [message.seq for message in messages]


async def listed(bench: Bench, user: str, wanted: list[int], order: int = 0) -> sdkws_pb2.PullMsgs:
    request = msg_pb2.GetSeqMessageReq(
        userID=user,
        conversations=[msg_pb2.ConversationSeqs(conversationID=CHAT, seqs=wanted)],
        order=sdkws_pb2.PullOrder.Name(order),
    )
    answer = await bench.services.pulls.pull_seqs(request)
    return answer.msgs[CHAT]


async def test_max_seqs(mongo_config: MongoConfig, redis_config: RedisConfig) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await chat(bench, 3)
        assert dict((await bench.services.pulls.max_seqs("eve")).maxSeqs) == {}
        assert dict((await bench.services.pulls.max_seqs("bob")).maxSeqs) == {CHAT: 3}
        await bench.services.read_state.mark_conversation_as_read("bob", CHAT, 3)
        found = await bench.services.pulls.max_seqs("ann")
        assert dict(found.maxSeqs) == {CHAT: 3, "n_ann_bob": 1}
        await bench.services.deletion.delete_msgs(actor("ann"), "ann", CHAT, [1], sync_self=True)
        found = await bench.services.pulls.max_seqs("ann")
        assert dict(found.maxSeqs) == {CHAT: 3, "n_ann_bob": 1, "n_ann_ann": 1}
        assert set(await bench.services.conversation_ids("ann")) == set(found.maxSeqs)


@pytest.mark.parametrize(
    ("begin", "end", "num", "wanted"),
    [
        (0, 10, 3, [3, 4, 5]),
        (1, 5, 10, [1, 2, 3, 4, 5]),
        (2, 3, 10, [2, 3]),
        (2, 3, 1, [3]),
        (6, 9, 10, []),
        (4, 2, 10, []),
        (0, 2**62, 0, [1, 2, 3, 4, 5]),
    ],
)
async def test_ranges(
    mongo_config: MongoConfig,
    redis_config: RedisConfig,
    begin: int,
    end: int,
    num: int,
    wanted: list[int],
) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await chat(bench, 5)
        shown = await bench.pull("bob", CHAT, begin, end, num)
        assert seqs(shown) == wanted
        assert [json.loads(m.content)["content"] for m in shown] == [str(n) for n in wanted]


async def test_only_whom_it_concerns(mongo_config: MongoConfig, redis_config: RedisConfig) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await chat(bench, 1)
        await bench.services.read_state.mark_conversation_as_read("bob", CHAT, 1)
        group = await bench.group("ann", ["bob"])
        revoke = bench.services.deletion.revoke
        await revoke(actor("ann"), "ann", f"sg_{group}", 1)
        for name in (CHAT, "n_ann_bob", f"sg_{group}", f"n_{group}", "nonsense", "n_"):
            assert await bench.pull("eve", name) == []
            last = msg_pb2.GetLastMessageReq(userID="eve", conversationIDs=[name])
            assert not (await bench.services.pulls.last_messages(last)).msgs
            read = msg_pb2.GetConversationsHasReadAndMaxSeqReq(userID="eve", conversationIDs=[name])
            assert not (await bench.services.pulls.read_and_max(read)).seqs
        assert not (await listed(bench, "eve", [1])).Msgs
        for name in (CHAT, "n_ann_bob", f"sg_{group}", f"n_{group}"):
            assert seqs(await bench.pull("bob", name)) == [1]


async def test_ids_with_underscores_share_a_conversation_but_not_messages(
    mongo_config: MongoConfig, redis_config: RedisConfig
) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await bench.register("a", "b_c", "a_b", "c")
        await bench.send(text("a", "b_c", words="secret"))
        await bench.send(text("a_b", "c", words="other"))
        ours = await bench.pull("b_c", "si_a_b_c")
        theirs = await bench.pull("c", "si_a_b_c")
        assert [(m.seq, m.status, bool(m.content)) for m in ours] == [(1, 2, True), (2, 4, False)]
        assert [(m.seq, m.status, bool(m.content)) for m in theirs] == [
            (1, 4, False),
            (2, 2, True),
        ]
        assert not theirs[0].sendID


async def test_listed_seqs(mongo_config: MongoConfig, redis_config: RedisConfig) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await chat(bench, 5)
        found = await listed(bench, "bob", [4, 2, 2, 5])
        assert (seqs(found.Msgs), found.isEnd, found.endSeq) == ([4, 2, 5], False, 0)
        found = await listed(bench, "bob", [5, 6])
        assert (seqs(found.Msgs), found.isEnd, found.endSeq) == ([5], True, 5)
        found = await listed(bench, "bob", [1, 0], order=1)
        assert (seqs(found.Msgs), found.isEnd, found.endSeq) == ([1], True, 1)
        found = await listed(bench, "bob", [0])
        assert (seqs(found.Msgs), found.isEnd) == ([], False)
        many = list(range(1, pulls.MAX_LISTED + 2))
        assert await code_of(listed(bench, "bob", many)) is Code.ARGS


async def test_is_read_follows_the_receivers_read_seq(
    mongo_config: MongoConfig, redis_config: RedisConfig
) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await chat(bench, 3)
        await bench.services.read_state.mark_conversation_as_read("bob", CHAT, 2)
        for user in ("ann", "bob"):
            shown = await bench.pull(user, CHAT)
            assert [m.isRead for m in shown] == [True, True, False], user


async def test_cleared_hidden_erased_revoked(
    mongo_config: MongoConfig, redis_config: RedisConfig
) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await chat(bench, 6)
        ann = actor("ann")
        await bench.services.clearing.clear(ann, "ann", [CHAT])
        await chat_more(bench, 4)
        assert seqs(await bench.pull("ann", CHAT)) == [7, 8, 9, 10]
        deletion = bench.services.deletion
        await deletion.delete_msgs(ann, "ann", CHAT, [7])
        await deletion.erase(CHAT, [8])
        await deletion.revoke(ann, "ann", CHAT, 9)
        mine, theirs = await bench.pull("ann", CHAT), await bench.pull("bob", CHAT, 7)
        assert [m.status for m in mine] == [4, 4, 2, 2]
        assert [m.status for m in theirs] == [2, 4, 2, 2]
        assert [bool(m.content) for m in mine] == [False, False, True, True]
        for message in (mine[2], theirs[2]):
            assert message.contentType == 2101
            told = detail(message)
            assert (told["revokerID"], told["seq"], told["sourceMessageSendID"]) == (
                "ann",
                9,
                "ann",
            )
            assert b'"10"' not in message.content
        for row in await bench.services.pulls.rows_between(CHAT, 1, 100):
            assert row.seq
            assert (row.seq == 9) is (row.contentType == 2101)


async def chat_more(bench: Bench, count: int) -> None:
    for number in range(count):
        await bench.send(text("ann", "bob", words=str(number)))


async def test_a_quote_of_a_revoked_message(
    mongo_config: MongoConfig, redis_config: RedisConfig
) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await chat(bench, 0)
        first = text("ann", "bob", words="secret")
        quoted = {
            "clientMsgID": first.clientMsgID,
            "seq": 1,
            "contentType": 101,
            "textElem": {"content": "secret"},
            "content": '{"content":"secret"}',
            "createTime": 1, "sendTime": 1, "sessionType": 1, "msgFrom": 100,
            "senderPlatformID": 1, "isRead": False, "status": 2,
        }  # fmt: skip
        await bench.send(first)
        content = json.dumps({"text": "see", "quoteMessage": quoted}).encode()
        await bench.send(text("bob", "ann", contentType=114, content=content))
        assert b"secret" in (await bench.pull("ann", CHAT))[1].content
        await bench.services.deletion.revoke(actor("ann"), "ann", CHAT, 1)
        shown = (await bench.pull("ann", CHAT))[1]
        assert b"secret" not in shown.content
        rewritten = json.loads(shown.content)
        assert rewritten["text"] == "see"
        assert rewritten["quoteMessage"]["contentType"] == 2101
        assert json.loads(rewritten["quoteMessage"]["notificationElem"]["detail"])["seq"] == 1


async def test_the_last_message_still_shown(
    mongo_config: MongoConfig, redis_config: RedisConfig
) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await chat(bench, 80)
        await bench.services.deletion.delete_msgs(actor("bob"), "bob", CHAT, list(range(4, 81)))
        newest = await bench.services.pulls.newest("bob", [CHAT, "si_none_bob"])
        assert {name: m.seq for name, m in newest.items()} == {CHAT: 3}
        assert (await bench.services.pulls.newest("ann", [CHAT]))[CHAT].seq == 80
        await bench.services.clearing.clear_all(actor("bob"), "bob")
        assert await bench.services.pulls.newest("bob", [CHAT]) == {}


async def test_read_and_max(mongo_config: MongoConfig, redis_config: RedisConfig) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await chat(bench, 4)
        answer = await bench.send(text("ann", "bob"))
        await bench.services.read_state.mark_conversation_as_read("bob", CHAT, 3)
        await bench.set_options("bob", CHAT, is_pinned=True)
        request = msg_pb2.GetConversationsHasReadAndMaxSeqReq(userID="bob", returnPinned=True)
        found = await bench.services.pulls.read_and_max(request)
        assert list(found.seqs) == [CHAT]
        one = found.seqs[CHAT]
        assert (one.maxSeq, one.hasReadSeq, one.maxSeqTime) == (5, 3, answer.sendTime)
        assert list(found.pinnedConversationIDs) == [CHAT]


async def test_a_big_answer_stays_small(
    mongo_config: MongoConfig, redis_config: RedisConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await chat(bench, 0)
        for _ in range(6):
            await bench.send(text("ann", "bob", words="x" * 200_000))
        shown = await bench.pull("bob", CHAT)
        assert seqs(shown) == [3, 4, 5, 6]
        assert seqs((await listed(bench, "bob", [1, 2, 3, 4, 5, 6])).Msgs) == [1, 2, 3, 4]
        for read in range(1, 7):
            await bench.services.read_state.mark_conversation_as_read("bob", CHAT, read)
        monkeypatch.setattr(pulls, "MAX_NOTIFICATION_ROWS", 4)
        wanted = sdkws_pb2.SeqRange(conversationID="n_ann_bob", begin=1, end=100, num=1)
        request = sdkws_pb2.PullMessageBySeqsReq(userID="ann", seqRanges=[wanted])
        part = (await bench.services.pulls.pull_ranges(request)).notificationMsgs["n_ann_bob"]
        assert (seqs(part.Msgs), part.isEnd, part.endSeq) == ([1, 2, 3, 4], False, 4)
        request.seqRanges[0].begin = 5
        part = (await bench.services.pulls.pull_ranges(request)).notificationMsgs["n_ann_bob"]
        assert (seqs(part.Msgs), part.isEnd) == ([5, 6], True)


async def test_an_administrator_reads_as_the_user(
    mongo_config: MongoConfig, redis_config: RedisConfig
) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await chat(bench, 1)
        await bench.services.deletion.revoke(ADMIN, "imAdmin", CHAT, 1)
        [shown] = await bench.pull("bob", CHAT)
        assert shown.contentType == 2101
        for user in ("ann", "bob"):
            [told] = await bench.pull(user, "n_ann_bob")
            assert detail(told)["isAdminRevoke"] is True
