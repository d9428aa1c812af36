from openim_trio.wire.proto import msg_pb2 as _msg_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GiveUpResp(_message.Message):
    __slots__ = ("delivered", "sent")
    DELIVERED_FIELD_NUMBER: _ClassVar[int]
    SENT_FIELD_NUMBER: _ClassVar[int]
    delivered: bool
    sent: _msg_pb2.SendMsgResp
    def __init__(self, delivered: _Optional[bool] = ..., sent: _Optional[_Union[_msg_pb2.SendMsgResp, _Mapping]] = ...) -> None: ...

class Delivered(_message.Message):
    __slots__ = ("conversationID", "seq")
    CONVERSATIONID_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    conversationID: str
    seq: int
    def __init__(self, conversationID: _Optional[str] = ..., seq: _Optional[int] = ...) -> None: ...

class DeliveredReq(_message.Message):
    __slots__ = ("conversations",)
    CONVERSATIONS_FIELD_NUMBER: _ClassVar[int]
    conversations: _containers.RepeatedCompositeFieldContainer[Delivered]
    def __init__(self, conversations: _Optional[_Iterable[_Union[Delivered, _Mapping]]] = ...) -> None: ...
