"""What only clients of our own ask: giving a send up, saying what is stored."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode

import attrs
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from openim_trio.config.model import GatewayConfig
from openim_trio.demo.login import Login
from openim_trio.domain.errors import Code, ServiceError
from openim_trio.gateway import handshake, session
from openim_trio.gateway.machines.receive import (
    EXTENSION_REQUESTS,
    MAX_DELIVERED,
    Acknowledgement,
    Receive,
    Violation,
)
from openim_trio.gateway.machines.retry import Unacknowledged
from openim_trio.gateway.session import Session
from openim_trio.services.clock import now_ms
from openim_trio.services.control import user_channel
from openim_trio.wire import bus_message
from openim_trio.wire.bus_message import BusKind, BusMessage
from openim_trio.wire.envelope import JSON, Encoding, Request
from openim_trio.wire.frames import Message
from openim_trio.wire.identifiers import Req
from openim_trio.wire.proto import extension_pb2, sdkws_pb2
from tests.support.client import WireClient, connected, packed_query, text_message
from tests.support.gateway_fakes import Served, World, login, serving


@pytest.fixture(params=["lean", "trio-websocket"])
def config(request: pytest.FixtureRequest) -> GatewayConfig:
    return GatewayConfig(transport=request.param)


@pytest.fixture
def world() -> World:
    return World()


def ours(user: str, **more: bool) -> Login:
    return login(user, extension="1", **more)  # type: ignore[arg-type]


def delivered(**seqs: int) -> extension_pb2.DeliveredReq:
    items = [extension_pb2.Delivered(conversationID=c, seq=seq) for c, seq in seqs.items()]
    return extension_pb2.DeliveredReq(conversations=items)


# -- handshake -------------------------------------------------------------------------------------

GOOD = "sendID=u&token=t&platformID=1&operationID=o&isBackground=false"


@pytest.mark.parametrize(
    ("value", "asked"), [("1", True), ("", False), ("0", False), ("2", False), ("true", False)]
)
def test_it_is_asked_for_in_the_query(value: str, asked: bool) -> None:
    args = handshake.parse_arguments(f"{GOOD}&extension={value}")
    assert args.extension is asked
    assert bool(handshake.headers(args, 5)) is asked


@pytest.mark.parametrize(("value", "asked"), [(1, True), ("1", True), (None, False), (2, False)])
def test_it_is_asked_for_in_the_packed_form(value: object, asked: bool) -> None:
    fields = {"token": "t", "userID": "u", "platformID": 1, "operationID": "o", "extension": value}
    packed = urlsafe_b64encode(json.dumps(fields).encode()).decode().rstrip("=")
    assert handshake.parse_arguments(f"v={packed}").extension is asked


async def head_of_answer(port: int, query: str) -> list[str]:
    """Its lines."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream:
        await stream.send_all(
            f"GET /?{query} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            "".encode()
        )
        got = b""
        with trio.fail_after(10):
            while b"\r\n\r\n" not in got:
                got += await stream.receive_some()
    return got.partition(b"\r\n\r\n")[0].decode().split("\r\n")


async def test_the_answer_says_that_it_is_served_and_the_time(
    config: GatewayConfig, world: World
) -> None:
    world.refused["kicked"] = ServiceError(Code.TOKEN_KICKED)
    asking = ours("a")
    refused = attrs.evolve(ours("a", msg_resp=True), token="kicked")
    began = now_ms()
    async with serving(world, config) as served:
        plain = await head_of_answer(served.port, login("a").query())
        assert plain[0].startswith("HTTP/1.1 101")
        for query in (asking.query(), packed_query(asking), refused.query()):
            lines = await head_of_answer(served.port, query)
            assert lines[: len(plain)] == plain
            further = dict(line.lower().split(": ") for line in lines[len(plain) :])
            assert began <= int(further.pop("openim-trio-time")) <= now_ms()
            assert further == {"openim-trio-extension": "1"}


async def test_official_clients_get_the_answer_that_they_always_got(world: World) -> None:
    async with serving(world, GatewayConfig()) as served:
        assert await head_of_answer(served.port, login("a").query()) == [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=",
        ]


async def _ends(client: WireClient) -> int | None:
    with trio.fail_after(10):
        await client.over.wait()
    return client.close_code


@pytest.mark.parametrize("req", [Req.GIVE_UP, Req.DELIVERED])
async def test_who_did_not_ask_for_it_makes_unknown_requests(
    config: GatewayConfig, world: World, req: Req
) -> None:
    async with serving(world, config) as served, connected(served.port, login("a")) as a:
        await a.post(req, b"")
        assert await _ends(a) == 1008
        assert served.metric("protocol_errors_total", reason="req_identifier") == 1


