"""The effective configuration as TOML, secrets hidden, with the source of what is not default."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from openim_trio.config.hiding import shown
from openim_trio.config.load import Loaded
from openim_trio.config.settings import all_settings, value_of


def show(loaded: Loaded) -> str:
    return "\n".join(_lines(loaded)) + "\n"


def _lines(loaded: Loaded) -> Iterator[str]:
    section = ""
    for key in all_settings():
        parent, _, leaf = key.rpartition(".")
        if parent != section:
            section = parent
            yield ""
            yield f"[{section}]"
        line = f"{leaf} = {_toml(shown(key, value_of(loaded.config, key)))}"
        origin = loaded.origins.get(key)
        yield f"{line}  # {_one_line(origin)}" if origin else line


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, str | Path):
        # JSON's escapes are TOML's too, but for DEL.
        return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
    raise TypeError(f"no TOML for {type(value).__name__}")


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
