"""`openim-trio chat` as people use it: one at a terminal, one behind pipes, a real server."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio

from openim_trio.demo.server import Server
from tests.support.site import SECRET, Site

LIMIT = 60.0
CTRL_D = "\x04"
ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07]*\x07|[=>])")
WHERE_IS_THE_CURSOR, THERE = b"\x1b[6n", "\x1b[1;1R"


@pytest.fixture
def site(mongo_uri: str, redis_url: str, tmp_path: Path) -> Site:
    return Site(mongo_uri, redis_url, tmp_path)


@attrs.define(eq=False)
class Chatter:
    """One running command: what it has printed, and its input."""

    process: trio.Process
    input: trio.abc.SendStream
    output: trio.abc.ReceiveStream
    answers: bool
    raw: bytes = b""
    _more: trio.Event = attrs.field(factory=trio.Event)
    _one_at_a_time: trio.Lock = attrs.field(factory=trio.Lock)

    @property
    def text(self) -> str:
        return ESCAPES.sub("", self.raw.decode(errors="replace"))

    async def type(self, text: str) -> None:
        async with self._one_at_a_time:
            await self.input.send_all(text.encode())

    async def until(self, text: str, times: int = 1) -> None:
        with trio.move_on_after(LIMIT):
            while self.text.count(text) < times:
                await self._more.wait()
            return
        raise AssertionError(f"{text!r} was never shown; but\n{self.text[-3000:]}")

    async def ended(self) -> int:
        with trio.fail_after(LIMIT):
            return await self.process.wait()

    async def read(self) -> None:
        try:
            async for data in self.output:
                self.raw += data
                if self.answers and WHERE_IS_THE_CURSOR in data:
                    await self.type(THERE)
                self._more.set()
                self._more = trio.Event()
        except trio.BrokenResourceError:
            pass  # EIO: nobody has the terminal open any more


def command(site: Site, server: Server, user: str, arguments: Sequence[str]) -> list[str]:
    return [
        *(sys.executable, "-m", "openim_trio", "chat", "--user", user),
        *("--ws", server.ws_address, "--api", server.api_address),
        *("--data-dir", str(site.directory / "chat"), *arguments),
    ]


def environ(**more: str) -> dict[str, str]:
    return {**os.environ, "OPENIM_TRIO_AUTH__SECRET": SECRET, "TERM": "xterm", **more}


@asynccontextmanager
async def piped(site: Site, server: Server, user: str, *arguments: str) -> AsyncIterator[Chatter]:
    process = await trio.lowlevel.open_process(
        command(site, server, user, arguments),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ(),
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    streams = process.stdin, process.stdout
    async with process.stdin, process.stdout, running(Chatter(process, *streams, False)) as chatter:
        yield chatter


@asynccontextmanager
async def at_terminal(
    site: Site, server: Server, user: str, *arguments: str
) -> AsyncIterator[Chatter]:
    ours, theirs = pty.openpty()
    process = await trio.lowlevel.open_process(
        command(site, server, user, arguments),
        stdin=theirs, stdout=theirs, stderr=theirs, env=environ(),
    )  # fmt: skip
    os.close(theirs)
    async with (
        trio.lowlevel.FdStream(ours) as stream,
        running(Chatter(process, stream, stream, True)) as chatter,
    ):
        yield chatter


@asynccontextmanager
async def running(chatter: Chatter) -> AsyncIterator[Chatter]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(chatter.read)
        try:
            yield chatter
        finally:
            nursery.cancel_scope.cancel()
            chatter.process.kill()
            with trio.CancelScope(shield=True):
                await chatter.process.wait()


async def test_two_people_chat_over_a_restart_of_the_server(site: Site) -> None:
    with site.serving(workers=1) as server:
        ports = (server.ws_port, server.api_port)
        async with piped(site, server, "bob", "--to", "alice") as bob:
            await bob.until("— connected")
            async with at_terminal(site, server, "alice", "--to", "bob") as alice:
                await alice.until("— connected")
                await alice.until("● online")

                await alice.type("hello bob\r")
                await bob.until("alice  hello bob")
                await alice.until("alice  hello bob ✓")
                await alice.until("bob has read as far as #1")
                await bob.type("hello alice\n")
                await alice.until("bob  hello alice")
                await bob.until("bob  hello alice ✓")

                await alice.type("/revoke 1\r")
                await bob.until("alice took back #1")
                await alice.type("/list\r")
                await alice.until("▸ bob")

                server.process.terminate()
                await alice.until("connection lost, again in")
                await alice.type("are you there\r")
                await alice.until("are you there …")
                await alice.type(CTRL_D)
                await alice.until("1 message waits and will be sent next time")
                assert await alice.ended() == 0

            server.process.wait(LIMIT)
            with site.serving(workers=1, ports=ports) as again:
                async with piped(site, again, "alice", "--to", "bob") as alice:
                    await alice.input.aclose()
                    assert await alice.ended() == 0
                    await alice.until("alice  are you there ✓")
                await bob.until("— connected again")
                await bob.until("alice  are you there")
                await bob.input.aclose()
                assert await bob.ended() == 0
        assert bob.text.count("are you there") == 1


async def test_one_user_is_in_one_place(site: Site) -> None:
    with site.serving(workers=1) as server:
        async with piped(site, server, "alice", "--to", "nobody") as first:
            await first.until("— connected")
            arguments = command(site, server, "alice", ())
            second = await trio.run_process(
                arguments, env=environ(), capture_stdout=True, capture_stderr=True, check=False
            )
            assert second.returncode == 1
            told = second.stderr.decode()
            assert f"is open in process {first.process.pid}" in told
            assert len(told.splitlines()) == 1

            # The second one did not cost the first its token.
            await first.type("anybody?\n")
            await first.until("✗ nobody is registered with this ID")
            await first.input.aclose()
            assert await first.ended() == 1
