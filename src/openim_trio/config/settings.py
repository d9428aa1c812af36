"""The flat list of settings ("auth.login_policy", …), taken from the model, and how one value
of each is read.  cattrs does the structuring; scalars are strict (no "5" for 5, no 1 for true).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn

from openim_trio.config import model
from openim_trio.config.model import Config

SECRET_KEYS = frozenset({"auth.secret"})
"""Never shown, not even in error messages."""
URL_KEYS = frozenset({"mongo.uri", "redis.url"})
"""Shown without their passwords."""

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})

KIND_NAMES: dict[object, str] = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    tuple[str, ...]: "a list of texts",
    Path: "a path",
}


@attrs.frozen
class Setting:
    key: str
    kind: Any
    """the type, as annotated: int, float, str, bool, tuple[str, ...] or Path"""
    default: object


@cache
def all_settings() -> Mapping[str, Setting]:
    """Every setting by its dotted key, in the model's order."""
    found: dict[str, Setting] = {}
    _walk(Config, "", Config(), found)
    return found


@cache
def sections() -> frozenset[str]:
    return frozenset(key.rpartition(".")[0] for key in all_settings() if "." in key)


def _walk(cls: type, prefix: str, defaults: object, found: dict[str, Setting]) -> None:
    hints = get_type_hints(cls)
    for field in attrs.fields(cls):
        value = getattr(defaults, field.name)
        kind = hints[field.name]
        if attrs.has(kind):
            _walk(kind, f"{prefix}{field.name}.", value, found)
        else:
            key = prefix + field.name
            found[key] = Setting(key, kind, value)


def value_of(config: Config, key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = getattr(value, part)
    return value


# -- reading one value -----------------------------------------------------------------------------


def parse_text(kind: Any, text: str) -> object:
    """The value that a variable's or a flag's text stands for.  Raises ValueError."""
    if kind is int:
        return int(text.strip())
    if kind is float:
        return float(text.strip())
    if kind is bool:
        word = text.strip().lower()
        if word in _TRUE or word in _FALSE:
            return word in _TRUE
        raise ValueError(text)
    if kind == tuple[str, ...]:
        if text.lstrip().startswith("["):
            return json.loads(text)
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


def _int(value: object, _: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(value)  # noqa: TRY004  cattrs' callers expect one kind of error
    return value


def _float(value: object, _: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(value)
    return float(value)


def _bool(value: object, _: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(value)  # noqa: TRY004
    return value


def _str(value: object, _: object) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError(value)
    return value


def _strings(value: object, _: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise ValueError(value)
    return tuple(value)


def _path(value: object, _: object) -> Path:
    if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
        raise ValueError(value)
    return Path(value).expanduser()


@cache
def converter() -> cattrs.Converter:
    made = cattrs.Converter(forbid_extra_keys=True)
    made.register_structure_hook(int, _int)
    made.register_structure_hook(float, _float)
    made.register_structure_hook(bool, _bool)
    made.register_structure_hook(str, _str)
    made.register_structure_hook(Path, _path)
    made.register_structure_hook_func(lambda kind: kind == tuple[str, ...], _strings)
    made.register_unstructure_hook(Path, str)
    for cls in vars(model).values():
        if attrs.has(cls):
            made.register_structure_hook(
                cls, make_dict_structure_fn(cls, made, _cattrs_forbid_extra_keys=True)
            )
    return made


def structure_value(setting: Setting, raw: object) -> object:
    """Raises ValueError when `raw` is not what the setting takes."""
    return converter().structure(raw, setting.kind)


# -- the whole, for handing to a worker ------------------------------------------------------------


def to_document(config: Config) -> dict[str, Any]:
    """JSON-able, secrets included: only for pipes between our own processes."""
    document: dict[str, Any] = converter().unstructure(config)
    return document


def from_document(document: Mapping[str, Any]) -> Config:
    return converter().structure(document, Config)
