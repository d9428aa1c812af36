"""May this message be sent?  What takes a look at users, groups and options; mostly cached.

An administrator may send in anybody's name, but it is the named sender's rights that count.
"""

from __future__ import annotations

from openim_trio.domain import options
from openim_trio.domain.actors import Actor
from openim_trio.domain.content_types import NOTIFICATION_RANGE, ContentType
from openim_trio.domain.conversations import SessionType
from openim_trio.domain.errors import Code, ServiceError, args_error
from openim_trio.domain.groups import check_may_send, check_not_dismissed
from openim_trio.domain.records import UserRecord
from openim_trio.domain.send_rules import DO_NOT_RECEIVE, RECEIVE_SILENTLY
from openim_trio.services.clock import now_ms
from openim_trio.services.memberships import Memberships
from openim_trio.services.receive_options import ReceiveOptions, stricter
from openim_trio.services.users import ADMIN_LEVEL, NOTIFICATION_LEVEL, UserService
from openim_trio.store.conversations import Conversations
from openim_trio.wire.proto import sdkws_pb2


class SendChecks:
    def __init__(
        self,
        users: UserService,
        memberships: Memberships,
        receive_options: ReceiveOptions,
        conversations: Conversations,
    ) -> None:
        self._users = users
        self._memberships = memberships
        self._receive_options = receive_options
        self._conversations = conversations

    async def check(self, message: sdkws_pb2.MsgData, actor: Actor, target: str) -> None:
        """`target`: the message's conversation.  Raises ServiceError.  May switch offlinePush
        off."""
        privileged = message.contentType in NOTIFICATION_RANGE
        if actor.is_admin and message.sessionType != SessionType.NOTIFICATION:
            privileged |= await self._sender_is_exempt(message)
        if message.sessionType == SessionType.GROUP:
            await self._check_group(message, privileged)
        elif message.sessionType == SessionType.SINGLE:
            await self._check_single(message, privileged, target)
        else:
            await self._check_system(message)

    async def check_give_up(self, message: sdkws_pb2.MsgData, actor: Actor, target: str) -> None:
        """As `check`.  But who has a row of the conversation took part in it, and learns what
        became of the message also when sending was forbidden meanwhile."""
        try:
            await self.check(message, actor, target)
        except ServiceError:
            if not await self._conversations.get_many(message.sendID, [target]):
                raise

    async def _sender_is_exempt(self, message: sdkws_pb2.MsgData) -> bool:
        """Administrators, and outside of groups system accounts."""
        if self._users.is_admin(message.sendID):
            return True
        sender = await self._sender(message)
        return (
            message.sessionType == SessionType.SINGLE
            and sender.app_manger_level >= NOTIFICATION_LEVEL
        )

    async def _check_single(
        self, message: sdkws_pb2.MsgData, privileged: bool, target: str
    ) -> None:
        receiver = await self._receiver(message)
        if privileged or message.sendID == message.recvID:
            return
        option = stricter(
            receiver.global_recv_msg_opt,
            await self._receive_options.of(message.recvID, target),
        )
        if option == DO_NOT_RECEIVE:
            raise ServiceError(Code.ARGS, "message is not sent: recvID does not receive messages")
        if option == RECEIVE_SILENTLY:
            message.options[options.OFFLINE_PUSH] = False

    async def _check_group(self, message: sdkws_pb2.MsgData, privileged: bool) -> None:
        group = await self._memberships.group(message.groupID)
        if group is None:
            raise ServiceError(Code.GROUP_NOT_FOUND, f"groupID: no group {message.groupID}")
        if privileged:
            check_not_dismissed(group, message.contentType)
            return
        members = await self._memberships.members(message.groupID)
        check_may_send(group, members, message.sendID, message.contentType, now_ms())

    async def _check_system(self, message: sdkws_pb2.MsgData) -> None:
        """An OA notification comes from a system account or an administrator."""
        sender = await self._sender(message)
        if sender.app_manger_level < ADMIN_LEVEL:
            raise ServiceError(Code.NO_PERMISSION, "sendID: is not a notification account")
        if message.contentType != ContentType.OA_NOTIFICATION:
            raise args_error("contentType", "must be 1400")
        await self._receiver(message)

    async def _sender(self, message: sdkws_pb2.MsgData) -> UserRecord:
        sender = await self._users.find(message.sendID)
        if sender is None:
            raise ServiceError(Code.USER_NOT_FOUND, f"sendID: no user {message.sendID}")
        return sender

    async def _receiver(self, message: sdkws_pb2.MsgData) -> UserRecord:
        receiver = await self._users.find(message.recvID)
        if receiver is None:
            raise ServiceError(Code.USER_NOT_FOUND, f"recvID: no user {message.recvID}")
        return receiver
