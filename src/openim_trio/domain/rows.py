"""A row: one slot of a conversation, written at most once.

A row holds the protobuf MsgData exactly as it goes to clients.  Everything the append protocol
needs to know of it (key, fingerprint, times) is derived from those bytes, here and nowhere else.
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from hashlib import blake2b

import attrs

from openim_trio.wire.proto import sdkws_pb2

ROWS_PER_BUCKET = 5_000
KEY_SIZE = 16
FINGERPRINT_SIZE = 8
ANY_BODY = b"\0" * FINGERPRINT_SIZE
"""Fingerprint of a row whose body was erased, and of a tombstone: it equals every body."""


class RowKind(IntEnum):
    MESSAGE = 1
    TOMBSTONE = 2
    """The sender gave the key up: the slot is taken for good and no message will ever be there."""


@attrs.frozen(slots=True)
class Row:
    """One stored slot.  `data` is MsgData with seq and sendTime; times are Unix ms."""

    conversation: str
    seq: int
    kind: RowKind
    key: bytes
    fingerprint: bytes
    create_time: int
    send_time: int
    data: bytes


def message_key(send_id: str, client_msg_id: str) -> bytes:
    """The idempotency key of a send: 16 bytes from (sender, clientMsgID)."""
    return blake2b(f"{send_id}\0{client_msg_id}".encode(), digest_size=KEY_SIZE).digest()


def body_fingerprint(content_type: int, content: bytes) -> bytes:
    """8 bytes that tell whether a retry carries the same body as the first attempt."""
    if not content:
        return ANY_BODY
    return blake2b(b"%d\0" % content_type + content, digest_size=FINGERPRINT_SIZE).digest()


def server_msg_id(key: bytes, conversation: str) -> str:
    """32 hex digits; the same for every attempt of one send."""
    return blake2b(key + conversation.encode(), digest_size=16, person=b"serverMsgID").hexdigest()


@lru_cache(maxsize=4096)
def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def seal(head: bytes, seq: int, send_time: int) -> bytes:
    """MsgData bytes with seq (field 14) and sendTime (15) added.

    Protobuf lets fields stand in any order and the last one wins, so a message that was serialised
    before its slot was known is completed by appending 2 fields; nothing is serialised twice.
    """
    return b"".join((head, b"\x70", _varint(seq), b"\x78", _varint(send_time)))


def row_from_data(
    conversation: str, seq: int, kind: RowKind, data: bytes, send_time: int | None = None
) -> Row:
    """Rebuild a row from its stored bytes.  `send_time`: the sequencer's, where it differs from
    the one that the message carries."""
    msg = sdkws_pb2.MsgData.FromString(data)
    return Row(
        conversation=conversation,
        seq=seq,
        kind=kind,
        key=message_key(msg.sendID, msg.clientMsgID),
        fingerprint=body_fingerprint(msg.contentType, msg.content),
        create_time=msg.createTime,
        send_time=msg.sendTime if send_time is None else send_time,
        data=data,
    )


@attrs.frozen(slots=True)
class Revocation:
    """The mark on a revoked row.  `time` in ms; `role` is the revoker's roleLevel in a group."""

    user_id: str
    role: int
    nickname: str
    time: int


@attrs.frozen(slots=True)
class StoredRow:
    """A row as a reader gets it: not parsed, with its revisions."""

    conversation: str
    seq: int
    kind: RowKind
    data: bytes
    revoked: Revocation | None = None
