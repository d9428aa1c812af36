"""Connections between clients and servers: late, cut at any message, or dead without a sign.

A connection has two ways, each in order.  When it is cut, what is on its way is lost, and each end
learns of it at once or not at all: then only its own patience tells.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import attrs
import trio

from openim_trio.client.link import LinkBroken
from openim_trio.gateway.machines.deliver import STORED, Put
from openim_trio.gateway.outgoing import Opcode, OutFrame
from openim_trio.gateway.transports.base import TransportContext
from openim_trio.wire.frames import Message
from tests.simulation.calls import Life
from tests.simulation.determinism import Course

WINDOW = 8
"""messages on one way at a time; then the sender waits"""


@attrs.define
class Net:
    """slow     how often a message takes longer than nothing, and `slowest` how long at most
    cut      how often a connection is cut at a message, before or after it arrives
    silent   how many of the cuts an end does not notice
    again    how often a push is shown again, late
    """

    slow: float = 0.0
    slowest: float = 0.0
    cut: float = 0.0
    silent: float = 0.0
    again: float = 0.0

    @classmethod
    def drawn(cls, course: Course) -> Net:
        rng = course.rng
        return cls(
            slow=rng.choice((0.0, 0.2, 1.0)),
            slowest=rng.choice((0.01, 0.2, 1.5)),
            cut=rng.choice((0.0, 0.01, 0.05, 0.2)),
            silent=rng.choice((0.0, 0.3, 1.0)),
            again=rng.choice((0.0, 0.0, 0.1)),
        )

    def clear_up(self) -> None:
        self.slow = self.cut = self.again = 0.0


@attrs.frozen
class Data:
    payload: bytes
    push: bool = False


@attrs.frozen
class Ping:
    answered: trio.Event


@attrs.frozen
class Pong:
    answered: trio.Event


@attrs.frozen
class End:
    """The sender's last word.  `code`: of WebSocket's close, 0: none."""

    code: int = 0


Item = Data | Ping | Pong | End


class Way:
    """One direction.  `deliver` answers whether there was room."""

    def __init__(self, connection: Connection, name: str, deliver: Callable[[Item], None]) -> None:
        self._connection = connection
        self._name = name
        self._deliver = deliver
        self._items: deque[Item] = deque()
        self._wake = trio.Event()
        self._room = trio.Event()
        self.held = False
        """the receiver has no room"""

    @property
    def full(self) -> bool:
        return len(self._items) >= WINDOW

    async def put(self, item: Item) -> None:
        """Waits for room; on a connection that was cut it vanishes."""
        while self.full and not self._connection.is_cut:
            self._room = trio.Event()
            await self._room.wait()
        self.put_nowait(item)

    def put_nowait(self, item: Item) -> None:
        if not self._connection.is_cut:
            self._items.append(item)
            self._wake.set()

    def stir(self) -> None:
        """There may be room now, or nothing to wait for."""
        self._wake.set()
        self._room.set()

    async def run(self) -> None:
        connection = self._connection
        course, net = connection.course, connection.net
        while not connection.is_cut:
            if not self._items or self.held:
                await self._wake.wait()
                self._wake = trio.Event()
                continue
            if course.rng.random() < net.slow:
                await trio.sleep(course.rng.random() ** 2 * net.slowest)
            fate = course.rng.random()
            if fate < net.cut / 2:
                connection.cut(f"before a message {self._name}")
            if connection.is_cut or self.held or not self._items:
                continue
            item = self._items.popleft()
            self._room.set()
            self._deliver(item)
            if fate > 1 - net.cut / 2:
                connection.cut(f"after a message {self._name}")


class Connection:
    """`name` for the trace."""

    def __init__(self, course: Course, net: Net, name: str) -> None:
        self.course = course
        self.net = net
        self.name = name
        self.is_cut = False
        self.link = SimulatedLink(self)
        self.transport: SimulatedTransport | None = None
        self.up = Way(self, "to the server", self._at_server)
        self.down = Way(self, "to the client", self.link.take)

    def _at_server(self, item: Item) -> None:
        if self.transport is not None:
            self.transport.take(item)

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.up.run)
            nursery.start_soon(self.down.run)

    def hang_up(self, *, silently: bool) -> None:
        """The client does."""
        self.link.broken("closed")
        if silently or self.transport is None:
            self.end()
        else:
            self.up.put_nowait(End())

    def end(self) -> None:
        """Nothing goes over it any more."""
        self.is_cut = True
        self.up.stir()
        self.down.stir()

    def cut(self, where: str, *, client_told: bool | None = None) -> None:
        """`client_told`: None: as it happens."""
        if self.is_cut:
            return
        self.end()
        silent = self.course.rng.random() < self.net.silent
        server_told = not (silent and self.course.rng.random() < 0.7)
        if client_told is None:
            client_told = not (silent and self.course.rng.random() < 0.7)
        told = f"client {'told' if client_told else 'not told'}"
        self.course.note(f"{self.name} is cut {where}, {told}, server {server_told}")
        if client_told:
            self.link.broken()
        if server_told and self.transport is not None:
            self.transport.abort()


class SimulatedLink:
    """The client's end; `client.link.Link`."""

    extension = True

    def __init__(self, connection: Connection) -> None:
        self.server_time = 0
        self._connection = connection
        self._inbox: deque[bytes] = deque()
        self._wake = trio.Event()
        self._over = ""
        self._close_code = 0
        self._pings: dict[trio.Event, None] = {}
        self._ended = trio.Event()

    async def send(self, payload: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self._check()
        await self._connection.up.put(Data(payload))

    async def receive(self) -> bytes:
        await trio.lowlevel.checkpoint()
        while not self._inbox:
            self._check()
            self._wake = trio.Event()
            await self._wake.wait()
        payload = self._inbox.popleft()
        self._connection.down.held = False
        self._connection.down.stir()
        return payload

    async def ping(self) -> None:
        answered = trio.Event()
        self._check()
        self._pings[answered] = None
        try:
            await self._connection.up.put(Ping(answered))
            await answered.wait()
        finally:
            del self._pings[answered]
        self._check()

    async def close(self) -> None:
        """The goodbye, in order behind what was sent, and the server's."""
        await self._connection.up.put(End())
        while not self._over:
            await self._ended.wait()

    def _check(self) -> None:
        if self._over:
            raise LinkBroken(self._over, self._close_code)

    # -- the network's side

    def take(self, item: Item) -> None:
        if isinstance(item, Data):
            self._inbox.append(item.payload)
            self._connection.down.held = len(self._inbox) >= WINDOW
        elif isinstance(item, Pong):
            item.answered.set()
        elif isinstance(item, End):
            self.broken("the server closed it", item.code)
        self._wake.set()

    def broken(self, why: str = "the connection was cut", code: int = 0) -> None:
        self._over = self._over or why
        self._close_code = self._close_code or code
        self._wake.set()
        self._ended.set()
        for answered in self._pings:
            answered.set()


class SimulatedTransport:
    """The server's end; `gateway.transports.base.Transport`."""

    def __init__(self, connection: Connection, context: TransportContext, life: Life) -> None:
        self.last_heard = trio.current_time()
        self.failure = ""
        self._connection = connection
        self._life = life
        self._outbox = context.outbox()
        self._inbox: deque[Message] = deque()
        self._heard = trio.Event()
        self._to_send = trio.Event()
        self._sealed: int | None = None
        self._closed = False
        connection.transport = self
        context.nursery.start_soon(self._drain)

    @property
    def closing(self) -> bool:
        return self._closed or self._sealed is not None

    @property
    def waiting(self) -> int:
        return len(self._outbox)

    async def receive(self) -> Message | None:
        await trio.lowlevel.checkpoint()
        while not self._inbox and not self._closed:
            self._heard = trio.Event()
            await self._heard.wait()
        if self._closed:
            return None
        message = self._inbox.popleft()
        self._connection.up.held = False
        self._connection.up.stir()
        return message

    def put(self, frame: OutFrame) -> Put:
        if self.closing or not self._life.alive:
            return STORED
        verdict = self._outbox.put(frame)
        self._to_send.set()
        return verdict

    def ping(self) -> None: ...

    def close(self, code: int | None, reason: str = "") -> None:
        if not self.closing:
            self._connection.course.note(f"{self._connection.name}: closed with {code} {reason}")
            self._sealed = code or 0
            self._to_send.set()

    def abort(self) -> None:
        if not self._closed:
            self._closed = True
            self._outbox.clear()
            self._heard.set()
            self._to_send.set()
            self._connection.up.held = False
            self._connection.up.stir()
            self._connection.down.put_nowait(End())

    def sweep(self, now: float) -> None:
        if self._sealed is not None and self._connection.is_cut:
            self.abort()

    async def _drain(self) -> None:
        while not self._closed:
            if self._outbox:
                [frame] = self._outbox.take(1)
                if frame.opcode is Opcode.BINARY:
                    await self._connection.down.put(Data(frame.payload, frame.seq > 0))
            elif self._sealed is not None:
                await self._connection.down.put(End(self._sealed))
                self.abort()
            else:
                self._to_send = trio.Event()
                await self._to_send.wait()

    # -- the network's side

    def take(self, item: Item) -> None:
        self.last_heard = trio.current_time()
        if isinstance(item, Data) and not self.closing:
            self._inbox.append(Message(False, item.payload))
            self._connection.up.held = len(self._inbox) >= WINDOW
            self._heard.set()
        elif isinstance(item, Ping) and not self._closed:
            self._connection.down.put_nowait(Pong(item.answered))
        elif isinstance(item, End):
            self.abort()
            self._connection.end()
