"""Stored rows as readers are shown them (OpenIM v3.8, semantics of the pulls).

| row                         | shown as                                                    |
|-----------------------------|-------------------------------------------------------------|
| missing, given up, not mine | a placeholder: seq and status 4                             |
| erased, or hidden by me     | status 4, without content                                   |
| revoked                     | contentType 2101, content says who revoked what             |
| quoting a revoked message   | the quoted message likewise                                 |
"""

from __future__ import annotations

from typing import Any

import attrs
import orjson

from openim_trio.domain.content_types import ContentType
from openim_trio.domain.notifications import detail_content
from openim_trio.domain.rows import Revocation, RowKind, StoredRow
from openim_trio.domain.send_rules import STATUS_DELETED
from openim_trio.wire.proto import sdkws_pb2
from openim_trio.wire.proto_json import dumps

_QUOTING = frozenset((ContentType.QUOTE, ContentType.AT_TEXT))


def placeholder(seq: int, send_time: int = 0) -> sdkws_pb2.MsgData:
    return sdkws_pb2.MsgData(seq=seq, status=STATUS_DELETED, sendTime=send_time)


def present(row: StoredRow) -> sdkws_pb2.MsgData:
    """What everybody sees of a row."""
    message = sdkws_pb2.MsgData.FromString(row.data)
    if row.kind is RowKind.TOMBSTONE:
        return placeholder(row.seq, message.sendTime)
    if message.status == STATUS_DELETED:
        message.content = b""
    elif row.revoked is not None:
        message.content = revoked_content(message, row.revoked)
        message.contentType = ContentType.MSG_REVOKE
        del message.atUserIDList[:]
    return message


def hide(message: sdkws_pb2.MsgData) -> None:
    message.content = b""
    message.status = STATUS_DELETED


def revoked_content(message: sdkws_pb2.MsgData, mark: Revocation) -> bytes:
    return detail_content(
        sdkws_pb2.MessageRevokedContent(
            revokerID=mark.user_id,
            revokerRole=mark.role,
            clientMsgID=message.clientMsgID,
            revokerNickname=mark.nickname,
            revokeTime=mark.time,
            sourceMessageSendTime=message.sendTime,
            sourceMessageSendID=message.sendID,
            sourceMessageSenderNickname=message.senderNickname,
            sessionType=message.sessionType,
            seq=message.seq,
            ex=message.ex,
        )
    )


@attrs.frozen(slots=True)
class Quote:
    """A message's quote of another of the same conversation."""

    seq: int
    client_msg_id: str
    content: dict[str, Any]


def quote_of(message: sdkws_pb2.MsgData) -> Quote | None:
    if message.contentType not in _QUOTING or b"quoteMessage" not in message.content:
        return None
    try:
        content = orjson.loads(message.content)
    except orjson.JSONDecodeError:
        return None
    quoted = content.get("quoteMessage") if isinstance(content, dict) else None
    if not isinstance(quoted, dict):
        return None
    seq, client_msg_id = quoted.get("seq"), quoted.get("clientMsgID")
    if not isinstance(seq, int) or not 0 < seq < 2**63 or not isinstance(client_msg_id, str):
        return None
    return Quote(seq, client_msg_id, content)


def revoke_quote(message: sdkws_pb2.MsgData, quote: Quote, row: StoredRow) -> None:
    """Rewrite the quote if `row`, the quoted one, was revoked."""
    if row.revoked is None:
        return
    source = sdkws_pb2.MsgData.FromString(row.data)
    if source.clientMsgID != quote.client_msg_id:
        return
    text = revoked_content(source, row.revoked).decode()
    quoted = quote.content["quoteMessage"]
    kept = {key: value for key, value in quoted.items() if not key.endswith("Elem")}
    quote.content["quoteMessage"] = {
        **kept,
        "contentType": int(ContentType.MSG_REVOKE),
        "content": text,
        "notificationElem": orjson.loads(text),
    }
    message.content = dumps(quote.content).encode()
