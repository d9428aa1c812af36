"""Drive one official SDK instance (client.mjs under Node) from a test."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import trio

from openim_trio.demo.server import Server

HERE = Path(__file__).parent


class SdkError(Exception):
    """The SDK's promise was rejected."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code} {text}")
        self.code = code


class OfficialClient:
    """`await client.call("login", {...})`; what the SDK tells its listeners is in `events`."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._ids = itertools.count(1)
        self._answers: dict[int, Any] = {}
        self._changed = trio.Condition()
        self.events: list[tuple[str, Any]] = []

    async def call(self, name: str, *args: Any, seconds: float = 20) -> Any:
        number = next(self._ids)
        line = orjson.dumps({"id": number, "call": name, "args": args})
        assert self._process.stdin is not None
        await self._process.stdin.send_all(line + b"\n")
        with trio.fail_after(seconds):
            async with self._changed:
                while number not in self._answers:
                    await self._changed.wait()
        answer = self._answers.pop(number)
        if "error" in answer:
            raise SdkError(answer["error"]["errCode"], answer["error"]["errMsg"])
        return (answer["ok"] or {}).get("data")

    async def event(
        self, name: str, accept: Callable[[Any], bool] = lambda _: True, seconds: float = 20
    ) -> Any:
        """The first event of this name that `accept`s, past or to come."""
        with trio.fail_after(seconds):
            async with self._changed:
                while True:
                    for found, data in self.events:
                        if found == name and accept(data):
                            return data
                    await self._changed.wait()

    async def login(self, server: Server, user: str, token: str, platform: int = 5) -> None:
        await self.call(
            "login",
            {
                "userID": user,
                "token": token,
                "wsAddr": server.ws_address,
                "apiAddr": server.api_address,
                "platformID": platform,
            },
        )
        await self.event("OnSyncServerFinish")

    async def listen(self) -> None:
        buffer = b""
        assert self._process.stdout is not None
        async for chunk in self._process.stdout:
            *lines, buffer = (buffer + chunk).split(b"\n")
            async with self._changed:
                for line in lines:
                    message = orjson.loads(line)
                    if "event" in message:
                        self.events.append((message["event"], message["data"]))
                    else:
                        self._answers[message["id"]] = message
                self._changed.notify_all()


@asynccontextmanager
async def official_client(log: Path) -> AsyncIterator[OfficialClient]:
    """A fresh process with one SDK instance; what it logs goes to the file `log`."""
    node = shutil.which("node")
    assert node, "Node is needed for the official SDK (nox installs it)"
    with log.open("wb") as stderr:
        async with trio.open_nursery() as nursery:
            process = await trio.lowlevel.open_process(
                [node, str(HERE / "client.mjs")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
            )
            try:
                client = OfficialClient(process)
                nursery.start_soon(client.listen)
                await client.event("ready")
                yield client
            finally:
                process.kill()
                with trio.CancelScope(shield=True):
                    await process.wait()
                nursery.cancel_scope.cancel()
