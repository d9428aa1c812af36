"""A row's document.

    _id  where it lives (store.row_ids)
    c, s conversation and seq, for people and for checks
    d    MsgData bytes, exactly as they go to clients
    x    1: a tombstone                                        only where needed
    t    the sequencer's time in ms, where d shows another     only where needed
    rv   revocation: u user, r role, n nickname, t time        only where needed

`_id` and `d` are plain bytes (binary subtype 0).
"""

from __future__ import annotations

from collections.abc import Sequence

from openim_trio.domain.rows import Revocation, Row, RowKind, StoredRow, row_from_data, seal
from openim_trio.store.collections import Document
from openim_trio.store.row_ids import row_ids
from openim_trio.wire.proto import sdkws_pb2

TIMED = {"d": 1, "t": 1}
COMPLETE = {"d": 1, "t": 1, "x": 1}
READABLE = {"d": 1, "x": 1, "rv": 1}


def block_documents(block: Sequence[Row]) -> list[Document]:
    """Documents of a block, whose seqs follow each other."""
    ids = row_ids(block[0].conversation, block[0].seq, len(block))
    return [_document(identifier, row) for identifier, row in zip(ids, block, strict=True)]


def _document(identifier: bytes, row: Row) -> Document:
    document: Document = {"_id": identifier, "c": row.conversation, "s": row.seq, "d": row.data}
    if row.kind is RowKind.TOMBSTONE:
        document["x"] = 1
    if not row.data.endswith(seal(b"", row.seq, row.send_time)):
        document["t"] = row.send_time
    return document


def kind_of(document: Document) -> RowKind:
    return RowKind.TOMBSTONE if document.get("x") else RowKind.MESSAGE


def send_time_of(document: Document) -> int:
    """The time by which rows are ordered."""
    time = _own_time(document)
    return sdkws_pb2.MsgData.FromString(document["d"]).sendTime if time is None else time


def _own_time(document: Document) -> int | None:
    """A plain int: pymongo reads 64-bit numbers as a subclass, which other codecs refuse."""
    time = document.get("t")
    return None if time is None else int(time)


def to_row(conversation: str, seq: int, document: Document) -> Row:
    return row_from_data(conversation, seq, kind_of(document), document["d"], _own_time(document))


def to_stored_row(conversation: str, seq: int, document: Document) -> StoredRow:
    mark = document.get("rv")
    revoked = mark and Revocation(mark["u"], mark["r"], mark["n"], mark["t"])
    return StoredRow(conversation, seq, kind_of(document), document["d"], revoked)


def revocation_document(mark: Revocation) -> Document:
    return {"u": mark.user_id, "r": mark.role, "n": mark.nickname, "t": mark.time}
