"""People who chat on a real server without pause, and never lose patience.

Each sends with several messages in flight, to a partner and to one group; whatever goes wrong, it
comes back and sends the *same* message again until it is acknowledged.  Each shows what comes as an
official client does: in order, pulling what it lacks after a login and when it sees a gap.
"""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

import attrs
import trio

from openim_trio.append.requests import Append, Appended
from openim_trio.demo.client import Received, Refused, WireClient, connected, text_message
from openim_trio.demo.login import ConnectionOver, LoginRefused
from openim_trio.demo.server import Server
from openim_trio.domain.conversations import group_chat, single_chat
from openim_trio.domain.errors import Code
from openim_trio.domain.rows import Row, RowKind, body_fingerprint, message_key
from openim_trio.wire.proto import msg_pb2, sdkws_pb2
from tests.support.invariants import Ledger, violations
from tests.support.site import Site

IN_FLIGHT = 4
PACE = 0.06
"""seconds between two new messages of one person"""
AGAIN_EVERY = 5
"""every so many messages, one that was acknowledged is sent again"""
PATIENCE = 40.0
"""seconds for something to happen; only a broken server needs so long"""
PULLED_AT_ONCE = 100
RETRIABLE = (Code.DATABASE, Code.NETWORK)

T = TypeVar("T")
_LOST = (ConnectionOver, LoginRefused, trio.TooSlowError)


@attrs.define(eq=False)
class Line:
    """A message and every answer that its sender got."""

    message: sdkws_pb2.MsgData
    conversation: str
    attempts: int = 0
    answers: list[msg_pb2.SendMsgResp] = attrs.field(factory=list)


class Person:
    """`shown`: conversation -> clientMsgIDs in the order of their seqs, 1..n without a hole."""

    def __init__(self, chatter: Chatter, user: str, token: str, *, json: bool) -> None:
        self.user = user
        self.shown: dict[str, list[str]] = defaultdict(list)
        self.problems: list[str] = []
        self.connections = 0
        self.gaps = 0
        self.close_codes: list[int | None] = []
        self.client: WireClient | None = None
        self._online = trio.Event()
        self._chatter = chatter
        self._token = token
        self._json = json
        self._pushed: dict[str, int] = {}

    # -- being there -------------------------------------------------------------------------------

    async def live(self) -> None:
        """Be connected, again and again."""
        while True:
            try:
                await self._connection()
            except* (*_LOST, OSError):
                pass
            await trio.sleep(random.uniform(0.02, 0.1))

    async def _connection(self) -> None:
        address = self._chatter.server.ws_address
        async with connected(address, self.user, self._token, json=self._json) as client:
            self.connections += 1
            self._pushed.clear()
            self.client = client
            self._online.set()
            try:
                await self._attend(client)
            finally:
                self.client = None
                self._online = trio.Event()
                self.close_codes.append(client.close_code)
                if client.kicked.is_set():
                    self.problems.append(f"{self.user} was kicked")

    async def _attend(self, client: WireClient) -> None:
        try:
            for conversation, head in (await _patiently(client.heads)).items():
                await self._pull(client, conversation, head)
            count = 0
            while new := await client.received_after(count):
                count += len(new)
                for received in new:
                    await self._on_push(client, received)
        except _LOST:
            return

    async def online(self) -> WireClient:
        while self.client is None:
            await self._online.wait()
        return self.client

    # -- being shown messages ----------------------------------------------------------------------

    async def _on_push(self, client: WireClient, received: Received) -> None:
        conversation, message = received.conversation, received.message
        if not message.seq:
            return  # not stored
        before = self._pushed.get(conversation, 0)
        if message.seq <= before:
            self.problems.append(f"{self.user}: {conversation} {message.seq} pushed after {before}")
        if before and message.seq > before + 1:
            self.gaps += 1
        self._pushed[conversation] = message.seq
        await self._pull(client, conversation, message.seq - 1)
        self._show(conversation, message)

    async def _pull(self, client: WireClient, conversation: str, upto: int) -> None:
        shown = self.shown[conversation]
        while len(shown) < upto:
            begin = len(shown) + 1
            end = min(upto, begin + PULLED_AT_ONCE - 1)
            rows = await _patiently(partial(client.pull, conversation, begin, end))
            for message in rows:
                self._show(conversation, message)
            if len(shown) < end:
                self.problems.append(f"{self.user}: pulled {begin}..{end}, got {len(rows)} rows")
                return

    def _show(self, conversation: str, message: sdkws_pb2.MsgData) -> None:
        shown = self.shown[conversation]
        if message.seq == len(shown) + 1:
            shown.append(message.clientMsgID)
            self._chatter.something_happened()
        elif message.seq > len(shown):
            self.problems.append(f"{self.user}: {conversation} {message.seq} before the one below")
        elif shown[message.seq - 1] != message.clientMsgID:
            self.problems.append(f"{self.user}: {conversation} {message.seq} has changed")

    # -- saying something --------------------------------------------------------------------------

    async def say(
        self, text: str, *, to: str = "", group: str = "", client_msg_id: str = ""
    ) -> Line:
        """Until it is acknowledged."""
        line = self.line(text, to=to, group=group, client_msg_id=client_msg_id)
        await self.send(line)
        return line

    def line(self, text: str, *, to: str = "", group: str = "", client_msg_id: str = "") -> Line:
        """Something to be sent: the chatter ends when it is acknowledged."""
        message = text_message(self.user, text, to=to, group=group, client_msg_id=client_msg_id)
        line = Line(message, group_chat(group) if group else single_chat(self.user, to))
        self._chatter.lines.append(line)
        return line

    async def send(self, line: Line) -> None:
        """Again and again, over whatever connection there is, until it is acknowledged."""
        while True:
            client = await self.online()
            line.attempts += 1
            try:
                answer = await client.send(line.message)
            except Refused as refused:
                if refused.code not in RETRIABLE:
                    self.problems.append(f"{self.user}: a send was refused: {refused}")
                    return
                await trio.sleep(random.uniform(0.02, 0.1))
            except _LOST:
                await trio.sleep(0.01)
            else:
                line.answers.append(answer)
                self._chatter.something_happened()
                return

    async def talk(self, partner: str, group: str) -> None:
        """Until the chatter ends; returns when everything that was said is acknowledged."""
        room = trio.Semaphore(IN_FLIGHT)

        async def say(number: int) -> None:
            async with room:
                text = f"{number}: " + "word " * random.randrange(1, 40)
                to_group = number % 3 == 0
                line = await self.say(
                    text, to="" if to_group else partner, group=group if to_group else ""
                )
                if number % AGAIN_EVERY == 0:
                    await self.send(line)

        self._chatter.talking += 1
        async with trio.open_nursery() as nursery:
            for number in itertools.count():
                if self._chatter.ending:
                    break
                async with room:
                    nursery.start_soon(say, number)
                await trio.sleep(PACE * random.uniform(0.5, 1.5))
        self._chatter.talking -= 1


