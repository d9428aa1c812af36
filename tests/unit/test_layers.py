"""Dependencies point inwards, and each outside library is imported in one place only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import openim_trio

ROOT = Path(openim_trio.__file__).parent

# From the inside out.  A package may import from those before it and from itself.
LAYERS = (
    ("wire",),
    ("domain",),
    ("config", "client"),
    ("observability",),
    ("append", "engines"),
    ("redisio", "store"),
    ("services",),
    ("gateway", "api"),
    ("process",),
    ("cli",),
    ("demo",),
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}

# Library -> the packages that may import it.
LIBRARIES = {
    "pymongo": {"store", "engines"},
    "bson": {"store"},
    "redis": {"redisio", "engines"},
    "hiredis": {"redisio"},
    "quart": {"api"},
    "quart_trio": {"api"},
    "hypercorn": {"api", "process"},
    "trio_websocket": {"gateway", "client"},
    "httpx": {"client"},
    "sqlite3": {"client"},
    "prompt_toolkit": {"cli"},
    "wsproto": {"gateway"},
    "h11": {"gateway"},
    "jwt": {"services"},
    "prometheus_client": {"observability"},
    "fastjsonschema": {"domain"},
    "cattrs": {"config", "api", "services", "process"},
    "click": {"cli", "demo"},
    "rich": {"cli", "demo"},
}
PURE = {"wire", "domain"}
IMPURE_LIBRARIES = {"trio", "socket", "asyncio", "threading", "subprocess"}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            if node.module == "openim_trio":
                yield from (f"openim_trio.{alias.name}" for alias in node.names)


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).parts
        if len(parts) > 1 and not path.name.endswith("_pb2.py"):
            yield parts[0], path


@pytest.mark.parametrize(
    ("package", "path"), list(modules()), ids=lambda x: x.stem if isinstance(x, Path) else x
)
def test_imports_point_inwards(package: str, path: Path) -> None:
    for name in imports(path):
        top, _, rest = name.partition(".")
        if top == "openim_trio":
            other = rest.partition(".")[0]
            if not other or other.startswith("__"):
                continue
            inner = other == package or RANK[other] < RANK[package]
            assert inner, f"{package} must not import {name}"
        if top in LIBRARIES:
            assert package in LIBRARIES[top], f"{top} is not for {package}"
        if package in PURE:
            assert top not in IMPURE_LIBRARIES, f"{package} is pure and must not import {top}"


def test_files_fit_in_a_head() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for _, path in modules()
        if (lines := len(path.read_text().splitlines())) > 420
    }
    assert not long
