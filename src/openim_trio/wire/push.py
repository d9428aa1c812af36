"""The body of a push (2001): sdkws.PushMessages around ready MsgData bytes.

    PushMessages { map<string, PullMsgs> msgs = 1; map<string, PullMsgs> notificationMsgs = 2; }
    PullMsgs     { repeated MsgData Msgs = 1; ... }

Protobuf nests by length, so wrapping is three length prefixes; nothing is parsed.
"""

from __future__ import annotations

_MSGS = b"\x0a"  # field 1, length-delimited
_NOTIFICATION_MSGS = b"\x12"  # field 2
_KEY = b"\x0a"
_VALUE = b"\x12"
_PULL_MSGS_MSG = b"\x0a"


def _length(size: int) -> bytes:
    if size < 0x80:
        return bytes((size,))
    if size < 0x4000:
        return bytes((size & 0x7F | 0x80, size >> 7))
    out = bytearray()
    while size > 0x7F:
        out.append(size & 0x7F | 0x80)
        size >>= 7
    out.append(size)
    return bytes(out)


def push_body(conversation: str, msg_data: bytes) -> bytes:
    """PushMessages with one message.  Clients dispatch by the map that it is in: conversations
    named `n_...` in notificationMsgs, all others in msgs."""
    key = conversation.encode()
    msg_size = _length(len(msg_data))
    pull_size = len(msg_data) + len(msg_size) + 1
    pull_length = _length(pull_size)
    key_length = _length(len(key))
    entry_size = len(key) + len(key_length) + pull_size + len(pull_length) + 2
    field = _NOTIFICATION_MSGS if key.startswith(b"n_") else _MSGS
    return b"".join(
        (
            field,
            _length(entry_size),
            _KEY,
            key_length,
            key,
            _VALUE,
            pull_length,
            _PULL_MSGS_MSG,
            msg_size,
            msg_data,
        )
    )
