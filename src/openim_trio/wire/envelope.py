"""The envelope around every request, reply and push, in gob or JSON, plain or gzipped.

`data` is the protobuf body.  Requests are decoded tolerantly (unknown fields, any order, absent
fields are zero); what goes out is what the clients of OpenIM v3.8 expect byte by byte.
"""

from __future__ import annotations

from typing import Protocol

import attrs
import msgspec

from openim_trio.wire import gob
from openim_trio.wire.compression import CompressionError, compress, decompress


class EnvelopeError(ValueError):
    """The payload is no envelope; its text says why and holds nothing of the contents."""


@attrs.frozen(slots=True)
class Request:
    """Client to server.  `token` is empty in practice and never looked at."""

    req_identifier: int
    msg_incr: str = ""
    operation_id: str = ""
    send_id: str = ""
    token: str = ""
    data: bytes = b""


@attrs.frozen(slots=True)
class Response:
    """Server to client: a reply (msg_incr of its request) or a push (msg_incr empty)."""

    req_identifier: int
    msg_incr: str = ""
    operation_id: str = ""
    err_code: int = 0
    err_msg: str = ""
    data: bytes = b""


class Codec(Protocol):
    """`decode_*` raise EnvelopeError.  The last two methods are for clients."""

    @property
    def name(self) -> str: ...
    def decode_request(self, payload: bytes) -> Request: ...
    def encode_response(self, response: Response) -> bytes: ...
    def encode_request(self, request: Request) -> bytes: ...
    def decode_response(self, payload: bytes) -> Response: ...


# --- gob ------------------------------------------------------------------------------------------

_GOB_REQUEST = gob.Struct(
    "GeneralWsReq",
    (
        ("ReqIdentifier", gob.Kind.INT),
        ("Token", gob.Kind.STRING),
        ("SendID", gob.Kind.STRING),
        ("OperationID", gob.Kind.STRING),
        ("MsgIncr", gob.Kind.STRING),
        ("Data", gob.Kind.BYTES),
    ),
)
_GOB_RESPONSE = gob.Struct(
    "Resp",
    (
        ("ReqIdentifier", gob.Kind.INT),
        ("MsgIncr", gob.Kind.STRING),
        ("OperationID", gob.Kind.STRING),
        ("ErrCode", gob.Kind.INT),
        ("ErrMsg", gob.Kind.STRING),
        ("Data", gob.Kind.BYTES),
    ),
)


@attrs.frozen(slots=True)
class _GobCodec:
    name: str = "gob"

    def decode_request(self, payload: bytes) -> Request:
        try:
            number, token, send_id, operation_id, msg_incr, data = _GOB_REQUEST.decode(payload)
        except gob.GobError as error:
            raise EnvelopeError(f"gob: {error}") from error
        return Request(number, msg_incr, operation_id, send_id, token, data)

    def encode_response(self, response: Response) -> bytes:
        r = response
        return _GOB_RESPONSE.encode(
            (r.req_identifier, r.msg_incr, r.operation_id, r.err_code, r.err_msg, r.data)
        )

    def encode_request(self, request: Request) -> bytes:
        r = request
        return _GOB_REQUEST.encode(
            (r.req_identifier, r.token, r.send_id, r.operation_id, r.msg_incr, r.data)
        )

    def decode_response(self, payload: bytes) -> Response:
        try:
            return Response(*_GOB_RESPONSE.decode(payload))
        except gob.GobError as error:
            raise EnvelopeError(f"gob: {error}") from error


# --- JSON -----------------------------------------------------------------------------------------


class _JsonRequest(msgspec.Struct, frozen=True, gc=False):
    """As it stands in the text.  null means the zero value, as for Go; data is base64."""

    reqIdentifier: int | None = 0
    token: str | None = ""
    sendID: str | None = ""
    operationID: str | None = ""
    msgIncr: str | None = ""
    data: bytes | None = None


