"""Users: registration, look-ups, system accounts."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import attrs

from openim_trio.config.model import AuthConfig
from openim_trio.domain.errors import Code, ServiceError, args_error
from openim_trio.domain.records import UserRecord
from openim_trio.domain.send_rules import MAX_USER_ID
from openim_trio.services.announcer import Announcer
from openim_trio.services.caches import Cache
from openim_trio.services.clock import now_ms
from openim_trio.services.control import ALL_WORKERS, OnlineConnection, UsersChanged
from openim_trio.services.ports import Presence
from openim_trio.store.users import Users
from openim_trio.wire.proto import sdkws_pb2

ADMIN_LEVEL = 2
NOTIFICATION_LEVEL = 3
ADMIN_NICKNAME = "superAdmin"
MAX_REGISTRATIONS = 1000
MAX_NAME = 256
CACHE_SIZE = 200_000
CACHE_SECONDS = 600.0


class UserService:
    """`presence`: who is connected; set once the gateway stands."""

    def __init__(self, users: Users, config: AuthConfig, announcer: Announcer) -> None:
        self._users = users
        self._config = config
        self._announcer = announcer
        self._cache: Cache[str, UserRecord] = Cache(CACHE_SIZE, CACHE_SECONDS)
        self.presence: Presence | None = None

    # -- look-ups ----------------------------------------------------------------------------------

    def is_admin(self, user_id: str) -> bool:
        return user_id in self._config.admins

    def cached(self, user_id: str) -> UserRecord | None:
        """Without a look into the store."""
        return self._cache.get(user_id)

    async def find(self, user_id: str) -> UserRecord | None:
        known = self._cache.get(user_id)
        if known is not None:
            return known
        epoch = self._cache.epoch
        user = await self._users.get(user_id)
        if user is not None:
            self._cache.put(user_id, user, epoch)
        return user

    async def find_many(self, user_ids: Sequence[str]) -> dict[str, UserRecord]:
        """Those that exist."""
        return await self._cache.get_many(user_ids, self._users.get_many)

    async def infos(self, user_ids: Sequence[str]) -> list[sdkws_pb2.UserInfo]:
        """Those that exist, in the order asked for."""
        found = await self.find_many(user_ids)
        return [user_info(found[u]) for u in dict.fromkeys(user_ids) if u in found]

    async def account_check(self, user_ids: Sequence[str]) -> list[tuple[str, bool]]:
        """(user ID, registered), in the order asked for."""
        if len(set(user_ids)) != len(user_ids):
            raise args_error("checkUserIDs", "holds an ID twice")
        found = await self.find_many(user_ids)
        return [(user_id, user_id in found) for user_id in user_ids]

    async def page(
        self, page_number: int, show_number: int, user_id: str = "", nickname: str = ""
    ) -> tuple[int, list[sdkws_pb2.UserInfo]]:
        """Total and one page of ordinary users; the filters are parts of the user ID or of the
        nickname."""
        total, users = await self._users.page(page_number, show_number, user_id, nickname)
        return total, [user_info(user) for user in users]

    async def page_ids(self, page_number: int, show_number: int) -> tuple[int, list[str]]:
        """Total and one page of the IDs of all users, system accounts included."""
        total, users = await self._users.page(page_number, show_number, ordinary_only=False)
        return total, [user.user_id for user in users]

    async def online(self, user_ids: Sequence[str]) -> dict[str, list[OnlineConnection]]:
        """Each user's connections, on all workers; an empty list for who is offline."""
        if self.presence is None:
            return {user_id: [] for user_id in user_ids}
        return await self.presence.online(user_ids)

    # -- registration ------------------------------------------------------------------------------

    async def register(self, users: Sequence[UserRecord]) -> None:
        """All or nothing.  Raises ARGS and ALREADY_REGISTERED."""
        if not users:
            raise args_error("users", "is empty")
        if len(users) > MAX_REGISTRATIONS:
            raise args_error("users", f"holds more than {MAX_REGISTRATIONS} items")
        for user in users:
            check_user_id(user.user_id)
            _check_names(user)
        if len({user.user_id for user in users}) != len(users):
            raise args_error("users.userID", "holds an ID twice")
        now = now_ms()
        await self._users.insert_new([attrs.evolve(user, create_time=now) for user in users])

    async def add_notification_account(
        self, user_id: str, nickname: str, face_url: str, level: int
    ) -> UserRecord:
        """A system account that may send OA notifications and cannot log in.  An empty user ID:
        ten digits are made up."""
        if level < NOTIFICATION_LEVEL:
            raise args_error("appMangerLevel", "must be at least 3")
        made_up = not user_id
        for _ in range(5):
            user = UserRecord(
                user_id=user_id or str(secrets.randbelow(9 * 10**9) + 10**9),
                nickname=nickname,
                face_url=face_url,
                create_time=now_ms(),
                app_manger_level=level,
            )
            check_user_id(user.user_id)
            _check_names(user)
            try:
                await self._users.insert_new([user])
            except ServiceError as error:
                if error.code is not Code.ALREADY_REGISTERED:
                    raise
                if not made_up:
                    raise args_error("userID", "is already used") from None
            else:
                return user
        raise ServiceError(Code.INTERNAL, "userID: found no free one")

    async def ensure_admins(self) -> None:
        """The administrators of the configuration have a record; at each start."""
        found = await self._users.get_many(self._config.admins)
        for user_id in self._config.admins:
            if user_id not in found:
                await self._users.upsert(
                    UserRecord(
                        user_id,
                        ADMIN_NICKNAME,
                        create_time=now_ms(),
                        app_manger_level=ADMIN_LEVEL,
                    )
                )

    # -- the cache ---------------------------------------------------------------------------------

    async def changed(self, user_ids: Sequence[str]) -> None:
        """Make every worker read these users again."""
        self.drop(user_ids)
        await self._announcer.tell([(ALL_WORKERS, UsersChanged(tuple(user_ids)))])

    def drop(self, user_ids: Sequence[str]) -> None:
        self._cache.drop(user_ids)

    def drop_all(self) -> None:
        self._cache.clear()


def user_info(user: UserRecord) -> sdkws_pb2.UserInfo:
    return sdkws_pb2.UserInfo(
        userID=user.user_id,
        nickname=user.nickname,
        faceURL=user.face_url,
        ex=user.ex,
        createTime=user.create_time,
        appMangerLevel=user.app_manger_level,
        globalRecvMsgOpt=user.global_recv_msg_opt,
    )


def check_user_id(user_id: str, field: str = "userID") -> None:
    """Letters, digits and underscore only (OpenIM v3.8)."""
    if not user_id:
        raise args_error(field, "is required")
    if len(user_id) > MAX_USER_ID:
        raise args_error(field, f"longer than {MAX_USER_ID} characters")
    if not all(char == "_" or char.isalpha() or char.isnumeric() for char in user_id):
        raise args_error(field, "may hold letters, digits and underscore only")


def _check_names(user: UserRecord) -> None:
    if not user.nickname:
        raise args_error("nickname", f"is required ({user.user_id})")
    for field, text in (("nickname", user.nickname), ("faceURL", user.face_url), ("ex", user.ex)):
        if len(text) > (MAX_NAME if field == "nickname" else 4096):
            raise args_error(field, "is too long")
    if user.app_manger_level < 0:
        raise args_error("appMangerLevel", "must not be negative")
    if user.global_recv_msg_opt not in (0, 1, 2):
        raise args_error("globalRecvMsgOpt", "must be 0, 1 or 2")
