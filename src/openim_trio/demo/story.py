"""What happens in the demo, and the check that nothing was lost or doubled."""

from __future__ import annotations

import time
from collections import Counter

import attrs
import trio

from openim_trio.demo.client import Received, WireClient, connected, text_message
from openim_trio.demo.server import Server
from openim_trio.domain.conversations import group_chat, single_chat, system_chat
from openim_trio.wire.proto import sdkws_pb2

ANNA, BEN, CLARA, OFFICE = "anna", "ben", "clara", "openIM123456"


@attrs.define
class Line:
    """One message of the transcript.  Latencies are milliseconds from send to arrival."""

    number: int
    conversation: str
    sender: str
    text: str
    client_msg_id: str
    receivers: tuple[str, ...]
    seq: int = 0
    ack_ms: float = 0.0
    sent_at: float = 0.0
    arrivals: dict[str, str] = attrs.field(factory=dict)


@attrs.define
class Story:
    server: Server
    admin: str = ""
    group: str = ""
    tokens: dict[str, str] = attrs.field(factory=dict)
    lines: list[Line] = attrs.field(factory=list)
    inbox: dict[str, list[Received]] = attrs.field(factory=dict)
    notes: list[str] = attrs.field(factory=list)
    problems: list[str] = attrs.field(factory=list)

    async def play(self) -> None:
        await self._backend()
        address, tokens = self.server.ws_address, self.tokens
        async with (
            connected(address, ANNA, tokens[ANNA]) as anna,
            connected(address, CLARA, tokens[CLARA], json=True) as clara,
        ):
            self.inbox[ANNA], self.inbox[CLARA] = anna.received, clara.received
            async with connected(address, BEN, tokens[BEN], platform=2) as ben:
                self.inbox[BEN] = ben.received
                await self._chat(anna, ben)
                await self._group_chat(anna, ben, clara)
            self.notes.append("Ben's connection is gone")
            await self._while_ben_is_away(anna, clara)
            async with connected(address, BEN, tokens[BEN], platform=2) as ben:
                before = self._positions(BEN)
                ben.received.extend(self.inbox[BEN])
                self.inbox[BEN] = ben.received
                self.notes.append("Ben is back and asks for what he has missed")
                await ben.sync(before)
                await self._notification(ben)
                await self._retry(anna)
                await self._say(ben, "Here I am again, with everything.", to=ANNA)
                await self._arrived(self.lines)
                await self._check_rows(anna, ben, clara)
        self._check_inboxes()

    # -- scenes ------------------------------------------------------------------------------------

    async def _backend(self) -> None:
        """What an app's backend does: users, tokens, a group."""

        def prepare() -> None:
            server = self.server
            self.admin = server.admin_token()
            server.register([ANNA, BEN, CLARA], self.admin)
            self.tokens = server.tokens([ANNA, BEN, CLARA], self.admin)
            self.tokens[BEN] = server.tokens([BEN], self.admin, platform=2)[BEN]
            created = server.post(
                "/group/create_group",
                {
                    "ownerUserID": ANNA,
                    "memberUserIDs": [BEN, CLARA],
                    "groupInfo": {"groupName": "Tea", "groupType": 2, "creatorUserID": ANNA},
                    "sendMessage": False,
                },
                self.admin,
            )
            self.group = created["groupInfo"]["groupID"]

        await trio.to_thread.run_sync(prepare)
        self.notes.append(f"the backend registered three people and made group {self.group}")

    async def _chat(self, anna: WireClient, ben: WireClient) -> None:
        await self._say(anna, "Hello Ben, does this arrive?", to=BEN)
        await self._say(ben, "At once. 你好!", to=ANNA)
        await self._say(anna, "Then let us call the others.", to=BEN)

    async def _group_chat(self, anna: WireClient, ben: WireClient, clara: WireClient) -> None:
        await self._say(anna, "Tea at four?", group=True)
        await self._say(clara, "With pleasure.", group=True)
        await self._say(ben, "I shall be in a tunnel until then.", group=True)
        await self._arrived(self.lines)

    async def _while_ben_is_away(self, anna: WireClient, clara: WireClient) -> None:
        for text in ("Ben?", "The tunnel, I see.", "Bring milk."):
            await self._say(anna, text, to=BEN)
        await self._say(clara, "And sugar.", group=True)
        await self._say(clara, "Ben, did you read my last one?", to=BEN)

    async def _notification(self, ben: WireClient) -> None:
        """A business system tells Ben something through the admin's push endpoint."""
        text = "The kitchen is reserved at four."

        def push() -> str:
            answer = self.server.post(
                "/manager/send_msg",
                {
                    "operationID": f"demo-{time.time_ns()}",
                    "sendID": OFFICE,
                    "recvID": BEN,
                    "senderNickname": "Office",
                    "senderFaceURL": "",
                    "content": {
                        "notificationName": "Rooms",
                        "notificationFaceURL": "",
                        "notificationType": 1,
                        "text": text,
                        "mixType": 0,
                    },
                    "contentType": 1400,
                    "sessionType": 4,
                },
                self.admin,
            )
            return str(answer["clientMsgID"])

        sent_at = time.monotonic()
        client_msg_id = await trio.to_thread.run_sync(push)
        line = self._line(system_chat(OFFICE, BEN), OFFICE, text, client_msg_id, (BEN,))
        line.sent_at, line.ack_ms = sent_at, (time.monotonic() - sent_at) * 1000
        await ben.wait_for_id(client_msg_id)

    async def _retry(self, anna: WireClient) -> None:
        """A send whose answer got lost is sent again: the same message, not a second one."""
        message = text_message(ANNA, "Did that arrive? I send it again.", to=BEN)
        first = await self._send(anna, message, "Did that arrive? I send it again.", (ANNA, BEN))
        async with connected(self.server.ws_address, ANNA, self.tokens[ANNA]) as other:
            again = await other.send(message)
        if again != first:
            self.problems.append("a retried send was answered differently")
        self.notes.append("Anna sent one message twice, over two connections; it is there once")

    # -- saying ------------------------------------------------------------------------------------

    async def _say(
        self, client: WireClient, text: str, *, to: str = "", group: bool = False
    ) -> None:
        message = text_message(client.user, text, to=to, group=self.group if group else "")
        receivers = (ANNA, BEN, CLARA) if group else (client.user, to)
        await self._send(client, message, text, receivers)

    async def _send(
        self,
        client: WireClient,
        message: sdkws_pb2.MsgData,
        text: str,
        receivers: tuple[str, ...],
    ) -> object:
        conversation = (
            group_chat(message.groupID)
            if message.groupID
            else single_chat(message.sendID, message.recvID)
        )
        line = self._line(conversation, client.user, text, message.clientMsgID, receivers)
        line.sent_at = time.monotonic()
        answer = await client.send(message)
        line.ack_ms = (time.monotonic() - line.sent_at) * 1000
        return answer

    def _line(
        self, conversation: str, sender: str, text: str, client_msg_id: str, to: tuple[str, ...]
    ) -> Line:
        line = Line(len(self.lines) + 1, conversation, sender, text, client_msg_id, to)
        self.lines.append(line)
        return line

    def _positions(self, user: str) -> dict[str, int]:
        """The highest seq that a user has of each conversation."""
        known: dict[str, int] = {}
        for received in self.inbox[user]:
            known[received.conversation] = max(
                known.get(received.conversation, 0), received.message.seq
            )
        return known

    # -- checking ----------------------------------------------------------------------------------

    async def _arrived(self, lines: list[Line]) -> None:
        """Wait until all of these lines are with all of their receivers."""
        with trio.move_on_after(15):
            while any(self._missing(line) for line in lines):  # noqa: ASYNC110 - several inboxes
                await trio.sleep(0.01)

    def _missing(self, line: Line) -> bool:
        return any(
            all(r.message.clientMsgID != line.client_msg_id for r in self.inbox[user])
            for user in line.receivers
        )

    def _check_inboxes(self) -> None:
        for line in self.lines:
            for user in line.receivers:
                copies = [
                    r for r in self.inbox[user] if r.message.clientMsgID == line.client_msg_id
                ]
                if len(copies) != 1:
                    self.problems.append(f"{user} has line {line.number} {len(copies)} times")
                    continue
                line.seq = copies[0].message.seq
                passed = (copies[0].at - line.sent_at) * 1000
                line.arrivals[user] = f"{copies[0].how} {passed:.1f} ms"

    async def _check_rows(self, *clients: WireClient) -> None:
        """What the server has must be 1..n, each message once, the same for every member."""
        seen: dict[str, list[str]] = {}
        for client in clients:
            for conversation, head in (await client.heads()).items():
                rows = await client.pull(conversation, 1, head)
                if [row.seq for row in rows] != list(range(1, head + 1)):
                    self.problems.append(f"{conversation} has holes")
                ids = [row.clientMsgID for row in rows]
                if max(Counter(ids).values(), default=1) > 1:
                    self.problems.append(f"{conversation} has a message twice")
                if seen.setdefault(conversation, ids) != ids:
                    self.problems.append(f"{conversation} differs between readers")
        for line in self.lines:
            if line.client_msg_id not in seen.get(line.conversation, []):
                self.problems.append(f"line {line.number} is not stored")
