"""The session's machines, the handshake's arguments and the rule of kicks: no I/O."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openim_trio.domain.errors import Code, ServiceError
from openim_trio.domain.platforms import Platform
from openim_trio.gateway import handshake
from openim_trio.gateway.machines.deliver import MAX_POSITIONS, Offer, Outbox, Positions
from openim_trio.gateway.machines.receive import Pong, Receive, Violation
from openim_trio.gateway.machines.retry import Debt, Retry
from openim_trio.gateway.outgoing import OutFrame
from openim_trio.gateway.reconcile import without_left_groups
from openim_trio.wire.envelope import GOB, JSON, Encoding, Request
from openim_trio.wire.frames import Message

# -- outbox ----------------------------------------------------------------------------------------


def push(conversation: str, seq: int, size: int = 10) -> OutFrame:
    return OutFrame(b"x" * size, conversation=conversation, seq=seq, droppable=True)


def reply(size: int = 10) -> OutFrame:
    return OutFrame(b"r" * size)


def contents(outbox: Outbox) -> list[tuple[str, int]]:
    return [(f.conversation, f.seq) for f in outbox.take(10**9)]


def test_a_full_outbox_keeps_the_newest_of_each_conversation() -> None:
    outbox = Outbox(4, 10_000)
    for seq in (1, 2):
        outbox.put(push("a", seq))
        outbox.put(push("b", seq))
    outcome = outbox.put(reply())
    assert (outcome.let_go, outcome.owed, outcome.overflow) == (2, (), False)
    assert contents(outbox) == [("a", 2), ("b", 2), ("", 0)]


def test_what_is_not_stored_goes_first() -> None:
    outbox = Outbox(2, 10_000)
    outbox.put(push("a", 0))
    outbox.put(push("b", 1))
    assert outbox.put(push("c", 1)).let_go == 1
    assert contents(outbox) == [("b", 1), ("c", 1)]


def test_too_many_conversations_leave_debts() -> None:
    outbox = Outbox(10, 10_000)
    for number in range(10):
        assert outbox.put(push(f"c{number}", 1)).let_go == 0
    outcome = outbox.put(push("c10", 1))
    assert [f.conversation for f in outcome.owed] == [f"c{n}" for n in range(6)]
    assert contents(outbox) == [(f"c{n}", 1) for n in range(6, 11)]


def test_bytes_count_too_but_one_frame_may_be_larger() -> None:
    outbox = Outbox(100, 1000)
    assert not outbox.put(reply(5000)).overflow
    assert outbox.put(reply(1)).overflow
    outbox.clear()
    for seq in range(1, 40):
        outbox.put(push("a", seq, 100))
    assert contents(outbox)[-1] == ("a", 39)


def test_replies_are_never_dropped() -> None:
    outbox = Outbox(5, 10_000)
    for _ in range(5):
        assert not outbox.put(reply()).overflow
    assert outbox.put(reply()).overflow
    assert len(outbox) == 6


@given(
    st.lists(st.tuples(st.sampled_from("abc") | st.none(), st.integers(1, 400)), max_size=80),
    st.integers(1, 12),
)
def test_outbox_keeps_order_and_limits(items: list[tuple[str | None, int]], limit: int) -> None:
    outbox = Outbox(limit, 1500)
    seqs = dict.fromkeys("abc", 0)
    replies = 0
    newest: dict[str, int] = {}
    for conversation, size in items:
        if conversation is None:
            replies += 1
            outcome = outbox.put(reply(size))
        else:
            seqs[conversation] += 1
            newest[conversation] = seqs[conversation]
            outcome = outbox.put(push(conversation, seqs[conversation], size))
        for frame in outcome.owed:
            newest.pop(frame.conversation, None)
        if outcome.overflow:
            return
    left = outbox.take(10**9)
    assert outbox.size == 0
    assert len(left) <= limit
    assert sum(not f.droppable for f in left) == replies
    for conversation in "abc":
        kept = [f.seq for f in left if f.conversation == conversation]
        assert kept == sorted(kept)
        if conversation in newest:
            assert kept[-1] == newest[conversation]


def test_take_gives_portions() -> None:
    outbox = Outbox(100, 10_000)
    for size in (10, 10, 500, 10):
        outbox.put(reply(size))
    assert [f.size for f in outbox.take(25)] == [10, 10]
    assert [f.size for f in outbox.take(25)] == [500]
    assert outbox.size == 10


# -- positions -------------------------------------------------------------------------------------


def test_positions() -> None:
    positions = Positions()
    assert positions.offer("a", 7) is Offer.DELIVER  # the first one sets the position
    assert positions.offer("a", 8) is Offer.DELIVER
    assert positions.offer("a", 8) is Offer.DROP
    assert positions.offer("a", 3) is Offer.DROP
    assert positions.offer("a", 10) is Offer.GAP
    assert positions.offer("a", 9) is Offer.DELIVER
    assert positions.behind("a", 10)
    assert not positions.behind("a", 9)
    assert not positions.behind("b", 9)


def test_positions_are_bounded() -> None:
    positions = Positions()
    for number in range(MAX_POSITIONS + 10):
        positions.offer(str(number), 1)
    assert len(positions.known()) == MAX_POSITIONS
    assert positions.get("0") is None
    assert positions.get(str(MAX_POSITIONS)) == 1


# -- retry -----------------------------------------------------------------------------------------


def test_debts_are_shown_again_once_the_reader_has_caught_up() -> None:
    retry = Retry()
    assert retry.let_go("a", 3, now=10.0)
    assert retry.let_go("a", 5, now=10.1)
    assert retry.let_go("b", 0, now=10.1)  # not stored: gone
    assert retry.due(10.2, outbox_empty=True) == []
    assert retry.due(11.0, outbox_empty=False) == []
    assert retry.due(11.0, outbox_empty=True) == [Debt("a", 5)]
    assert retry.due(11.0, outbox_empty=True) == []


def test_relapses_wait_longer() -> None:
    retry = Retry()
    now, waits = 0.0, []
    for _ in range(8):
        retry.let_go("a", 1, now)
        began = now
        while not retry.due(now, outbox_empty=True):
            now += 0.25
        waits.append(now - began)
    assert waits == sorted(waits)
    assert waits[0] == Retry.FIRST_WAIT
    assert waits[-1] == Retry.LONGEST_WAIT


def test_acknowledged_debts_end_and_debts_are_bounded() -> None:
    retry = Retry(limit=2)
    retry.let_go("a", 5, 0.0)
    retry.acknowledge("a", 4)
    assert len(retry) == 1
    retry.acknowledge("a", 5)
    retry.acknowledge("unknown", 1)
    assert len(retry) == 0
    assert retry.let_go("a", 1, 0.0)
    assert retry.let_go("b", 1, 0.0)
    assert not retry.let_go("c", 1, 0.0)
    assert retry.let_go("b", 2, 0.0)


# -- receive ---------------------------------------------------------------------------------------


def test_requests_and_violations() -> None:
    receive = Receive("u", Encoding(JSON, False), 1000)
    request = Request(1001, "i", "op", "u", "", b"data")
    assert receive.on_message(Message(False, JSON.encode_request(request))) == request
    for changed, reason in (
        (Request(1001, send_id="v"), "send_id"),
        (Request(2001, send_id="u"), "req_identifier"),
        (Request(3001, send_id="u"), "req_identifier"),
    ):
        answer = receive.on_message(Message(False, JSON.encode_request(changed)))
        assert isinstance(answer, Violation)
        assert answer.reason == reason
    answer = receive.on_message(Message(False, b"{"))
    assert isinstance(answer, Violation)
    assert answer.reason == "envelope"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (b'{"type":"ping"}', b'{"type":"pong"}'),
        (b'{"type":"ping","body":"1"}', b'{"type":"pong","body":"1"}'),
        (b'{"body":{"x": [1]},"type":"ping","more":1}', b'{"type":"pong","body":{"x": [1]}}'),
        (b'{"type":"ping","body":null}', b'{"type":"pong","body":null}'),
    ],
)
def test_text_pings(text: bytes, answer: bytes) -> None:
    receive = Receive("u", Encoding(GOB, True), 1000)
    assert receive.on_message(Message(True, text)) == Pong(answer)


@pytest.mark.parametrize("text", [b"", b"x", b'{"type":"x"}', b"[]", b'{"type":1}', b"[" * 50_000])
def test_other_texts_end_the_connection(text: bytes) -> None:
    receive = Receive("u", Encoding(GOB, True), 1000)
    assert isinstance(receive.on_message(Message(True, text)), Violation)
    assert receive.on_message(Message(True, b'{"type":"pong"}')) is None


@given(st.binary(max_size=300), st.booleans(), st.booleans(), st.booleans())
def test_any_bytes_are_survived(data: bytes, text: bool, js: bool, gzip: bool) -> None:
    receive = Receive("u", Encoding(JSON if js else GOB, gzip), 1000)
    receive.on_message(Message(text, data))


def test_the_rate_is_limited_by_waiting() -> None:
    receive = Receive("u", Encoding(GOB, True), 1000, rate=10, burst=5)
    assert [receive.pause(100.0) for _ in range(5)] == [0.0] * 5
    assert receive.pause(100.0) == pytest.approx(0.1)
    assert receive.pause(100.2) == 0.0


# -- handshake -------------------------------------------------------------------------------------


GOOD = "sendID=u&token=t&platformID=1&operationID=o&isBackground=false"


def test_arguments() -> None:
    args = handshake.parse_arguments(GOOD + "&compression=gzip&sdkType=js&isMsgResp=true")
    assert args.user_id == "u"
    assert args.platform is Platform.IOS
    assert args.encoding == Encoding(JSON, True)
    assert args.msg_resp
    assert "token" not in repr(args)
    plain = handshake.parse_arguments(GOOD)
    assert plain.encoding == Encoding(GOB, False)
    assert not plain.msg_resp
    assert handshake.parse_arguments(GOOD, "gzip").encoding.gzip
    assert not handshake.parse_arguments(GOOD + "&compression=br", "gzip").encoding.gzip


def test_the_packed_form_needs_no_background() -> None:
    fields = {"token": "t", "userID": "ü", "platformID": 5, "operationID": "o", "sdkType": "js"}
    packed = urlsafe_b64encode(json.dumps({**fields, "sendResponse": True}).encode())
    args = handshake.parse_arguments("v=" + packed.decode().rstrip("=") + "&sendID=other")
    assert (args.user_id, args.platform, args.msg_resp) == ("ü", Platform.WEB, True)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", 1602),
        (GOOD.replace("sendID=u", "sendID="), 1602),
        (GOOD.replace("token=t", ""), 1602),
        (GOOD.replace("operationID=o", ""), 1602),
        (GOOD.replace("platformID=1", "platformID=0"), 1602),
        (GOOD.replace("platformID=1", "platformID=x"), 1602),
        (GOOD + "&isMsgResp=2", 1602),
        (GOOD.replace("isBackground=false", ""), 500),
        (GOOD.replace("isBackground=false", "isBackground=no"), 500),
        ("v=!", 1602),
        ("v=W10", 1602),  # []
        ("v=" + urlsafe_b64encode(b'{"userID":"\\ud800"}').decode().rstrip("="), 1602),
    ],
)
def test_bad_arguments(query: str, code: int) -> None:
    with pytest.raises(ServiceError) as caught:
        handshake.parse_arguments(query)
    assert caught.value.code == code


@given(st.text(max_size=200))
def test_any_query_gives_arguments_or_an_error(query: str) -> None:
    try:
        handshake.parse_arguments(query)
    except ServiceError as error:
        body = handshake.answer(error)
        if len(body) > handshake.MAX_ANSWER:
            pytest.fail("answer too long")


def test_answers_stay_small() -> None:
    assert json.loads(handshake.answer()) == {"errCode": 0, "errMsg": "", "errDlt": ""}
    long = ServiceError(Code.TOKEN_EXPIRED, 'ü"' * 5000)
    body = handshake.answer(long)
    assert len(body) <= 1024
    assert json.loads(body)["errCode"] == 1501


# -- reconcile -------------------------------------------------------------------------------------


def test_who_left_a_group_is_shown_no_more_of_it() -> None:
    ids = ["si_a_b", "n_a_b", "sg_in", "n_in", "sg_out", "n_out", "n_a_a"]
    assert without_left_groups(ids, {"in"}) == ["si_a_b", "n_a_b", "sg_in", "n_in", "n_a_a"]
