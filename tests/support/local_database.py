"""The client's local database in tests: messages to store, and a look at what SQLite does."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from openim_trio.client.database import schema
from openim_trio.client.machines.outgoing import PendingSend
from openim_trio.wire.proto import sdkws_pb2

CHAT = "si_alice_bob"
OWN = "alice"


@contextmanager
def memory_database() -> Iterator[sqlite3.Connection]:
    """A connection with the tables, inside a transaction as functions are called in one."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        schema.migrate(connection)
        connection.execute("BEGIN")
        yield connection
    finally:
        connection.close()


def text_message(
    seq: int = 0,
    send_id: str = "bob",
    client_msg_id: str | None = None,
    *,
    text: str = "hi",
    send_time: int | None = None,
    status: int = 2,
) -> sdkws_pb2.MsgData:
    """`send_time`: by default 1,000 + seq."""
    return content_message(
        101,
        {"content": text},
        seq=seq,
        send_id=send_id,
        client_msg_id=client_msg_id,
        send_time=1_000 + seq if send_time is None else send_time,
        status=status,
    )


def content_message(
    content_type: int,
    content: object,
    *,
    seq: int,
    send_id: str = "bob",
    client_msg_id: str | None = None,
    send_time: int = 0,
    status: int = 2,
) -> sdkws_pb2.MsgData:
    """`client_msg_id`: by default one of this seq; `content`: bytes as they are, anything else as
    JSON."""
    return sdkws_pb2.MsgData(
        seq=seq,
        sendID=send_id,
        recvID="alice" if send_id != "alice" else "bob",
        clientMsgID=f"m{seq}" if client_msg_id is None else client_msg_id,
        contentType=content_type,
        content=content if isinstance(content, bytes) else orjson.dumps(content),
        sendTime=send_time,
        status=status,
        sessionType=1,
    )


def placeholder(seq: int) -> sdkws_pb2.MsgData:
    return sdkws_pb2.MsgData(seq=seq, status=4)


def pending_send(client_msg_id: str, conversation_id: str = CHAT) -> PendingSend:
    data = text_message(0, OWN, client_msg_id, send_time=0)
    return PendingSend(
        client_msg_id=client_msg_id,
        conversation_id=conversation_id,
        data=data.SerializeToString(),
        deadline_at=9_000,
    )


def plans(connection: sqlite3.Connection, work: Callable[[], object]) -> list[str]:
    """How SQLite finds the rows for each statement that `work` runs, a line a table."""
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    try:
        work()
    finally:
        connection.set_trace_callback(None)
    return [
        row[3]
        for statement in statements
        if not statement.startswith("--")
        for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")
    ]


@contextmanager
def python_process(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Another process that runs `code`, which may import `tests`, with pipes; killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def small_disk(place: Path, kibibytes: int) -> Iterator[Path | None]:
    """A file system of that size at `place`; None where none may be mounted (only root may)."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k", "tmpfs", str(place)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    try:
        yield place if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(place)], check=True)
