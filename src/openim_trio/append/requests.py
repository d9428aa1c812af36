"""What goes into the pipeline and what comes out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import attrs

from openim_trio.domain.rows import Row, RowKind


@attrs.frozen(slots=True)
class Append:
    """A message on its way to a slot.

    head         MsgData bytes, complete but for seq and sendTime (`domain.rows.seal` adds them);
                 for a tombstone a MsgData with the ids and no content
    channels     where the advance publishes it: `u:<userID>` and `g:<groupID>`
    send_time    0: the sequencer's; otherwise (administrators) the time to show, in ms
    """

    conversation: str
    key: bytes
    fingerprint: bytes
    create_time: int
    head: bytes
    channels: tuple[str, ...]
    kind: RowKind = RowKind.MESSAGE
    operation_id: str = ""
    send_time: int = 0


@attrs.frozen(slots=True)
class Appended:
    """The slot that holds the key.  `kind` may differ from what was asked: a send whose key was
    given up finds a tombstone, a give-up whose message is stored finds the message.  `first` is
    false when an earlier attempt had stored it."""

    seq: int
    send_time: int
    kind: RowKind
    first: bool


class SideEffects(Protocol):
    """What goes along with stored rows: conversation rows of a first message, the sender's own
    read seq, mention marks."""

    async def apply(self, rows: Sequence[Row]) -> None:
        """Called once rows are stored and before they become visible, by whoever makes them
        visible (the flush that stored them, a catch-up, a seed with its last row).  Idempotent,
        one round trip for the whole batch; raises StoreUnavailable."""
        ...
