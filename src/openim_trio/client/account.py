"""One user's login: ties database, machines and connection together, from login to logout.

link ──▶ channel ──▶ receiver ──▶ database ──▶ showing ──▶ listeners, streams
            │            ▲
            │         syncing ◀── gaps, ends
            ▼
         sending ◀── database ◀── Messages.send
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import structlog
import trio

from openim_trio.client.calls import Calls
from openim_trio.client.channel import Channel, Kicked
from openim_trio.client.clock import ServerClock
from openim_trio.client.database import positions
from openim_trio.client.database.database import Database, database_path
from openim_trio.client.delivered import Delivered
from openim_trio.client.errors import (
    ClientError,
    NotConnected,
    TokenRefused,
)
from openim_trio.client.events import (
    ConnectFailed,
    Connecting,
    ConnectSuccess,
    KickedOffline,
    Listener,
    UserTokenExpired,
    UserTokenInvalid,
)
from openim_trio.client.ledger import Ledger
from openim_trio.client.link import Dial, Identity, Link, LinkBroken
from openim_trio.client.machines.connecting import Connecting as ConnectionMachine
from openim_trio.client.machines.connecting import Ended, Why
from openim_trio.client.machines.outgoing import Outgoing
from openim_trio.client.model import LoginStatus
from openim_trio.client.receiving import Ingested, Receiver
from openim_trio.client.roster import Roster
from openim_trio.client.sending import Sending
from openim_trio.client.settings import Settings
from openim_trio.client.showing import Showing
from openim_trio.client.streams import EventStream
from openim_trio.client.syncing import Syncing
from openim_trio.domain.conversations import is_notification
from openim_trio.wire.identifiers import Req
from openim_trio.wire.proto import push_pb2

LOGOUT_PATIENCE = 5.0
"""seconds for the server's answer to a logout"""

FAREWELL = 2.0
"""seconds for the closing handshake"""

log = structlog.get_logger()


