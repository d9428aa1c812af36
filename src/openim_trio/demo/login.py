"""Logging in: the WebSocket handshake whose query says who comes and how it speaks."""

from __future__ import annotations

import secrets
from base64 import b64encode
from json import JSONDecodeError, loads
from urllib.parse import urlencode

import attrs
import trio

from openim_trio.wire.envelope import GOB, JSON, Encoding


class ConnectionOver(Exception):
    """The connection ended before what was asked for came."""


class LoginRefused(Exception):
    """`status` is HTTP's (101: refused by a text message); `body` says why in JSON."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"{status} {body[:200]!r}")
        self.status = status
        self.body = body

    @property
    def code(self) -> int:
        """errCode; 0 if the body has none."""
        try:
            return int(loads(self.body)["errCode"])
        except (JSONDecodeError, KeyError, TypeError):
            return 0


@attrs.frozen
class Login:
    """`js`: the envelope of the JavaScript SDK, otherwise gob, that of the native ones.
    `msg_resp`: the answer comes in a text message.  `extra`: further or other arguments."""

    user_id: str
    token: str
    platform: int = 1
    js: bool = False
    gzip: bool = True
    msg_resp: bool = False
    extra: dict[str, str] = attrs.field(factory=dict)

    @property
    def encoding(self) -> Encoding:
        return Encoding(JSON if self.js else GOB, self.gzip)

    def query(self) -> str:
        arguments = {
            "sendID": self.user_id,
            "token": self.token,
            "platformID": str(self.platform),
            "operationID": secrets.token_hex(8),
            "isBackground": "false",
        }
        if self.gzip:
            arguments["compression"] = "gzip"
        if self.js:
            arguments["sdkType"] = "js"
        if self.msg_resp:
            arguments["isMsgResp"] = "true"
        return urlencode({**arguments, **self.extra})


async def upgrade(stream: trio.abc.Stream, query: str, *headers: str) -> bytes:
    """Ask for a WebSocket; `headers` are further lines.  Returns what came behind the answer's
    head.  Raises LoginRefused, ConnectionOver."""
    lines = [
        f"GET /?{query} HTTP/1.1",
        "Host: localhost",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {b64encode(secrets.token_bytes(16)).decode()}",
        "Sec-WebSocket-Version: 13",
        *headers,
    ]
    try:
        await stream.send_all("\r\n".join(lines).encode() + b"\r\n\r\n")
        return await read_answer(stream)
    except trio.BrokenResourceError:
        raise ConnectionOver("in the handshake") from None


async def read_answer(stream: trio.abc.Stream) -> bytes:
    """See `upgrade`."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = await stream.receive_some()
        if not more:
            raise ConnectionOver("in the handshake")
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    status = int(head.split(maxsplit=2)[1])
    if status == 101:
        return rest
    while more := await stream.receive_some():
        rest += more
    raise LoginRefused(status, rest)
