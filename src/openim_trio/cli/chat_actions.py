"""What the commands of `openim-trio chat` do with the client."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from rich.cells import cell_len

from openim_trio.cli import chat_commands as commands
from openim_trio.cli import chat_status
from openim_trio.cli.chat_commands import BadCommand, Command
from openim_trio.cli.chat_feed import Feed
from openim_trio.cli.chat_lines import Line, Peer, line, note, peer_of
from openim_trio.cli.chat_screen import Screen
from openim_trio.client import Client, Conversation, Message, MessageStatus, contents
from openim_trio.client.contents import Draft
from openim_trio.client.errors import ClientError

AT_OPENING = 10
"""messages that are shown of a conversation when one turns to it; more if more are unread"""
MOST_AT_OPENING = 50
MOST_FOUND = 20
MOST_LISTED = 50


class Actions:
    """`on_read()`: something of the open conversation was shown."""

    def __init__(
        self,
        client: Client,
        feed: Feed,
        screen: Screen,
        on_read: Callable[[], None],
        now: Callable[[], float],
    ) -> None:
        self.marks_by_itself = True
        self._client = client
        self._feed = feed
        self._screen = screen
        self._on_read = on_read
        self._now = now
        self._oldest: Message | None = None

    async def restore(self) -> None:
        """What an earlier run left: messages on the way, and the count of unread ones."""
        for conversation in await self._client.conversations.list():
            latest = conversation.latest
            if latest is not None and _on_the_way(latest):
                for message in await self._client.messages.history(
                    conversation.conversation_id, count=1
                ):
                    if _on_the_way(message):
                        self._feed.queued(message)
        self._feed.set_unread(await self._client.conversations.total_unread())

    async def open(self, peer: Peer) -> None:
        """Write to this one from now on."""
        self._feed.open(peer)
        self._oldest = None
        self._say(note(f"you write to {peer.name}"))
        await self._history(AT_OPENING, opening=True)

    async def do(self, command: Command) -> bool:
        """False: leave.  Raises BadCommand, ClientError."""
        match command:
            case commands.Say(text=text):
                await self._send(contents.text(text), self._peer())
            case commands.To(user=user):
                await self.open(Peer(user=user))
            case commands.ToGroup(group=group):
                await self.open(Peer(group=group))
            case commands.ListConversations():
                await self._list()
            case commands.History(count=count, older=older):
                await self._history(count, older=older)
            case commands.Search(text=text):
                await self._search(text)
            case commands.Revoke(number=number):
                await self._client.messages.revoke(self._numbered(number))
            case commands.Retry(number=number):
                await self._retry(number)
            case commands.Read(by_itself=by_itself):
                await self._read(by_itself)
            case commands.Who():
                self._who()
            case commands.Help():
                self._help()
            case commands.Quit():
                return False
        return True

    # -- sending -----------------------------------------------------------------------------------

    async def _send(self, draft: Draft, peer: Peer) -> None:
        client_msg_id = secrets.token_hex(16)
        name = peer.conversation(self._feed.status.me)
        self._feed.queued(
            Message(
                client_msg_id=client_msg_id,
                conversation_id=name,
                send_id=self._feed.status.me,
                content_type=draft.content_type,
                raw_content=draft.content,
                status=MessageStatus.SENDING,
            )
        )
        try:
            await self._client.messages.send(
                draft, to=peer.user, group=peer.group, client_msg_id=client_msg_id
            )
        except ClientError:
            self._feed.not_queued(client_msg_id)
            raise

    async def _retry(self, number: int) -> None:
        if number:
            failed = [await self._client.messages.get(self._numbered(number).client_msg_id)]
            if failed[0].status is not MessageStatus.FAILED:
                raise BadCommand(f"/retry {number}: it did not fail")
        else:
            here = await self._client.messages.history(self._open(), count=1)
            failed = [message for message in here if message.status is MessageStatus.FAILED]
            if not failed:
                self._say(note("nothing failed here"))
        for message in failed:
            draft = Draft(
                content_type=message.content_type,
                content=message.raw_content,
                at_user_ids=message.at_user_ids,
            )
            await self._send(draft, peer_of(message.conversation_id, self._feed.status.me))
            await self._client.messages.forget_failed(message.client_msg_id)

    # -- reading -----------------------------------------------------------------------------------

    async def _list(self) -> None:
        found = await self._client.conversations.list()
        if not found:
            self._say(note("no conversations yet"))
            return
        names = [
            peer_of(item.conversation_id, self._feed.status.me).name for item in found[:MOST_LISTED]
        ]
        width = max(map(cell_len, names))
        for item, name in zip(found, names, strict=False):
            self._say(self._row(item, name + " " * (width - cell_len(name))))
        if len(found) > MOST_LISTED:
            self._say(note(f"and {len(found) - MOST_LISTED:,} more"))

    def _row(self, item: Conversation, name: str) -> Line:
        unread = (f"{item.unread:>5,} unread  ", "strong") if item.unread else (" " * 14, "")
        last = self._feed.wording.summary(item.latest) if item.latest is not None else ""
        here = "▸ " if item.conversation_id == self._feed.open_conversation else "  "
        return line(here, (name, "other"), unread, (last, "note"))

    async def _history(self, count: int, *, older: bool = False, opening: bool = False) -> None:
        name = self._open()
        if opening:
            count = min(max(count, await self._unread(name)), MOST_AT_OPENING)
        before = self._oldest if older else None
        found = await self._client.messages.history(name, before=before, count=count)
        placed = [message for message in found if message.seq]
        if placed:
            self._oldest = placed[0]
        shown = [message for message in found if not _on_the_way(message)]
        if not shown and not opening:
            self._say(note("nothing older" if older else "nothing yet"))
        for message in shown:
            self._say(self._feed.shown(message))
        if not older:
            self._on_read()

    async def _unread(self, name: str) -> int:
        for conversation in await self._client.conversations.list():
            if conversation.conversation_id == name:
                return conversation.unread
        return 0

    async def _search(self, text: str) -> None:
        found = await self._client.messages.search(text, count=MOST_FOUND)
        for message in reversed(found):
            self._say(self._feed.shown(message))
        if not found:
            self._say(note("nothing found"))
        elif len(found) == MOST_FOUND:
            self._say(note(f"these are the newest {MOST_FOUND}"))

    async def _read(self, by_itself: bool | None) -> None:
        if by_itself is not None:
            self.marks_by_itself = by_itself
            how = "what is shown here is marked as read" if by_itself else "/read marks as read"
            self._say(note(how))
            if by_itself:
                self._on_read()
            return
        await self._client.conversations.mark_read(self._open())

    # -- telling -----------------------------------------------------------------------------------

    def _who(self) -> None:
        settings = self._client.settings
        status = self._feed.status
        peer = status.peer.name if status.peer is not None else "nobody yet"
        self._say(note(f"you are {status.me}, on {settings.platform.name.lower()}"))
        self._say(note(chat_status.connection(status, self._now())))
        self._say(note(f"you write to {peer}; {status.unread} unread, {status.waiting} waiting"))
        self._say(note(f"messages are kept in {settings.data_dir}"))

    def _help(self) -> None:
        forms = commands.help_lines()
        width = max(len(form) for form, _ in forms)
        for form, does in forms:
            self._say(line("  ", (form.ljust(width), "strong"), f"  {does}"))
        self._say(
            note("… on its way   ✓ stored by the server   ✓✓ read   ✗ failed   ? being asked for")
        )

    def _say(self, said: Line) -> None:
        self._screen.print(said)

    # -- parts -------------------------------------------------------------------------------------

    def _peer(self) -> Peer:
        if self._feed.status.peer is None:
            raise BadCommand("nobody to write to yet: /to USER or /group GROUP")
        return self._feed.status.peer

    def _open(self) -> str:
        return self._peer().conversation(self._feed.status.me)

    def _numbered(self, number: int) -> Message:
        message = self._feed.wording.numbers.message(number)
        if message is None:
            raise BadCommand(f"#{number}: no message was shown with this number")
        return message


def _on_the_way(message: Message) -> bool:
    return message.status in (MessageStatus.SENDING, MessageStatus.UNKNOWN)