# -- giving up -------------------------------------------------------------------------------------


async def give_up(client: WireClient, message: sdkws_pb2.MsgData) -> extension_pb2.GiveUpResp:
    return await client.call(Req.GIVE_UP, message, extension_pb2.GiveUpResp)


@pytest.mark.parametrize("js", [False, True])
async def test_a_give_up_is_answered_for_good(
    config: GatewayConfig, world: World, js: bool
) -> None:
    async with serving(world, config) as served, connected(served.port, ours("a", js=js)) as a:
        message = text_message("a", "b")
        assert await give_up(a, message) == extension_pb2.GiveUpResp()
        sent = await a.send(message)
        assert await give_up(a, message) == extension_pb2.GiveUpResp(delivered=True, sent=sent)
        for body, code in ((b"\xff\xff", 1001), (text_message("b", "a"), 1002)):
            response = await a.request(Req.GIVE_UP, body)
            assert (response.err_code, response.data) == (code, b"")
        assert served.metric("requests_total", req="3101", code="0") == 2


async def test_give_ups_are_pipelined_like_sends(config: GatewayConfig, world: World) -> None:
    world.held = []
    async with (
        serving(world, attrs.evolve(config, sends_in_flight=3)) as served,
        connected(served.port, ours("a")) as a,
    ):
        messages = [text_message("a", "b", str(number)) for number in range(3)]
        posted = []
        for message in messages:
            posted.append(await a.post(Req.SEND, message))
            posted.append(await a.post(Req.GIVE_UP, message))
        pull = await a.post(Req.NEWEST_SEQ, sdkws_pb2.GetMaxSeqReq())
        await trio.sleep(0.2)
        assert len(world.held) == 3  # the reader waits, as with sends
        assert served.services.requests == []
        world.let_go()
        answers = [await a.answer(msg_incr) for msg_incr in posted]
        assert [answer.err_code for answer in answers] == [0] * 6
        told = [extension_pb2.GiveUpResp.FromString(answer.data) for answer in answers[1::2]]
        assert [answer.delivered for answer in told] == [True] * 3
        await a.answer(pull)


async def test_a_give_up_that_takes_too_long_is_answered(
    config: GatewayConfig, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "REQUEST_LIMIT", 0.2)
    world.held = []
    async with serving(world, config) as served, connected(served.port, ours("a")) as a:
        message = text_message("a", "b")
        assert (await a.request(Req.GIVE_UP, message)).err_code == 90004
        world.let_go()
        assert not (await give_up(a, message)).delivered


# -- acknowledging ---------------------------------------------------------------------------------


def only_session(served: Served) -> Session:
    [found] = served.gateway.hub.sessions.values()
    return found


def unacknowledged(served: Served) -> Unacknowledged:
    found = only_session(served).unacknowledged
    assert found is not None
    return found


async def until_served(client: WireClient) -> None:
    """What was posted before is done with."""
    await client.send_text(b'{"type":"ping"}')
    assert await client.texts.receive() == b'{"type":"pong"}'


async def test_acknowledging_waits_for_no_send_and_is_not_answered(
    config: GatewayConfig, world: World
) -> None:
    async with serving(world, config) as served, connected(served.port, ours("b")) as b:
        world.say(text_message("a", "b"))
        world.say(text_message("c", "b"))
        for _ in range(2):
            await b.next_push()
        assert len(unacknowledged(served)) == 2
        world.held = []
        send = await b.post(Req.SEND, text_message("b", "a"))
        told = await b.post(Req.DELIVERED, delivered(si_a_b=1, si_b_x=7))
        await until_served(b)
        assert len(unacknowledged(served)) == 1
        world.let_go()
        assert (await b.answer(send)).err_code == 0
        assert not b.answered(told)
        assert served.metric("requests_total", req="3102", code="0") == 1


BAD_BODIES = {
    "unparsable": (b"\xff", 1007),
    "negative": (delivered(a=-1).SerializeToString(), 1008),
    "too many": (delivered(**{f"c{n}": 1 for n in range(MAX_DELIVERED + 1)}), 1008),
}


@pytest.mark.parametrize("name", BAD_BODIES)
async def test_an_acknowledgement_that_is_none_closes(
    config: GatewayConfig, world: World, name: str
) -> None:
    body, code = BAD_BODIES[name]
    async with serving(world, config) as served, connected(served.port, ours("a")) as a:
        await a.post(Req.DELIVERED, delivered(**{f"c{n}": 1 for n in range(MAX_DELIVERED)}))
        await until_served(a)
        await a.post(Req.DELIVERED, body)
        assert await _ends(a) == code
        assert served.metric("protocol_errors_total", reason="delivered") == 1


