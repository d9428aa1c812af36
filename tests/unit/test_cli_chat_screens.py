"""Where `openim-trio chat` reads and prints: a pipe, and a terminal as far as there is none."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import trio
from prompt_toolkit.application import create_app_session
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output.vt100 import Vt100_Output

from openim_trio.cli import chat_screen, chat_terminal
from openim_trio.cli.chat_feed import View
from openim_trio.cli.chat_lines import STYLES, Peer, line, note
from openim_trio.cli.chat_screen import PlainScreen
from openim_trio.cli.chat_status import Link, Status
from openim_trio.cli.chat_terminal import Terminal

ENTER, CTRL_C, CTRL_D, TAB = "\r", "\x03", "\x04", "\t"
PATIENCE = 20.0


# -- pipes -----------------------------------------------------------------------------------------


@contextmanager
def piped(data: bytes = b"") -> Iterator[tuple[PlainScreen, io.StringIO, int]]:
    """A screen that reads a pipe with `data` in it, what it prints, and the pipe's other end."""
    source, hand = os.pipe()
    os.write(hand, data)
    out = io.StringIO()
    with os.fdopen(source) as file:
        yield PlainScreen(file, out), out, hand


async def read_all(screen: PlainScreen) -> list[str]:
    lines, taken = trio.open_memory_channel[str](100)
    await screen.read(lines, lambda: None)
    lines.close()
    return [line async for line in taken]


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"one\ntwo\n", ["one", "two", ""]),
        (b"one\r\n\nno end", ["one", "", "no end"]),
        (b"", [""]),
        ("你好\n".encode() + b"\xff\n", ["你好", "�", ""]),
    ],
)
async def test_lines_come_from_a_pipe(data: bytes, lines: list[str]) -> None:
    with piped(data) as (screen, _, hand):
        os.close(hand)
        assert await read_all(screen) == lines


async def test_a_line_may_come_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_screen, "READ_BYTES", 1)
    with piped("grüß dich\nzwei\n".encode()) as (screen, _, hand):
        os.close(hand)
        assert await read_all(screen) == ["grüß dich", "zwei", ""]


async def test_an_endless_line_ends_the_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_screen, "LONGEST_LINE", 10)
    with piped(b"fine\n" + b"x" * 11) as (screen, out, hand):
        assert await read_all(screen) == ["fine"]
        assert out.getvalue() == "✗ input: a line is longer than 10 bytes\n"
        os.close(hand)


async def test_reading_a_silent_pipe_can_be_given_up() -> None:
    with piped() as (screen, _, hand):
        with trio.move_on_after(0.01) as scope:
            await read_all(screen)
        assert scope.cancelled_caught
        os.close(hand)  # the abandoned thread's read ends


def test_plain_lines_have_no_style() -> None:
    with piped() as (screen, out, hand):
        screen.print(line(("bob", "other"), "  hello"))
        screen.update(View(Status("alice", "ws://x")))
        assert out.getvalue() == "bob  hello\n"
        os.close(hand)


# -- terminals -------------------------------------------------------------------------------------


class Paper(io.StringIO):
    """The terminal's other side, which is written in another thread.  It says where the cursor is
    when it is asked: without that no toolbar is drawn."""

    encoding = "utf-8"

    def __init__(self, keys: PipeInput, on_write: Callable[[], None]) -> None:
        super().__init__()
        self._keys = keys
        self._on_write = on_write

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        written = super().write(text)
        for _ in range(text.count("\x1b[6n")):
            self._keys.send_text("\x1b[1;1R")
        self._on_write()
        return written


class Desk:
    """A terminal without a terminal: keys in, what is drawn out."""

    def __init__(self, keys: PipeInput) -> None:
        self.keys = keys
        self.paper = Paper(keys, self._wake)
        self.screen = Terminal("alice")
        self.screen._console.file = self.paper
        self.typed: list[str] = []
        self.signs = 0
        self.ended = trio.Event()
        self._changed = trio.Event()
        self._token: trio.lowlevel.TrioToken | None = None

    async def sit(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        lines, taken = trio.open_memory_channel[str](10)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._take, taken)
            async with lines:
                await self.screen.read(lines, self._sign)
        self.ended.set()

    async def until(self, condition: Callable[[], Any]) -> None:
        with trio.fail_after(PATIENCE):
            while not condition():
                await self._changed.wait()

    async def _take(self, lines: trio.MemoryReceiveChannel[str]) -> None:
        async for typed in lines:
            self.typed.append(typed)
            self._change()

    def _sign(self) -> None:
        self.signs += 1

    def _wake(self) -> None:
        if self._token is not None:
            self._token.run_sync_soon(self._change)

    def stop(self) -> None:
        self._token = None

    def _change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


