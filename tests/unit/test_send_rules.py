"""What a message must look like, and what the server sets in it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openim_trio.domain import options, send_rules
from openim_trio.domain.actors import Actor
from openim_trio.domain.errors import Code, ServiceError
from openim_trio.domain.platforms import Platform
from openim_trio.wire.proto import sdkws_pb2

ANN = Actor("ann", Platform.IOS, is_admin=False)
ADMIN = Actor("imAdmin", Platform.ADMIN, is_admin=True)


def message(**changes: Any) -> sdkws_pb2.MsgData:
    fields: dict[str, Any] = {
        "sendID": "ann",
        "recvID": "bob",
        "clientMsgID": "c1",
        "sessionType": 1,
        "contentType": 101,
        "content": b'{"content":"hello"}',
    }
    return sdkws_pb2.MsgData(**{**fields, **changes})


def refused(wanted: sdkws_pb2.MsgData, actor: Actor = ANN) -> ServiceError:
    with pytest.raises(ServiceError) as raised:
        send_rules.check_message(wanted, actor)
    return raised.value


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"sendID": ""}, Code.ARGS, "sendID"),
        ({"content": b""}, Code.ARGS, "content"),
        ({"sessionType": 4}, Code.ARGS, "sessionType"),
        ({"contentType": 1400}, Code.ARGS, "sessionType"),
        ({"sendID": "eve"}, Code.NO_PERMISSION, "sendID"),
        ({"sessionType": 2}, Code.ARGS, "sessionType"),
        ({"sessionType": 0}, Code.ARGS, "sessionType"),
        ({"recvID": ""}, Code.ARGS, "recvID"),
        ({"sessionType": 3}, Code.ARGS, "groupID"),
        ({"contentType": 0}, Code.ARGS, "contentType"),
        ({"clientMsgID": ""}, Code.ARGS, "clientMsgID"),
        ({"clientMsgID": "x" * 65}, Code.ARGS, "clientMsgID"),
        ({"content": b"x" * (send_rules.MAX_CONTENT + 1)}, Code.ARGS, "content"),
        ({"ex": "x" * send_rules.MAX_MESSAGE}, Code.ARGS, "MsgData"),
        ({"atUserIDList": ["u"] * 1001}, Code.ARGS, "atUserIDList"),
        ({"options": {str(i): True for i in range(33)}}, Code.ARGS, "options"),
        ({"contentType": 1501}, Code.NO_PERMISSION, "contentType"),
        ({"contentType": 2200}, Code.NO_PERMISSION, "contentType"),
        ({"contentType": 1000}, Code.NO_PERMISSION, "contentType"),
        ({"contentType": 5000}, Code.NO_PERMISSION, "contentType"),
        (
            {"options": {"isNotNotification": False}},
            Code.NO_PERMISSION,
            "options.isNotNotification",
        ),
    ],
)
def test_refusals_name_the_field(changes: dict[str, Any], code: Code, field: str) -> None:
    error = refused(message(**changes))
    assert error.code is code
    assert error.detail.split(":")[0] == field


def test_checks_come_in_the_protocols_order() -> None:
    everything_wrong = message(sendID="eve", content=b"", contentType=1400, clientMsgID="")
    assert refused(everything_wrong).detail.startswith("content:")
    everything_wrong.content = b"{}"
    assert refused(everything_wrong).detail.startswith("sessionType:")
    everything_wrong.contentType = 101
    assert refused(everything_wrong).code is Code.NO_PERMISSION


@pytest.mark.parametrize("number", [*range(101, 111), *range(113, 116), *range(117, 121), 6000])
def test_official_clients_may_send(number: int) -> None:
    send_rules.check_message(message(contentType=number), ANN)


def test_administrators_may_send_what_the_server_says() -> None:
    send_rules.check_message(message(contentType=1501), ADMIN)
    send_rules.check_message(message(options={"isNotNotification": False}), ADMIN)
    send_rules.check_message(message(contentType=1400, sessionType=4), ADMIN)


@pytest.mark.parametrize(
    ("number", "off"),
    [
        (101, set()),
        (111, {"unreadCount", "offlinePush"}),
        (113, set(options.ONLINE_ONLY)),
        (2200, {"conversationUpdate", "senderConversationUpdate", "unreadCount", "offlinePush"}),
    ],
)
def test_options_are_forced(number: int, off: set[str]) -> None:
    wanted = message(contentType=number)
    send_rules.settle(wanted, ADMIN)
    assert {key for key, on in wanted.options.items() if not on} == off


def test_typing_is_not_stored() -> None:
    wanted = message(contentType=113, options={"history": True})
    send_rules.settle(wanted, ANN)
    assert not send_rules.is_stored(wanted)


@given(
    st.dictionaries(st.sampled_from([options.HISTORY, options.IS_SEND_MSG, "x"]), st.booleans()),
    st.integers(-5, 10),
    st.integers(0, 5),
)
def test_the_server_decides_status_seq_and_origin(
    chosen: dict[str, bool], seq: int, status: int
) -> None:
    wanted = message(options=chosen, seq=seq, status=status, isRead=True, msgFrom=200)
    send_rules.settle(wanted, ANN)
    assert (wanted.status, wanted.seq, wanted.isRead, wanted.msgFrom) == (2, 0, False, 100)
    assert dict(wanted.options) == chosen
    assert send_rules.is_stored(wanted) is chosen.get(options.HISTORY, True)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "si_ann_bob"),
        ({"options": {"isNotNotification": False}}, "n_ann_bob"),
        ({"sessionType": 3, "groupID": "g"}, "sg_g"),
        ({"sessionType": 4}, "sn_ann_bob"),
    ],
)
def test_conversations(changes: dict[str, Any], name: str) -> None:
    assert send_rules.conversation(message(**changes)) == name
