"""A message on its way to many connections: encoded once for each encoding among them."""

from __future__ import annotations

from openim_trio.domain.conversations import SessionType
from openim_trio.domain.rows import RowKind
from openim_trio.gateway.outgoing import OutFrame
from openim_trio.wire.envelope import GOB, JSON, Encoding, Response
from openim_trio.wire.identifiers import Req
from openim_trio.wire.proto import sdkws_pb2
from openim_trio.wire.push import push_body

_ENCODINGS = {
    encoding: encoding
    for encoding in (Encoding(codec, gzip) for codec in (GOB, JSON) for gzip in (False, True))
}


def shared_encoding(encoding: Encoding) -> Encoding:
    """The one object of this encoding in the process, so that it can be told by identity."""
    return _ENCODINGS[encoding]


class Published:
    """`body`: MsgData bytes, empty for a tombstone; seq 0: not stored.  `pair`: sender and receiver
    of a row that was read again and is not a group's.  What the bus brings came to the right users;
    but IDs may hold underscores, so two pairs may share a conversation's ID."""

    __slots__ = ("_frames", "_push", "body", "conversation", "kind", "operation_id", "pair", "seq")

    def __init__(
        self,
        conversation: str,
        seq: int,
        body: bytes,
        operation_id: str = "",
        kind: RowKind = RowKind.MESSAGE,
    ) -> None:
        self.conversation = conversation
        self.seq = seq
        self.body = body
        self.operation_id = operation_id
        self.kind = kind
        self.pair: tuple[str, str] | None = None
        self._push: bytes | None = None
        self._frames: dict[int, OutFrame] = {}

    def frame(self, encoding: Encoding) -> OutFrame:
        """`encoding` must come from `shared_encoding`."""
        frame = self._frames.get(id(encoding))
        if frame is None:
            frame = self._frames[id(encoding)] = self._encode(encoding)
        return frame

    def _encode(self, encoding: Encoding) -> OutFrame:
        if self._push is None:
            self._push = push_body(self.conversation, self.body)
        response = Response(Req.PUSH, operation_id=self.operation_id, data=self._push)
        return OutFrame(
            encoding.encode(response),
            conversation=self.conversation,
            seq=self.seq,
            droppable=True,
        )

    @classmethod
    def from_row(cls, conversation: str, row: sdkws_pb2.MsgData) -> Published:
        """A row as readers get it from the store."""
        published = cls(conversation, row.seq, row.SerializeToString())
        if row.sessionType != SessionType.GROUP and row.sendID:
            published.pair = (row.sendID, row.recvID)
        return published

    def concerns(self, user_id: str) -> bool:
        return self.pair is None or user_id in self.pair
