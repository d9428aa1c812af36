"""Who may call a route: declared beside it, checked here."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

import attrs

from openim_trio.domain.actors import Actor
from openim_trio.domain.errors import Code, ServiceError

if TYPE_CHECKING:
    from openim_trio.services.groups import GroupService


class Who(Enum):
    NONE = "no token"
    ANY = "any valid token"
    ADMIN = "administrators"
    SELF = "the user named by the field, and administrators"
    SELFIN = "the users named by the fields, and administrators"
    MEMBER = "members of each group named by the field, and administrators"
    GADMIN = "owner and admins of each group named by the field, and administrators"


@attrs.frozen
class Permission:
    who: Who
    fields: tuple[str, ...] = ()
    """paths into the request: `userID`, `reqList.groupID` (each item of a list)"""

    def __str__(self) -> str:
        return f"{self.who.value} ({', '.join(self.fields)})" if self.fields else self.who.value


NONE = Permission(Who.NONE)
ANY = Permission(Who.ANY)
ADMIN = Permission(Who.ADMIN)


def SELF(field: str) -> Permission:
    return Permission(Who.SELF, (field,))


def SELFIN(*fields: str) -> Permission:
    return Permission(Who.SELFIN, fields)


def MEMBER(field: str) -> Permission:
    return Permission(Who.MEMBER, (field,))


def GADMIN(field: str) -> Permission:
    return Permission(Who.GADMIN, (field,))


def values_at(request: Any, path: str) -> list[str]:
    """The strings that a path leads to; none if a part on the way is absent."""
    found = [request]
    for name in path.split("."):
        inner = [getattr(item, name) for item in found if item is not None]
        found = []
        for item in inner:
            found.extend(item if isinstance(item, list) else (item,))
    return [item for item in found if item is not None]


async def check_permission(
    permission: Permission, actor: Actor, request: Any, groups: GroupService
) -> None:
    """Raises ServiceError NO_PERMISSION."""
    who = permission.who
    if who in (Who.NONE, Who.ANY) or actor.is_admin:
        return
    if who is Who.ADMIN:
        raise ServiceError(Code.NO_PERMISSION, "administrators only")
    named = [value for path in permission.fields for value in values_at(request, path)]
    names = " or ".join(permission.fields)
    if who in (Who.SELF, Who.SELFIN):
        others = set(named) != {actor.user_id} if who is Who.SELF else actor.user_id not in named
        if others:
            raise ServiceError(Code.NO_PERMISSION, f"{names} is not the caller")
        return
    for group_id in dict.fromkeys(named):
        members = await groups.members(group_id)
        if actor.user_id not in members.ids:
            raise ServiceError(Code.NO_PERMISSION, f"{names}: the caller is not a member")
        if who is Who.GADMIN and not members.leads(actor.user_id):
            raise ServiceError(Code.NO_PERMISSION, f"{names}: owner and admins of the group only")
