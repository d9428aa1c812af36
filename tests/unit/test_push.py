"""Push bodies: wrapped bytes against protobuf's own serialisation."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openim_trio.wire.proto import sdkws_pb2
from openim_trio.wire.push import push_body

CONVERSATIONS = ["si_a_b", "sg_1", "n_a_b", "n_", "nx_1", "n", "", "sg_" + "é" * 200]


@pytest.mark.parametrize("conversation", CONVERSATIONS)
@pytest.mark.parametrize("size", [0, 1, 50, 100, 127, 128, 16_000, 16_384, 3_000_000])
def test_same_bytes_as_protobuf(conversation: str, size: int) -> None:
    msg = sdkws_pb2.MsgData(sendID="a", content=b"c" * size, seq=7 if size else 0)
    expected = sdkws_pb2.PushMessages()
    target = expected.notificationMsgs if conversation.startswith("n_") else expected.msgs
    target[conversation].Msgs.append(msg)
    assert push_body(conversation, msg.SerializeToString()) == expected.SerializeToString()


@settings(deadline=None)
@given(st.text(), st.binary(max_size=300))
def test_parses_to_one_message(conversation: str, content: bytes) -> None:
    data = sdkws_pb2.MsgData(content=content).SerializeToString()
    push = sdkws_pb2.PushMessages.FromString(push_body(conversation, data))
    assert len(push.msgs) + len(push.notificationMsgs) == 1
    taken = push.notificationMsgs if conversation.startswith("n_") else push.msgs
    assert [msg.content for msg in taken[conversation].Msgs] == [content]
