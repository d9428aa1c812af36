"""Rows for store tests."""

from __future__ import annotations

from collections.abc import Sequence

from openim_trio.domain.rows import Row, RowKind, row_from_data, seal
from openim_trio.wire.proto import sdkws_pb2


def make_row(
    conversation: str,
    seq: int,
    *,
    message_id: str = "",
    sender: str = "alice",
    text: str = "hello",
    time: int | None = None,
    shown_time: int | None = None,
    created: int | None = None,
    kind: RowKind = RowKind.MESSAGE,
) -> Row:
    """`time`: the sequencer's (1000 ms a seq unless given); `shown_time`: what the message says;
    `created`: 10 ms before unless given."""
    time = 1_000 * seq if time is None else time
    message = sdkws_pb2.MsgData(
        sendID=sender,
        recvID="bob",
        clientMsgID=message_id or f"{conversation}/{seq}",
        sessionType=1,
        contentType=101,
        content=text.encode() if kind is RowKind.MESSAGE else b"",
        createTime=time - 10 if created is None else created,
    )
    shown = time if shown_time is None else shown_time
    data = seal(message.SerializeToString(), seq, shown)
    return row_from_data(conversation, seq, kind, data, time)


def make_rows(conversation: str, first: int, last: int) -> list[Row]:
    return [make_row(conversation, seq) for seq in range(first, last + 1)]


def message_of(data: bytes) -> sdkws_pb2.MsgData:
    return sdkws_pb2.MsgData.FromString(data)


def seqs_of(rows: Sequence[Row]) -> list[int]:
    return [row.seq for row in rows]
