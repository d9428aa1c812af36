"""Sessions over both transports, against services in memory."""

from __future__ import annotations

import errno
import gzip
import json
import os
import random
import socket
from collections.abc import Callable
from functools import partial

import attrs
import pytest
import trio
import trio.lowlevel
from trio_websocket import open_websocket_url

from openim_trio.config.model import GatewayConfig
from openim_trio.demo.login import ConnectionOver, Login, LoginRefused, read_answer, upgrade
from openim_trio.domain.errors import Code, ServiceError
from openim_trio.gateway import fanout, session
from openim_trio.services.control import Kick, MembershipChanged, user_channel
from openim_trio.wire import bus_message, frames
from openim_trio.wire.bus_message import BusKind, BusMessage
from openim_trio.wire.envelope import Request
from openim_trio.wire.identifiers import Req
from openim_trio.wire.proto import msg_pb2, push_pb2, sdkws_pb2
from tests.support.client import WireClient, connected, text_message
from tests.support.gateway_fakes import Served, World, login, serving


@pytest.fixture(params=["lean", "trio-websocket"])
def config(request: pytest.FixtureRequest) -> GatewayConfig:
    return GatewayConfig(transport=request.param)


@pytest.fixture
def world() -> World:
    return World()


ENCODINGS = [(False, True), (False, False), (True, False), (True, True)]


@pytest.mark.parametrize(("js", "compressed"), ENCODINGS)
async def test_two_users_chat(
    config: GatewayConfig, world: World, js: bool, compressed: bool
) -> None:
    async with (
        serving(world, config) as served,
        connected(served.port, login("a", js=js, gzip=compressed)) as a,
        connected(served.port, login("b", 5, js=not js, msg_resp=True)) as b,
    ):
        for number in range(1, 4):
            message = text_message("a", "b", f"text {number}")
            answer = await a.send(message)
            assert answer.clientMsgID == message.clientMsgID
            for client in (a, b):
                conversation, pushed = await client.next_push()
                assert conversation == "si_a_b"
                assert (pushed.seq, pushed.clientMsgID) == (number, message.clientMsgID)
                assert pushed.content == message.content
    assert served.metric("requests_total", req="1003", code="0") == 3
    assert served.metric("pushes_total") == 6
    assert served.metric("connections") == 0


async def test_notification_conversations_go_into_their_own_map(
    config: GatewayConfig, world: World
) -> None:
    async with serving(world, config) as served, connected(served.port, login("b")) as b:
        message = text_message("a", "b")
        message.options["isNotNotification"] = False
        world.say(message)
        assert (await b.next_push())[0] == "n_a_b"


async def test_the_one_parameter_form(config: GatewayConfig, world: World) -> None:
    async with (
        serving(world, config) as served,
        connected(served.port, login("a", msg_resp=True), packed=True) as a,
    ):
        await a.call(Req.NEWEST_SEQ, sdkws_pb2.GetMaxSeqReq(), sdkws_pb2.GetMaxSeqResp)


async def test_another_websocket_implementation_is_understood(
    config: GatewayConfig, world: World
) -> None:
    who = login("a")
    async with serving(world, config) as served:
        url = f"ws://127.0.0.1:{served.port}/?{who.query()}"
        async with open_websocket_url(url) as websocket:
            request = Request(Req.NEWEST_SEQ, "1", "operation", "a", "", b"")
            await websocket.send_message(who.encoding.encode_request(request))
            answer = who.encoding.decode_response(await websocket.get_message(), 10_000)
            assert (answer.msg_incr, answer.err_code) == ("1", 0)
            await websocket.ping(b"there?")
            await websocket.send_message('{"type":"ping"}')
            assert await websocket.get_message() == '{"type":"pong"}'
        assert websocket.closed.code == 1000


REFUSALS = [
    ({"sendID": ""}, 1602),
    ({"platformID": "77"}, 1602),
    ({"operationID": ""}, 1602),
    ({"sdkType": "cobol"}, 1602),
    ({"isMsgResp": "maybe"}, 1602),
    ({"v": "%%%"}, 1602),
    ({"isBackground": "maybe"}, 500),
    ({"sendID": "somebody"}, 1502),
    ({"platformID": "2"}, 1502),
    ({"token": "kicked"}, 1506),
]


