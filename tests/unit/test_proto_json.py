"""Protobuf as OpenIM's JSON."""

from __future__ import annotations

import json

from openim_trio.wire.proto import sdkws_pb2
from openim_trio.wire.proto_json import dumps, to_dict


def test_zero_values_and_unset_parts() -> None:
    got = to_dict(sdkws_pb2.MsgData())
    assert list(got) == [field.name for field in sdkws_pb2.MsgData.DESCRIPTOR.fields]
    assert got["sendID"] == ""
    assert got["seq"] == 0
    assert got["isRead"] is False
    for name in ("content", "options", "offlinePushInfo", "atUserIDList"):
        assert got[name] is None


def test_set_parts() -> None:
    msg = sdkws_pb2.MsgData(
        sendID="u1",
        seq=(1 << 53) + 1,
        content=b'{"content":"hi"}',
        options={"history": False, "b": True},
        atUserIDList=["a", "b"],
        offlinePushInfo=sdkws_pb2.OfflinePushInfo(iOSBadgeCount=True),
    )
    got = json.loads(dumps(to_dict(msg)))
    assert got["seq"] == (1 << 53) + 1
    assert got["content"] == "eyJjb250ZW50IjoiaGkifQ=="
    assert got["options"] == {"history": False, "b": True}
    assert list(got["options"]) == ["b", "history"]
    assert got["atUserIDList"] == ["a", "b"]
    assert got["offlinePushInfo"]["title"] == ""
    assert got["offlinePushInfo"]["iOSBadgeCount"] is True


def test_an_empty_sub_message_that_is_set_is_an_object() -> None:
    msg = sdkws_pb2.MsgData()
    msg.offlinePushInfo.SetInParent()
    assert to_dict(msg)["offlinePushInfo"] == to_dict(sdkws_pb2.OfflinePushInfo())


def test_lists_and_maps_of_messages_and_enums() -> None:
    push = sdkws_pb2.PushMessages()
    push.msgs["si_a_b"].Msgs.add(sendID="a")
    got = to_dict(push)
    assert got["notificationMsgs"] is None
    assert got["msgs"]["si_a_b"]["Msgs"][0]["sendID"] == "a"
    pull = to_dict(sdkws_pb2.PullMessageBySeqsReq(order=sdkws_pb2.PullOrderDesc))
    assert pull["order"] == 1


def test_text_is_compact_and_escaped_as_go_does() -> None:
    text = dumps({"a": "<b>&\u2028\u2029é", "n": 18446744073709551615, "l": [1, None, True]})
    assert text == (
        '{"a":"\\u003cb\\u003e\\u0026\\u2028\\u2029é","n":18446744073709551615,"l":[1,null,true]}'
    )
