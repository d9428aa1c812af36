"""What workers tell each other beside messages: small attrs classes, as JSON in a bus message.

| channel      | who listens                           | messages                              |
|--------------|---------------------------------------|---------------------------------------|
| `u:<user>`   | workers with a connection of the user | Kick, MembershipChanged               |
| `g:<group>`  | workers with a member's connection    | MembershipChanged                     |
| `p:<user>`   | workers where somebody watches        | PresenceChanged                       |
| `w`          | every worker                          | what caches must drop, PresenceQuery, |
|              |                                       | WorkerGone                            |
| `w:<worker>` | that worker                           | PresenceAnswer                        |

Control messages may get lost (the subscription is then known to be lost, and caches are dropped as
a whole) and may come twice: each says what is, or what to read again, and never "add one".
"""

from __future__ import annotations

from typing import Any

import attrs
import cattrs
import orjson

from openim_trio.append.publication import group_channel, user_channel
from openim_trio.wire import bus_message
from openim_trio.wire.bus_message import BusKind, BusMessage

ALL_WORKERS = "w"

__all__ = [
    "ALL_WORKERS",
    "ControlMessage",
    "ConversationChanged",
    "Kick",
    "MembershipChanged",
    "OnlineConnection",
    "PresenceAnswer",
    "PresenceChanged",
    "PresenceQuery",
    "TokensChanged",
    "UsersChanged",
    "WorkerGone",
    "decode",
    "encode",
    "group_channel",
    "presence_channel",
    "user_channel",
    "worker_channel",
]


def presence_channel(user_id: str) -> str:
    return f"p:{user_id}"


def worker_channel(worker: str) -> str:
    return f"w:{worker}"


@attrs.frozen(slots=True)
class Kick:
    """Close connections of a user, with the kick frame first.

    newcomer true: a connection of `platform` was registered, the login policy says which others
    go (`domain.login_policy.kicked_connection`); false: all connections of `platform` go.
    spare_token: token hash whose connections stay in any case ("" spares none).
    """

    user_id: str
    platform: int
    newcomer: bool = False
    spare_token: str = ""


@attrs.frozen(slots=True)
class TokensChanged:
    """Tokens of the user were marked or deleted."""

    user_id: str


@attrs.frozen(slots=True)
class UsersChanged:
    """Users were created or changed."""

    user_ids: tuple[str, ...]


@attrs.frozen(slots=True)
class MembershipChanged:
    """The group's data or members changed.  On `u:<user>` it says whether this user was added or
    removed; on `w` and `g:<group>` both may be empty: read the members again."""

    group_id: str
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


@attrs.frozen(slots=True)
class ConversationChanged:
    """One owner's row of a conversation was changed or deleted."""

    owner_user_id: str
    conversation_id: str


@attrs.frozen(slots=True)
class PresenceChanged:
    """The platforms that the user now has connections of on that worker (empty: none any more)."""

    user_id: str
    worker: str
    platforms: tuple[int, ...] = ()


@attrs.frozen(slots=True)
class PresenceQuery:
    """Which connections of these users do you have?  Answer to `w:<worker>`."""

    query_id: str
    worker: str
    user_ids: tuple[str, ...]


@attrs.frozen(slots=True)
class OnlineConnection:
    platform: int
    conn_id: str
    is_background: bool = False


@attrs.frozen(slots=True)
class PresenceAnswer:
    """connections: user ID -> connections on the answering worker; users without any are left
    out."""

    query_id: str
    worker: str
    connections: dict[str, tuple[OnlineConnection, ...]] = attrs.field(factory=dict)


@attrs.frozen(slots=True)
class WorkerGone:
    """A worker ended: its connections are gone."""

    worker: str


ControlMessage = (
    Kick
    | TokensChanged
    | UsersChanged
    | MembershipChanged
    | ConversationChanged
    | PresenceChanged
    | PresenceQuery
    | PresenceAnswer
    | WorkerGone
)

_NAMES: dict[type[Any], str] = {
    Kick: "kick",
    TokensChanged: "tokens",
    UsersChanged: "users",
    MembershipChanged: "members",
    ConversationChanged: "conversation",
    PresenceChanged: "presence",
    PresenceQuery: "presence_query",
    PresenceAnswer: "presence_answer",
    WorkerGone: "worker_gone",
}
_CLASSES = {name: cls for cls, name in _NAMES.items()}
_converter = cattrs.Converter()


def encode(message: ControlMessage) -> bytes:
    """The bus payload."""
    body = orjson.dumps([_NAMES[type(message)], _converter.unstructure(message)])
    return bus_message.encode(BusMessage(BusKind.CONTROL, body=body))


def decode(body: bytes) -> ControlMessage | None:
    """From the body of a bus message.  None: not known here (another version's worker sent it)."""
    try:
        name, fields = orjson.loads(body)
        message: ControlMessage = _converter.structure(fields, _CLASSES[name])
    except (orjson.JSONDecodeError, cattrs.BaseValidationError, KeyError, TypeError, ValueError):
        return None
    return message
