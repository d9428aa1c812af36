"""Devices with the real SDK on them: processes that start, send, are shown messages, and crash.

A device outlives its processes; its database is a real SQLite file.  What a dead process would have
done next, to the database, the network or the application, does not happen.
"""

from __future__ import annotations

import random
import sqlite3
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import trio

from openim_trio.client import contents, open_client
from openim_trio.client.client import Client
from openim_trio.client.database import positions
from openim_trio.client.database.database import database_path
from openim_trio.client.errors import ClientError, NotConnected
from openim_trio.client.link import Identity, Link
from openim_trio.client.machines.position import Position
from openim_trio.client.settings import Settings
from openim_trio.domain.platforms import Platform
from openim_trio.wire.envelope import GOB, Encoding
from openim_trio.wire.identifiers import Req
from openim_trio.wire.proto import sdkws_pb2
from tests.simulation.application import Asked, Ear, Record
from tests.simulation.calls import Life
from tests.simulation.determinism import Course
from tests.simulation.network import Connection
from tests.simulation.server import Backend

ENCODING = Encoding(GOB, gzip=True)
HOUR = 3_600_000


class Device:
    """queued   the application was told that these are on their way
    refused  ... that these are not
    interruptions   crashes, full disks, and messages that it was being shown when all ended
    """

    def __init__(self, backend: Backend, user_id: str, platform: Platform, directory: Path) -> None:
        rng = backend.course.rng
        self.course: Course = backend.course
        self.user_id = user_id
        self.platform = platform
        self.record = Record()
        self.asked: list[Asked] = []
        self.queued: list[str] = []
        self.refused: list[str] = []
        self.interruptions = 0
        self.busy = False
        """it is shown a message"""
        self.life = Life(f"{self}")
        self.client: Client | None = None
        self.disk_full = False
        self.calm = False
        self.callbacks_left = 0
        self.commits_left = 0
        self.crash_before_commit = False
        self.thinks = rng.choice((0.0, 0.0, 0.05, 1.0))
        self.is_open = False
        self._backend = backend
        self._skew = rng.choice((0, 0, HOUR, -HOUR))
        self._connections = 0
        self._pushed: list[bytes] = []
        self._token = backend.issue(user_id, platform)
        self._settings = Settings(
            ws_address="ws://simulated",
            api_address="http://simulated",
            data_dir=directory,
            platform=platform,
            send_deadline=rng.choice((1.0, 4.0, 15.0)),
            send_window=rng.choice((1, 32)),
            ping_interval=1.0,
            silence_limit=2.0,
            connect_timeout=2.0,
            answer_timeout=2.0,
            check_heads_every=5.0,
            first_wait=0.2,
            longest_wait=2.0,
            page=rng.choice((1, 3, 200)),
            clock=lambda: self.course.now_ms() + self._skew,
        )
        self.path = database_path(directory, user_id)

    def __str__(self) -> str:
        return f"{self.user_id}/{self.platform.name.lower()}"

    @property
    def is_in_use(self) -> bool:
        return self.client is not None and not self.life.scope.cancel_called

    def calm_down(self) -> None:
        """It crashes no more."""
        self.calm = True
        self.disk_full = False
        self.callbacks_left = self.commits_left = 0

    # -- lives -------------------------------------------------------------------------------------

    async def run(self) -> None:
        """One life, until it crashes or is closed."""
        rng = self.course.rng
        self.life = life = Life(f"{self}")
        doomed = not self.calm and rng.random() < 0.5
        self.callbacks_left = rng.choice((0, rng.randint(1, 8))) if doomed else 0
        self.commits_left = rng.choice((0, rng.randint(1, 30))) if doomed else 0
        self.crash_before_commit = rng.random() < 0.5
        self.course.note(f"{self} starts")
        self.is_open = True
        try:
            with life.scope:
                await self._live(life)
        except Exception as error:
            if life.alive:
                raise
            self.course.note(f"{self} dies with {type(error).__name__}")
        finally:
            self.client = None
            self.is_open = False
            self.course.note(f"{self} is gone")

    async def _live(self, life: Life) -> None:
        rng = random.Random(self.course.rng.random())
        async with open_client(self._settings, dial=self._dial, threads=False, rng=rng) as client:
            ear = Ear(self)
            if rng.random() < 0.7:
                client.listen(ear)
                await self._log_in(client)
                await trio.sleep_forever()
            async with client.events() as stream:
                await self._log_in(client)
                async for event in stream:
                    result = getattr(ear, event.callback)(event)
                    if result is not None:
                        await result

    async def _log_in(self, client: Client) -> None:
        life = self.life
        await client.login(self.user_id, self._token)
        if life.alive and life is self.life:
            self.client = client

    async def log_in_again(self) -> None:
        """In the same process."""
        client, life = self.client, self.life
        if client is None or not life.alive:
            return
        self.course.note(f"{self} logs out and in")
        self.client = None
        try:
            await client.logout()
            self.interruptions += self.busy
            await self._log_in(client)
        except Exception as error:
            self.course.note(f"{self} did not log in again: {type(error).__name__}")
            if life.alive and not life.scope.cancel_called:
                raise

    def set_clock(self) -> None:
        """Its owner does, or a time server."""
        self._skew = self.course.rng.choice((0, HOUR, -HOUR))
        self.course.note(f"the clock of {self} is {self._skew // HOUR} hours off")

    def crash(self, where: str) -> None:
        if self.life.alive and self.is_open:
            self.course.note(f"{self} crashes {where}")
            self.interruptions += 1
            self.life.crash()

    def close(self) -> None:
        """In order."""
        self.life.scope.cancel()

    def commit(self, life: Life, commit: Callable[[], sqlite3.Cursor]) -> sqlite3.Cursor:
        self.commits_left -= 1
        if self.commits_left:
            return commit()
        if self.crash_before_commit:
            self.crash("before a commit")
            raise sqlite3.OperationalError("the process is dead")
        done = commit()
        self.crash("after a commit")
        return done

    # -- the application ---------------------------------------------------------------------------

    async def send(self, asked: Asked) -> None:
        """As soon as a process runs."""
        while self.client is None or not self.life.alive:  # noqa: ASYNC110 - time is simulated
            await trio.sleep(0.1)
        client, life = self.client, self.life
        self.course.note(f"{self} sends {asked.name}")
        self.asked.append(asked)
        try:
            await client.messages.send(
                contents.text(asked.name),
                to=asked.to,
                group=asked.group,
                client_msg_id=asked.name,
            )
        except ClientError as error:
            if life.alive:
                self.course.note(f"{self}: {asked.name} is not queued: {error.code}")
                self.refused.append(asked.name)
        else:
            if life.alive:
                self.queued.append(asked.name)

    # -- the network -------------------------------------------------------------------------------

    @asynccontextmanager
    async def _dial(self, settings: Settings, identity: Identity) -> AsyncIterator[Link]:
        life, backend = self.life, self._backend
        self._connections += 1
        connection = Connection(self.course, backend.net, f"{self} #{self._connections}")
        await trio.sleep(self.course.rng.random() * backend.net.slowest / 4)
        if not backend.workers:
            raise NotConnected("nobody listens")
        worker = self.course.rng.choice(backend.workers)
        await worker.connect(connection, settings, identity)
        self.course.note(f"{connection.name} to {worker.life.name}")
        backend.nursery.start_soon(connection.run)
        try:
            yield Carried(connection, self, life)
        finally:
            connection.hang_up(silently=not life.alive and self.course.rng.random() < 0.5)

    def transmitted(self, payload: bytes) -> None:
        """Perhaps it arrives at some worker again, later."""
        backend, rng = self._backend, self.course.rng
        if rng.random() < backend.net.again:
            request = ENCODING.decode(payload, 1 << 20)
            if request.req_identifier == Req.SEND:
                message = sdkws_pb2.MsgData.FromString(request.data)
                backend.nursery.start_soon(self._arrives_late, message)

    async def _arrives_late(self, message: sdkws_pb2.MsgData) -> None:
        await trio.sleep(self.course.rng.random() * 5)
        if self._backend.workers:
            worker = self.course.rng.choice(self._backend.workers)
            await worker.arrives_late(message, self.platform)

    # -- what it knows -----------------------------------------------------------------------------

    def slots(self) -> dict[str, dict[int, tuple[str, int]]]:
        """conversation -> seq -> (clientMsgID, status), as the database has it."""
        found: dict[str, dict[int, tuple[str, int]]] = defaultdict(dict)
        for name, seq, client_msg_id, status in self._ask(
            "SELECT conversation, seq, client_msg_id, status FROM messages WHERE seq IS NOT NULL"
        ):
            found[name][seq] = client_msg_id or "", status
        return found

    def own(self) -> dict[str, int]:
        """clientMsgID -> status of what was queued here."""
        return dict(self._ask("SELECT client_msg_id, status FROM messages WHERE origin = 2"))

    def unsettled(self) -> list[str]:
        """Sends without an end, and ends that were not told."""
        return [
            f"{name}: {what}"
            for name, what in self._ask(
                "SELECT client_msg_id, 'pending' FROM sends "
                "UNION ALL SELECT client_msg_id, 'not told' FROM outcomes"
            )
        ]

    def positions(self) -> dict[str, Position]:
        with self._reading() as connection:
            return {p.conversation_id: p for p in positions.load(connection)}

    def _ask(self, sql: str) -> list[Any]:
        with self._reading() as connection:
            return connection.execute(sql).fetchall()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True)) as connection:
            yield connection


class Carried:
    """A link that takes nothing from a dead process, and shows old pushes again."""

    def __init__(self, connection: Connection, device: Device, life: Life) -> None:
        self.extension = True
        self._link = connection.link
        self._device = device
        self._life = life

    @property
    def server_time(self) -> int:
        return self._link.server_time

    async def send(self, payload: bytes) -> None:
        await self._life.still()
        self._device.transmitted(payload)
        await self._link.send(payload)

    async def receive(self) -> bytes:
        rng, pushed = self._device.course.rng, self._device._pushed
        if pushed and rng.random() < self._device._backend.net.again:
            return rng.choice(pushed)
        payload = await self._link.receive()
        if ENCODING.decode_response(payload, 1 << 20).req_identifier == Req.PUSH:
            pushed.append(payload)
        return payload

    async def ping(self) -> None:
        await self._link.ping()

    async def close(self) -> None:
        await self._link.close()
