"""Tokens: issuing, checking, and marking them by the login policy.

A token is a JWT (HS256) whose hash is also in the store, so that it can be taken back.  Claims are
those of OpenIM v3.8 (UserID, PlatformID, exp, iat = now - 5 s) and a random jti, without which two
logins in one second would share one token.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any

import attrs
import jwt
import trio

from openim_trio.config.model import AuthConfig
from openim_trio.domain import login_policy
from openim_trio.domain.actors import Actor
from openim_trio.domain.errors import Code, ServiceError, args_error
from openim_trio.domain.platforms import Platform
from openim_trio.domain.records import TokenRecord, TokenState
from openim_trio.services.announcer import Announcer
from openim_trio.services.caches import Cache
from openim_trio.services.clock import now_s
from openim_trio.services.control import ALL_WORKERS, Kick, TokensChanged, user_channel
from openim_trio.services.users import UserService
from openim_trio.store.tokens import Tokens

ALGORITHM = "HS256"
ADMIN_GRACE = 300
"""seconds that a displaced administrator's token is still accepted"""
CACHE_SECONDS = 60.0
CACHE_SIZE = 50_000
MAX_DROPPED = 10_000
"""users whose cached tokens count no more; beyond it the whole cache goes"""
CLOCK_ALLOWANCE = 5
MAX_TOKEN = 4096
PLATFORMS = frozenset(int(platform) for platform in Platform)
SYSTEM_ACCOUNT = 3
"""appMangerLevel from which on an account is not a person's"""


@attrs.frozen(slots=True)
class _Claims:
    user_id: str
    platform: Platform
    expires_at: int


@attrs.frozen(slots=True)
class _Checked:
    """`read_at`: trio time when the store was asked."""

    actor: Actor
    expires_at: int
    read_at: float


