"""The client: opening, logging in and out, and what there is to do in between."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import trio

from openim_trio.client.account import Account, open_account
from openim_trio.client.calls import Calls
from openim_trio.client.conversations import Conversations
from openim_trio.client.errors import AlreadyLoggedIn, InvalidArgument, NotLoggedIn
from openim_trio.client.events import Listener
from openim_trio.client.friends import Friends
from openim_trio.client.link import Dial, Identity, dial
from openim_trio.client.messages import Messages
from openim_trio.client.model import LoginStatus
from openim_trio.client.rest import Rest
from openim_trio.client.settings import Settings
from openim_trio.client.streams import EventStream


@attrs.define(eq=False)
class _Login:
    account: Account
    scope: trio.CancelScope
    over: trio.Event = attrs.field(factory=trio.Event)


class Client:
    """Made by `open_client`.  One user at a time; log out before the next login."""

    def __init__(
        self,
        settings: Settings,
        nursery: trio.Nursery,
        dial: Dial,
        *,
        threads: bool,
        rng: random.Random,
    ) -> None:
        self.settings = settings
        self._nursery = nursery
        self._dial = dial
        self._threads = threads
        self._rng = rng
        self._listeners: list[Listener] = []
        self._streams: list[EventStream] = []
        self._login: _Login | None = None
        self._logging_in = False
        self._last_user = ""

    # -- login -------------------------------------------------------------------------------------

    @property
    def login_status(self) -> LoginStatus:
        """GetLoginStatus."""
        if self._login is None:
            return LoginStatus.LOGGING_IN if self._logging_in else LoginStatus.LOGGED_OUT
        return self._login.account.status

    @property
    def login_user(self) -> str:
        """GetLoginUser: the user of this login or the last one, '' before the first.  It says
        nothing about the login's state."""
        return self._last_user

    async def login(self, user_id: str, token: str) -> None:
        """Login.  Opens the user's local database and begins to connect; returns before there is
        a connection.  Everything but what asks the server works from now on.

        Raises AlreadyLoggedIn, InvalidArgument, DatabaseInUse, DatabaseCorrupt, DatabaseTooNew,
        DatabaseError.
        """
        if self._logging_in or (self._login is not None and not self._login.account.ended):
            raise AlreadyLoggedIn(f"{self._last_user} is logged in")
        if not user_id:
            raise InvalidArgument("user_id: must not be empty")
        if not token:
            raise InvalidArgument("token: must not be empty")
        self._logging_in = True
        try:
            await self._end_login()
            self._login = await self._nursery.start(self._live, Identity(user_id, token))
            self._last_user = user_id
        finally:
            self._logging_in = False

    async def _live(
        self,
        identity: Identity,
        *,
        task_status: trio.TaskStatus[_Login] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """One login, until it is cancelled."""
        async with Rest(self.settings.api_address, timeout=self.settings.answer_timeout) as rest:
            rest.token = identity.token
            async with open_account(
                self.settings,
                identity,
                Calls(rest),
                self._dial,
                self._listeners,
                self._streams,
                self._rng,
                threads=self._threads,
            ) as account:
                await account.prepare()
                with trio.CancelScope() as scope:
                    login = _Login(account, scope)
                    task_status.started(login)
                    await account.run()
        login.over.set()

    async def logout(self) -> None:
        """Logout.  Ends the login here, and on the server if it can be reached.  Sends that have
        no end yet go on at the next login.  Raises NotLoggedIn."""
        await self._logged_in().account.logout()
        await self._end_login()

    async def _end_login(self) -> None:
        """Here; the server is not told."""
        login, self._login = self._login, None
        if login is not None:
            login.scope.cancel()
            await login.over.wait()

    async def until_connected(self) -> None:
        """Until there is a connection.  Raises NotLoggedIn; TokenRefused when the server doesn't
        take the token."""
        await self._logged_in().account.until_connected()

    def _logged_in(self) -> _Login:
        if self._login is None:
            raise NotLoggedIn("log in first")
        return self._login

    # -- events ------------------------------------------------------------------------------------

    def listen(self, listener: Listener) -> None:
        """It is called for every event from now on."""
        self._listeners.append(listener)

    def stop_listening(self, listener: Listener) -> None:
        self._listeners.remove(listener)

    @asynccontextmanager
    async def events(self) -> AsyncIterator[EventStream]:
        """Every event from now on, as an async iterator.  An event counts as taken, and a message
        as shown, when the next one is asked for."""
        stream = EventStream()
        self._streams.append(stream)
        try:
            yield stream
        finally:
            self._streams.remove(stream)
            stream.close()

    async def say_goodbye(self) -> None:
        if self._login is not None:
            await self._login.account.say_goodbye()

    def end_streams(self) -> None:
        """No more events come."""
        for stream in self._streams:
            stream.end()

    # -- what there is to do -----------------------------------------------------------------------

    @property
    def messages(self) -> Messages:
        return Messages(self._logged_in().account)

    @property
    def conversations(self) -> Conversations:
        return Conversations(self._logged_in().account)

    @property
    def friends(self) -> Friends:
        account = self._logged_in().account
        return Friends(account.calls.rest, account.user_id)


@asynccontextmanager
async def open_client(
    settings: Settings,
    *,
    dial: Dial = dial,
    threads: bool = True,
    rng: random.Random | None = None,
) -> AsyncIterator[Client]:
    """InitSDK.  Leaving ends the login in order: what was shown is counted, sends wait in the
    database.

    `dial`, `threads` and `rng` are for simulations: another network, a database that uses no
    threads, and the chance that spreads retries.
    """
    error: Exception | None = None
    async with trio.open_nursery() as nursery:
        client = Client(settings, nursery, dial, threads=threads, rng=rng or random.Random())
        try:
            yield client
            await client.say_goodbye()
        except Exception as found:
            error = found  # raised below, not inside the group that a nursery makes of it
        finally:
            client.end_streams()
            nursery.cancel_scope.cancel()
    if error is not None:
        raise error
