"""Who is connected to this worker, and which channels that needs.

Presence is subscription: a worker listens to `u:<user>` while the user has a connection on it, and
to `g:<group>` while a member has.  Groups are kept per user, not per connection.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

import attrs
import trio

from openim_trio.append.ports import SequencerUnavailable
from openim_trio.gateway.ports import GatewayBus
from openim_trio.gateway.session import Session
from openim_trio.services.control import MembershipChanged, group_channel, user_channel


@attrs.define(slots=True, eq=False)
class LocalUser:
    """`holders`: connections, and handshakes that are about to become one.  `groups`: None until
    read from the store; what is said about them meanwhile is kept in `said`.  `changes`: how often
    the groups changed, for who reads them anew."""

    user_id: str
    sessions: list[Session] = attrs.field(factory=list)
    holders: int = 0
    groups: set[str] | None = None
    said: list[tuple[str, bool]] = attrs.field(factory=list)
    changes: int = 0


class Hub:
    """memberships(user_id)   the groups of a user, from the store
    on_presence(user)      called when connections of a user came or went
    on_joined(groups)      called when groups that users came into are listened to
    """

    def __init__(
        self, bus: GatewayBus, memberships: Callable[[str], Awaitable[Iterable[str]]]
    ) -> None:
        self._bus = bus
        self._memberships = memberships
        self._late: set[str] = set()
        self._wake = trio.Event()
        self.users: dict[str, LocalUser] = {}
        self.groups: dict[str, dict[LocalUser, None]] = {}
        self.sessions: dict[str, Session] = {}
        self.on_presence: Callable[[LocalUser], None] = lambda user: None
        self.on_joined: Callable[[list[str]], None] = lambda groups: None

    async def run(self) -> None:
        """Listens for groups that connected users came into."""
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            groups = [group for group in self._late if group in self.groups]
            self._late.clear()
            try:
                await self._bus.subscribe([group_channel(group) for group in groups])
            except SequencerUnavailable:
                continue  # they stay wanted; once they are heard, everything is looked through
            self.on_joined(groups)

    # -- users -------------------------------------------------------------------------------------

    async def hold(self, user_id: str) -> LocalUser:
        """Listen for a user, confirmed by Redis, before one of its connections is read (C12).

        Every hold is ended by one `release`.  Raises SequencerUnavailable or what the store
        raises; nothing is held then."""
        user = self.users.get(user_id)
        if user is None:
            user = self.users[user_id] = LocalUser(user_id)
        user.holders += 1
        try:
            await self._bus.subscribe([user_channel(user_id)])
            if user.groups is None:
                # The channel is heard already: a change during this read is in `said`.
                groups = set(await self._memberships(user_id))
                if user.groups is None:
                    self._take_groups(user, groups)
            await self._bus.subscribe([group_channel(group) for group in user.groups or ()])
        except BaseException:
            self.release(user)
            raise
        return user

    def release(self, user: LocalUser) -> None:
        user.holders -= 1
        if user.holders:
            return
        del self.users[user.user_id]
        self._bus.unsubscribe([user_channel(user.user_id)])
        for group in list(user.groups or ()):
            self._leave(user, group)

    def attach(self, user: LocalUser, session: Session) -> None:
        """From now on it gets what is published."""
        user.sessions.append(session)
        self.sessions[session.conn_id] = session
        self.on_presence(user)

    def detach(self, user: LocalUser, session: Session) -> None:
        """Also for one that was never attached."""
        if self.sessions.pop(session.conn_id, None) is not None:
            user.sessions.remove(session)
            self.on_presence(user)

    # -- groups ------------------------------------------------------------------------------------

    def change_membership(self, user: LocalUser, change: MembershipChanged) -> None:
        for is_member, ids in ((True, change.added), (False, change.removed)):
            if user.user_id not in ids:
                continue
            user.changes += 1
            if user.groups is None:
                user.said.append((change.group_id, is_member))
            elif is_member:
                self._join_late(user, change.group_id)
            else:
                self._leave(user, change.group_id)

    async def read_groups_again(self, user: LocalUser) -> set[str]:
        """What the store says, after changes may have been missed."""
        while True:
            changes = user.changes
            groups = set(await self._memberships(user.user_id))
            if user.changes == changes:
                self._set_groups(user, groups)
                return groups

    def _set_groups(self, user: LocalUser, groups: set[str]) -> None:
        if user.groups is None or user.holders == 0:
            return
        for group in user.groups - groups:
            self._leave(user, group)
        for group in groups - user.groups:
            self._join_late(user, group)

    def _take_groups(self, user: LocalUser, groups: set[str]) -> None:
        for group, is_member in user.said:
            if is_member:
                groups.add(group)
            else:
                groups.discard(group)
        user.said.clear()
        user.groups = set()
        for group in groups:
            self._join(user, group)

    def _join(self, user: LocalUser, group: str) -> None:
        if user.groups is None or group in user.groups:
            return
        user.groups.add(group)
        self.groups.setdefault(group, {})[user] = None

    def _join_late(self, user: LocalUser, group: str) -> None:
        self._join(user, group)
        self._late.add(group)
        self._wake.set()

    def _leave(self, user: LocalUser, group: str) -> None:
        if user.groups is None or group not in user.groups:
            return
        user.groups.discard(group)
        members = self.groups[group]
        del members[user]
        if not members:
            del self.groups[group]
            self._bus.unsubscribe([group_channel(group)])
