"""The Lua scripts, each in a file of its own under lua/; lua/conversation.lua goes before each."""

from __future__ import annotations

from functools import cache
from hashlib import sha1
from importlib.resources import files

import attrs


@attrs.frozen
class Script:
    name: str
    source: bytes
    sha: str


@cache
def script(name: str) -> Script:
    folder = files("openim_trio.redisio") / "lua"
    source = b"\n".join((folder / f"{part}.lua").read_bytes() for part in ("conversation", name))
    # Redis names scripts by their SHA-1; nothing secret rests on it.
    return Script(name, source, sha1(source, usedforsecurity=False).hexdigest())
