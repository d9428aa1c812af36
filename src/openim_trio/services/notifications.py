"""Sending system messages.  No permission is checked here: the server itself speaks."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

import structlog
from google.protobuf.message import Message

from openim_trio.append.pipeline import AppendPipeline
from openim_trio.append.ports import SequencerUnavailable
from openim_trio.domain.conversations import SessionType
from openim_trio.domain.notifications import Delivery, chat_copy, detail_content, system_message
from openim_trio.domain.send_rules import conversation
from openim_trio.services.appends import answer, append_of, identify
from openim_trio.services.clock import now_ms
from openim_trio.services.online_push import OnlinePush, Unstored
from openim_trio.wire.proto import msg_pb2, sdkws_pb2

_log = structlog.get_logger()


class Notifications:
    def __init__(self, pipeline: AppendPipeline, push: OnlinePush) -> None:
        self._pipeline = pipeline
        self._push = push

    async def notify(
        self,
        content_type: int,
        tips: Message | Mapping[str, object] | str,
        *,
        send_id: str,
        session_type: int = SessionType.SINGLE,
        recv_id: str = "",
        group_id: str = "",
        stored: bool = False,
        send_msg: bool = False,
        unread_count: bool = True,
        offline_push: bool = False,
        client_msg_id: str = "",
        create_time: int = 0,
        channels: tuple[str, ...] = (),
        operation_id: str = "",
    ) -> msg_pb2.SendMsgResp:
        """Tell the receiver or the group, and the sender's own connections.

        With a `client_msg_id` (and the same `create_time`) a repeated call tells nobody twice, as
        far as it is stored; without, a random one is made up.  `channels`: where to publish
        instead of the usual ones.  Raises ServiceError if it could not be stored.
        """
        delivery = Delivery(stored, send_msg, unread_count, offline_push)
        message = system_message(
            content_type,
            detail_content(tips),
            send_id=send_id,
            recv_id=recv_id,
            group_id=group_id,
            session_type=session_type,
            client_msg_id=client_msg_id or secrets.token_hex(16),
            create_time=create_time or now_ms(),
            delivery=delivery,
        )
        copy = chat_copy(message, delivery) if send_msg else None
        told = await self._tell(message, stored, channels, operation_id)
        if copy is not None:
            await self._store(copy, channels, operation_id)
        return told

    async def _tell(
        self,
        message: sdkws_pb2.MsgData,
        stored: bool,
        channels: tuple[str, ...],
        operation_id: str,
    ) -> msg_pb2.SendMsgResp:
        if stored:
            return await self._store(message, channels, operation_id)
        identify(message, conversation(message))
        message.sendTime = now_ms()
        try:
            await self._push.push(Unstored(message, channels, operation_id))
        except SequencerUnavailable as error:
            # Level 1 may get lost: clients read the same from the incremental lists.
            _log.warning("notification_lost", content_type=message.contentType, reason=str(error))
        return msg_pb2.SendMsgResp(
            serverMsgID=message.serverMsgID,
            clientMsgID=message.clientMsgID,
            sendTime=message.sendTime,
        )

    async def _store(
        self, message: sdkws_pb2.MsgData, channels: tuple[str, ...], operation_id: str
    ) -> msg_pb2.SendMsgResp:
        append = append_of(message, operation_id, channels=channels)
        return answer(append, message.clientMsgID, await self._pipeline.append(append))
