"""Who is connected, asked of all workers.  Nothing is kept in Redis but the subscriptions.

A worker listens to `u:<user>` while the user has a connection on it.  So the number of listeners
says who is offline, and a question published there reaches exactly the workers that know; each
answers on `w:<asker>`.  After `PATIENCE` seconds what came is the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import attrs
import structlog
import trio

from openim_trio.append.ports import SequencerUnavailable
from openim_trio.gateway.hub import Hub, LocalUser
from openim_trio.gateway.ports import GatewayBus
from openim_trio.services.control import (
    OnlineConnection,
    PresenceAnswer,
    PresenceChanged,
    PresenceQuery,
    encode,
    presence_channel,
    user_channel,
    worker_channel,
)

PATIENCE = 1.0

log = structlog.get_logger()

Connections = dict[str, dict[str, tuple[OnlineConnection, ...]]]
"""user -> worker -> connections"""


@attrs.define(slots=True, eq=False)
class _Question:
    """`missing`: answers that are still to come, one for each listener of each user; true once
    `counted`, since answers may come before the counts do."""

    missing: int = 0
    counted: bool = False
    found: Connections = attrs.field(factory=dict)
    done: trio.Event = attrs.field(factory=trio.Event)


class BusPresence:
    """Implements `services.ports.Presence`.  `run` publishes what the plain methods put."""

    def __init__(self, worker: str, hub: Hub, bus: GatewayBus) -> None:
        self._worker = worker
        self._hub = hub
        self._bus = bus
        self._questions: dict[str, _Question] = {}
        self._numbers = count(1)
        self._changed: dict[str, None] = {}
        self._asked: dict[tuple[str, str], dict[str, None]] = {}
        self._wake = trio.Event()
        hub.on_presence = self._on_presence

    # -- asking ------------------------------------------------------------------------------------

    async def online(self, user_ids: Sequence[str]) -> dict[str, list[OnlineConnection]]:
        """Users without a connection have an empty list.  Raises SequencerUnavailable."""
        found = await self._ask(list(dict.fromkeys(user_ids)))
        return {
            user_id: [c for there in found.get(user_id, {}).values() for c in there]
            for user_id in user_ids
        }

    async def by_worker(self, user_ids: Sequence[str]) -> dict[str, dict[str, tuple[int, ...]]]:
        """User -> worker -> platforms there.  Raises SequencerUnavailable."""
        found = await self._ask(list(dict.fromkeys(user_ids)))
        return {
            user_id: {
                worker: tuple(sorted({c.platform for c in there}))
                for worker, there in workers.items()
            }
            for user_id, workers in found.items()
        }

    async def _ask(self, user_ids: list[str]) -> Connections:
        counts = await self._bus.subscribers([user_channel(user_id) for user_id in user_ids])
        found: Connections = {}
        elsewhere: list[str] = []
        for user_id, listeners in zip(user_ids, counts, strict=True):
            here = self._here(user_id)
            if here:
                found[user_id] = {self._worker: here}
            if listeners > bool(here):  # one that only connects yet may not be counted
                elsewhere.append(user_id)
        if elsewhere:
            for user_id, workers in (await self._ask_others(elsewhere)).items():
                found.setdefault(user_id, {}).update(workers)
        return found

    async def _ask_others(self, user_ids: list[str]) -> Connections:
        query_id = f"{self._worker}-{next(self._numbers)}"
        question = self._questions[query_id] = _Question()
        try:
            items = []
            for user_id in user_ids:
                query = PresenceQuery(query_id, self._worker, (user_id,))
                items.append((user_channel(user_id), encode(query)))
            question.missing += sum(await self._bus.publish_many(items))
            question.counted = True
            if question.missing > 0:
                with trio.move_on_after(PATIENCE) as limit:
                    await question.done.wait()
                if limit.cancelled_caught:
                    log.warning("presence_incomplete", missing=question.missing)
        finally:
            del self._questions[query_id]
        return question.found

    def on_answer(self, answer: PresenceAnswer) -> None:
        question = self._questions.get(answer.query_id)
        if question is None:
            return
        for user_id, connections in answer.connections.items():
            if connections:
                question.found.setdefault(user_id, {})[answer.worker] = tuple(connections)
        question.missing -= len(answer.connections)
        if question.counted and question.missing <= 0:
            question.done.set()

    # -- answering and announcing ------------------------------------------------------------------

    def on_query(self, query: PresenceQuery) -> None:
        """Users without a connection here are answered for too: the asker counts."""
        users = self._asked.setdefault((query.worker, query.query_id), {})
        users.update(dict.fromkeys(query.user_ids))
        self._wake.set()

    def _on_presence(self, user: LocalUser) -> None:
        self._changed[user.user_id] = None
        self._wake.set()

    def _here(self, user_id: str) -> tuple[OnlineConnection, ...]:
        user = self._hub.users.get(user_id)
        if user is None:
            return ()
        return tuple(
            OnlineConnection(int(s.platform), s.conn_id, s.background) for s in user.sessions
        )

    async def run(self) -> None:
        """What was asked and what changed in one tick goes out together.  Lost while Redis is
        away: watchers ask again when it is back."""
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            items = self._outgoing()
            try:
                await self._bus.publish_many(items)
            except SequencerUnavailable as error:
                log.debug("presence_not_announced", reason=str(error))

    def _outgoing(self) -> list[tuple[str, bytes]]:
        items: list[tuple[str, bytes]] = []
        for (asker, query_id), users in self._asked.items():
            answer = PresenceAnswer(
                query_id, self._worker, {user_id: self._here(user_id) for user_id in users}
            )
            if asker == self._worker:
                self.on_answer(answer)
            else:
                items.append((worker_channel(asker), encode(answer)))
        for user_id in self._changed:
            platforms = tuple(sorted({c.platform for c in self._here(user_id)}))
            change = PresenceChanged(user_id, self._worker, platforms)
            items.append((presence_channel(user_id), encode(change)))
        self._asked.clear()
        self._changed.clear()
        return items
