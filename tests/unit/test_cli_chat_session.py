"""`openim-trio chat` at work on a real client, without a network: what is typed, what is shown."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC
from pathlib import Path

import attrs
import pytest
import trio
import trio.testing

from openim_trio.cli.chat_feed import Feed, View
from openim_trio.cli.chat_lines import Line, Peer, Wording
from openim_trio.cli.chat_screen import Typed
from openim_trio.cli.chat_session import Chat, farewell
from openim_trio.client import open_client
from openim_trio.client.channel import ENCODING
from openim_trio.client.conversations import Conversations
from openim_trio.client.errors import NotConnected
from openim_trio.wire.envelope import Response
from openim_trio.wire.identifiers import Req
from openim_trio.wire.proto import msg_pb2, sdkws_pb2
from tests.support.scripted_server import ScriptedServer, row, settings_for

BOB = Peer(user="bob")
NOW = 1_700_000_000_000
OFFLINE = NotConnected("refused")


@attrs.define(eq=False)
class PaperScreen:
    """What would be seen, and a hand that types."""

    interactive: bool = True
    linger: float = 0.5
    lines: list[str] = attrs.field(factory=list)
    view: View | None = None
    typing: Typed | None = None
    _changed: trio.Event = attrs.field(factory=trio.Event)
    _keys: trio.MemoryReceiveChannel[str] = attrs.field(init=False)
    _hand: trio.MemorySendChannel[str] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._hand, self._keys = trio.open_memory_channel[str](100)

    def print(self, line: Line) -> None:
        self.lines.append(line.text)
        self._change()

    def update(self, view: View) -> None:
        self.view = view
        self._change()

    async def read(self, lines: trio.MemorySendChannel[str], typing: Typed) -> None:
        self.typing = typing
        async for typed in self._keys:
            await lines.send(typed)

    def type(self, *lines: str) -> None:
        for line in lines:
            self._hand.send_nowait(line)

    def end(self) -> None:
        self._hand.close()

    async def until(self, condition: Callable[[], bool]) -> None:
        with trio.fail_after(60):
            while not condition():
                await self._changed.wait()

    async def until_line(self, end: str) -> str:
        await self.until(lambda: any(line.endswith(end) for line in self.lines))
        return next(line for line in self.lines if line.endswith(end))

    def _change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


@attrs.frozen
class Sitting:
    screen: PaperScreen
    feed: Feed
    ended: trio.Event


@asynccontextmanager
async def sitting(
    server: ScriptedServer, directory: Path, *, peer: Peer | None = BOB
) -> AsyncIterator[Sitting]:
    """Alice at her screen, until the input ends; left in order when the block is."""
    feed = Feed(Wording("alice", lambda: NOW, UTC), "ws://scripted", hold_missed=True)
    here = Sitting(PaperScreen(), feed, trio.Event())

    async def chat() -> None:
        async with (
            open_client(settings_for(directory), dial=server.dial, threads=False) as client,
            client.events() as stream,
        ):
            await client.login("alice", "token")
            await Chat(client, feed, here.screen, trio.current_time).run(stream, peer)
        farewell(feed, here.screen)
        here.ended.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(chat)
        yield here
        here.screen.end()
        with trio.fail_after(60):
            await here.ended.wait()


@pytest.fixture
def server() -> ScriptedServer:
    return ScriptedServer()


pytestmark = pytest.mark.usefixtures("autojump_clock")


def hold_answers(server: ScriptedServer) -> None:
    server.on_send = lambda _: None


# -- sending ---------------------------------------------------------------------------------------


async def test_a_line_is_sent_and_marked(server: ScriptedServer, tmp_path: Path) -> None:
    async with sitting(server, tmp_path) as here:
        here.screen.type("hello", "", "//slash")
        await here.screen.until_line("alice  hello ✓")
        await here.screen.until_line("alice  /slash ✓")
    assert here.screen.lines[0] == "— you write to bob"
    assert [m.content for m in server.sends()] == [
        b'{"content":"hello"}',
        b'{"content":"/slash"}',
    ]
    assert not any("next time" in line for line in here.screen.lines)


async def test_what_waits_is_said_and_goes_with_the_next_run(
    server: ScriptedServer, tmp_path: Path
) -> None:
    server.refuse = OFFLINE
    async with sitting(server, tmp_path) as here:
        here.screen.type("one", "two")
        await here.screen.until(lambda: here.feed.waiting == 2)
        assert here.screen.view is not None
        below = [line.text for line in here.screen.view.on_the_way]
        assert below[0] == "  one …"
    assert here.screen.lines[-1] == "— 2 messages wait and will be sent next time"

    server.refuse = None
    async with sitting(server, tmp_path, peer=None) as here:
        await here.screen.until_line("alice → bob  one ✓")
        await here.screen.until_line("alice → bob  two ✓")
        assert here.feed.waiting == 0
    assert [m.content for m in server.sends()] == [b'{"content":"one"}', b'{"content":"two"}']


async def test_one_that_waits_is_restored_and_counted(
    server: ScriptedServer, tmp_path: Path
) -> None:
    server.refuse = OFFLINE
    for run in range(2):
        async with sitting(server, tmp_path) as here:
            if not run:
                here.screen.type("one")
            await here.screen.until(lambda: here.feed.waiting == 1)
        assert here.screen.lines[-1] == "— 1 message waits and will be sent next time"


async def test_leaving_gives_a_send_under_way_its_moment(
    server: ScriptedServer, tmp_path: Path
) -> None:
    async with sitting(server, tmp_path) as here:
        await here.screen.until_line("connected")
        here.screen.type("last words", "/quit")
        await here.ended.wait()
    assert here.screen.lines[-1].endswith("last words ✓")


async def test_nobody_to_write_to(server: ScriptedServer, tmp_path: Path) -> None:
    async with sitting(server, tmp_path, peer=None) as here:
        here.screen.type("hello")
        await here.screen.until_line("✗ nobody to write to yet: /to USER or /group GROUP")
        here.screen.type("/group g1", "hello group")
        await here.screen.until_line("alice  hello group ✓")
    (sent,) = server.sends()
    assert (sent.groupID, sent.sessionType) == ("g1", 3)


async def test_what_cannot_be_sent_is_told_and_does_not_wait(
    server: ScriptedServer, tmp_path: Path
) -> None:
    async with sitting(server, tmp_path, peer=None) as here:
        here.screen.type(f"/to {'x' * 65}", "hello")
        await here.screen.until_line("✗ to: longer than 64 characters")
        assert here.feed.waiting == 0
        here.screen.type("/nonsense")
        await here.screen.until_line("✗ /nonsense: there is no such command; /help lists them")


async def test_a_failed_message_is_sent_again_on_demand(
    server: ScriptedServer, tmp_path: Path
) -> None:
    accept = server.on_send
    async with sitting(server, tmp_path) as here:
        server.on_send = lambda _: 1101
        here.screen.type("hello")
        line = await here.screen.until_line("✗ nobody is registered with this ID")
        assert "#1 alice  hello" in line
        server.on_send = accept
        here.screen.type("/retry 1")
        await here.screen.until_line("#2 alice  hello ✓")
        here.screen.type("/retry 1")
        await here.screen.until_line(": no such message here")
        here.screen.type("/retry 2")
        await here.screen.until_line("✗ /retry 2: it did not fail")
        here.screen.type("/retry")
        await here.screen.until_line("— nothing failed here")
    assert len({m.clientMsgID for m in server.sends()}) == 2


async def test_typing_is_told_now_and_then(server: ScriptedServer, tmp_path: Path) -> None:
    async with sitting(server, tmp_path) as here:
        await here.screen.until_line("connected")
        assert here.screen.typing is not None
        for _ in range(10):
            here.screen.typing()
            await trio.sleep(0.1)
    assert [m.contentType for m in server.sends()] == [113]


# -- receiving -------------------------------------------------------------------------------------


async def test_what_was_missed_and_what_comes(server: ScriptedServer, tmp_path: Path) -> None:
    server.rows["si_alice_bob"] = [row("bob", "alice", n, f"missed {n}") for n in range(1, 41)]
    async with sitting(server, tmp_path) as here:
        await here.screen.until_line("missed 40")
        assert "— 20 earlier ones with bob are in /history" in here.screen.lines
        assert "— 40 messages fetched that came meanwhile" in here.screen.lines
        pushed = sdkws_pb2.PushMessages()
        pushed.msgs["si_alice_carol"].Msgs.append(row("carol", "alice", 1, "live"))
        server.links[-1].push(pushed)
        assert await here.screen.until_line("carol → you  live")
        here.screen.type("/list")
        await here.screen.until_line("carol: live")
        assert any("40 unread" in line and "▸ bob" in line for line in here.screen.lines)


async def test_history_search_and_numbers(server: ScriptedServer, tmp_path: Path) -> None:
    server.rows["si_alice_bob"] = [row("bob", "alice", n, f"word {n}") for n in range(1, 41)]
    async with sitting(server, tmp_path, peer=None) as here:
        await here.screen.until_line("word 40")
        here.screen.type("/to bob")
        await here.screen.until_line("bob  word 1")  # 40 are unread, so 40 are shown
        said = len(here.screen.lines)
        here.screen.type("/history 2", "/older 2", "/who")
        await here.screen.until_line(str(tmp_path))
        bodies = [line.split("  ")[-1] for line in here.screen.lines[said : said + 4]]
        assert bodies == ["word 39", "word 40", "word 37", "word 38"]
        assert here.screen.lines[said] == next(
            line for line in here.screen.lines if line.endswith("bob  word 39")
        )  # it keeps its number
        said = len(here.screen.lines)
        here.screen.type("/search WORD 7", "/search nothing", "/search word")
        await here.screen.until_line("— these are the newest 20")
        assert here.screen.lines[said].endswith("word 7")
        assert here.screen.lines[said + 1] == "— nothing found"


async def test_taking_back_needs_a_number_and_a_connection(
    server: ScriptedServer, tmp_path: Path
) -> None:
    async with sitting(server, tmp_path) as here:
        here.screen.type("oops")
        await here.screen.until_line("oops ✓")
        here.screen.type("/revoke 9")
        await here.screen.until_line("✗ #9: no message was shown with this number")
        here.screen.type("/revoke 1")
        await here.screen.until_line("not known to be stored yet")


async def test_what_is_shown_of_the_open_conversation_is_marked_as_read(
    server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marked: list[str] = []

    async def mark_read(_: Conversations, conversation_id: str) -> None:
        marked.append(conversation_id)
        if len(marked) == 1:
            raise OFFLINE
        await trio.lowlevel.checkpoint()

    async def push(sender: str, seq: int) -> None:
        pushed = sdkws_pb2.PushMessages()
        pushed.msgs[f"si_alice_{sender}"].Msgs.append(row(sender, "alice", seq, f"{sender} {seq}"))
        server.links[-1].push(pushed)
        await here.screen.until_line(f"{sender} {seq}")
        await trio.testing.wait_all_tasks_blocked()

    monkeypatch.setattr(Conversations, "mark_read", mark_read)
    async with sitting(server, tmp_path) as here:
        await here.screen.until_line("connected")
        await trio.testing.wait_all_tasks_blocked()
        marked[:] = [""]
        await push("carol", 1)
        assert marked == [""]
        await push("bob", 1)
        assert marked == ["", "si_alice_bob"]
        here.screen.type("/read manual")
        await here.screen.until_line("— /read marks as read")
        await push("bob", 2)
        assert marked == ["", "si_alice_bob"]
        here.screen.type("/read", "/who")
        await here.screen.until_line(str(tmp_path))
        assert marked == ["", "si_alice_bob", "si_alice_bob"]
        marked.clear()
        here.screen.type("/read auto")
        await here.screen.until(lambda: bool(marked))  # in vain: there is no connection
        server.links[-1].cut()
        await here.screen.until_line("connected again")
        await trio.testing.wait_all_tasks_blocked()
        assert marked == ["si_alice_bob"] * 2
    assert not any("marking as read" in line for line in here.screen.lines)


async def test_a_login_that_is_over_ends_the_sitting(
    server: ScriptedServer, tmp_path: Path
) -> None:
    async with sitting(server, tmp_path) as here:
        await here.screen.until_line("connected")
        server.links[-1].put(ENCODING.encode(Response(Req.KICK)))
        await here.ended.wait()
    assert here.feed.fatal.startswith("another login")


async def test_a_lost_connection_comes_back(server: ScriptedServer, tmp_path: Path) -> None:
    async with sitting(server, tmp_path) as here:
        await here.screen.until_line("connected")
        server.links[-1].cut()
        await here.screen.until_line("connected again")
        lost = next(line for line in here.screen.lines if "connection lost" in line)
        assert lost.startswith("— connection lost, again in ")
        hold_answers(server)
        here.screen.type("held")
        await here.screen.until(lambda: here.feed.waiting == 1)
        server.on_send = lambda m: msg_pb2.SendMsgResp(
            serverMsgID="s", clientMsgID=m.clientMsgID, sendTime=NOW
        ).SerializeToString()
        server.links[-1].cut()
        await here.screen.until_line("alice  held ✓")


async def test_help_is_at_hand(server: ScriptedServer, tmp_path: Path) -> None:
    async with sitting(server, tmp_path) as here:
        here.screen.type("/help", "/read manual", "/read")
        await here.screen.until_line("— /read marks as read")
        assert any("/history [N]" in line for line in here.screen.lines)
