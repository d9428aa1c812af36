"""A client's sends: what is kept of them, what the server may answer, what may become of them."""

from __future__ import annotations

from enum import Enum

import attrs


@attrs.frozen
class PendingSend:
    """A send as the database keeps it until its end.

    data          the MsgData, serialized; with createTime once it is stamped
    order         its place in the user's queue
    create_time   Unix ms, the same for each attempt; 0: not stamped, so certainly never transmitted
    deadline_at   Unix ms; after it the send is given up
    giving_up     the deadline passed, or it was refused, without a definite end: the server is
                  asked to say "delivered" or "never".  `reason_code`, `reason`: what to tell the
                  application in the case of "never"
    """

    client_msg_id: str
    conversation_id: str
    data: bytes = attrs.field(repr=False)
    order: int = 0
    create_time: int = 0
    deadline_at: int = attrs.field(kw_only=True)
    giving_up: bool = False
    reason_code: int = 0
    reason: str = ""


class Kind(Enum):
    SEND = "send"
    GIVE_UP = "give up"


@attrs.frozen
class Transmission:
    """To be transmitted now.  `needs_stamp`: `data` has no createTime yet; persist one first, say
    so by `Outgoing.stamped`, then transmit what was stamped."""

    client_msg_id: str
    kind: Kind
    data: bytes = attrs.field(repr=False)
    needs_stamp: bool = False


# -- answers of the server -------------------------------------------------------------------------


@attrs.frozen
class Accepted:
    """It is stored.  `send_time`: Unix ms."""

    server_msg_id: str
    send_time: int


@attrs.frozen
class Never:
    """To a give-up: it is not stored and never will be."""


@attrs.frozen
class Refused:
    """`code`, `reason`: the server's errCode and text.  `retriable`: the same may succeed later."""

    code: int
    reason: str
    retriable: bool = False


Answer = Accepted | Never | Refused

# -- what became of a send -------------------------------------------------------------------------


@attrs.frozen
class Sent:
    """The end: stored, once.  `send_time`: Unix ms."""

    client_msg_id: str
    server_msg_id: str
    send_time: int


@attrs.frozen
class Failed:
    """The end: it never was and never will be delivered."""

    client_msg_id: str
    code: int
    reason: str


@attrs.frozen
class Unknown:
    """It may be stored or not.  From now on it is being given up, which must be persisted
    (`PendingSend.giving_up`, with `code` and `reason`) before the server is asked."""

    client_msg_id: str
    code: int
    reason: str


@attrs.frozen
class NeedsHistory:
    """The server takes neither the send nor its give-up any more.  Look in the history, synced up
    to a head that was read after this, then call `Outgoing.seen` or `Outgoing.verdict`."""

    client_msg_id: str


Outcome = Sent | Failed | Unknown | NeedsHistory
