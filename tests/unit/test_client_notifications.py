"""Notifications: what is read of them, and that nothing in them can stop a sync."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from openim_trio.client.model import Message
from openim_trio.client.notifications import (
    Business,
    Cleared,
    ConversationsChanged,
    Deleted,
    Effect,
    HasRead,
    Other,
    Revoked,
    parse,
    revoked_content,
)
from openim_trio.domain.notifications import detail_content
from openim_trio.domain.presenting import revoked_content as shown_by_server
from openim_trio.domain.rows import Revocation
from openim_trio.wire.proto import sdkws_pb2 as pb

SECRET = "do-not-quote-me"
TYPES = [1201, 1300, 1501, 1701, 1703, 2001, 2101, 2102, 2200, 4711]


def message(content_type: int, content: bytes, **members: Any) -> pb.MsgData:
    return pb.MsgData(contentType=content_type, content=content, **members)


def told(content_type: int, detail: Any, **members: Any) -> Effect | None:
    content = json.dumps({"detail": json.dumps(detail)}).encode()
    return parse(message(content_type, content, **members))


REVOKED = pb.RevokeMsgTips(
    revokerUserID="bob", clientMsgID="c1", revokeTime=17, sesstionType=1, seq=5,
    conversationID="si_a_bob", isAdminRevoke=True,
)  # fmt: skip
CASES: list[tuple[int, Any, Effect]] = [
    (
        2101,
        REVOKED,
        Revoked(
            conversation_id="si_a_bob", seq=5, revoker_id="bob", revoke_time=17, client_msg_id="c1",
            is_admin=True, session_type=1,
        ),
    ),
    (
        2102,
        pb.DeleteMsgsTips(userID="bob", conversationID="sg_g", seqs=[3, 4]),
        Deleted(conversation_id="sg_g", seqs=(3, 4), user_id="bob"),
    ),
    (
        2102,
        pb.DeleteMsgsTips(userID="bob", conversationID="sg_g"),
        Deleted(conversation_id="sg_g", seqs=(), user_id="bob"),
    ),
    (
        2200,
        pb.MarkAsReadTips(
            markAsReadUserID="bob", conversationID="si_a_bob", seqs=[1, 2], hasReadSeq=2
        ),
        HasRead(
            conversation_id="si_a_bob", user_id="bob", seqs=(1, 2), has_read_seq=2, time=1234
        ),
    ),
    (
        1703,
        pb.ClearConversationTips(userID="bob", conversationIDs=["a", "b"]),
        Cleared(user_id="bob", conversation_ids=("a", "b")),
    ),
    (
        1300,
        pb.ConversationUpdateTips(userID="bob", conversationIDList=["a"]),
        ConversationsChanged(conversation_ids=("a",)),
    ),
    (1300, pb.ConversationUpdateTips(userID="bob"), ConversationsChanged(conversation_ids=())),
    (
        1701,
        pb.ConversationSetPrivateTips(recvID="a", sendID="b", isPrivate=True, conversationID="c"),
        ConversationsChanged(conversation_ids=("c",)),
    ),
    (2001, {"key": "k", "data": '{"x":1}'}, Business(key="k", data='{"x":1}')),
]  # fmt: skip


@pytest.mark.parametrize(("content_type", "tips", "expected"), CASES)
def test_what_the_server_sends(content_type: int, tips: Any, expected: Effect) -> None:
    with capture_logs() as logs:
        assert parse(message(content_type, detail_content(tips), sendTime=1234)) == expected
    assert not logs


@pytest.mark.parametrize(("content_type", "tips", "expected"), CASES)
def test_case_does_not_matter_and_more_may_come(
    content_type: int, tips: Any, expected: Effect
) -> None:
    detail = json.loads(json.loads(detail_content(tips))["detail"])
    for spelt in (str.upper, str.lower, str.swapcase):
        changed = {spelt(key): value for key, value in detail.items()} | {"somethingNew": [{}]}
        content = json.dumps({spelt("detail"): json.dumps(changed), "x": 1}).encode()
        assert parse(message(content_type, content, sendTime=1234)) == expected


def test_the_exact_spelling_comes_first() -> None:
    assert told(2001, {"KEY": "no", "key": "yes", "data": ""}) == Business(key="yes", data="")


@pytest.mark.parametrize("content_type", [1201, 1204, 1303, 1501, 1520, 1704, 2002, 5000])
def test_others_are_handed_on(content_type: int) -> None:
    detail = {"group": {"groupID": "g"}, "memberList": None, "operationTime": 5}
    assert told(content_type, detail) == Other(content_type=content_type, detail=detail)


def test_a_slot_that_holds_nothing_is_no_notification() -> None:
    with capture_logs() as logs:
        assert parse(pb.MsgData(seq=7, status=4)) is None
    assert not logs


@pytest.mark.parametrize(
    ("content_type", "detail", "problem"),
    [
        (2101, {"seq": 5}, "detail.conversationID must not be empty"),
        (2101, {"conversationID": "c", "seq": None}, "detail.seq must be a 64-bit integer"),
        (2101, {"conversationID": "c", "seq": 0}, "detail.seq must be at least 1"),
        (2101, {"conversationID": "c", "seq": SECRET}, "detail.seq must be a 64-bit integer"),
        (2101, {"conversationID": "c", "seq": "5"}, "detail.seq must be a 64-bit integer"),
        (2101, {"conversationID": "c", "seq": True}, "detail.seq must be a 64-bit integer"),
        (2101, {"conversationID": "c", "seq": 5.0}, "detail.seq must be a 64-bit integer"),
        (2101, {"conversationID": "c", "seq": 2**63}, "detail.seq must be a 64-bit integer"),
        (2101, {"conversationID": [SECRET], "seq": 1}, "detail.conversationID must be string"),
        (2101, {"conversationID": "c", "seq": 1, "isAdminRevoke": 1},
         "detail.isAdminRevoke must be boolean"),
        (2102, {"conversationID": "c", "seqs": SECRET}, "detail.seqs must be array"),
        (2102, {"conversationID": "c", "seqs": [1, SECRET]},
         "detail.seqs[1] must be a 64-bit integer"),
        (2102, {"conversationID": "c", "seqs": [1, 0]}, "detail.seqs[1] must be at least 1"),
        (2102, {"conversationID": "c", "seqs": [None]}, "detail.seqs[0] must be a 64-bit integer"),
        (2200, {"conversationID": "c"}, "detail.markAsReadUserID must not be empty"),
        (2200, {"conversationID": "c", "markAsReadUserID": "u", "hasReadSeq": -1},
         "detail.hasReadSeq must be at least 0"),
        (1300, {"conversationIDList": [SECRET, None]},
         "detail.conversationIDList[1] must be string"),
        (1701, {}, "detail.conversationID must not be empty"),
        (1703, {"conversationIDs": {SECRET: 1}}, "detail.conversationIDs must be array"),
        (2001, {"key": {SECRET: 1}}, "detail.key must be string"),
        (1501, [SECRET], "detail must be object"),
        (1501, SECRET, "detail must be object"),
        (1501, None, "detail must be object"),
    ],
)  # fmt: skip
def test_malformed_ones_are_logged_without_their_body(
    content_type: int, detail: Any, problem: str
) -> None:
    with capture_logs() as logs:
        assert told(content_type, detail, seq=7) is None
    assert [entry["problem"] for entry in logs] == [problem]
    assert logs[0]["content_type"] == content_type
    assert logs[0]["seq"] == 7
    assert SECRET not in str(logs)


@pytest.mark.parametrize("content_type", TYPES)
@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"\xff", b"null", b"[]", b"7", b"{}", b"[" * 90_000, b'{"detail":null}',
        b'{"detail":{"seq":1}}', b'{"detail":""}', b'{"detail":"{"}', b'{"detail":"\xff"}',
        json.dumps({"detail": '{"a":' * 5_000}).encode(), b'{"detail":"\\ud800"}',
    ],
)  # fmt: skip
def test_content_that_is_no_notification(content_type: int, content: bytes) -> None:
    with capture_logs() as logs:
        assert parse(message(content_type, content)) is None
    assert [entry["event"] for entry in logs] == ["notification_malformed"]


NAMES = [
    "conversationID", "conversationIDs", "conversationIDList", "seq", "seqs", "hasReadSeq",
    "userID", "markAsReadUserID", "revokerUserID", "key", "KEY", "data", "detail", "x",
]  # fmt: skip

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(NAMES),
            inner,
            max_size=6,
        )
    ),
    max_leaves=15,
)


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(TYPES),
    st.binary(max_size=40)
    | json_values.map(lambda value: json.dumps(value).encode())
    | json_values.map(lambda value: json.dumps({"detail": json.dumps(value)}).encode()),
)
def test_nothing_stops_a_sync(content_type: int, content: bytes) -> None:
    with capture_logs():
        effect = parse(message(content_type, content))
    if isinstance(effect, Revoked | Deleted | HasRead):
        assert effect.conversation_id
        seqs = [effect.seq] if isinstance(effect, Revoked) else effect.seqs
        assert all(0 < seq < 2**63 for seq in seqs)


# --- what stands in place of a revoked message ----------------------------------------------------


def test_the_content_of_a_revoked_message_is_what_the_server_shows() -> None:
    row = pb.MsgData(
        clientMsgID="c1", sendTime=99, sendID="a", senderNickname="A <3", sessionType=1, seq=5,
        ex="e",
    )  # fmt: skip
    shown = json.loads(shown_by_server(row, Revocation("bob", 60, "Bob", 17)))
    local = Message(
        client_msg_id="c1", send_time=99, send_id="a", sender_nickname="A <3", session_type=1,
        seq=5, ex="e",
    )  # fmt: skip
    effect = parse(message(2101, detail_content(REVOKED)))
    assert isinstance(effect, Revoked)
    content = json.loads(revoked_content(effect, local, revoker_nickname="Bob", revoker_role=60))
    expected = {**json.loads(shown["detail"]), "isAdminRevoke": True}
    assert json.loads(content["detail"]) == expected
    assert expected["revokerID"] == "bob"


def test_effects_do_not_show_bodies() -> None:
    assert SECRET not in repr(told(2001, {"key": "k", "data": SECRET}))
    assert SECRET not in repr(told(1501, {"group": SECRET}))