@given(st.binary(max_size=60))
def test_any_body_is_an_acknowledgement_or_a_reason_to_close(data: bytes) -> None:
    receive = Receive("u", Encoding(JSON, False), 1000, known=EXTENSION_REQUESTS)
    request = Request(Req.DELIVERED, "i", "op", "u", "", data)
    item = receive.on_message(Message(False, JSON.encode_request(request)))
    assert isinstance(item, Acknowledgement | Violation)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short waits: the tests sweep at moments to come, before the peer counts as silent."""
    monkeypatch.setattr(Unacknowledged, "ACK_WAIT", 1.0)
    monkeypatch.setattr(Unacknowledged, "LONGEST_WAIT", 2.0)


@pytest.mark.usefixtures("quick")
async def test_what_is_not_acknowledged_is_shown_again_and_then_the_client_is_closed(
    config: GatewayConfig, world: World
) -> None:
    async with serving(world, config) as served, connected(served.port, ours("b")) as b:
        for _ in range(3):
            world.say(text_message("a", "b"))
        assert [(await b.next_push())[1].seq for _ in range(3)] == [1, 2, 3]
        await b.post(Req.DELIVERED, delivered(si_a_b=2))
        await until_served(b)
        now = trio.current_time()
        for _ in range(Unacknowledged.TRIES):
            only_session(served).sweep(now := now + 2.5)
            assert (await b.next_push())[1].seq == 3
        only_session(served).sweep(now + 2.5)
        assert await _ends(b) == 1012
        assert served.metric("slow_reader_closes_total") == 1


@pytest.mark.usefixtures("quick")
async def test_what_is_acknowledged_is_not_shown_again(config: GatewayConfig, world: World) -> None:
    async with (
        serving(world, config) as served,
        connected(served.port, ours("b")) as b,
        connected(served.port, login("b", 3)) as official,
    ):
        sessions = {s.platform: s for s in served.gateway.hub.sessions.values()}
        assert sessions[3].unacknowledged is None  # type: ignore[index]
        world.say(text_message("a", "b"))
        unstored = text_message("a", "b")
        world.publish("si_a_b", unstored)
        for client in (b, official):
            assert [(await client.next_push())[1].seq for _ in range(2)] == [1, 0]
        await b.post(Req.DELIVERED, delivered(si_a_b=1))
        await until_served(b)
        for number in range(1, 9):
            for opened in sessions.values():
                opened.sweep(trio.current_time() + 2.5 * number)
        world.say(text_message("a", "b"))
        for client in (b, official):
            assert (await client.next_push())[1].seq == 2


async def test_an_acknowledgement_in_the_last_moment_counts(world: World) -> None:
    async with serving(world, GatewayConfig()) as served, connected(served.port, ours("b")) as b:
        row = world.say(text_message("a", "b"))
        await b.next_push()
        opened = only_session(served)
        opened.sweep(trio.current_time() + Unacknowledged.ACK_WAIT)  # the row is being read
        opened._on_acknowledgement(Acknowledgement((("si_a_b", row.seq),)))
        await trio.testing.wait_all_tasks_blocked()
        assert served.services.requests == ["rows si_a_b 1-1"]
        world.say(text_message("a", "b"))
        assert (await b.next_push())[1].seq == 2


async def test_a_given_up_message_behind_it_hides_nothing(world: World) -> None:
    async with serving(world, GatewayConfig()) as served, connected(served.port, ours("b")) as b:
        world.say(text_message("a", "b"))
        await b.next_push()
        tombstone = BusMessage(BusKind.TOMBSTONE, "si_a_b", 2)
        world.broker.publish(user_channel("b"), bus_message.encode(tombstone))
        await trio.testing.wait_all_tasks_blocked()
        opened = only_session(served)
        assert opened.positions.get("si_a_b") == 2
        opened.sweep(trio.current_time() + Unacknowledged.ACK_WAIT)
        assert (await b.next_push())[1].seq == 1


async def test_more_than_can_be_remembered_ends_the_connection(
    config: GatewayConfig, world: World
) -> None:
    async with serving(world, config) as served, connected(served.port, ours("b")) as b:
        unacknowledged(served)._limit = 3
        for number in range(6):
            world.say(text_message(f"s{number}", "b"))
        await _ends(b)
        assert served.metric("slow_reader_closes_total") == 1
