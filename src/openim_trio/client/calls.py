"""The REST calls that the SDK makes for its user: each one's path, body and answer, in one place.

They raise what `Rest.post` raises; ProtocolError, too, where an answer is not shaped as it should
be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import attrs

from openim_trio.client.errors import ProtocolError
from openim_trio.client.members import Members, WrongShape
from openim_trio.client.model import Conversation
from openim_trio.client.rest import Rest
from openim_trio.domain.conversations import SessionType

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class UserInfo:
    user_id: str
    nickname: str = ""
    face_url: str = ""
    ex: str = ""


@attrs.frozen(kw_only=True)
class ConversationChanges:
    """What changed in the list since a version.  `full`: the version is of no use any more, ask for
    all of them.  Without any change there is no need to keep the new version."""

    version_id: str
    version: int
    full: bool
    deleted: tuple[str, ...]
    inserted: tuple[Conversation, ...]
    updated: tuple[Conversation, ...]


@attrs.frozen
class Calls:
    rest: Rest

    # -- messages ----------------------------------------------------------------------------------

    async def mark_read(
        self, user: str, conversation_id: str, has_read_seq: int, seqs: Sequence[int] = ()
    ) -> None:
        """Everything up to `has_read_seq` (1 ...) is read; of a single chat `seqs`, too (at most
        10,000).  The peer, or one's other devices, are told."""
        body = {
            "conversationID": conversation_id,
            "userID": user,
            "hasReadSeq": has_read_seq,
            "seqs": list(seqs),
        }
        await self.rest.post("/msg/mark_conversation_as_read", body)

    async def revoke(self, user: str, conversation_id: str, seq: int) -> None:
        """Raises ServerRefused: 1004 no such message, 1002 not one's own, 1404 revoked before."""
        body = {"conversationID": conversation_id, "seq": seq, "userID": user}
        await self.rest.post("/msg/revoke_msg", body)

    async def delete(
        self,
        user: str,
        conversation_id: str,
        seqs: Sequence[int],
        *,
        tell_devices: bool = False,
        for_all: bool = False,
    ) -> None:
        """Hide messages (at most 1,000) from the user.  `tell_devices`: one's other devices are
        told; `for_all`: empty them for everybody, which only those may who may revoke them."""
        body: dict[str, Any] = {
            "conversationID": conversation_id,
            "seqs": list(seqs),
            "userID": user,
        }
        if tell_devices or for_all:
            body["deleteSyncOpt"] = _sync(tell_devices, for_all)
        await self.rest.post("/msg/delete_msgs", body)

    async def clear(
        self, user: str, conversation_ids: Sequence[str], *, tell_devices: bool = False
    ) -> None:
        """Hide all that is in these conversations (at most 1,000) now from the user."""
        body: dict[str, Any] = {"conversationIDs": list(conversation_ids), "userID": user}
        if tell_devices:
            body["deleteSyncOpt"] = _sync(tell_devices, False)
        await self.rest.post("/msg/clear_conversation_msg", body)

    async def server_time(self) -> int:
        """Unix ms."""
        path = "/msg/get_server_time"
        answer = await self.rest.members(path, {})
        with shaped(path):
            return answer.integer("serverTime", 1)

    # -- conversations -----------------------------------------------------------------------------

    async def incremental_conversations(
        self, user: str, version_id: str, version: int
    ) -> ConversationChanges:
        """`version_id` "" and `version` 0: nothing is known yet; the answer says `full`."""
        path = "/conversation/get_incremental_conversations"
        body = {"userID": user, "versionID": version_id, "version": version}
        answer = await self.rest.members(path, body)
        with shaped(path):
            return ConversationChanges(
                version_id=answer.text("versionID"),
                version=answer.integer("version", 0),
                full=answer.flag("full"),
                deleted=answer.texts("delete"),
                inserted=tuple(map(_conversation, answer.objects("insert"))),
                updated=tuple(map(_conversation, answer.objects("update"))),
            )

    async def conversations(self, user: str, conversation_ids: Sequence[str]) -> list[Conversation]:
        """Those that exist, of at most 10,000."""
        if not conversation_ids:
            return []  # which the server would refuse
        body = {"ownerUserID": user, "conversationIDs": list(conversation_ids)}
        return await self._list(
            "/conversation/get_conversations", body, "conversations", _conversation
        )

    async def all_conversations(self, user: str) -> list[Conversation]:
        return await self._list(
            "/conversation/get_all_conversations",
            {"ownerUserID": user},
            "conversations",
            _conversation,
        )

    async def set_conversation(
        self,
        user: str,
        conversation: Conversation,
        *,
        recv_msg_opt: int | None = None,
        is_pinned: bool | None = None,
        is_private_chat: bool | None = None,
        burn_duration: int | None = None,
        group_at_type: int | None = None,
        attached_info: str | None = None,
        ex: str | None = None,
    ) -> None:
        """Change what is given; the rest stays.  One's devices are told (1300)."""
        changes: Mapping[str, object] = {
            "recvMsgOpt": recv_msg_opt,
            "isPinned": is_pinned,
            "isPrivateChat": is_private_chat,
            "burnDuration": burn_duration,
            "groupAtType": group_at_type,
            "attachedInfo": attached_info,
            "ex": ex,
        }
        group = conversation.session_type == SessionType.GROUP
        request = {
            "conversationID": conversation.conversation_id,
            "conversationType": conversation.session_type,
            "userID": "" if group else conversation.user_id,
            "groupID": conversation.group_id if group else "",
            **{name: value for name, value in changes.items() if value is not None},
        }
        body = {"userIDs": [user], "conversation": request}
        await self.rest.post("/conversation/set_conversations", body)

    # -- users -------------------------------------------------------------------------------------

    async def users_info(self, user_ids: Sequence[str]) -> list[UserInfo]:
        """Those that exist, of at most 10,000, in any order."""
        if not user_ids:
            return []
        return await self._list(
            "/user/get_users_info", {"userIDs": list(user_ids)}, "usersInfo", user_info
        )

    async def _list(
        self, path: str, body: Mapping[str, Any], name: str, item: Callable[[Members], T]
    ) -> list[T]:
        answer = await self.rest.members(path, body)
        with shaped(path):
            return [item(found) for found in answer.objects(name)]


def user_info(found: Members) -> UserInfo:
    return UserInfo(
        user_id=found.filled("userID"),
        nickname=found.text("nickname"),
        face_url=found.text("faceURL"),
        ex=found.text("ex"),
    )


def _conversation(found: Members) -> Conversation:
    """maxSeq and minSeq of a row are bounds of what the user may see, not the conversation's ends;
    the WebSocket tells those."""
    return Conversation(
        conversation_id=found.filled("conversationID"),
        session_type=found.integer("conversationType", 0),
        user_id=found.text("userID"),
        group_id=found.text("groupID"),
        recv_msg_opt=found.integer("recvMsgOpt", 0),
        is_pinned=found.flag("isPinned"),
        is_private_chat=found.flag("isPrivateChat"),
        burn_duration=found.integer("burnDuration", 0),
        group_at_type=found.integer("groupAtType", 0),
        ex=found.text("ex"),
        attached_info=found.text("attachedInfo"),
    )


def _sync(tell_devices: bool, for_all: bool) -> dict[str, bool]:
    return {"IsSyncSelf": tell_devices, "IsSyncOther": for_all}


@contextmanager
def shaped(path: str) -> Iterator[None]:
    """WrongShape, met while the answer of `path` is read, becomes ProtocolError."""
    try:
        yield
    except WrongShape as problem:
        raise ProtocolError(f"{path}: {problem}") from None
