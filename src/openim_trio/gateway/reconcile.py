"""After something may have been missed: compare heads, show what is missing.

Order (C12): the channels are heard again first, then the heads are read.  Where a connection's
position in a conversation is known, the rows behind it are shown; where it is not, the newest row
is shown if it came since the loss (clients drop what they have and pull what is before it).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

import structlog
import trio

from openim_trio.append.ports import Head, SequencerUnavailable, StoreUnavailable
from openim_trio.domain import conversations
from openim_trio.domain.errors import ServiceError
from openim_trio.gateway.fanout import Fanout
from openim_trio.gateway.hub import Hub, LocalUser
from openim_trio.gateway.kicks import register
from openim_trio.gateway.ports import GatewayServices
from openim_trio.gateway.session import Session
from openim_trio.services.control import group_channel

ALLOWANCE_MS = 10_000
"""for clocks that differ, and for what was on its way"""
USERS_AT_ONCE = 8
SESSIONS_PER_CHECK = 500
SWEEP_EVERY = 30.0
QUIET, ACTIVE = 2.0, 300.0
"""seconds since the last message: a conversation is swept between the two.  One that goes on finds
its gaps by itself."""
SWEEP_LIMIT = 2_000
RETRY_AFTER = 2.0
REGISTERED_WITHIN = 10.0

log = structlog.get_logger()
_AWAY = (SequencerUnavailable, StoreUnavailable, ServiceError)


class Reconciler:
    def __init__(self, hub: Hub, fanout: Fanout, services: GatewayServices) -> None:
        self._hub = hub
        self._fanout = fanout
        self._services = services
        self._since: float | None = None
        self._joined: set[str] = set()
        self._wake = trio.Event()
        hub.on_joined = self._on_joined

    def missed_since(self, since: float) -> None:
        """Messages from `since` (trio time) on may not have come."""
        self._since = since if self._since is None else min(self._since, since)
        self._wake.set()

    def _on_joined(self, groups: list[str]) -> None:
        self._joined.update(groups)
        self._wake.set()

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._run_losses)
            nursery.start_soon(self._run_sweep)

    # -- after a loss ------------------------------------------------------------------------------

    async def _run_losses(self) -> None:
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            since, self._since = self._since, None
            joined, self._joined = self._joined, set()
            try:
                if since is not None:
                    await self._after_loss(since)
                if joined:
                    await self._look_at_groups(joined)
            except Exception as error:
                away = isinstance(error, _AWAY)
                log.warning("reconcile_postponed", reason=str(error), exc_info=not away)
                await trio.sleep(RETRY_AFTER)
                self._on_joined(list(joined))
                if since is not None:
                    self.missed_since(since)

    async def _after_loss(self, since: float) -> None:
        ago = trio.current_time() - since
        not_before = int((time.time() - ago) * 1000) - ALLOWANCE_MS
        users = list(self._hub.users.values())
        log.info("reconciling", users=len(users), lost_for=round(ago, 3))
        waiting = iter(users)
        failures: list[Exception] = []

        async def look_at_logins() -> None:
            try:
                await self._check_logins(list(self._hub.sessions.values()))
                await self._register_again()
            except _AWAY as error:
                failures.append(error)

        async def look_at_some() -> None:
            for user in waiting:
                if failures:
                    return
                try:
                    await self._look_at_user(user, not_before)
                except _AWAY as error:
                    failures.append(error)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(look_at_logins)
            for _ in range(USERS_AT_ONCE):
                nursery.start_soon(look_at_some)
        if failures:
            raise failures[0]

    async def _look_at_user(self, user: LocalUser, not_before: int) -> None:
        if not user.holders:
            return
        groups = await self._hub.read_groups_again(user)
        ids = await self._services.conversation_ids(user.user_id)
        heads = await self._services.heads.heads(without_left_groups(ids, groups))
        for session in user.sessions:
            compare(session, heads, not_before)

    async def _look_at_groups(self, groups: set[str]) -> None:
        """Groups that users came into while connected: what came before they were heard."""
        not_before = int(time.time() * 1000) - ALLOWANCE_MS
        ids = [
            conversation
            for group in groups
            for conversation in (
                conversations.group_chat(group),
                conversations.notification_group(group),
            )
        ]
        heads = await self._services.heads.heads(ids)
        for group in groups:
            own = {
                conversation: heads[conversation]
                for conversation in (
                    conversations.group_chat(group),
                    conversations.notification_group(group),
                )
                if conversation in heads
            }
            for session in self._fanout.listeners(group_channel(group)):
                compare(session, own, not_before)

    # -- logins ------------------------------------------------------------------------------------

    async def _check_logins(self, sessions: Sequence[Session]) -> list[Session]:
        """Kick who missed a kick.  Returns the others."""
        good: list[Session] = []
        for at in range(0, len(sessions), SESSIONS_PER_CHECK):
            batch = sessions[at : at + SESSIONS_PER_CHECK]
            refused = await self._services.tokens.refused([s.actor for s in batch])
            for session in batch:
                if session.actor.token_hash in refused:
                    session.kick()
                else:
                    good.append(session)
        return good

    async def _register_again(self) -> None:
        """Who did not hear its own registration: the message was lost, and kicked nobody."""
        oldest = int(time.time() * 1000) - int(REGISTERED_WITHIN * 1000)
        unheard = [
            session
            for session in self._hub.sessions.values()
            if not session.kickable
            and session.connected_at < oldest
            and not session.transport.closing
        ]
        # Somebody may have logged in since: then it is this one that goes.
        for session in await self._check_logins(unheard):
            await register(self._services.tokens, session)

    # -- now and then ------------------------------------------------------------------------------

    async def _run_sweep(self) -> None:
        while True:
            await trio.sleep(SWEEP_EVERY)
            try:
                await self._sweep()
                await self._register_again()
            except _AWAY as error:
                log.debug("sweep_postponed", reason=str(error))

    async def _sweep(self) -> None:
        """Conversations that were active lately and are quiet now: was their last message seen?"""
        now = trio.current_time()
        recent = {
            conversation: channels
            for conversation, (at, channels) in self._fanout.recent.items()
            if QUIET <= now - at <= ACTIVE
        }
        chosen = list(islice(reversed(recent), SWEEP_LIMIT))
        if not chosen:
            return
        heads = await self._services.heads.heads(chosen)
        for conversation, head in heads.items():
            for channel in recent.get(conversation, ()):
                for session in self._fanout.listeners(channel):
                    compare(session, {conversation: head}, session.connected_at - ALLOWANCE_MS)


def without_left_groups(ids: Iterable[str], groups: set[str]) -> list[str]:
    """A user keeps the conversation of a group after leaving it, but is shown no more of it."""
    names = dict.fromkeys(ids)
    for name in list(names):
        kind, _, group = name.partition("_")
        if kind == "sg" and group not in groups:
            del names[name]
            names.pop(conversations.notification_group(group), None)
    return list(names)


def compare(session: Session, heads: Mapping[str, Head], not_before: int) -> None:
    """Ask for what the session lacks.  `not_before` (Unix ms): older rows are no news where its
    position is unknown; nor are those from before it connected."""
    not_before = max(not_before, session.connected_at - ALLOWANCE_MS)
    for conversation, head in heads.items():
        unknown = session.positions.get(conversation) is None
        if head.seq and not (unknown and head.send_time < not_before):
            session.offer_head(conversation, head.seq, not_before=not_before)
