"""SDK clients for tests: people with a client each, and what they were told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import attrs
import trio

from openim_trio.client import Client, Listener, Settings, open_client
from openim_trio.client.events import Event, RecvNewMessage
from openim_trio.client.model import Message
from tests.support.serving import SECRET, Serving

PATIENCE = 60.0
"""seconds for something to happen"""

E = TypeVar("E", bound=Event)


class Diary(Listener):
    """Everything that a client tells, in order."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._happened = trio.Event()

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("on_"):
            return self._note
        return super().__getattribute__(name)

    def _note(self, event: Event) -> None:
        self.events.append(event)
        self._happened.set()
        self._happened = trio.Event()

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def received(self) -> list[Message]:
        return [event.message for event in self.of(RecvNewMessage)]

    async def until(self, condition: Callable[[], bool], what: str = "") -> None:
        with trio.move_on_after(PATIENCE):
            while not condition():
                with trio.move_on_after(0.2):
                    await self._happened.wait()
            return
        raise AssertionError(f"{what or 'it'} never happened; {self.events[-20:]}")

    async def wait_for(self, kind: type[E], accept: Callable[[E], bool] = lambda _: True) -> E:
        await self.until(lambda: any(accept(e) for e in self.of(kind)), kind.__name__)
        return next(e for e in self.of(kind) if accept(e))

    async def wait_for_text(self, text: str) -> Message:
        event = await self.wait_for(RecvNewMessage, lambda e: e.message.text == text)
        return event.message


@attrs.frozen
class Person:
    client: Client
    diary: Diary


@attrs.frozen
class People:
    """Users of a server under test, their tokens, and where their databases are."""

    serving: Serving
    directory: Path
    admin: str
    tokens: dict[str, str] = attrs.field(factory=dict)

    def settings(self, **more: Any) -> Settings:
        given = {
            "ws_address": f"ws://127.0.0.1:{self.serving.ws_port}",
            "api_address": f"http://127.0.0.1:{self.serving.api_port}",
            "data_dir": self.directory,
            "first_wait": 0.05,
            "longest_wait": 0.5,
            **more,
        }
        return Settings(**given)

    async def token(self, user: str) -> str:
        """Registers, the first time."""
        if user not in self.tokens:
            body: dict[str, Any] = {"users": [{"userID": user, "nickname": user.capitalize()}]}
            await self.serving.post("/user/user_register", body, self.admin)
            answer = await self.serving.post(
                "/auth/get_user_token", {"userID": user, "platformID": 7}, self.admin
            )
            self.tokens[user] = answer["data"]["token"]
        return self.tokens[user]

    @asynccontextmanager
    async def online(self, user: str, **settings: Any) -> AsyncIterator[Person]:
        """Logged in and connected."""
        token = await self.token(user)
        async with open_client(self.settings(**settings)) as client:
            diary = Diary()
            client.listen(diary)
            await client.login(user, token)
            with trio.fail_after(PATIENCE):
                await client.until_connected()
            yield Person(client, diary)


async def people_of(serving: Serving, directory: Path) -> People:
    answer = await serving.post(
        "/auth/get_admin_token", {"secret": SECRET, "userID": "imAdmin"}, ""
    )
    return People(serving, directory, answer["data"]["token"])
