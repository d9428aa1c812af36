"""What workers say to each other through Redis publish/subscribe: a small binary header and a body.

A message's body is its MsgData bytes, so that a receiving worker wraps it for its clients without
parsing it.

    kind 1 | flags 1 | seq 8 | len(conversation) 2 | conversation | len(operationID) 2 | operationID
    | body
"""

from __future__ import annotations

import struct
from enum import IntEnum

import attrs

_HEAD = struct.Struct(">BBQ")
_LENGTH = struct.Struct(">H")


class BusKind(IntEnum):
    MESSAGE = 1
    """A message; seq 0 = not stored (online only).  body: MsgData bytes."""
    TOMBSTONE = 2
    """A slot that was given up: positions move, nothing is shown.  No body."""
    HEAD = 3
    """Rows 1..seq of the conversation are in the store: whoever was shown less pulls.  No body."""
    CONTROL = 4
    """A worker's word to other workers (kick, presence, membership, caches).  body: JSON."""


@attrs.frozen(slots=True)
class BusMessage:
    kind: BusKind
    conversation: str = ""
    seq: int = 0
    operation_id: str = ""
    body: bytes = b""
    flags: int = 0


def encode(message: BusMessage) -> bytes:
    conversation = message.conversation.encode()
    operation_id = message.operation_id.encode()[:256]
    return b"".join(
        (
            _HEAD.pack(message.kind, message.flags, message.seq),
            _LENGTH.pack(len(conversation)),
            conversation,
            _LENGTH.pack(len(operation_id)),
            operation_id,
            message.body,
        )
    )


def decode(data: bytes) -> BusMessage:
    """Inverse of `encode`.  Raises ValueError on anything else."""
    try:
        kind, flags, seq = _HEAD.unpack_from(data)
        at = _HEAD.size
        (size,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        conversation = data[at : at + size].decode()
        at += size
        (size,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        operation_id = data[at : at + size].decode(errors="replace")
        return BusMessage(BusKind(kind), conversation, seq, operation_id, data[at + size :], flags)
    except (struct.error, UnicodeDecodeError) as error:
        raise ValueError(f"not a bus message: {error}") from error
