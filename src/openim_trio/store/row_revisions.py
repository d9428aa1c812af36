"""Revising rows in place (blocking; runs in a thread): updates by `_id`, never upserts.

A revision keeps the key (sender and clientMsgID), the seq and the times: a retry of the send finds
its slot as before.
"""

from __future__ import annotations

from collections.abc import Sequence

from pymongo import UpdateOne

from openim_trio.domain.errors import Code, ServiceError
from openim_trio.domain.rows import Revocation
from openim_trio.store.collections import Rows
from openim_trio.store.row_documents import revocation_document
from openim_trio.store.row_ids import row_id
from openim_trio.store.row_reads import chunks, find_ids
from openim_trio.wire.proto import sdkws_pb2

STATUS_DELETED = 4
ERASED_AT_ONCE = 100
"""rows; each may be large, and is read first"""


def revoke(rows: Rows, conversation: str, seq: int, mark: Revocation) -> bool:
    identifier = row_id(conversation, seq) if 0 < seq < 2**63 else b""
    unmarked = {"_id": identifier, "rv": {"$exists": False}, "x": {"$exists": False}}
    if rows.update_one(unmarked, {"$set": {"rv": revocation_document(mark)}}).matched_count:
        return True
    found = rows.find_one({"_id": identifier}, {"x": 1})
    if found is None or found.get("x"):
        raise ServiceError(Code.RECORD_NOT_FOUND, f"seq: no message {seq} in {conversation}")
    return False


def erase(rows: Rows, conversation: str, seqs: Sequence[int]) -> int:
    ids = [row_id(conversation, seq) for seq in sorted(set(seqs)) if 0 < seq < 2**63]
    return sum(_erase(rows, part) for part in chunks(ids, ERASED_AT_ONCE))


def _erase(rows: Rows, ids: Sequence[bytes]) -> int:
    updates = []
    for identifier, document in find_ids(rows, ids, {"d": 1}).items():
        message = sdkws_pb2.MsgData.FromString(document["d"])
        if message.status != STATUS_DELETED:
            updates.append(UpdateOne({"_id": identifier}, {"$set": {"d": _emptied(message)}}))
    if not updates:
        return 0
    return rows.bulk_write(updates, ordered=False).modified_count


def _emptied(message: sdkws_pb2.MsgData) -> bytes:
    """What says who wrote to whom and when stays; what was written and shown goes."""
    return sdkws_pb2.MsgData(
        sendID=message.sendID,
        recvID=message.recvID,
        groupID=message.groupID,
        clientMsgID=message.clientMsgID,
        serverMsgID=message.serverMsgID,
        sessionType=message.sessionType,
        msgFrom=message.msgFrom,
        contentType=message.contentType,
        seq=message.seq,
        sendTime=message.sendTime,
        createTime=message.createTime,
        status=STATUS_DELETED,
        options=message.options,
    ).SerializeToString()
