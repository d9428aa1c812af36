"""The SDK with one precaution taken out.  Each must be found within a number of courses."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Any
from unittest import mock

import attrs

from openim_trio.client.database import positions, sends
from openim_trio.client.events import RecvNewMessage
from openim_trio.client.machines.outgoing import Failed, Outgoing
from openim_trio.client.machines.position import Position
from openim_trio.client.machines.send_lanes import Entry
from openim_trio.client.model import MessageStatus, message_of
from openim_trio.client.receiving import Receiver
from openim_trio.wire.proto import sdkws_pb2

Weaken = Callable[[], AbstractContextManager[object]]


def patched(target: Any, name: str, fake: object) -> Weaken:
    return lambda: mock.patch.object(target, name, fake)


# -- receiving -------------------------------------------------------------------------------------

_store_pushed = Receiver._store_pushed


async def show_before_storing(
    receiver: Receiver, batch: list[tuple[str, sdkws_pb2.MsgData]]
) -> None:
    """What is pushed goes to the application at once, where the position says that it is new."""
    for name, message in batch:
        foreign = message.sendID != receiver._user_id and message.seq > 0
        if foreign and message.seq == receiver._ledger[name].complete + 1:
            shown = message_of(message, name, MessageStatus.SENT)
            receiver._emit(RecvNewMessage(message=shown))
    await _store_pushed(receiver, batch)


_save = positions.save


def forget_handed(connection: sqlite3.Connection, changed: Iterable[Position]) -> None:
    _save(connection, [attrs.evolve(position, handed=position.shown) for position in changed])


def count_when_handed_over(position: Position, upto: int) -> Position:
    upto = min(upto, position.complete)
    return attrs.evolve(position, handed=upto, shown=upto) if upto > position.handed else position


# -- sending ---------------------------------------------------------------------------------------


def fail_at_once(outgoing: Outgoing, entry: Entry, code: int, reason: str) -> Failed:
    outgoing._end(entry)
    return Failed(entry.client_msg_id, code, reason)


def stamp_without_writing(
    connection: sqlite3.Connection, times: Mapping[str, int]
) -> dict[str, int]:
    """What was transmitted looks as if it never had been, after a restart."""
    return dict(times)


_pending = sends.pending


def stamp_anew(connection: sqlite3.Connection) -> list[Any]:
    """After a restart with another createTime."""
    return [
        attrs.evolve(
            send,
            create_time=send.create_time and send.create_time + 1_000,
            data=_later(send.data) if send.create_time else send.data,
        )
        for send in _pending(connection)
    ]


def _later(data: bytes) -> bytes:
    message = sdkws_pb2.MsgData.FromString(data)
    message.createTime += 1_000
    return message.SerializeToString()


TAKEN_OUT: Mapping[str, Weaken] = MappingProxyType({
    "stored before it is shown": patched(Receiver, "_store_pushed", show_before_storing),
    "handed over is kept": patched(positions, "save", forget_handed),
    "counted after it was shown": patched(Position, "hand_over", count_when_handed_over),
    "shown without a hole": patched(Position, "complete", property(lambda p: p.top)),
    "given up before it fails": patched(Outgoing, "_give_up", fail_at_once),
    "stamped before it is transmitted": patched(sends, "stamp", stamp_without_writing),
    "one createTime for all attempts": patched(sends, "pending", stamp_anew),
})  # fmt: skip
