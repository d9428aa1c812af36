"""Friends and the black list, as far as the server keeps them.

What changes them (asking, answering, deleting, blocking) comes when the server has it; its
notifications (1201 to 1210) are `notifications.Other` until then.  The lists are always asked of
the server; nothing of them is kept on the device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import attrs

from openim_trio.client import arguments
from openim_trio.client.calls import UserInfo, shaped, user_info
from openim_trio.client.errors import InvalidArgument
from openim_trio.client.members import Members
from openim_trio.client.rest import Rest

T = TypeVar("T")

PAGE = 100
MAX_PAGE = 10_000
"""entries that the server gives at a time"""


@attrs.frozen(kw_only=True)
class Friend:
    """remark       what the user calls the friend
    add_source   1 import, 2 application
    since        Unix ms
    """

    user: UserInfo
    remark: str = ""
    is_pinned: bool = False
    add_source: int = 0
    operator_id: str = ""
    since: int = 0
    ex: str = ""


@attrs.frozen(kw_only=True)
class Black:
    """Somebody who may not write to the user.  `since`: Unix ms."""

    user: UserInfo
    add_source: int = 0
    operator_id: str = ""
    since: int = 0
    ex: str = ""


class Friends:
    """Each call raises what `Rest.post` does."""

    def __init__(self, rest: Rest, user: str) -> None:
        self._rest = rest
        self._user = user

    async def list(self, page: int = 1, size: int = PAGE) -> tuple[Friend, ...]:
        """GetFriendListPage.  Pages count from 1; one with fewer than `size` is the last."""
        body = {"userID": self._user, "pagination": _pagination(page, size)}
        return await self._ask("/friend/get_friend_list", body, "friendsInfo", _friend)

    async def designated(self, user_ids: Sequence[str]) -> tuple[Friend, ...]:
        """GetSpecifiedFriendsInfo: those of them that are friends."""
        wanted = tuple(dict.fromkeys(arguments.texts("user_ids", user_ids, MAX_PAGE)))
        if not wanted:
            return ()
        body = {"ownerUserID": self._user, "friendUserIDs": wanted}
        return await self._ask("/friend/get_designated_friends", body, "friendsInfo", _friend)

    async def black_list(self, page: int = 1, size: int = PAGE) -> tuple[Black, ...]:
        """GetBlackList.  Pages as in `list`."""
        body = {"userID": self._user, "pagination": _pagination(page, size)}
        return await self._ask("/friend/get_black_list", body, "blacks", _black)

    async def _ask(
        self, path: str, body: Mapping[str, Any], name: str, item: Callable[[Members], T]
    ) -> tuple[T, ...]:
        answer = await self._rest.members(path, body)
        with shaped(path):
            return tuple(item(found) for found in answer.objects(name))


def _pagination(page: int, size: int) -> dict[str, int]:
    if arguments.count("page", page) < 1:
        raise InvalidArgument("page: must be at least 1")
    if not 1 <= arguments.count("size", size) <= MAX_PAGE:
        raise InvalidArgument(f"size: must be from 1 to {MAX_PAGE}")
    return {"pageNumber": page, "showNumber": size}


def _friend(found: Members) -> Friend:
    return Friend(
        user=user_info(found.object("friendUser")),
        remark=found.text("remark"),
        is_pinned=found.flag("isPinned"),
        add_source=found.integer("addSource", 0),
        operator_id=found.text("operatorUserID"),
        since=_since(found),
        ex=found.text("ex"),
    )


def _black(found: Members) -> Black:
    return Black(
        user=user_info(found.object("blackUserInfo")),
        add_source=found.integer("addSource", 0),
        operator_id=found.text("operatorUserID"),
        since=_since(found),
        ex=found.text("ex"),
    )


def _since(found: Members) -> int:
    """These lists count seconds, unlike everything else."""
    return found.integer("createTime", 0) * 1000
