"""What every answer gets: CORS, a request ID, gzip; and the answers to what is no route."""

from __future__ import annotations

import gzip
import uuid

import trio
from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

MIN_GZIP = 512
"""bytes; below that compression costs more than it saves"""
THREAD_GZIP = 256 * 1024
"""bytes; from there on in a thread, so that the worker goes on"""

CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "*",
    "Access-Control-Allow-Headers": "*",
    "Access-Control-Allow-Credentials": "false",
    "Access-Control-Max-Age": "172800",
    "Access-Control-Expose-Headers": (
        "Content-Length, Access-Control-Allow-Origin, Access-Control-Allow-Headers, Cache-Control, "
        "Content-Language, Content-Type, Expires, Last-Modified, Pragma, FooBar"
    ),
}


async def _answer_options() -> Response | None:
    if request.method != "OPTIONS":
        return None
    return Response(b'"Options Request!"', content_type="application/json; charset=utf-8")


def _compress(body: bytes) -> bytes:
    return gzip.compress(body, compresslevel=1, mtime=0)


async def _complete(response: Response) -> Response:
    response.headers.update(CORS)
    response.headers["X-HTTP-ID"] = str(uuid.uuid4())
    response.headers.add("Vary", "Accept-Encoding")
    body = await response.get_data(as_text=False)
    if len(body) >= MIN_GZIP and request.accept_encodings.quality("gzip") > 0:
        if len(body) >= THREAD_GZIP:
            body = await trio.to_thread.run_sync(_compress, body)
        else:
            body = _compress(body)
        response.set_data(body)
        response.headers["Content-Encoding"] = "gzip"
    return response


async def _not_found(error: Exception) -> Response:
    return Response(b"404 page not found", status=404, content_type="text/plain")


async def _http_error(error: HTTPException) -> Response:
    status = error.code or 500
    return Response(f"{status} {error.name}".encode(), status=status, content_type="text/plain")


def bare_app(name: str, max_body: int) -> QuartTrio:
    """An app without routes that already behaves like this API."""
    app = QuartTrio(name, static_folder=None)
    app.config.update(
        MAX_CONTENT_LENGTH=max_body,
        BODY_TIMEOUT=30,
        RESPONSE_TIMEOUT=30,
        PROVIDE_AUTOMATIC_OPTIONS=False,
    )
    app.url_map.merge_slashes = False
    app.before_request(_answer_options)
    app.after_request(_complete)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(404, _not_found)
    app.register_error_handler(405, _not_found)
    return app
