"""Messages as REST callers describe them, made into MsgData."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from openim_trio.api import json_body, outgoing
from openim_trio.api.types.sending import LegacySendReq, SendMsgReq
from openim_trio.domain.errors import Code, ServiceError
from openim_trio.wire.proto import sdkws_pb2
from tests.support.legacy import LEGACY_EXAMPLE

NOW = 1_700_000_000_000


def ask(**changes: Any) -> SendMsgReq:
    body = {
        "sendID": "imAdmin",
        "recvID": "bob",
        "content": {"content": "hi <b>", "Z": 1, "a": None},
        "contentType": 101,
        "sessionType": 1,
        **changes,
    }
    return json_body.request_of(body, SendMsgReq)


def made(request: SendMsgReq) -> sdkws_pb2.MsgData:
    return outgoing.message_of(
        request,
        recv_id=request.recvID,
        group_id=request.groupID,
        client_msg_id="c1",
        create_time=NOW,
    )


def test_a_text() -> None:
    message = made(ask(senderNickname="n", senderPlatformID=2, ex="x", sendTime=5))
    assert message == sdkws_pb2.MsgData(
        sendID="imAdmin",
        recvID="bob",
        clientMsgID="c1",
        senderPlatformID=2,
        senderNickname="n",
        sessionType=1,
        msgFrom=200,
        contentType=101,
        content=b'{"Z":1,"a":null,"content":"hi \\u003cb\\u003e"}',
        sendTime=5,
        createTime=NOW,
        ex="x",
    )


def test_online_only_switches_storing_off() -> None:
    options = made(ask(isOnlineOnly=True)).options
    for key in ("history", "persistent", "senderSync", "conversationUpdate"):
        assert options[key] is False


def test_no_offline_push() -> None:
    assert dict(made(ask(notOfflinePush=True)).options) == {"offlinePush": False}


def test_push_text() -> None:
    message = made(ask(offlinePushInfo={"title": "t", "iOSBadgeCount": True}))
    assert message.offlinePushInfo == sdkws_pb2.OfflinePushInfo(title="t", iOSBadgeCount=True)
    assert not made(ask()).HasField("offlinePushInfo")


def test_mentions_become_the_messages_list() -> None:
    content = {"text": "@b", "atUserList": ["b", "AtAllTag"], "isAtSelf": False}
    message = made(ask(contentType=106, sessionType=3, groupID="g", content=content))
    assert list(message.atUserIDList) == ["b", "AtAllTag"]
    assert message.groupID == "g"


def test_an_oa_notification_is_text_in_detail_and_session_4() -> None:
    content = {"notificationName": "n", "notificationType": 1, "text": "t"}
    message = made(ask(contentType=1400, content=content))
    assert message.sessionType == 4
    assert orjson.loads(orjson.loads(message.content)["detail"]) == content


@pytest.mark.parametrize(
    "changes",
    [
        {"content": {}},
        {"content": {"text": "wrong key"}},
        {"content": "text"},
        {"contentType": 102},
        {"contentType": 107},
        {"contentType": 1400},
        {"sessionType": 2},
    ],
)
def test_what_is_no_message_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ServiceError) as caught:
        made(ask(**changes))
    assert caught.value.code is Code.ARGS


def legacy(**changes: Any) -> LegacySendReq:
    return json_body.request_of({**LEGACY_EXAMPLE, **changes}, LegacySendReq)


def test_the_example_of_2022() -> None:
    message = outgoing.legacy_message(legacy(), NOW)
    assert (message.sendID, message.recvID) == ("openIM123456", "18712345678")
    assert (message.contentType, message.sessionType, message.senderPlatformID) == (1400, 4, 2)
    assert message.senderNickname == "系统通知2"
    assert message.offlinePushInfo.iOSPushSound == "default"
    detail = orjson.loads(orjson.loads(message.content)["detail"])
    assert detail["notificationName"] == "公文管理"
    assert detail["externalUrl"] == detail["url"] == ""
    assert not detail.keys() & {"pictureElem", "soundElem", "videoElem", "fileElem"}


def test_a_media_element_that_says_something_is_kept() -> None:
    picture = {"url": "http://x/1.jpg", "type": "jpg", "width": 1, "height": 1}
    element = {
        **LEGACY_EXAMPLE["content"],
        "mixType": 1,
        "externalUrl": "http://x",
        "pictureElem": dict.fromkeys(("sourcePicture", "bigPicture", "snapshotPicture"), picture),
    }
    message = outgoing.legacy_message(legacy(content=element), NOW)
    detail = orjson.loads(orjson.loads(message.content)["detail"])
    assert detail["pictureElem"]["bigPicture"] == picture
    assert detail["url"] == detail["externalUrl"] == "http://x"


@pytest.mark.parametrize("content", [{"text": "hello"}, {"content": "hello"}])
def test_an_old_text_is_readable_today(content: dict[str, str]) -> None:
    message = outgoing.legacy_message(legacy(content=content, contentType=101, sessionType=1), NOW)
    assert orjson.loads(message.content)["content"] == "hello"
    assert (message.recvID, message.groupID) == ("18712345678", "")


def test_an_old_send_to_a_group_names_it_as_receiver() -> None:
    request = legacy(content={"text": "x"}, contentType=101, sessionType=3, recvID="g1")
    message = outgoing.legacy_message(request, NOW)
    assert (message.recvID, message.groupID) == ("", "g1")


@pytest.mark.parametrize(
    "changes",
    [
        {"contentType": 113},
        {"sessionType": 1},
        {"contentType": 101, "content": {"text": "x"}},
        {"content": {"text": "no name"}},
    ],
)
def test_what_the_old_endpoint_refuses(changes: dict[str, Any]) -> None:
    with pytest.raises(ServiceError) as caught:
        outgoing.legacy_message(legacy(**changes), NOW)
    assert caught.value.code is Code.ARGS
