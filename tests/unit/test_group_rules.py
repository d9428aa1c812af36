"""What members of a group may do."""

from __future__ import annotations

import pytest

from openim_trio.domain.errors import Code, ServiceError
from openim_trio.domain.groups import Membership, check_may_send, may_remove_message
from openim_trio.domain.records import GroupRecord, MemberRecord

MEMBERS = Membership.of(
    "g",
    [
        MemberRecord("g", "owner", 100, mute_end_time=2_000),
        MemberRecord("g", "admin", 60),
        MemberRecord("g", "admin2", 60),
        MemberRecord("g", "member", 20),
        MemberRecord("g", "muted", 20, mute_end_time=2_000),
    ],
)


@pytest.mark.parametrize(
    ("status", "user", "content_type", "code"),
    [
        (0, "member", 101, None),
        (0, "stranger", 101, Code.NOT_IN_GROUP),
        (0, "muted", 101, Code.MUTED_IN_GROUP),
        (0, "owner", 101, None),
        (2, "owner", 101, Code.GROUP_DISMISSED),
        (2, "owner", 1511, None),
        (3, "member", 101, Code.MUTED_GROUP),
        (3, "admin", 101, None),
        (3, "owner", 101, None),
    ],
)
def test_sending(status: int, user: str, content_type: int, code: Code | None) -> None:
    group = GroupRecord("g", status=status)
    if code is None:
        check_may_send(group, MEMBERS, user, content_type, 1_000)
        return
    with pytest.raises(ServiceError) as raised:
        check_may_send(group, MEMBERS, user, content_type, 1_000)
    assert raised.value.code is code


def test_a_mute_ends() -> None:
    check_may_send(GroupRecord("g"), MEMBERS, "muted", 101, 2_000)


@pytest.mark.parametrize(
    ("user", "sender", "may"),
    [
        ("member", "member", True),
        ("member", "owner", False),
        ("admin", "member", True),
        ("admin", "admin2", False),
        ("admin", "owner", False),
        ("admin", "gone", True),
        ("owner", "admin", True),
        ("stranger", "stranger", False),
        ("stranger", "member", False),
    ],
)
def test_removing(user: str, sender: str, may: bool) -> None:
    assert may_remove_message(MEMBERS, user, sender) is may
