"""Appends for tests: complete MsgData of a single chat, named by short words."""

from __future__ import annotations

import time

from openim_trio.append.publication import channels_of
from openim_trio.append.requests import Append
from openim_trio.domain.conversations import single_chat
from openim_trio.domain.rows import (
    ANY_BODY,
    RowKind,
    body_fingerprint,
    message_key,
    server_msg_id,
)
from openim_trio.wire.proto import sdkws_pb2

SENDER, RECEIVER = "alice", "bob"
CHAT = single_chat(SENDER, RECEIVER)


def chat_with(peer: str) -> str:
    return single_chat(SENDER, peer)


def send(
    word: str, body: str = "", *, peer: str = RECEIVER, created: int = 0, send_time: int = 0
) -> Append:
    """A text whose clientMsgID is `word`; the same word again is a retry."""
    return _append(RowKind.MESSAGE, word, body or f"body of {word}", peer, created, send_time)


def give_up(word: str, *, peer: str = RECEIVER, created: int = 0) -> Append:
    """The sender gives `word` up."""
    return _append(RowKind.TOMBSTONE, word, "", peer, created, 0)


def _append(kind: RowKind, word: str, body: str, peer: str, created: int, send_time: int) -> Append:
    conversation = chat_with(peer)
    key = message_key(SENDER, word)
    message = sdkws_pb2.MsgData(
        sendID=SENDER,
        recvID=peer,
        clientMsgID=word,
        serverMsgID=server_msg_id(key, conversation),
        sessionType=1,
        contentType=101,
        content=body.encode(),
        createTime=created or time.time_ns() // 1_000_000,
    )
    fingerprint = body_fingerprint(message.contentType, message.content) if body else ANY_BODY
    return Append(
        conversation=conversation,
        key=key,
        fingerprint=fingerprint,
        create_time=message.createTime,
        head=message.SerializeToString(),
        channels=channels_of(message),
        kind=kind,
        send_time=send_time,
    )