@pytest.mark.parametrize("msg_resp", [False, True])
@pytest.mark.parametrize(("extra", "code"), REFUSALS)
async def test_refused_handshakes(
    config: GatewayConfig, world: World, extra: dict[str, str], code: int, msg_resp: bool
) -> None:
    world.refused["kicked"] = ServiceError(Code.TOKEN_KICKED, "x" * 5000)
    wanted = login("a", msg_resp=msg_resp)
    wanted = attrs.evolve(wanted, extra=extra)
    in_text = msg_resp and 1500 < code < 1600
    async with serving(world, config) as served:
        with pytest.raises(BaseException) as caught:
            async with connected(served.port, wanted):
                pass
        refused = _only(caught.value)
        assert isinstance(refused, LoginRefused)
        assert refused.status == (101 if in_text else 200)
        assert refused.code == code
        assert len(refused.body) <= 1024
        assert served.metric("handshakes_total", code=str(code)) == 1
        assert not served.bus.channels & {"u:a", "u:somebody"}


def _only(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        (error,) = error.exceptions
    return error


async def test_a_refusal_in_text_ends_without_a_close_frame(
    config: GatewayConfig, world: World
) -> None:
    world.refused["a:1:"] = ServiceError(Code.TOKEN_EXPIRED)
    async with serving(world, config) as served:
        stream = await trio.open_tcp_stream("127.0.0.1", served.port)
        async with stream:
            got = await upgrade(stream, login("a", msg_resp=True).query())
            while more := await stream.receive_some():
                got += more
    events = frames.FrameReader(10_000, expect_masked=False).feed(got)
    (answer,) = events
    assert isinstance(answer, frames.Message)
    assert answer.text
    assert json.loads(answer.data)["errCode"] == 1501


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 426),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 405),
        ("nonsense\r\n\r\n", 400),
        (
            "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
            "Sec-WebSocket-Version: 8\r\n\r\n",
            426,
        ),
        (
            "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n\r\n",
            400,
        ),
        ("GET / HTTP/1.1\r\nHost: x\r\nX: " + "y" * 20_000, 431),
    ],
)
async def test_what_is_no_websocket_gets_a_short_answer(
    config: GatewayConfig, world: World, request_text: str, status: int
) -> None:
    async with serving(world, config) as served:
        stream = await trio.open_tcp_stream("127.0.0.1", served.port)
        async with stream:
            await stream.send_all(request_text.encode())
            with pytest.raises(LoginRefused) as caught:
                await read_answer(stream)
    assert caught.value.status == status
    assert len(caught.value.body) < 200


async def test_a_slow_handshake_is_cut_off(config: GatewayConfig, world: World) -> None:
    async with serving(world, attrs.evolve(config, handshake_timeout=0.1)) as served:
        stream = await trio.open_tcp_stream("127.0.0.1", served.port)
        async with stream:
            await stream.send_all(b"GET / HTTP/1.1\r\n")
            assert await stream.receive_some() == b""
        assert served.metric("handshakes_total", code="408") == 1


async def test_frames_behind_the_request_are_not_lost(config: GatewayConfig, world: World) -> None:
    async with serving(world, config) as served:
        stream = await trio.open_tcp_stream("127.0.0.1", served.port)
        async with stream:
            ping = frames.text_frame(b'{"type":"ping","body":1}', mask=b"abcd")
            head = (
                f"GET /?{login('a').query()} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                "Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            )
            await stream.send_all(head.encode() + ping)
            rest = await read_answer(stream)
            with trio.fail_after(10):
                while not rest:
                    rest = bytes(await stream.receive_some())
    (pong,) = frames.FrameReader(1000, expect_masked=False).feed(rest)
    assert isinstance(pong, frames.Message)
    assert json.loads(pong.data) == {"type": "pong", "body": 1}


async def test_connection_limit(config: GatewayConfig, world: World) -> None:
    async with (
        serving(world, attrs.evolve(config, max_connections=1)) as served,
        connected(served.port, login("a")),
    ):
        with pytest.raises(LoginRefused) as caught:
            stream = await trio.open_tcp_stream("127.0.0.1", served.port)
            async with stream:
                await upgrade(stream, login("b", msg_resp=True).query())
        assert (caught.value.status, caught.value.code) == (200, 1601)