class _JsonResponse(msgspec.Struct, frozen=True, gc=False):
    reqIdentifier: int | None = 0
    msgIncr: str | None = ""
    operationID: str | None = ""
    errCode: int | None = 0
    errMsg: str | None = ""
    data: bytes | None = None


_json_encode = msgspec.json.Encoder().encode
_json_request = msgspec.json.Decoder(_JsonRequest).decode
_json_response = msgspec.json.Decoder(_JsonResponse).decode
_JSON_ERRORS = (msgspec.MsgspecError, UnicodeError, RecursionError)


def _json_error(error: Exception) -> EnvelopeError:
    """msgspec's texts name the path and the types, never the value."""
    if isinstance(error, msgspec.MsgspecError):
        return EnvelopeError(f"JSON: {error}")
    return EnvelopeError("JSON: not UTF-8 or nested too deeply")


@attrs.frozen(slots=True)
class _JsonCodec:
    name: str = "json"

    def decode_request(self, payload: bytes) -> Request:
        try:
            r = _json_request(payload)
        except _JSON_ERRORS as error:
            raise _json_error(error) from error
        return Request(
            r.reqIdentifier or 0,
            r.msgIncr or "",
            r.operationID or "",
            r.sendID or "",
            r.token or "",
            r.data or b"",
        )

    def encode_response(self, response: Response) -> bytes:
        r = response
        return _json_encode(
            _JsonResponse(
                r.req_identifier,
                r.msg_incr,
                r.operation_id,
                r.err_code,
                r.err_msg,
                r.data or None,
            )
        )

    def encode_request(self, request: Request) -> bytes:
        r = request
        return _json_encode(
            _JsonRequest(
                r.req_identifier, r.token, r.send_id, r.operation_id, r.msg_incr, r.data or None
            )
        )

    def decode_response(self, payload: bytes) -> Response:
        try:
            r = _json_response(payload)
        except _JSON_ERRORS as error:
            raise _json_error(error) from error
        return Response(
            r.reqIdentifier or 0,
            r.msgIncr or "",
            r.operationID or "",
            r.errCode or 0,
            r.errMsg or "",
            r.data or b"",
        )


GOB: Codec = _GobCodec()
JSON: Codec = _JsonCodec()


# --- encoding of a connection ---------------------------------------------------------------------


@attrs.frozen(slots=True, cache_hash=True)
class Encoding:
    """How one connection's binary frames are written; hashable, so that a push is encoded once
    for all connections that share it."""

    codec: Codec
    gzip: bool

    def encode(self, response: Response) -> bytes:
        payload = self.codec.encode_response(response)
        return compress(payload) if self.gzip else payload

    def decode(self, payload: bytes, max_inflated: int) -> Request:
        """`max_inflated`: bytes that a gzipped frame may have once inflated.  Raises
        EnvelopeError."""
        return self.codec.decode_request(self._inflate(payload, max_inflated))

    def encode_request(self, request: Request) -> bytes:
        payload = self.codec.encode_request(request)
        return compress(payload) if self.gzip else payload

    def decode_response(self, payload: bytes, max_inflated: int) -> Response:
        return self.codec.decode_response(self._inflate(payload, max_inflated))

    def _inflate(self, payload: bytes, limit: int) -> bytes:
        if not self.gzip:
            return payload
        try:
            return decompress(payload, limit)
        except CompressionError as error:
            raise EnvelopeError(str(error)) from error


_ENCODINGS = {
    (sdk_type, gzip): Encoding(codec, gzip)
    for sdk_type, codec in (("", GOB), ("go", GOB), ("js", JSON))
    for gzip in (False, True)
}


def encoding_for(sdk_type: str, compression: str) -> Encoding:
    """The encoding that a handshake asks for: sdkType empty or `go` is gob, `js` is JSON; exactly
    `gzip` compresses.  ValueError for another sdkType."""
    try:
        return _ENCODINGS[sdk_type, compression == "gzip"]
    except KeyError:
        raise ValueError("sdkType: must be go or js") from None
