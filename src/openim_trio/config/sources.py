"""Where settings come from: a TOML file, variables, flags.  Each gives a list of raw values."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs

from openim_trio.config.settings import all_settings, sections

VARIABLE_PREFIX = "OPENIM_TRIO_"
RESERVED_VARIABLES = frozenset({"OPENIM_TRIO_CONFIG", "OPENIM_TRIO_CHAT_TOKEN"})
"""No settings: the path of the file, and a user's token for `openim-trio chat`."""


class SourceError(Exception):
    """The file cannot be read at all."""


@attrs.frozen
class Given:
    """One value as somebody gave it."""

    key: str
    raw: object
    origin: str
    """for people: "file /etc/openim-trio.toml", "variable OPENIM_TRIO_…", "flag --ws-port" """
    text: bool
    """true: `raw` is text that still has to be parsed"""


def from_file(path: Path) -> list[Given]:
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SourceError(f"file {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"file {path}: not UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise SourceError(f"file {path}: not TOML: {error}") from error
    return list(_flatten(document, "", f"file {path}"))


def _flatten(table: Mapping[str, object], prefix: str, origin: str) -> Iterator[Given]:
    for name, value in table.items():
        key = prefix + name
        if isinstance(value, dict) and key not in all_settings() and (value or key in sections()):
            yield from _flatten(value, key + ".", origin)
        else:
            yield Given(key, value, origin, text=False)


def from_environ(environ: Mapping[str, str]) -> list[Given]:
    return [
        Given(key_of_variable(name), value, f"variable {name}", text=True)
        for name, value in environ.items()
        if name.startswith(VARIABLE_PREFIX) and name not in RESERVED_VARIABLES
    ]


def key_of_variable(name: str) -> str:
    return name.removeprefix(VARIABLE_PREFIX).lower().replace("__", ".")


def variable_of_key(key: str) -> str:
    return VARIABLE_PREFIX + key.upper().replace(".", "__")


def from_flags(flags: Mapping[str, tuple[str, object]]) -> list[Given]:
    """`flags`: key -> (the flag's name, its value)."""
    return [
        Given(key, value, f"flag {flag}", text=isinstance(value, str))
        for key, (flag, value) in flags.items()
    ]


def without_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """For child processes: settings, secrets among them, do not travel in the environment."""
    return {k: value for k, value in environ.items() if not k.startswith(VARIABLE_PREFIX)}