@pytest.fixture
def desk() -> Iterator[Desk]:
    with create_pipe_input() as keys:
        desk = Desk(keys)
        output = Vt100_Output(desk.paper, lambda: Size(rows=24, columns=80))
        with create_app_session(input=keys, output=output):
            yield desk
            desk.stop()


async def test_lines_are_typed_until_the_end(desk: Desk) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.sit)
        desk.keys.send_text(f"hello{ENTER}wor{ENTER}")
        await desk.until(lambda: len(desk.typed) == 2)
        assert desk.signs
        desk.keys.send_text(f"unfinished{CTRL_D}")  # means nothing within a line
        await desk.until(lambda: "unfinished" in desk.paper.getvalue())
        assert not desk.ended.is_set()
        desk.keys.send_text(f"{ENTER}{CTRL_D}")
    assert desk.typed == ["hello", "wor", "unfinished"]


async def test_ctrl_c_is_an_end_too(desk: Desk) -> None:
    desk.keys.send_text(f"half a line{CTRL_C}")
    await desk.sit()
    assert desk.typed == []


async def test_tab_completes_commands(desk: Desk) -> None:
    desk.keys.send_text(f"/hi{TAB}")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.sit)
        await desk.until(lambda: "story" in desk.paper.getvalue())
        desk.keys.send_text(f"{ENTER}{CTRL_D}")
    assert desk.typed == ["/history"]
    assert not desk.signs


async def test_what_is_printed_before_during_and_after_is_drawn_in_order(desk: Desk) -> None:
    desk.screen.print(note("before"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.sit)
        for n in range(100):
            desk.screen.print(line(f"during{n} ", ("styled", "good")))
            await trio.lowlevel.checkpoint()
        await desk.until(lambda: "during99" in desk.paper.getvalue())
        desk.keys.send_text(CTRL_D)
        desk.screen.print(note("at the end"))
    desk.screen.print(note("after"))
    drawn = desk.paper.getvalue()
    texts = ["before", *(f"during{n} " for n in range(100)), "at the end", "after"]
    places = [drawn.find(text) for text in texts]
    assert -1 not in places
    assert places == sorted(places)
    assert all(drawn.count(text) == 1 for text in texts)


async def test_below_stand_what_waits_the_peer_and_the_toolbar(desk: Desk) -> None:
    status = Status("alice", "ws://x", peer=Peer(user="bob"), link=Link.ONLINE, unread=7)
    desk.screen.update(View(status))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.sit)
        await desk.until(lambda: "7 unread" in desk.paper.getvalue())
        assert "● online" in desk.paper.getvalue()
        desk.screen.update(View(status, (line("  hello …"),)))
        await desk.until(lambda: "hello …" in desk.paper.getvalue())
        desk.keys.send_text(CTRL_D)


def test_both_libraries_know_all_styles() -> None:
    assert {name for name, _ in chat_terminal._STYLE.style_rules} - {"bottom-toolbar"} == set(
        STYLES
    )


async def test_cancelling_gives_the_terminal_back(desk: Desk) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.sit)
        await desk.until(lambda: desk.paper.getvalue())
        nursery.cancel_scope.cancel()
    assert desk.screen._session is None
    desk.screen.print(note("told afterwards"))
    assert "told afterwards" in desk.paper.getvalue()


async def test_cancelling_at_once_does_so_too(desk: Desk) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await desk.sit()
    assert scope.cancelled_caught
    assert desk.screen._session is None


async def test_a_terminal_that_stands_still_loses_the_oldest_lines(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat_terminal, "WAITING_LINES", 2)
    monkeypatch.setattr(Terminal, "_in_loop", lambda *_: True)  # nothing is drawn
    for n in range(5):
        desk.screen.print(note(f"line {n}"))
    desk.screen._draw()
    drawn = desk.paper.getvalue()
    assert "3 lines were not shown" in drawn
    assert "line 2" not in drawn
    assert "line 3" in drawn
    assert "line 4" in drawn
