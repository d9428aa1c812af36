"""All services of a worker, built in one place.

`build_effects` comes first, since the append pipeline needs it; `build_services` takes it back.
"""

from __future__ import annotations

import attrs
import structlog

from openim_trio.append.pipeline import AppendPipeline
from openim_trio.config.model import Config
from openim_trio.observability.metrics import Metrics
from openim_trio.services.announcer import Announcer
from openim_trio.services.clearing import ClearingService
from openim_trio.services.control import (
    ControlMessage,
    ConversationChanged,
    MembershipChanged,
    TokensChanged,
    UsersChanged,
)
from openim_trio.services.conversation_access import ConversationAccess
from openim_trio.services.conversation_settings import ConversationSettings
from openim_trio.services.conversations import ConversationService
from openim_trio.services.deletion import DeletionService
from openim_trio.services.friends import FriendService
from openim_trio.services.group_lists import GroupListService
from openim_trio.services.groups import GroupService
from openim_trio.services.memberships import Memberships
from openim_trio.services.notifications import Notifications
from openim_trio.services.online_push import OnlinePush
from openim_trio.services.own_reads import OwnReads
from openim_trio.services.ports import HeadReader, OwnReadNotes, Presence, Publisher
from openim_trio.services.pulls import PullService
from openim_trio.services.read_state import ReadStateService
from openim_trio.services.reading import Reader
from openim_trio.services.receive_options import ReceiveOptions
from openim_trio.services.send_checks import SendChecks
from openim_trio.services.sending import Sender
from openim_trio.services.side_effects import MessageSideEffects
from openim_trio.services.tokens import TokenService
from openim_trio.services.users import UserService
from openim_trio.store.client import Store

_log = structlog.get_logger()


@attrs.frozen
class Services:
    tokens: TokenService
    users: UserService
    groups: GroupService
    group_lists: GroupListService
    friends: FriendService
    conversations: ConversationService
    conversation_settings: ConversationSettings
    sending: Sender
    pulls: PullService
    read_state: ReadStateService
    deletion: DeletionService
    clearing: ClearingService
    notifications: Notifications
    own_reads: OwnReads
    heads: HeadReader
    _effects: MessageSideEffects
    _memberships: Memberships
    _receive_options: ReceiveOptions

    def set_presence(self, presence: Presence) -> None:
        """Who is connected: known once the gateway stands."""
        self.users.presence = presence

    async def start(self) -> None:
        """What must be in the store before the first request."""
        await self.users.ensure_admins()

    async def memberships(self, user_id: str) -> list[str]:
        """The groups that the user is in, from the store."""
        return await self.groups.joined(user_id)

    async def conversation_ids(self, user_id: str) -> list[str]:
        """The user's conversations with their notification twins."""
        return await self.pulls.conversation_ids(user_id)

    def on_control(self, message: ControlMessage) -> None:
        """Drop what another worker changed.  Also sees this worker's own messages."""
        if isinstance(message, TokensChanged):
            self.tokens.drop_user(message.user_id)
        elif isinstance(message, UsersChanged):
            self.users.drop(message.user_ids)
        elif isinstance(message, MembershipChanged):
            self._memberships.drop([message.group_id])
            self._effects.forget(f"sg_{message.group_id}")
        elif isinstance(message, ConversationChanged):
            self._receive_options.drop(message.owner_user_id, message.conversation_id)
            self._effects.forget(message.conversation_id)

    def on_lost_messages(self) -> None:
        """The gateway let messages of the bus go: the same as a lost subscription."""
        self.on_bus_lost()

    def on_bus_lost(self) -> None:
        """Control messages may have been missed: believe nothing that was cached."""
        _log.info("caches_dropped")
        self.tokens.drop_all()
        self.users.drop_all()
        self._memberships.drop_all()
        self._receive_options.drop_all()
        self._effects.forget_all()


def build_effects(store: Store, bus: Publisher, notes: OwnReadNotes) -> MessageSideEffects:
    """What the append pipeline calls for stored messages.  Its `own_reads` wants to be run."""
    return MessageSideEffects(
        store.conversations,
        Memberships(store.groups),
        OnlinePush(bus),
        OwnReads(store.conversations, notes),
    )


def build_services(
    store: Store,
    pipeline: AppendPipeline,
    heads: HeadReader,
    bus: Publisher,
    config: Config,
    metrics: Metrics,
    *,
    effects: MessageSideEffects,
) -> Services:
    """`effects`: the one that the pipeline was built with."""
    announcer, push = Announcer(bus), OnlinePush(bus)
    memberships = effects.memberships
    receive_options = ReceiveOptions(store.conversations)
    notifications = Notifications(pipeline, push)
    users = UserService(store.users, config.auth, announcer)
    groups = GroupService(
        store.groups, store.versions, memberships, users, notifications, announcer, config.groups
    )
    access = ConversationAccess(store.conversations, store.bounds, memberships, heads)
    reader = Reader(store.rows, store.hidden, store.conversations)
    pulls = PullService(access, reader, store.conversations, effects.own_reads, store.rows, heads)
    return Services(
        tokens=TokenService(store.tokens, users, config.auth, announcer),
        users=users,
        groups=groups,
        group_lists=GroupListService(store.groups, store.versions, groups, users),
        friends=FriendService(store.versions),
        conversations=ConversationService(
            store.conversations,
            effects.own_reads,
            store.versions,
            pulls,
            heads,
            users,
            groups,
        ),
        conversation_settings=ConversationSettings(
            store.conversations, memberships, users, receive_options, notifications, announcer
        ),
        sending=Sender(
            SendChecks(users, memberships, receive_options, store.conversations),
            pipeline,
            push,
            store.send_status,
            metrics,
        ),
        pulls=pulls,
        read_state=ReadStateService(store.conversations, store.rows, heads, notifications),
        deletion=DeletionService(
            store.rows, store.hidden, access, memberships, users, notifications
        ),
        clearing=ClearingService(
            store.conversations, store.bounds, store.rows, heads, memberships, notifications
        ),
        notifications=notifications,
        own_reads=effects.own_reads,
        heads=heads,
        effects=effects,
        memberships=memberships,
        receive_options=receive_options,
    )
