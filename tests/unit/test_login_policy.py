"""Who has to go at a login."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openim_trio.domain.errors import Code, ServiceError
from openim_trio.domain.login_policy import (
    POLICIES,
    kicked_connection,
    kicked_tokens_at_issue,
    kicked_tokens_at_registration,
)
from openim_trio.domain.platforms import CLASS_OF, Platform, PlatformClass
from openim_trio.domain.records import TokenRecord

P = Platform
platforms = st.sampled_from([p for p in Platform if p is not Platform.ADMIN])


def token(name: str, platform: Platform, issued_at: int = 0) -> TokenRecord:
    return TokenRecord(name, "u", int(platform), 0, issued_at, 10_000)


token_lists = st.lists(st.tuples(platforms, st.integers(0, 50)), max_size=12).map(
    lambda items: [token(f"t{i}", p, at) for i, (p, at) in enumerate(items)]
)


@pytest.mark.parametrize(
    ("policy", "new", "other", "goes"),
    [
        (0, P.IOS, P.IOS, False),
        (1, P.IOS, P.IOS, True),
        (1, P.IOS, P.ANDROID, False),
        (4, P.IOS, P.ANDROID, True),
        (4, P.WINDOWS, P.LINUX, True),
        (4, P.IOS, P.IPAD, False),
        (4, P.WEB, P.MINI_WEB, False),
        (5, P.WINDOWS, P.WINDOWS, False),
        (5, P.WINDOWS, P.IOS, False),
        (5, P.IOS, P.WINDOWS, False),
        (5, P.IOS, P.WEB, True),
        (2, P.IOS, P.IOS, False),
        (3, P.IOS, P.IOS, False),
    ],
)
def test_connections(policy: int, new: Platform, other: Platform, goes: bool) -> None:
    assert kicked_connection(policy, new, other) is goes


@pytest.mark.parametrize(
    ("policy", "new", "goes"),
    [
        (0, P.IOS, set()),
        (1, P.IOS, {"ios1", "ios2", "win1"}),
        (4, P.IOS, {"ios1", "ios2", "android", "win1"}),
        (5, P.IOS, {"ios1", "ios2", "android", "web"}),
        (5, P.OSX, {"ios1", "ios2", "web"}),
    ],
)
def test_tokens_at_issue(policy: int, new: Platform, goes: set[str]) -> None:
    known = [
        token("ios1", P.IOS, 1),
        token("ios2", P.IOS, 2),
        token("android", P.ANDROID, 3),
        token("win1", P.WINDOWS, 4),
        token("win2", P.WINDOWS, 5),
        token("web", P.WEB, 6),
    ]
    assert set(kicked_tokens_at_issue(policy, new, known, 30)) == goes


def test_no_kick_keeps_the_newest_up_to_the_limit() -> None:
    known = [token(f"ios{i}", P.IOS, i) for i in range(5)] + [token("web", P.WEB, 0)]
    assert set(kicked_tokens_at_issue(0, P.IOS, known, 3)) == {"ios0", "ios1", "ios2"}


@pytest.mark.parametrize("policy", [2, 3, -1, 6])
def test_undefined_policies_issue_nothing(policy: int) -> None:
    with pytest.raises(ServiceError) as raised:
        kicked_tokens_at_issue(policy, P.IOS, [], 30)
    assert raised.value.code is Code.INTERNAL


@given(st.sampled_from(POLICIES), platforms, token_lists, st.integers(1, 5))
def test_after_an_issue_the_policy_holds(
    policy: int, new: Platform, known: list[TokenRecord], limit: int
) -> None:
    gone = set(kicked_tokens_at_issue(policy, new, known, limit))
    left = [Platform(t.platform) for t in known if t.token_hash not in gone] + [new]
    if policy == 0:
        assert all(left.count(p) <= limit for p in set(left))
    elif policy == 1:
        assert len(set(left)) == len(left)
    elif policy == 4:
        assert len({CLASS_OF[p] for p in left}) == len(left)
    else:
        assert sum(CLASS_OF[p] is not PlatformClass.PC for p in left) <= 1


@given(st.sampled_from(POLICIES), platforms, token_lists)
def test_after_an_issue_a_registration_finds_nothing_more_to_mark(
    policy: int, new: Platform, known: list[TokenRecord]
) -> None:
    gone = set(kicked_tokens_at_issue(policy, new, known, 30))
    left = [t for t in known if t.token_hash not in gone] + [token("new", new, 99)]
    assert kicked_tokens_at_registration(policy, new, "new", left) == ()


def test_registration_spares_its_own_token_and_administrators() -> None:
    known = [token("own", P.IOS), token("old", P.IOS), token("web", P.WEB)]
    assert kicked_tokens_at_registration(1, P.IOS, "own", known) == ("old",)
    admins = [token("own", P.ADMIN), token("old", P.ADMIN)]
    assert kicked_tokens_at_registration(1, P.ADMIN, "own", admins) == ()
