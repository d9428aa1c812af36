"""The client for programs without Trio: the same calls, each waiting for its result.

    with BlockingClient(settings) as client:
        client.listen(MyListener())            # called in the client's own thread
        client.login("alice", token)
        client.call(lambda c: c.messages.send(contents.text("hello"), to="bob"))

Trio runs in a thread of its own.  `call` takes any coroutine of the asynchronous client, so nothing
is wrapped twice.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Self, TypeVar

import trio

from openim_trio.client.client import Client, open_client
from openim_trio.client.errors import NotLoggedIn
from openim_trio.client.events import Listener
from openim_trio.client.settings import Settings

T = TypeVar("T")


class BlockingClient:
    """May be used from several threads, but not from its listeners: they are called in the thread
    that would have to answer."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._opened: queue.Queue[BaseException | None] = queue.Queue()
        self._thread = threading.Thread(target=self._run, name="openim-trio client")
        self._client: Client | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        self._leave: trio.Event | None = None
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        error = self._opened.get()
        if error is not None:
            self._thread.join()
            raise error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._token is not None and self._leave is not None:
            with suppress(trio.RunFinishedError):  # it ended by itself, with the error below
                self._token.run_sync_soon(self._leave.set)
        self._thread.join()
        if self._error is not None and error is None:
            raise self._error

    def call(self, function: Callable[[Client], Awaitable[T]]) -> T:
        """Await `function(client)` in the client's thread.  Raises what it raises; NotLoggedIn
        outside `with`."""

        async def run() -> T:
            assert self._client is not None
            return await function(self._client)

        if self._token is None:
            raise NotLoggedIn("the client is not open")
        try:
            return trio.from_thread.run(run, trio_token=self._token)
        except trio.RunFinishedError as gone:
            raise NotLoggedIn("the client is not open") from gone

    def login(self, user_id: str, token: str) -> None:
        """See `Client.login`."""
        self.call(lambda client: client.login(user_id, token))

    def logout(self) -> None:
        """See `Client.logout`."""
        self.call(lambda client: client.logout())

    def listen(self, listener: Listener) -> None:
        """See `Client.listen`."""

        async def listen(client: Client) -> None:
            client.listen(listener)

        self.call(listen)

    def _run(self) -> None:
        try:
            trio.run(self._main)
        except BaseException as error:
            self._error = error
            self._opened.put(error)

    async def _main(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._leave = trio.Event()
        async with open_client(self._settings) as client:
            self._client = client
            self._opened.put(None)
            await self._leave.wait()
