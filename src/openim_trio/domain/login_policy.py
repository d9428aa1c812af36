"""Multi-terminal login: who has to go when somebody logs in.

| policy | a new connection displaces             | a new token displaces                        |
|--------|----------------------------------------|----------------------------------------------|
| 0      | nothing                                | the oldest beyond the limit, per platform    |
| 1      | connections and tokens of its platform | tokens of its platform; of each other        |
|        |                                        | platform all but the newest                  |
| 4      | connections and tokens of its class    | tokens of its class; of each other class all |
|        |                                        | but the newest                               |
| 5      | not PC: all others that are not PC     | not PC: all others that are not PC           |
|        | PC: nothing                            | PC: all but one of those that are not PC     |

Policies 2 and 3 exist as numbers only: connections are left alone and tokens are not issued.
A connection with the newcomer's own token is never displaced (the same client reconnects).
Source: OpenIM v3.8, `multiLogin.policy`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence

from openim_trio.domain.errors import Code, ServiceError
from openim_trio.domain.platforms import CLASS_OF, Platform, PlatformClass
from openim_trio.domain.records import TokenRecord

NO_KICK = 0
SAME_PLATFORM = 1
SAME_CLASS = 4
PC_AND_ONE_OTHER = 5
POLICIES = (NO_KICK, SAME_PLATFORM, SAME_CLASS, PC_AND_ONE_OTHER)


def _is_pc(platform: Platform) -> bool:
    return CLASS_OF[platform] is PlatformClass.PC


def _platform(token: TokenRecord) -> Platform:
    return Platform(token.platform)


def _class(token: TokenRecord) -> PlatformClass:
    return CLASS_OF[_platform(token)]


def kicked_connection(policy: int, new_platform: Platform, other_platform: Platform) -> bool:
    """Whether a connection of `other_platform`, with another token, goes when one of
    `new_platform` is registered."""
    if policy == SAME_PLATFORM:
        return new_platform is other_platform
    if policy == SAME_CLASS:
        return CLASS_OF[new_platform] is CLASS_OF[other_platform]
    if policy == PC_AND_ONE_OTHER:
        return not _is_pc(new_platform) and not _is_pc(other_platform)
    return False


def kicked_tokens_at_registration(
    policy: int, new_platform: Platform, own_token: str, tokens: Iterable[TokenRecord]
) -> tuple[str, ...]:
    """Hashes of the tokens that a new connection makes unusable.

    Administrators' tokens stay: a displaced one has its own grace period."""
    return tuple(
        token.token_hash
        for token in tokens
        if token.token_hash != own_token
        and _platform(token) is not Platform.ADMIN
        and kicked_connection(policy, new_platform, _platform(token))
    )


def kicked_tokens_at_issue(
    policy: int, new_platform: Platform, tokens: Sequence[TokenRecord], limit: int
) -> tuple[str, ...]:
    """Hashes of the usable tokens that a new token of `new_platform` displaces.

    `limit`: most usable tokens per platform under policy 0, the new one included.
    Raises ServiceError INTERNAL for a policy that is not defined.
    """
    newest_first = sorted(tokens, key=lambda t: (t.issued_at, t.token_hash), reverse=True)
    if policy == NO_KICK:
        same = [t for t in newest_first if _platform(t) is new_platform]
        others = [t for t in newest_first if _platform(t) is not new_platform]
        return _hashes(same[max(limit - 1, 0) :] + _beyond(limit, others, _platform))
    if policy == SAME_PLATFORM:
        same = [t for t in newest_first if _platform(t) is new_platform]
        others = [t for t in newest_first if _platform(t) is not new_platform]
        return _hashes(same + _beyond(1, others, _platform))
    if policy == SAME_CLASS:
        same = [t for t in newest_first if _class(t) is CLASS_OF[new_platform]]
        others = [t for t in newest_first if _class(t) is not CLASS_OF[new_platform]]
        return _hashes(same + _beyond(1, others, _class))
    if policy == PC_AND_ONE_OTHER:
        not_pc = [t for t in newest_first if not _is_pc(_platform(t))]
        if not _is_pc(new_platform):
            return _hashes(not_pc)
        kept = next((t for t in not_pc if _platform(t) is Platform.ANDROID), None)
        kept = kept or (not_pc[0] if not_pc else None)
        return _hashes([t for t in not_pc if t is not kept])
    raise ServiceError(Code.INTERNAL, f"login_policy: {policy} is not defined")


def _beyond(
    limit: int, tokens: Iterable[TokenRecord], group: Callable[[TokenRecord], Hashable]
) -> list[TokenRecord]:
    """Of each group what comes after its first `limit` tokens."""
    seen: dict[Hashable, int] = {}
    out = []
    for token in tokens:
        name = group(token)
        seen[name] = seen.get(name, 0) + 1
        if seen[name] > limit:
            out.append(token)
    return out


def _hashes(tokens: Iterable[TokenRecord]) -> tuple[str, ...]:
    return tuple(token.token_hash for token in tokens)