# -- keep-alive ------------------------------------------------------------------------------------


async def test_pings_of_both_kinds_are_answered(config: GatewayConfig, world: World) -> None:
    async with serving(world, config) as served, connected(served.port, login("a")) as a:
        await a.send_ping(b"1234567890")
        assert await a.pongs.receive() == b"1234567890"
        await a.send_text(b'{"type":"ping"}')
        assert await a.texts.receive() == b'{"type":"pong"}'
        await a.send_text(b'{"body": {"a": [1, 2]}, "type":"ping"}')
        assert json.loads(await a.texts.receive()) == {"type": "pong", "body": {"a": [1, 2]}}
        await a.send_text(b'{"type":"pong"}')
        await a.call(Req.NEWEST_SEQ, sdkws_pb2.GetMaxSeqReq(), sdkws_pb2.GetMaxSeqResp)


async def test_a_silent_peer_is_closed_and_a_pinging_one_is_not(
    config: GatewayConfig, world: World
) -> None:
    patient = attrs.evolve(config, read_timeout=1.0)
    async with (
        serving(world, patient) as served,
        connected(served.port, login("silent")) as silent,
        connected(served.port, login("alive")) as alive,
    ):
        while not silent.over.is_set():
            await alive.send_ping(b"x")
            await trio.sleep(0.2)
        await alive.call(Req.NEWEST_SEQ, sdkws_pb2.GetMaxSeqReq(), sdkws_pb2.GetMaxSeqResp)


async def test_web_clients_are_pinged_and_their_pongs_count(
    config: GatewayConfig, world: World
) -> None:
    quick = attrs.evolve(config, read_timeout=2.5, web_ping_interval=0.5)
    async with serving(world, quick) as served, connected(served.port, login("a", 5)) as a:
        with trio.move_on_after(5):
            await a.over.wait()
        assert not a.over.is_set()


# -- what ends a connection without a reply --------------------------------------------------------


async def until(happened: Callable[[], bool]) -> None:
    with trio.fail_after(10):
        while not happened():  # noqa: ASYNC110
            await trio.sleep(0.01)


def _counted(served: Served, reason: str) -> bool:
    return served.metric("protocol_errors_total", reason=reason) == 1


def _two_of_three_are_over(clients: list[WireClient]) -> bool:
    return len(clients) == 3 and sum(c.over.is_set() for c in clients) >= 2


async def _ends(client: WireClient) -> int | None:
    with trio.fail_after(10):
        await client.over.wait()
    return client.close_code


async def test_protocol_errors_close(config: GatewayConfig, world: World) -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    cases = {
        "send_id": lambda c: c.post(Req.NEWEST_SEQ, b"", send_id="other"),
        "req_identifier": lambda c: c.post(4711, b""),
        "envelope": lambda c: c.send_binary(gzip.compress(b"nonsense")),
        "gunzip": lambda c: c.send_binary(bomb),
        "text": lambda c: c.send_text(b'{"type":"shout"}'),
        "frame_1009": lambda c: c.send_binary(os.urandom(51_201)),
        "frame_1002": lambda c: c.write(b"\xf2\x80abcd"),
        "frame_1007": lambda c: c.send_text(b"\xff\xfe"),
    }
    assert len(bomb) < 51_200
    async with serving(world, config) as served:
        for reason, provoke in cases.items():
            async with connected(served.port, login("a")) as a:
                await provoke(a)
                code = await _ends(a)
                if reason.startswith("frame"):
                    # trio-websocket ends a broken stream without a close frame.
                    assert code == int(reason[6:]) or config.transport != "lean"
                else:
                    assert code in (1007, 1008), reason
            await until(partial(_counted, served, reason))
        async with connected(served.port, login("a")) as a:
            await a.send_binary(gzip.compress(b"\0"))
            assert await _ends(a) is not None


async def test_the_largest_frame_is_taken(config: GatewayConfig, world: World) -> None:
    async with (
        serving(world, config) as served,
        connected(served.port, login("a", gzip=False)) as a,
    ):
        request = text_message("a", "b", "x" * 50_000)
        await a.send(request)


