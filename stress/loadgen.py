"""A load process: many connections on one epoll, frames built as cheaply as possible.

Users 2i and 2i+1 of a process chat with each other.  A message counts when three frames have
arrived: the answer and the own push at the sender, the push at the receiver.
"""

from __future__ import annotations

import base64
import itertools
import os
import select
import socket
import struct
import time
from array import array
from multiprocessing.connection import Connection

import attrs
import orjson

from openim_trio.wire.compression import compress, decompress
from openim_trio.wire.envelope import GOB, Request
from openim_trio.wire.proto import sdkws_pb2

CONTENT_BYTES = 300
LIMIT = 1 << 22


@attrs.define
class Plan:
    """What one process does.  rate: messages a second of this process, 0 = flat out with `window`
    messages in flight; seconds: how long it sends after `warm_up`."""

    host: str
    port: int
    users: list[tuple[str, str]]
    encoding: str
    rate: float
    window: int
    warm_up: float
    seconds: float


@attrs.define
class Outcome:
    accepted: int = 0
    complete: int = 0
    refused: int = 0
    lost: int = 0
    doubled: int = 0
    out_of_order: int = 0
    closed: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    ack: bytes = b""
    delivery: bytes = b""


@attrs.define(slots=True)
class Flight:
    due: float
    sender: int
    measured: bool
    acked: bool = False
    echoed: int = 0
    received: int = 0


@attrs.define(slots=True)
class Conn:
    user: str
    sock: socket.socket
    fixed: bytes = b""
    buffer: bytearray = attrs.field(factory=bytearray)
    pending: bytearray = attrs.field(factory=bytearray)
    last_seq: int = 0
    ready: bool = False