class TokenService:
    def __init__(
        self,
        tokens: Tokens,
        users: UserService,
        config: AuthConfig,
        announcer: Announcer,
        *,
        clock: Callable[[], int] = now_s,
    ) -> None:
        self._tokens = tokens
        self._users = users
        self._config = config
        self._announcer = announcer
        self._clock = clock
        # The secret's length is the operator's affair; deployments exist with short ones.
        self._jwt = jwt.PyJWT({"enforce_minimum_key_length": False})
        self._cache: Cache[str, _Checked] = Cache(CACHE_SIZE, CACHE_SECONDS)
        self._dropped: dict[str, float] = {}  # user ID -> trio time

    # -- issuing -----------------------------------------------------------------------------------

    async def issue_admin(self, secret: str, user_id: str) -> tuple[str, int]:
        """A token of platform 10 and its lifetime in seconds.  Earlier ones are good for another
        five minutes."""
        wanted = self._config.secret
        if not wanted or not hmac.compare_digest(secret.encode(), wanted.encode()):
            raise ServiceError(Code.NO_PERMISSION, "secret: wrong")
        if user_id not in self._config.admins:
            raise args_error("userID", "is not an administrator")
        if await self._users.find(user_id) is None:
            raise ServiceError(Code.RECORD_NOT_FOUND, "userID: the administrator has no record")
        now = self._clock()
        issued = await self._issue(user_id, Platform.ADMIN, now)
        displaced = [
            old.token_hash
            for old in await self._tokens.of_user(user_id)
            if old.expires_at > now + ADMIN_GRACE and old.token_hash != token_hash(issued[0])
        ]
        if displaced:
            await self._tokens.set_expiry(displaced, now + ADMIN_GRACE)
            await self._announce(user_id)
        return issued

    async def issue_user(self, actor: Actor, user_id: str, platform: int) -> tuple[str, int]:
        if not actor.is_admin:
            raise ServiceError(Code.NO_PERMISSION, "administrators only")
        if platform == Platform.ADMIN:
            raise ServiceError(Code.NO_PERMISSION, "platformID: 10 is for administrators")
        wanted = _platform(platform)
        if user_id in self._config.admins:
            raise ServiceError(Code.NO_PERMISSION, "userID: is an administrator")
        user = await self._users.find(user_id)
        if user is None:
            raise ServiceError(Code.RECORD_NOT_FOUND, "userID: not registered")
        if user.app_manger_level >= SYSTEM_ACCOUNT:
            raise args_error("userID", "is a system account")
        now = self._clock()
        usable = await self._sort_out(user_id, now)
        displaced = login_policy.kicked_tokens_at_issue(
            self._config.login_policy, wanted, usable, self._config.max_tokens_per_platform
        )
        issued = await self._issue(user_id, wanted, now)
        await self._mark(user_id, displaced)
        return issued

    async def _sort_out(self, user_id: str, now: int) -> list[TokenRecord]:
        """The user's usable tokens; the others are deleted."""
        known = await self._tokens.of_user(user_id)
        usable = [t for t in known if t.state == TokenState.NORMAL and t.expires_at > now]
        gone = {t.token_hash for t in known} - {t.token_hash for t in usable}
        if gone:
            await self._tokens.delete(sorted(gone))
        return usable

    async def _issue(self, user_id: str, platform: Platform, now: int) -> tuple[str, int]:
        lifetime = self._config.token_days * 86_400
        claims = {
            "UserID": user_id,
            "PlatformID": int(platform),
            "exp": now + lifetime,
            "iat": now - CLOCK_ALLOWANCE,
            "jti": secrets.token_hex(8),
        }
        token = self._jwt.encode(claims, self._config.secret, algorithm=ALGORITHM)
        await self._tokens.add(
            TokenRecord(
                token_hash(token), user_id, int(platform), TokenState.NORMAL, now, now + lifetime
            )
        )
        return token, lifetime

    # -- checking ----------------------------------------------------------------------------------

    async def check(self, token: str) -> Actor:
        """Who holds the token.  Raises ServiceError 1501 to 1507."""
        return (await self._check(token)).actor

    async def parse(self, token: str) -> tuple[str, int, int]:
        """User ID, platform, and the Unix second at which it expires; the checks of `check`."""
        checked = await self._check(token)
        return checked.actor.user_id, int(checked.actor.platform), checked.expires_at

    async def _check(self, token: str) -> _Checked:
        digest = token_hash(token)
        now = self._clock()
        known = self._cache.get(digest)
        if known is not None and known.expires_at > now and self._is_fresh(known):
            return known
        claims = self._decode(token)
        epoch, read_at = self._cache.epoch, trio.current_time()
        record = await self._tokens.get(digest)
        check_record(record, now)
        actor = Actor(claims.user_id, claims.platform, self._is_admin(claims.user_id), digest)
        checked = _Checked(actor, claims.expires_at, read_at)
        # A displaced administrator's record ends before the claims do.
        if record is not None and record.expires_at > now + CACHE_SECONDS:
            self._cache.put(digest, checked, epoch)
        return checked

    def _decode(self, token: str) -> _Claims:
        if len(token) > MAX_TOKEN:
            raise ServiceError(Code.TOKEN_MALFORMED, "token: too long")
        try:
            payload: dict[str, Any] = self._jwt.decode(
                token,
                self._config.secret,
                algorithms=[ALGORITHM],  # pinned: "none" and others are refused
                options={"require": ["exp", "UserID", "PlatformID"]},
            )
        except jwt.ExpiredSignatureError:
            raise ServiceError(Code.TOKEN_EXPIRED, "token: expired") from None
        except jwt.ImmatureSignatureError:
            raise ServiceError(Code.TOKEN_NOT_VALID_YET, "token: not valid yet") from None
        except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError):
            raise ServiceError(Code.TOKEN_UNKNOWN, "token: wrong signature") from None
        except jwt.DecodeError:
            raise ServiceError(Code.TOKEN_MALFORMED, "token: not a JWT") from None
        except jwt.PyJWTError:
            raise ServiceError(Code.TOKEN_UNKNOWN, "token: claims are missing") from None
        user_id, platform = payload["UserID"], payload["PlatformID"]
        known = type(platform) is int and platform in PLATFORMS
        if not isinstance(user_id, str) or not known:
            raise ServiceError(Code.TOKEN_UNKNOWN, "token: claims are not of this server")
        return _Claims(user_id, Platform(platform), int(payload["exp"]))

    def _is_admin(self, user_id: str) -> bool:
        return user_id in self._config.admins

    async def refused(self, actors: Sequence[Actor]) -> dict[str, ServiceError]:
        """Token hash -> why it is no longer accepted; those in order are left out.  For sessions
        that may have missed a kick."""
        now = self._clock()
        digests = {actor.token_hash for actor in actors}
        records = await self._tokens.get_many(digests)
        out: dict[str, ServiceError] = {}
        for digest in digests:
            try:
                check_record(records.get(digest), now)
            except ServiceError as error:
                out[digest] = error
        return out

    # -- taking back -------------------------------------------------------------------------------

    async def connected(self, actor: Actor) -> None:
        """A connection of this actor was registered: displaced tokens are marked, then displaced
        connections are told, on whichever worker they are.  In this order, a kicked client that
        missed its kick frame learns it at its next handshake.

        Raises ServiceError 1501 to 1507 if the actor's own token was taken back since it was
        checked: nobody is displaced then, and it is this connection that has to go."""
        now = self._clock()
        tokens = {token.token_hash: token for token in await self._tokens.of_user(actor.user_id)}
        check_record(tokens.get(actor.token_hash), now)
        usable = [
            token
            for token in tokens.values()
            if token.state == TokenState.NORMAL and token.expires_at > now
        ]
        displaced = login_policy.kicked_tokens_at_registration(
            self._config.login_policy, actor.platform, actor.token_hash, usable
        )
        await self._mark(actor.user_id, displaced)
        kick = Kick(actor.user_id, int(actor.platform), newcomer=True, spare_token=actor.token_hash)
        await self._announcer.tell([(user_channel(actor.user_id), kick)])

    async def force_logout(self, user_id: str, platform: int) -> None:
        """Mark the user's tokens of a platform as kicked and close its connections."""
        if not user_id:
            raise args_error("userID", "is required")
        wanted = _platform(platform)
        hashes = [
            token.token_hash
            for token in await self._tokens.of_user(user_id)
            if token.platform == wanted and token.state == TokenState.NORMAL
        ]
        await self._mark(user_id, hashes)
        kick = Kick(user_id, int(wanted))
        await self._announcer.tell([(user_channel(user_id), kick)])

    async def _mark(self, user_id: str, hashes: Sequence[str]) -> None:
        if not hashes:
            return
        await self._tokens.set_state(list(hashes), TokenState.KICKED)
        await self._announce(user_id)

    async def _announce(self, user_id: str) -> None:
        self.drop_user(user_id)
        await self._announcer.tell([(ALL_WORKERS, TokensChanged(user_id))])

    # -- the cache ---------------------------------------------------------------------------------

    def drop_user(self, user_id: str) -> None:
        """Every login comes here, so nothing is searched for: what was read before counts no
        more."""
        if len(self._dropped) >= MAX_DROPPED:
            self.drop_all()
        self._dropped[user_id] = trio.current_time()

    def drop_all(self) -> None:
        self._cache.clear()
        self._dropped.clear()

    def _is_fresh(self, known: _Checked) -> bool:
        dropped_at = self._dropped.get(known.actor.user_id)
        return dropped_at is None or known.read_at > dropped_at


def token_hash(token: str) -> str:
    return sha256(token.encode(errors="surrogatepass")).hexdigest()


def check_record(record: TokenRecord | None, now: int) -> None:
    """What the store says of a token whose claims are in order.  Raises ServiceError."""
    if record is None or record.expires_at <= now:
        raise ServiceError(Code.TOKEN_NOT_EXIST, "token: not known here")
    if record.state == TokenState.KICKED:
        raise ServiceError(Code.TOKEN_KICKED, "token: logged in elsewhere, or logged out")
    if record.state != TokenState.NORMAL:
        raise ServiceError(Code.TOKEN_UNKNOWN, "token: not usable")


def _platform(number: int) -> Platform:
    try:
        return Platform(number)
    except ValueError:
        raise args_error("platformID", "must be 1 to 11") from None