async def test_random_bytes_end_only_their_own_connection(
    config: GatewayConfig, world: World
) -> None:
    rng = random.Random(4)
    async with serving(world, config) as served, connected(served.port, login("good")) as good:
        for _ in range(40):
            stream = await trio.open_tcp_stream("127.0.0.1", served.port)
            async with stream:
                await upgrade(stream, login("bad", device=str(rng.random())).query())
                noise = rng.randbytes(rng.randrange(1, 300))
                whole = frames.binary_frame(noise, mask=b"abcd")
                sent = rng.choice((noise, whole, whole[: len(whole) // 2]))
                await stream.send_all(sent)
        await good.call(Req.NEWEST_SEQ, sdkws_pb2.GetMaxSeqReq(), sdkws_pb2.GetMaxSeqResp)
        await until(lambda: served.gateway.connections == 1)


# -- requests --------------------------------------------------------------------------------------


async def test_every_request_is_answered(config: GatewayConfig, world: World) -> None:
    async with serving(world, config) as served, connected(served.port, login("a")) as a:
        a_b = text_message("a", "b")
        broken = text_message("a", "b")
        broken.contentType = 999
        missing = text_message("a", "b")
        missing.contentType = 0
        cases = [
            (Req.SEND, a_b, 0),
            (Req.SEND, b"\xff\xff", 1001),
            (Req.SEND, text_message("b", "a"), 1002),
            (Req.SEND, broken, 500),
            (Req.SEND, missing, 1001),
            (Req.NEWEST_SEQ, sdkws_pb2.GetMaxSeqReq(userID="a"), 0),
            (Req.NEWEST_SEQ, sdkws_pb2.GetMaxSeqReq(userID="b"), 1002),
            (Req.NEWEST_SEQ, b"\xff", 1001),
            (Req.PULL_RANGES, sdkws_pb2.PullMessageBySeqsReq(), 0),
            (Req.SIGNAL, b"", 1001),
            (Req.PULL_SEQS, msg_pb2.GetSeqMessageReq(), 0),
            (Req.READ_AND_MAX, msg_pb2.GetConversationsHasReadAndMaxSeqReq(), 0),
            (Req.LAST_MESSAGES, msg_pb2.GetLastMessageReq(), 0),
            (Req.BACKGROUND, sdkws_pb2.SetAppBackgroundStatusReq(isBackground=True), 0),
        ]
        for req, body, code in cases:
            response = await a.request(req, body, operation_id="operation")
            assert (response.req_identifier, response.err_code) == (req, code)
            assert bool(response.err_msg) == bool(code)
            assert response.operation_id == "operation"
            if code:
                assert response.data == b""
        await a.request(Req.LOGOUT, push_pb2.DelUserPushTokenReq(userID="a", platformID=1))
        assert await _ends(a) == 1000


async def test_sends_are_pipelined_and_others_wait_for_them(
    config: GatewayConfig, world: World
) -> None:
    world.held = []
    async with (
        serving(world, attrs.evolve(config, sends_in_flight=3)) as served,
        connected(served.port, login("a")) as a,
    ):
        waiting = [await a.post(Req.SEND, text_message("a", "b", str(n))) for n in range(5)]
        pull = await a.post(Req.NEWEST_SEQ, sdkws_pb2.GetMaxSeqReq())
        await trio.sleep(0.2)
        assert served.services.requests == []
        world.let_go()
        for msg_incr in waiting:
            assert (await a.answer(msg_incr)).err_code == 0
        answer = sdkws_pb2.GetMaxSeqResp.FromString((await a.answer(pull)).data)
        assert answer.maxSeqs["si_a_b"] == 5
        texts = [json.loads(m.content)["content"] for m in world.rows["si_a_b"]]
        assert texts == list("01234")


async def test_too_large_an_answer_becomes_an_error(config: GatewayConfig, world: World) -> None:
    for _ in range(200):
        message = text_message("a", "b")
        message.content = os.urandom(8_000).hex().encode()
        world.store(message)
    async with serving(world, config) as served, connected(served.port, login("a")) as a:
        wanted = sdkws_pb2.SeqRange(conversationID="si_a_b", begin=1, end=200, num=200)
        request = sdkws_pb2.PullMessageBySeqsReq(userID="a", seqRanges=[wanted])
        assert (await a.request(Req.PULL_RANGES, request)).err_code == 1001
        wanted.end = 20
        request = sdkws_pb2.PullMessageBySeqsReq(userID="a", seqRanges=[wanted])
        assert (await a.request(Req.PULL_RANGES, request)).err_code == 0


# -- pushes ----------------------------------------------------------------------------------------


async def test_gaps_are_filled_in_order_and_repeats_dropped(
    config: GatewayConfig, world: World
) -> None:
    async with serving(world, config) as served, connected(served.port, login("b")) as b:
        first = world.say(text_message("a", "b"))
        await b.next_push()
        missed = [world.store(text_message("a", "b"))[1] for _ in range(3)]
        last = world.say(text_message("a", "b"))
        for late in (missed[0], first, last):
            world.publish("si_a_b", late)
        seqs = [(await b.next_push())[1].seq for _ in range(4)]
        assert seqs == [2, 3, 4, 5]
        world.say(text_message("a", "b"))
        assert (await b.next_push())[1].seq == 6


async def test_a_slow_reader_keeps_the_newest_and_costs_nobody_else(
    config: GatewayConfig, world: World
) -> None:
    async with (
        serving(world, config) as served,
        connected(served.port, login("slow", gzip=False), buffer=4096) as slow,
        connected(served.port, login("quick", gzip=False)) as quick,
    ):
        world.groups["slow"].add("g")
        world.groups["quick"].add("g")
        for user in ("slow", "quick"):
            world.tell(user_channel(user), MembershipChanged("g", added=(user,)))
        await trio.sleep(0.05)
        slow.reading = trio.Event()
        for _ in range(60):
            for _ in range(20):
                world.say(text_message("x", group="g", text="y" * 20_000))
            for _ in range(20):
                await quick.next_push()
        assert served.metric("slow_reader_drops_total") > 0
        slow.reading.set()
        seq, gaps = 0, 0
        while seq < 1200:
            _, message = await slow.next_push()
            assert message.seq > seq
            gaps += message.seq != seq + 1
            seq = message.seq
        assert gaps


async def test_a_reader_that_takes_nothing_is_closed(config: GatewayConfig, world: World) -> None:
    async with (
        serving(world, attrs.evolve(config, write_timeout=0.5)) as served,
        connected(served.port, login("slow", gzip=False), buffer=4096) as slow,
    ):
        slow.reading = trio.Event()
        with trio.fail_after(20):
            while served.gateway.connections:
                for _ in range(50):
                    world.say(text_message("a", "slow", "y" * 20_000))
                await trio.sleep(0.05)
        assert served.metric("slow_reader_closes_total") == 1


async def test_ios_in_the_background_gets_no_pushes(config: GatewayConfig, world: World) -> None:
    async with serving(world, config) as served, connected(served.port, login("b")) as b:
        for is_background in (True, False):
            status = sdkws_pb2.SetAppBackgroundStatusReq(isBackground=is_background)
            await b.request(Req.BACKGROUND, status)
            world.say(text_message("a", "b"))
        assert (await b.next_push())[1].seq == 2


async def test_groups_follow_membership(config: GatewayConfig, world: World) -> None:
    world.groups["b"].add("old")
    async with serving(world, config) as served, connected(served.port, login("b")) as b:
        assert {"g:old", "u:b", "w"} <= served.bus.channels
        world.say(text_message("a", group="old"))
        assert (await b.next_push())[0] == "sg_old"
        world.groups["b"].add("new")
        world.store(text_message("a", group="new"))
        world.tell(user_channel("b"), MembershipChanged("new", added=("b",)))
        conversation, message = await b.next_push()
        assert (conversation, message.seq) == ("sg_new", 1)
        world.say(text_message("a", group="new"))
        assert (await b.next_push())[1].seq == 2
        world.tell(user_channel("b"), MembershipChanged("new", removed=("b",)))
        await trio.sleep(0.05)
        assert "g:new" not in served.bus.channels
    await trio.testing.wait_all_tasks_blocked()
    assert not served.bus.channels & {"u:b", "g:old"}


async def test_messages_of_a_lost_subscription_are_shown(
    config: GatewayConfig, world: World
) -> None:
    async with serving(world, config) as served, connected(served.port, login("b")) as b:
        world.say(text_message("a", "b"))
        await b.next_push()
        await trio.sleep(0.05)
        served.bus.lose()
        for _ in range(3):
            world.say(text_message("a", "b"))
        world.say(text_message("c", "b"))
        served.bus.restore()
        got = [await b.next_push() for _ in range(4)]
        assert sorted((c, m.seq) for c, m in got) == [
            ("si_a_b", 2),
            ("si_a_b", 3),
            ("si_a_b", 4),
            ("si_b_c", 1),
        ]
        assert served.services.losses == 1
        assert served.metric("reconciled_total") == 4


async def test_a_head_note_makes_unpublished_rows_seen(config: GatewayConfig, world: World) -> None:
    def note(conversation: str) -> None:
        head = len(world.rows[conversation])
        payload = bus_message.encode(BusMessage(BusKind.HEAD, conversation, head))
        world.broker.publish(user_channel("b"), payload)

    old = world.store(text_message("x", "b"))[1]
    old.sendTime -= 60_000
    async with serving(world, config) as served, connected(served.port, login("b")) as b:
        note("si_b_x")  # from before the connection: the client's own sync has it
        world.say(text_message("a", "b"))
        for _ in range(2):
            world.store(text_message("a", "b"))
        note("si_a_b")
        assert [(await b.next_push())[1].seq for _ in range(3)] == [1, 2, 3]
        world.store(text_message("c", "b"))
        note("si_b_c")  # nothing of it was shown yet, and it is new
        assert (await b.next_push())[0] == "si_b_c"


async def test_a_given_up_slot_moves_the_position(config: GatewayConfig, world: World) -> None:
    async with serving(world, config) as served, connected(served.port, login("b")) as b:
        world.say(text_message("a", "b"))
        row = world.store(text_message("a", "b"))[1]
        tombstone = BusMessage(BusKind.TOMBSTONE, "si_a_b", row.seq)
        world.broker.publish(user_channel("b"), bus_message.encode(tombstone))
        world.say(text_message("a", "b"))
        assert [(await b.next_push())[1].seq for _ in range(2)] == [1, 3]
        assert not [r for r in served.services.requests if r.startswith("rows")]


async def test_more_conversations_than_the_outbox_holds_are_shown_again(world: World) -> None:
    """Nothing of them waits any more after the overflow, so the client could not see a gap."""
    small = GatewayConfig(outbox_frames=16, outbox_bytes=100_000_000)
    async with (
        serving(world, small) as served,
        connected(served.port, login("b", gzip=False), buffer=4096) as b,
    ):
        b.reading = trio.Event()
        senders = [f"s{number:03}" for number in range(200)]
        for sender in senders:
            world.say(text_message(sender, "b", "y" * 40_000))
            await trio.lowlevel.checkpoint()
        await until(lambda: served.metric("slow_reader_drops_total") > 0)
        b.reading.set()
        seen = {(await b.next_push())[1].sendID for _ in senders}
        assert seen == set(senders)


@pytest.mark.parametrize("req", [Req.NEWEST_SEQ, Req.SEND])
async def test_what_takes_too_long_is_answered(
    config: GatewayConfig, world: World, monkeypatch: pytest.MonkeyPatch, req: Req
) -> None:
    monkeypatch.setattr(session, "REQUEST_LIMIT", 0.2)
    world.pull_delay = 60
    world.held = []
    async with serving(world, config) as served, connected(served.port, login("a")) as a:
        body = text_message("a", "b") if req is Req.SEND else sdkws_pb2.GetMaxSeqReq()
        assert (await a.request(req, body)).err_code == 90004
        world.pull_delay = 0
        world.let_go()  # a late answer to the send is let go
        await a.call(Req.NEWEST_SEQ, sdkws_pb2.GetMaxSeqReq(), sdkws_pb2.GetMaxSeqResp)


async def test_without_the_bus_handshakes_are_refused_and_hold_nothing(
    config: GatewayConfig, world: World
) -> None:
    async with serving(world, config) as served:
        served.bus.lose()
        with pytest.raises(LoginRefused) as caught:
            stream = await trio.open_tcp_stream("127.0.0.1", served.port)
            async with stream:
                await upgrade(stream, login("a").query())
        assert caught.value.code == 90002
        assert not served.gateway.hub.users
        assert "u:a" not in served.bus.channels
        served.bus.restore()
        async with connected(served.port, login("a")):
            pass


@pytest.mark.parametrize(("limit", "most"), [("QUEUE_LIMIT", 5), ("QUEUE_BYTES", 1_000)])
async def test_a_full_queue_from_the_bus_is_made_up_for(
    config: GatewayConfig, world: World, limit: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fanout, limit, most)
    async with serving(world, config) as served, connected(served.port, login("b")) as b:
        world.say(text_message("a", "b"))
        await b.next_push()
        for _ in range(50):  # in one tick: nothing is taken off meanwhile
            world.say(text_message("a", "b"))
        assert [(await b.next_push())[1].seq for _ in range(50)] == list(range(2, 52))
        assert served.services.losses > 0


async def test_descriptors_that_run_out_only_pause_accepting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, failures = socket.socket.accept, []

    def accept(self: socket.socket) -> tuple[socket.socket, object]:
        if len(failures) < 2:
            failures.append(None)
            raise OSError(errno.EMFILE, "too many open files")
        return real(self)

    async with serving(world, GatewayConfig()) as served:
        monkeypatch.setattr(socket.socket, "accept", accept)
        async with connected(served.port, login("a")) as a:
            assert len(failures) == 2
            await a.call(Req.NEWEST_SEQ, sdkws_pb2.GetMaxSeqReq(), sdkws_pb2.GetMaxSeqResp)


async def test_a_kick_missed_during_a_loss_is_made_up_for(
    config: GatewayConfig, world: World
) -> None:
    async with serving(world, config) as served, connected(served.port, login("b")) as b:
        served.bus.lose()
        world.refused["b:1:"] = ServiceError(Code.TOKEN_KICKED)
        served.bus.restore()
        await _ends(b)
        assert b.kicked.is_set()


# -- kicks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "old", "new", "kicked"),
    [
        (0, 1, 1, False),
        (1, 1, 1, True),
        (1, 1, 2, False),
        (4, 1, 2, True),
        (4, 1, 5, False),
        (5, 1, 5, True),
        (5, 3, 3, False),
        (5, 1, 3, False),
    ],
)
async def test_kick_policies_across_workers(
    config: GatewayConfig, world: World, policy: int, old: int, new: int, kicked: bool
) -> None:
    async with (
        serving(world, config, policy=policy) as one,
        serving(world, config, policy=policy) as two,
        connected(one.port, login("a", old, device="x")) as first,
        connected(two.port, login("a", new, device="y")) as second,
    ):
        if kicked:
            await _ends(first)
            assert one.metric("kicks_total") == 1
        await trio.sleep(0.05)
        assert first.kicked.is_set() == kicked
        assert not second.kicked.is_set()
        assert not second.over.is_set()


async def test_the_same_token_is_never_kicked(config: GatewayConfig, world: World) -> None:
    async with (
        serving(world, config) as one,
        serving(world, config) as two,
        connected(one.port, login("a")) as first,
        connected(two.port, login("a")) as second,
    ):
        await trio.sleep(0.1)
        for client in (first, second):
            await client.call(Req.NEWEST_SEQ, sdkws_pb2.GetMaxSeqReq(), sdkws_pb2.GetMaxSeqResp)


async def test_of_simultaneous_logins_one_stays(config: GatewayConfig, world: World) -> None:
    async with serving(world, config) as one, serving(world, config) as two:
        for attempt in range(10):
            clients: list[WireClient] = []

            async def stay(port: int, wanted: Login, into: list[WireClient]) -> None:
                async with connected(port, wanted) as client:
                    into.append(client)
                    await client.over.wait()

            async with trio.open_nursery() as nursery:
                for served, device in ((one, "x"), (two, "y"), (one, "z")):
                    wanted = login(f"u{attempt}", device=device)
                    nursery.start_soon(stay, served.port, wanted, clients)
                await until(partial(_two_of_three_are_over, clients))
                await trio.sleep(0.05)
                assert sum(c.kicked.is_set() for c in clients) == 2
                assert sum(not c.over.is_set() for c in clients) == 1
                nursery.cancel_scope.cancel()


async def test_forced_logout(config: GatewayConfig, world: World) -> None:
    async with (
        serving(world, config) as served,
        connected(served.port, login("a", 1)) as phone,
        connected(served.port, login("a", 3)) as desktop,
    ):
        world.tell(user_channel("a"), Kick("a", 1))
        await _ends(phone)
        assert phone.kicked.is_set()
        assert not desktop.over.is_set()


# -- online status ---------------------------------------------------------------------------------


async def test_online_status_over_workers(config: GatewayConfig, world: World) -> None:
    def platforms(tips: sdkws_pb2.SubUserOnlineStatusTips) -> dict[str, list[int]]:
        return {e.userID: list(e.onlinePlatformIDs) for e in tips.subscribers}

    async with (
        serving(world, config, worker="one") as one,
        serving(world, config, worker="two") as two,
        connected(one.port, login("a")) as a,
        connected(two.port, login("b", 2)),
    ):
        request = sdkws_pb2.SubUserOnlineStatus(subscribeUserID=["a", "b", "c"])
        tips = await a.call(Req.ONLINE_STATUS, request, sdkws_pb2.SubUserOnlineStatusTips)
        assert platforms(tips) == {"a": [1], "b": [2], "c": []}
        async with connected(two.port, login("c", 5)):
            assert platforms(await a.statuses.receive()) == {"c": [5]}
            async with connected(one.port, login("c", 3)):
                assert platforms(await a.statuses.receive()) == {"c": [3, 5]}
                online = await two.gateway.presence.online(["c", "nobody"])
                assert sorted(c.platform for c in online["c"]) == [3, 5]
                assert online["nobody"] == []
            assert platforms(await a.statuses.receive()) == {"c": [5]}
        assert platforms(await a.statuses.receive()) == {"c": []}
        request = sdkws_pb2.SubUserOnlineStatus(unsubscribeUserID=["c"])
        await a.call(Req.ONLINE_STATUS, request, sdkws_pb2.SubUserOnlineStatusTips)
        assert "p:c" not in one.bus.channels
        assert "p:b" in one.bus.channels
    assert not any(c.startswith("p:") for c in one.bus.channels)


# -- draining --------------------------------------------------------------------------------------


async def test_drain_answers_what_was_accepted(config: GatewayConfig, world: World) -> None:
    world.held = []
    async with (
        serving(world, config) as served,
        connected(served.port, login("a")) as busy,
        connected(served.port, login("b", device="idle")) as idle,
    ):
        sends = [await busy.post(Req.SEND, text_message("a", "b", str(n))) for n in range(3)]
        await trio.sleep(0.1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(served.gateway.drain, 1012)
            assert await _ends(idle) == 1012
            late = await trio.open_tcp_stream("127.0.0.1", served.port)
            await late.send_all(b"GET / HTTP/1.1\r\n")
            await trio.sleep(0.05)
            assert served.gateway.connections == 1  # the kernel keeps it for other processes
            await late.aclose()
            assert not busy.over.is_set()
            world.let_go()
            for msg_incr in sends:
                assert (await busy.answer(msg_incr)).err_code == 0
            assert await _ends(busy) == 1012


async def test_cancelling_leaves_nothing(config: GatewayConfig, world: World) -> None:
    async with trio.open_nursery() as nursery:
        ready = trio.Event()

        async def serve(task_status: trio.TaskStatus[int]) -> None:
            async with serving(world, config) as served:
                task_status.started(served.port)
                await ready.wait()

        port = await nursery.start(serve)
        async with connected(port, login("a")) as client:
            await client.call(Req.NEWEST_SEQ, sdkws_pb2.GetMaxSeqReq(), sdkws_pb2.GetMaxSeqResp)
            ready.set()
            await _ends(client)
            with pytest.raises(ConnectionOver):
                await client.request(Req.NEWEST_SEQ, sdkws_pb2.GetMaxSeqReq())
