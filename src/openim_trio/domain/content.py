"""Is a message's content what its contentType says?  JSON Schemas answer, one file each.

The files are in schemas/content: `101.json` for what clients send, `elements/101.json` for what
administrators send over REST (more members are required there), `legacy/101.json` for the older
route /manager/send_msg.  Clients are sloppy with null and with additional members, so those are
allowed; a member of the wrong type is refused, since the receivers' SDKs would refuse it too.

Errors name the member and what is wrong with it, and never quote the content.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import fastjsonschema
import orjson

from openim_trio.domain.content_types import NOTIFICATION_RANGE, ContentType
from openim_trio.domain.errors import ServiceError, args_error

TYPED = frozenset({*range(101, 116), *range(117, 121)})
"""content types whose JSON has a shape"""
_JSON_ONLY = frozenset({121, 122, *range(200, 204)})
"""named by the protocol without a shape: any JSON value"""
ELEMENT_TYPES = (101, 102, 103, 104, 105, 106, 110, 114, 118, 1400)
"""what administrators may send over REST"""
LEGACY_ELEMENT_TYPES = (*range(101, 113), 114, 1400)

MAX_CONTAINERS = 10_000
"""objects and lists in one content: each one costs some microseconds to look at"""

_ROOT_PATH = "/schemas/content/"
_Validate = Callable[..., Any]


def validate_content(content_type: int, content: bytes) -> None:
    """Check what a client sent: UTF-8 JSON by contentType.  Raises ServiceError (ARGS).

    Numbers that the protocol does not know are the application's own; their content may be any
    bytes.
    """
    if not content:
        raise args_error("content", "must not be empty")
    if content_type in TYPED:
        _check(str(content_type), _json(content, "content"), "content")
    elif content_type in NOTIFICATION_RANGE:
        notification = _json(content, "content")
        _check("notification", notification, "content")
        if content_type == ContentType.OA_NOTIFICATION:
            detail = _json(notification["detail"], "content.detail")
            _check("1400", detail, "content.detail")
    elif content_type in _JSON_ONLY:
        _json(content, "content")


def validate_element(content_type: int, element: object) -> dict[str, Any]:
    """Check the `content` object of REST /msg/send_msg; returns it.  Raises ServiceError (ARGS)."""
    return _element("elements", ELEMENT_TYPES, content_type, element)


def validate_legacy_element(content_type: int, element: object) -> dict[str, Any]:
    """Check the `content` object of the older /manager/send_msg; returns it, with its older member
    names.  Raises ServiceError (ARGS)."""
    return _element("legacy", LEGACY_ELEMENT_TYPES, content_type, element)


def prepare() -> None:
    """Read and compile all schemas now (about half a second), not at the first message of each
    type."""
    for name in sorted(_names(schema_root())):
        _validator(name)


def schema_root() -> Traversable:
    """schemas/content in the installed package, or else in the source tree beside it."""
    installed = files("openim_trio") / "schemas" / "content"
    if installed.is_dir():
        return installed
    return Path(__file__).resolve().parents[3] / "schemas" / "content"


def _element(
    folder: str, allowed: tuple[int, ...], content_type: int, element: object
) -> dict[str, Any]:
    if content_type not in allowed:
        numbers = ", ".join(map(str, allowed))
        raise args_error("contentType", f"must be one of {numbers}")
    if not isinstance(element, dict):
        raise args_error("content", "must be object")
    _check(f"{folder}/{content_type}", element, "content")
    return element


def _json(text: bytes | str, path: str) -> Any:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise args_error(path, "must be JSON") from None
    raw = text if isinstance(text, bytes) else text.encode()
    if raw.count(b"{") + raw.count(b"[") > MAX_CONTAINERS:  # or so many in its strings
        _check_containers(value, path)
    return value


def _check_containers(value: Any, path: str) -> None:
    waiting, seen = [value], 0
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict | list):
            seen += 1
            if seen > MAX_CONTAINERS:
                raise args_error(path, f"holds more than {MAX_CONTAINERS} objects and lists")
            waiting.extend(item.values() if isinstance(item, dict) else item)


def _check(name: str, value: object, path: str) -> None:
    try:
        _validator(name)(value, name_prefix=path)
    except fastjsonschema.JsonSchemaValueException as error:
        raise _refusal(error) from None
    except RecursionError:
        raise args_error(path, "is nested too deeply") from None


def _refusal(error: fastjsonschema.JsonSchemaValueException) -> ServiceError:
    """Say it in our words where the library's would be clumsy; none of them holds a value."""
    path, rule = error.name or "content", error.rule
    wanted = error.rule_definition
    if rule == "required":
        missing = next((name for name in wanted if name not in error.value), "")
        return args_error(f"{path}.{missing}", "is required")
    if rule == "anyOf":
        names = " or ".join(choice["required"][0] for choice in wanted)
        return args_error(path, f"must have {names}")
    if rule == "minLength":
        return args_error(path, "must not be empty")
    if rule == "not":
        return args_error(path, f"must not be {wanted['const']}")
    if rule == "minimum":
        return args_error(path, f"must be at least {wanted}")
    if rule == "maximum":
        return args_error(path, f"must be at most {wanted}")
    if rule == "maxItems":
        return args_error(path, f"must have at most {wanted} entries")
    if rule == "type":
        kinds = [wanted] if isinstance(wanted, str) else wanted
        return args_error(path, f"must be {' or '.join(kind for kind in kinds if kind != 'null')}")
    return args_error(path, "does not fit its content type")


@cache
def _validator(name: str) -> _Validate:
    """`name`: the file under schemas/content without its suffix."""
    validate: _Validate = fastjsonschema.compile(
        _schema(f"{name}.json"), handlers={"https": _referenced}, use_default=False
    )
    return validate


@cache
def _schema(file: str) -> dict[str, Any]:
    schema: dict[str, Any] = orjson.loads(schema_root().joinpath(*file.split("/")).read_bytes())
    return schema


def _referenced(uri: str) -> dict[str, Any]:
    """Schemas refer to each other by file name; nothing is ever fetched."""
    return _schema(urlsplit(uri).path.removeprefix(_ROOT_PATH))


def _names(folder: Traversable, prefix: str = "") -> set[str]:
    found: set[str] = set()
    for entry in folder.iterdir():
        if entry.is_dir():
            found |= _names(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".json"):
            found.add(prefix + entry.name.removesuffix(".json"))
    return found