class Account:
    def __init__(
        self,
        settings: Settings,
        identity: Identity,
        ledger: Ledger,
        calls: Calls,
        dial: Dial,
        showing: Showing,
        rng: random.Random,
    ) -> None:
        self.settings = settings
        self.user_id = identity.user_id
        self.calls = calls
        self.ledger = ledger
        self.showing = showing
        self.machine = ConnectionMachine(rng, settings.first_wait, settings.longest_wait)
        self._identity = identity
        self._dial = dial
        self._clock = ServerClock(settings.clock)
        self._channel: Channel | None = None
        self._ended_by: ClientError | None = None
        self._leaving = False
        self._state = trio.Event()
        self.receiver = Receiver(self.user_id, ledger, showing.emit, self._on_ingested)
        self.syncing = Syncing(
            self.user_id,
            settings,
            ledger,
            self.receiver,
            showing.emit,
            showing.changed,
            self._on_complete,
        )
        self.sending = Sending(
            self.user_id,
            settings,
            ledger,
            Outgoing(settings.send_window, rng, longest_life=settings.send_deadline),
            self._clock,
            showing,
            self.syncing.check_heads,
        )
        self.roster = Roster(self.user_id, calls, ledger.database, showing.changed)
        self._delivered = Delivered(ledger)

    # -- what others ask ---------------------------------------------------------------------------

    @property
    def status(self) -> LoginStatus:
        return self.machine.status

    @property
    def ended(self) -> bool:
        """The server wants no more of this login: kicked, or its token is not taken."""
        return self.machine.ended is not None

    async def until_connected(self) -> None:
        """Raises what ended the login before it ever connected."""
        while not self.machine.connected:
            if self.machine.ended is not None:
                raise self._ended_by or NotConnected("logged out")
            await self._state.wait()

    def server_time(self) -> int:
        """Unix ms, as well as it is known."""
        return self._clock.now()

    def channel(self) -> Channel:
        """Raises NotConnected."""
        if self._channel is None or self._channel.over:
            raise NotConnected("there is no connection to the server now")
        return self._channel

    # -- life --------------------------------------------------------------------------------------

    async def prepare(self) -> None:
        """What an earlier life left; before anything else is asked of this one."""
        await self.sending.restore()
        await self.showing.recover()

    async def run(self) -> None:
        """Until cancelled.  Sends and what there is to show outlive connections."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.showing.run)
            nursery.start_soon(self.receiver.store_pushes)
            nursery.start_soon(self.sending.run)
            nursery.start_soon(self._keep_connected)

    async def logout(self) -> None:
        """Tell the server, if it listens."""
        self._leaving = True
        with trio.move_on_after(LOGOUT_PATIENCE):
            try:
                request = push_pb2.DelUserPushTokenReq(
                    userID=self.user_id, platformID=int(self.settings.platform)
                )
                await self.channel().call(Req.LOGOUT, request, push_pb2.DelUserPushTokenResp)
            except ClientError as error:
                log.debug("logout_not_told", reason=str(error))
        self.machine.logged_out()
        self._changed()

    async def say_goodbye(self) -> None:
        """Close the connection, if there is one, so that the server needn't find out."""
        self._leaving = True
        if self._channel is not None:
            with trio.move_on_after(FAREWELL):
                await self._channel.link.close()

    async def _keep_connected(self) -> None:
        while self.machine.ended is None:
            self.machine.attempt(trio.current_time())
            self.showing.emit(Connecting())
            try:
                async with self._dial(self.settings, self._identity) as link:
                    end = await self._connected(link)
            except ClientError as error:
                end = error
            if not await self._go_on_after(end):
                return

    async def _go_on_after(self, end: ClientError | Kicked) -> bool:
        """Rest before the next attempt; False: there is none."""
        now = trio.current_time()
        stood = self.machine.connected
        ended: Ended | None = None
        if isinstance(end, Kicked):
            ended = self.machine.kicked()
        elif isinstance(end, TokenRefused):
            ended = self.machine.refused(end.code)
            self._ended_by = end
        if ended is not None:
            self._tell_end(ended, end)
            self._changed()
            return False
        if self._leaving:
            return False
        # What breaks the protocol once will do so again: that is no reason to hurry back.
        lost = stood and isinstance(end, NotConnected)
        pause = self.machine.lost(now) if lost else self.machine.failed(now)
        self._changed()
        assert isinstance(end, ClientError)
        log.info("connection_over", reason=str(end), retry_in=round(pause, 2))
        self.showing.emit(ConnectFailed(error=end, retry_in=pause))
        await trio.sleep(pause)
        return True

    def _tell_end(self, ended: Ended, end: ClientError | Kicked) -> None:
        if ended.why is Why.KICKED:
            self.showing.emit(KickedOffline())
        elif ended.why is Why.EXPIRED:
            self.showing.emit(UserTokenExpired())
        elif isinstance(end, ClientError):
            self.showing.emit(UserTokenInvalid(error=end))

    async def _connected(self, link: Link) -> ClientError | Kicked:
        """Use the connection until its end, which is returned."""
        self._clock.told(link.server_time)
        ends: list[ClientError | Kicked] = []
        async with trio.open_nursery() as nursery:

            async def part(task: Callable[[], Awaitable[None]]) -> None:
                try:
                    await task()
                except (ClientError, Kicked) as end:
                    ends.append(end)
                    nursery.cancel_scope.cancel()

            channel = self._channel = Channel(link, self.user_id, self.settings, nursery)
            self.machine.established(trio.current_time())
            self._changed()
            self.showing.emit(ConnectSuccess())
            self.sending.attach(channel)
            try:
                nursery.start_soon(part, lambda: channel.read(self.receiver.on_push))
                nursery.start_soon(part, channel.stay_alive)
                nursery.start_soon(part, lambda: self.syncing.run(channel))
                nursery.start_soon(part, self.roster.run)
                if link.extension:
                    nursery.start_soon(part, lambda: self._delivered.run(channel))
                await trio.sleep_forever()
            finally:
                self._channel = None
                self.sending.detach()
        return ends[0] if ends else LinkBroken("the connection was given up")

    def _changed(self) -> None:
        self._state.set()
        self._state = trio.Event()

    # -- what the parts tell each other ------------------------------------------------------------

    def _on_ingested(self, done: Ingested) -> None:
        for event in done.effects.events:
            self.showing.emit(event)
        if done.effects.refresh:
            self.roster.refresh()
        self.sending.met(done.met)
        self.syncing.stored(done.stored)
        self._delivered.stored(done.stored)
        chats = [name for name in done.stored if not is_notification(name)]
        self.showing.stored(chats)
        self.showing.changed(done.effects.changed_conversations, done.effects.new_conversations)

    def _on_complete(self, number: int) -> None:
        self.sending.history_is_complete(number)


@asynccontextmanager
async def open_account(
    settings: Settings,
    identity: Identity,
    calls: Calls,
    dial: Dial,
    listeners: Sequence[Listener],
    streams: Sequence[EventStream],
    rng: random.Random,
    *,
    threads: bool,
) -> AsyncIterator[Account]:
    """Opens the user's database; the caller runs it.  Raises DatabaseError."""
    path = database_path(settings.data_dir, identity.user_id)
    async with Database.open(path, threads=threads) as database:
        ledger = Ledger(database, await database.read(positions.load))
        showing = Showing(ledger, listeners, streams)
        yield Account(settings, identity, ledger, calls, dial, showing, rng)
