"""A frame on its way to one or many clients."""

from __future__ import annotations

from enum import IntEnum

from openim_trio.wire import frames


class Opcode(IntEnum):
    """RFC 6455, section 5.2."""

    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class OutFrame:
    """Shared by all connections of one encoding, so that it is framed once.

    `conversation` and `seq` say which message a push carries (seq 0: not stored).  Only pushes may
    be let go when a reader is slow (`droppable`); replies never.
    """

    __slots__ = ("_wire", "conversation", "droppable", "opcode", "payload", "seq", "size")

    def __init__(
        self,
        payload: bytes,
        opcode: Opcode = Opcode.BINARY,
        *,
        conversation: str = "",
        seq: int = 0,
        droppable: bool = False,
    ) -> None:
        self.payload = payload
        self.size = len(payload)
        self.opcode = opcode
        self.conversation = conversation
        self.seq = seq
        self.droppable = droppable
        self._wire: bytes | None = None

    @property
    def wire(self) -> bytes:
        """The whole frame as a server sends it (unmasked)."""
        if self._wire is None:
            self._wire = frames.encode_frame(self.opcode, self.payload)
        return self._wire


def close_frame(code: int, reason: str = "") -> OutFrame:
    """`reason` is cut to what a control frame holds."""
    text = reason.encode()[:123].decode(errors="ignore").encode()
    return OutFrame(code.to_bytes(2, "big") + text, Opcode.CLOSE)
