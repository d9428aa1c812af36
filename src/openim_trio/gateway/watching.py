"""Online status (2005): who watches whom, and what is known of the watched.

A change is announced on `p:<user>` by the worker where it happened, with the platforms that the
user has there; watchers put the workers' words together.  What may have been missed is asked again:
for all watched users now and then, and when a worker is gone or the subscription was lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import attrs
import structlog
import trio

from openim_trio.append.ports import SequencerUnavailable
from openim_trio.domain.errors import args_error
from openim_trio.gateway.ports import GatewayBus
from openim_trio.gateway.presence import BusPresence
from openim_trio.services.control import PresenceChanged, presence_channel
from openim_trio.wire.envelope import Response
from openim_trio.wire.identifiers import Req
from openim_trio.wire.proto import sdkws_pb2

if TYPE_CHECKING:
    from openim_trio.gateway.session import Session

MAX_WATCHED = 3_000
"""users that one connection may watch"""
ASK_AGAIN = 60.0
BATCH = 500

log = structlog.get_logger()


@attrs.define(slots=True, eq=False)
class _Watched:
    """`known`: worker -> platforms there.  `said`: the same, told while `asking` was more than 0:
    newer than the answers.  `shown`: what the watchers were told last."""

    watchers: dict[Session, None] = attrs.field(factory=dict)
    known: dict[str, tuple[int, ...]] = attrs.field(factory=dict)
    asking: int = 0
    said: dict[str, tuple[int, ...]] = attrs.field(factory=dict)
    shown: tuple[int, ...] = ()


class Watching:
    def __init__(self, bus: GatewayBus, presence: BusPresence) -> None:
        self._bus = bus
        self._presence = presence
        self._watched: dict[str, _Watched] = {}
        self._ask = trio.Event()

    async def start(
        self, session: Session, user_ids: Iterable[str]
    ) -> sdkws_pb2.SubUserOnlineStatusTips:
        """Watch these and say what they are now."""
        ids = list(dict.fromkeys(user_id for user_id in user_ids if user_id))
        if session.watched is None:
            session.watched = set()
        if len(session.watched.union(ids)) > MAX_WATCHED:
            raise args_error("subscribeUserID", f"more than {MAX_WATCHED} users are watched")
        for user_id in ids:
            self._watched.setdefault(user_id, _Watched()).watchers[session] = None
            session.watched.add(user_id)
        # Listen first, ask second: a change in between is heard.
        await self._bus.subscribe([presence_channel(user_id) for user_id in ids])
        await self._learn(ids)
        self._tell(ids, besides=session)
        return _tips({user_id: self._watched[user_id].shown for user_id in ids})

    def stop(self, session: Session, user_ids: Iterable[str]) -> None:
        unheard = []
        for user_id in user_ids:
            watched = self._watched.get(user_id)
            if watched is None or session not in watched.watchers:
                continue
            del watched.watchers[session]
            if session.watched is not None:
                session.watched.discard(user_id)
            if not watched.watchers:
                del self._watched[user_id]
                unheard.append(presence_channel(user_id))
        if unheard:
            self._bus.unsubscribe(unheard)

    def forget(self, session: Session) -> None:
        """The connection is over."""
        self.stop(session, list(session.watched or ()))

    def on_change(self, change: PresenceChanged) -> None:
        watched = self._watched.get(change.user_id)
        if watched is None:
            return
        watched.known[change.worker] = change.platforms
        if watched.asking:
            watched.said[change.worker] = change.platforms
        self._tell([change.user_id])

    def ask_again(self) -> None:
        """Something may have been missed."""
        self._ask.set()

    async def run(self) -> None:
        while True:
            with trio.move_on_after(ASK_AGAIN):
                await self._ask.wait()
            self._ask = trio.Event()
            users = list(self._watched)
            for at in range(0, len(users), BATCH):
                batch = users[at : at + BATCH]
                try:
                    await self._learn(batch)
                except SequencerUnavailable as error:
                    log.debug("presence_unknown", reason=str(error))
                    break
                self._tell(batch)

    async def _learn(self, user_ids: Sequence[str]) -> None:
        asked = {
            user_id: watched
            for user_id in user_ids
            if (watched := self._watched.get(user_id)) is not None
        }
        for watched in asked.values():
            watched.asking += 1
        try:
            found = await self._presence.by_worker(list(asked))
            for user_id, watched in asked.items():
                watched.known = {**found.get(user_id, {}), **watched.said}
        finally:
            for watched in asked.values():
                watched.asking -= 1
                if not watched.asking:
                    watched.said.clear()

    def _tell(self, user_ids: Iterable[str], besides: Session | None = None) -> None:
        """Push what changed; each watcher gets one push for all of its users.  `besides`: one
        that is told otherwise."""
        news: dict[Session, dict[str, tuple[int, ...]]] = {}
        for user_id in user_ids:
            watched = self._watched.get(user_id)
            if watched is None:
                continue
            now = _platforms(watched.known)
            if now == watched.shown:
                continue
            watched.shown = now
            for session in watched.watchers:
                news.setdefault(session, {})[user_id] = now
        if besides is not None:
            news.pop(besides, None)
        for session, changes in news.items():
            data = _tips(changes).SerializeToString()
            session.notify(Response(Req.ONLINE_STATUS, data=data))


def _platforms(known: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(sorted({platform for there in known.values() for platform in there}))


def _tips(users: dict[str, tuple[int, ...]]) -> sdkws_pb2.SubUserOnlineStatusTips:
    return sdkws_pb2.SubUserOnlineStatusTips(
        subscribers=[
            sdkws_pb2.SubUserOnlineStatusElem(userID=user_id, onlinePlatformIDs=platforms)
            for user_id, platforms in users.items()
        ]
    )