def connect(plan: Plan, user: str, token: str) -> socket.socket:
    sock = socket.create_connection((plan.host, plan.port), timeout=30)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    kind = "&sdkType=js" if plan.encoding == "json" else "&compression=gzip"
    query = f"sendID={user}&token={token}&platformID=1&operationID=load&isBackground=false{kind}"
    sock.sendall(
        f"GET /?{query} HTTP/1.1\r\nHost: {plan.host}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    head = b""
    while b"\r\n\r\n" not in head:
        chunk = sock.recv(4096)
        if not chunk:
            break
        head += chunk
    if b" 101 " not in head.split(b"\r\n", 1)[0]:
        raise RuntimeError(f"handshake refused: {head[-300:]!r}")
    sock.setblocking(False)
    return sock


def fixed_part(user: str, peer: str) -> bytes:
    """MsgData without clientMsgID, which is appended to it as the last field."""
    text = "x" * (CONTENT_BYTES - len('{"content":""}'))
    return sdkws_pb2.MsgData(
        sendID=user, recvID=peer, senderPlatformID=1, senderNickname=user, sessionType=1,
        msgFrom=100, contentType=101, content=f'{{"content":"{text}"}}'.encode(),
        createTime=int(time.time() * 1000), status=1,
    ).SerializeToString()  # fmt: skip


def last_seq(body: bytes) -> int:
    """The seq in `… 0x70 seq 0x78 sendTime` at the end of a message (sendTime has 6 bytes)."""
    end = len(body) - 7
    assert body[end] == 0x78
    begin = end - 1
    while body[begin - 1] & 0x80:
        begin -= 1
    seq = 0
    for byte in reversed(body[begin:end]):
        seq = seq << 7 | byte & 0x7F
    return seq


def frame(payload: bytes) -> bytes:
    """A masked binary frame; the mask is zero, so the payload stands as it is."""
    size = len(payload)
    if size < 126:
        return bytes((0x82, 0x80 | size)) + b"\0\0\0\0" + payload
    return struct.pack(">BBH", 0x82, 0xFE, size) + b"\0\0\0\0" + payload


class Load:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.json = plan.encoding == "json"
        self.epoll = select.epoll()
        self.conns: list[Conn] = []
        self.by_fd: dict[int, Conn] = {}
        self.flights: dict[str, Flight] = {}
        self.ids = itertools.count()
        self.prefix = f"{os.getpid():08x}"
        self.mark = b"\x22\x20" + self.prefix.encode()
        self.outcome = Outcome()
        self.ack = array("d")
        self.delivery = array("d")
        self.in_flight = 0
        self.turn = 0

    def open(self) -> None:
        for at, (user, token) in enumerate(self.plan.users):
            peer = self.plan.users[at ^ 1][0]
            conn = Conn(user, connect(self.plan, user, token), fixed_part(user, peer))
            self.conns.append(conn)
            self.by_fd[conn.sock.fileno()] = conn
            self.epoll.register(conn.sock.fileno(), select.EPOLLIN)

    # -- sending -----------------------------------------------------------------------------------

    def send(self, due: float, measured: bool) -> None:
        at = self.turn
        self.turn = (at + 1) % len(self.conns)
        conn = self.conns[at]
        message_id = f"{self.prefix}{next(self.ids):024x}"
        body = conn.fixed + b"\x22\x20" + message_id.encode()
        if self.json:
            payload = (
                b'{"reqIdentifier":1003,"msgIncr":"%b","sendID":"%b","operationID":"load","data":"%b"}'
                % (message_id.encode(), conn.user.encode(), base64.b64encode(body))
            )
        else:
            payload = compress(
                GOB.encode_request(Request(1003, message_id, "load", conn.user, "", body))
            )
        self.flights[message_id] = Flight(due, at, measured)
        self.in_flight += 1
        self.write(conn, frame(payload))

    def write(self, conn: Conn, data: bytes) -> None:
        if conn.pending:
            conn.pending += data
            return
        try:
            sent = conn.sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return
        if sent < len(data):
            conn.pending += data[sent:]
            self.epoll.modify(conn.sock.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def flush(self, conn: Conn) -> None:
        try:
            sent = conn.sock.send(conn.pending)
        except OSError:
            return
        del conn.pending[:sent]
        if not conn.pending:
            self.epoll.modify(conn.sock.fileno(), select.EPOLLIN)

    # -- receiving ---------------------------------------------------------------------------------

    def poll(self, timeout: float) -> None:
        for fd, event in self.epoll.poll(timeout):
            conn = self.by_fd[fd]
            if event & select.EPOLLOUT:
                self.flush(conn)
            if event & ~select.EPOLLOUT:
                self.read(conn)

    def read(self, conn: Conn) -> None:
        try:
            data = conn.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.outcome.closed += 1
            self.epoll.unregister(conn.sock.fileno())
            return
        buffer = conn.buffer
        buffer += data
        at = 0
        now = time.monotonic()
        while len(buffer) - at >= 2:
            size, head = buffer[at + 1], 2
            if size == 126:
                if len(buffer) - at < 4:
                    break
                size, head = int.from_bytes(buffer[at + 2 : at + 4], "big"), 4
            elif size == 127:
                if len(buffer) - at < 10:
                    break
                size, head = int.from_bytes(buffer[at + 2 : at + 10], "big"), 10
            if len(buffer) - at < head + size:
                break
            opcode = buffer[at] & 15
            payload = bytes(buffer[at + head : at + head + size])
            at += head + size
            if opcode == 2:
                self.envelope(conn, payload, now)
            elif opcode == 9:
                self.write(conn, bytes((0x8A, 0x80 | size)) + b"\0\0\0\0" + payload)
        del buffer[:at]

    def envelope(self, conn: Conn, payload: bytes, now: float) -> None:
        if self.json:
            answer = orjson.loads(payload)
            req, code, incr = answer["reqIdentifier"], answer["errCode"], answer["msgIncr"]
        else:
            decoded = GOB.decode_response(decompress(payload, LIMIT))
            req, code, incr = decoded.req_identifier, decoded.err_code, decoded.msg_incr
        if req == 1003:
            self.answered(incr, code, now)
        elif req == 2001:
            body = base64.b64decode(answer["data"]) if self.json else decoded.data
            self.pushed(conn, body, now)

    def answered(self, message_id: str, code: int, now: float) -> None:
        flight = self.flights[message_id]
        if code:
            self.outcome.refused += 1
            self.in_flight -= 1
            del self.flights[message_id]
            return
        flight.acked = True
        if flight.measured:
            self.outcome.accepted += 1
            self.ack.append(now - flight.due)
        self.settle(message_id, flight)

    def pushed(self, conn: Conn, body: bytes, now: float) -> None:
        """A PushMessages with one message of ours.  Parsing it whole would cost the load more
        than sending does: the id is found by its prefix, seq and sendTime are the last fields."""
        at = body.index(self.mark) + 2
        message_id = body[at : at + 32].decode()
        seq = last_seq(body)
        if conn.last_seq and seq != conn.last_seq + 1:
            self.outcome.out_of_order += 1
        conn.last_seq = seq
        flight = self.flights.get(message_id)
        if flight is None:
            self.outcome.doubled += 1
            return
        if self.conns[flight.sender] is conn:
            flight.echoed += 1
        else:
            flight.received += 1
            if flight.received == 1 and flight.measured:
                self.delivery.append(now - flight.due)
        self.settle(message_id, flight)

    def settle(self, message_id: str, flight: Flight) -> None:
        if flight.echoed > 1 or flight.received > 1:
            self.outcome.doubled += 1
        if flight.acked and flight.echoed and flight.received:
            self.outcome.complete += flight.measured
            self.in_flight -= 1
            del self.flights[message_id]

    # -- the run -----------------------------------------------------------------------------------

    def run(self) -> None:
        started = time.monotonic()
        measuring_from = started + self.plan.warm_up
        end = measuring_from + self.plan.seconds
        due = started
        cpu = 0.0
        while (now := time.monotonic()) < end:
            measured = now >= measuring_from
            if measured and not cpu:
                cpu = time.process_time()
            if self.plan.rate:
                while due <= now:
                    self.send(due, measured)
                    due += 1 / self.plan.rate
                self.poll(max(0.0, min(due, end) - time.monotonic()))
            else:
                while self.in_flight < self.plan.window:
                    self.send(time.monotonic(), measured)
                self.poll(0.05)
        self.outcome.cpu = time.process_time() - cpu
        self.outcome.seconds = time.monotonic() - measuring_from
        patience = time.monotonic() + 15
        while self.flights and time.monotonic() < patience:
            self.poll(0.1)
        self.outcome.lost = sum(
            1 for f in self.flights.values() if f.acked and not (f.received and f.echoed)
        )
        self.outcome.ack = self.ack.tobytes()
        self.outcome.delivery = self.delivery.tobytes()


def main(plan: Plan, pipe: Connection) -> None:
    """Run in a process of its own: connect, say so, wait for the word, load, report."""
    load = Load(plan)
    load.open()
    pipe.send("connected")
    pipe.recv()
    load.run()
    pipe.send(load.outcome)
    pipe.recv()