async def _patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """An engine may be away: ask again on this connection."""
    while True:
        try:
            return await ask()
        except Refused as refused:
            if refused.code not in RETRIABLE:
                raise
            await trio.sleep(random.uniform(0.05, 0.15))


@attrs.define(eq=False)
class Chatter:
    """`server` may be replaced by another one of the same site: everybody goes there.  `tokens`:
    those of the bystanders too."""

    site: Site
    server: Server
    group: str
    admin: str
    tokens: dict[str, str]
    people: dict[str, Person] = attrs.field(factory=dict)
    lines: list[Line] = attrs.field(factory=list)
    ending: bool = False
    talking: int = 0
    """people who may still say something of their own"""
    _happened: trio.Event = attrs.field(factory=trio.Event)

    def something_happened(self) -> None:
        self._happened.set()
        self._happened = trio.Event()

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Looks whenever a message was acknowledged or shown, and now and then."""
        with trio.move_on_after(PATIENCE):
            while not condition():
                with trio.move_on_after(0.1):
                    await self._happened.wait()
            return
        raise AssertionError(f"{what}: never happened; {self._state()}")

    @property
    def acked(self) -> int:
        """Answers to sends, repeated ones included."""
        return sum(len(line.answers) for line in self.lines)

    async def more(self, count: int) -> None:
        """Until so many further sends are acknowledged."""
        goal = self.acked + count
        await self.until(lambda: self.acked >= goal, f"{count} more acks")

    async def end(self) -> None:
        """Say no more; wait until all is acknowledged and everybody was shown everything."""
        self.ending = True
        await self.until(lambda: not self.talking, "the last word")
        await self.until(lambda: all(line.answers for line in self.lines), "every ack")
        await self.until(lambda: not self._lacking(), "everybody has everything")

    async def say_all_again(self) -> None:
        """Everybody sends every message that was acknowledged once more."""
        lines = [line for line in self.lines if line.answers]
        async with trio.open_nursery() as nursery:
            for line in lines:
                nursery.start_soon(self.people[line.message.sendID].send, line)

    def members(self, conversation: str) -> list[Person]:
        people = self.people.values()
        if conversation == group_chat(self.group):
            return list(people)
        return [p for p in people if p.user in conversation.split("_")]

    def _lacking(self) -> list[str]:
        counts: dict[str, int] = defaultdict(int)
        for line in self.lines:
            counts[line.conversation] += 1
        return [
            f"{person.user} has {len(person.shown[name])} of {count} in {name}"
            for name, count in counts.items()
            for person in self.members(name)
            if len(person.shown[name]) < count
        ]

    def _state(self) -> str:
        unanswered = sum(not line.answers for line in self.lines)
        offline = [person.user for person in self.people.values() if person.client is None]
        return f"{unanswered} unanswered, offline: {offline}, {self._lacking()}"

    # -- the promises ------------------------------------------------------------------------------

    def check(self) -> None:
        """Every promise about what is stored and what everybody was told and shown."""
        assert self.lines
        problems = [problem for person in self.people.values() for problem in person.problems]
        stored = self.site.stored()
        by_conversation: dict[str, list[Line]] = defaultdict(list)
        for line in self.lines:
            by_conversation[line.conversation].append(line)
        for conversation, lines in by_conversation.items():
            rows = stored.get(conversation, [])
            problems += [f"{conversation}: {p}" for p in self._of_rows(conversation, rows, lines)]
            problems += self._of_readers(conversation, rows)
        assert not problems, "\n".join(problems[:40])

    def _of_rows(self, conversation: str, rows: list[Row], lines: list[Line]) -> list[str]:
        by_key = {row.key: row for row in rows}
        ledger, found = Ledger(), []
        for line in lines:
            append = _append_of(line)
            row = by_key.get(append.key)
            stored = sdkws_pb2.MsgData.FromString(row.data if row else b"")
            ids = line.message.clientMsgID
            told = {(a.clientMsgID, a.serverMsgID, a.sendTime) for a in line.answers}
            if told != {(ids, stored.serverMsgID, stored.sendTime)}:
                found.append(f"answers to {ids} were {told}, the row says {stored.sendTime}")
            seq = row.seq if row else 0
            ledger.note(append, Appended(seq, stored.sendTime, RowKind.MESSAGE, first=True))
        if len(rows) != len(lines):
            found.append(f"{len(lines)} messages were sent, {len(rows)} rows are stored")
        shown = min(len(person.shown[conversation]) for person in self.members(conversation))
        facts = self.site.facts(conversation)
        return found + violations(conversation, rows, facts, shown, ledger)

    def _of_readers(self, conversation: str, rows: list[Row]) -> list[str]:
        ids = [sdkws_pb2.MsgData.FromString(row.data).clientMsgID for row in rows]
        return [
            f"{person.user} was shown {conversation} otherwise than it is stored"
            for person in self.members(conversation)
            if person.shown[conversation] != ids
        ]


def _append_of(line: Line) -> Append:
    """What the server made of a message, as far as the invariants ask."""
    message = line.message
    return Append(
        conversation=line.conversation,
        key=message_key(message.sendID, message.clientMsgID),
        fingerprint=body_fingerprint(message.contentType, message.content),
        create_time=message.createTime,
        head=b"",
        channels=(),
    )


def _register(server: Server, users: list[str]) -> tuple[str, dict[str, str], str]:
    """The administrator's token, everybody's, and a group of all."""
    admin = server.admin_token()
    server.register(users, admin)
    body = {
        "ownerUserID": users[0],
        "memberUserIDs": users[1:],
        "groupInfo": {"groupName": "All", "groupType": 2, "creatorUserID": users[0]},
        "sendMessage": False,
    }
    group = server.post("/group/create_group", body, admin)["groupInfo"]["groupID"]
    return admin, server.tokens(users, admin), str(group)


@asynccontextmanager
async def chatting(
    site: Site, server: Server, *, pairs: int = 3, bystanders: Sequence[str] = ()
) -> AsyncIterator[Chatter]:
    """Pairs of users, connected and talking, all of them in one group with the bystanders, whom
    the test plays."""
    users = [f"{side}{number}" for number in range(pairs) for side in ("left", "right")]
    everybody = [*users, *bystanders]
    admin, tokens, group = await trio.to_thread.run_sync(_register, server, everybody)
    chatter = Chatter(site, server, group, admin, tokens)
    for number, user in enumerate(users):
        chatter.people[user] = Person(chatter, user, tokens[user], json=number % 3 == 2)
    async with trio.open_nursery() as nursery:
        for person in chatter.people.values():
            nursery.start_soon(person.live)
        await chatter.until(
            lambda: all(person.client for person in chatter.people.values()), "everybody is online"
        )
        for left, right in zip(users[::2], users[1::2], strict=True):
            nursery.start_soon(chatter.people[left].talk, right, group)
            nursery.start_soon(chatter.people[right].talk, left, group)
        yield chatter
        nursery.cancel_scope.cancel()
