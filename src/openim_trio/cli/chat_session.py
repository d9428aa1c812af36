"""`openim-trio chat` at work: the client's events to the screen, what is typed to the client."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import trio

from openim_trio.cli.chat_actions import Actions
from openim_trio.cli.chat_commands import BadCommand, parse
from openim_trio.cli.chat_feed import Feed
from openim_trio.cli.chat_lines import Peer, note, problem
from openim_trio.cli.chat_screen import Screen
from openim_trio.cli.chat_status import Link
from openim_trio.client import Client, contents
from openim_trio.client.errors import ClientError, MessageNotFound, NotConnected
from openim_trio.client.events import Event, RecvC2CReadReceipt
from openim_trio.client.streams import EventStream

WAITING_LINES = 100
"""typed lines that wait to be taken"""
MISSED_QUIET = 0.3
"""seconds without a further missed message: then they are told of"""
TYPING_EVERY = 4.0
"""seconds between two signs that the user is typing"""
TYPING_PATIENCE = 5.0


class Chat:
    """From login to leaving, for a client that is logged in.

    now     seconds, monotonic; what the screen counts down by
    """

    def __init__(
        self, client: Client, feed: Feed, screen: Screen, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._feed = feed
        self._screen = screen
        self._now = now
        self._actions = Actions(client, feed, screen, self._mark_read, now)
        self._marking = trio.Event()
        self._missed = trio.Event()
        self._typing = trio.Event()
        self._changed = trio.Event()

    async def run(self, stream: EventStream, peer: Peer | None) -> None:
        """Until the input ends or the login does; `feed.fatal` says which."""
        await self._actions.restore()
        if peer is not None:
            await self._actions.open(peer)
        self._update()
        async with trio.open_nursery() as nursery:
            lines, taken = trio.open_memory_channel[str](WAITING_LINES)
            for task in (self._mark, self._tell_missed, self._tell_typing):
                nursery.start_soon(task)
            nursery.start_soon(self._read, lines)
            nursery.start_soon(self._watch, stream, nursery.cancel_scope)
            await self._take_lines(taken)
            await self._linger()
            nursery.cancel_scope.cancel()

    # -- events ------------------------------------------------------------------------------------

    async def _watch(self, stream: EventStream, scope: trio.CancelScope) -> None:
        async for event in stream:
            self._show(event)
            if isinstance(event, RecvC2CReadReceipt):
                await self._show_receipts(event)
            if self._feed.fatal:
                scope.cancel()
                return

    def _show(self, event: Event) -> None:
        was_online = self._feed.status.link is Link.ONLINE
        for line in self._feed.take(event, self._now()):
            self._screen.print(line)
        if self._feed.missed:
            self._missed.set()
        if self._feed.read or (not was_online and self._feed.status.link is Link.ONLINE):
            self._mark_read()
        self._update()

    async def _show_receipts(self, event: RecvC2CReadReceipt) -> None:
        for receipt in event.receipts:
            messages = []
            for message in self._feed.unread_by_peer(receipt.conversation_id):
                try:
                    messages.append(await self._client.messages.get(message.client_msg_id))
                except MessageNotFound:
                    continue
            self._screen.print(self._feed.read_by(receipt, messages))

    async def _tell_missed(self) -> None:
        """When no more of them come, or none for a while."""
        while True:
            await self._missed.wait()
            seen = -1
            while seen != self._feed.missed:
                seen = self._feed.missed
                await trio.sleep(MISSED_QUIET)
            self._missed = trio.Event()
            for line in self._feed.flush():
                self._screen.print(line)
            if self._feed.read:
                self._mark_read()

    # -- what is typed -----------------------------------------------------------------------------

    async def _read(self, lines: trio.MemorySendChannel[str]) -> None:
        async with lines:
            await self._screen.read(lines, self._on_typing)

    async def _take_lines(self, lines: trio.MemoryReceiveChannel[str]) -> None:
        async for typed in lines:
            try:
                command = parse(typed)
                if command is not None and not await self._actions.do(command):
                    return
            except (BadCommand, ClientError) as error:
                self._screen.print(problem(str(error)))
            self._update()

    async def _linger(self) -> None:
        """Sends get a moment for their end, if there is somebody to give it."""
        with trio.move_on_after(self._screen.linger):
            while self._feed.waiting and self._feed.status.link is not Link.WAITING:
                await self._changed.wait()

    def _on_typing(self) -> None:
        self._typing.set()

    async def _tell_typing(self) -> None:
        while True:
            await self._typing.wait()
            peer = self._feed.status.peer
            if peer is not None and peer.user and self._feed.status.link is Link.ONLINE:
                with trio.move_on_after(TYPING_PATIENCE), suppress(ClientError):
                    await self._client.messages.send(contents.typing(True), to=peer.user)
            await trio.sleep(TYPING_EVERY)
            self._typing = trio.Event()

    # -- read marks --------------------------------------------------------------------------------

    def _mark_read(self) -> None:
        self._feed.read = False
        self._marking.set()

    async def _mark(self) -> None:
        """What is shown of the open conversation is read, unless the user wants to say so."""
        while True:
            await self._marking.wait()
            self._marking = trio.Event()
            name = self._feed.open_conversation
            if not name or not self._actions.marks_by_itself:
                continue
            try:
                await self._client.conversations.mark_read(name)
            except (NotConnected, MessageNotFound):
                continue  # the next connection, or message, calls again
            except ClientError as error:
                self._screen.print(problem(f"marking as read: {error}"))

    # -- below -------------------------------------------------------------------------------------

    def _update(self) -> None:
        self._screen.update(self._feed.view())
        self._changed.set()
        self._changed = trio.Event()


def farewell(feed: Feed, screen: Screen) -> None:
    """What is left behind."""
    if feed.waiting:
        one = feed.waiting == 1
        screen.print(
            note(
                f"{feed.waiting} message{'' if one else 's'} {'waits' if one else 'wait'} "
                "and will be sent next time"
            )
        )
