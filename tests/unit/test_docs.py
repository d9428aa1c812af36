"""What the documents say of the program is true, as far as a machine can tell.

In inline code:
    path/file.py            exists, from the project's root, from src/openim_trio, or by its name
    tests/….py::test_x      exists in that file
    test_x                  exists in some file
    section.key, OPENIM_…   is a setting
    `section.key` = 5       is its default
    `file.py:NAME` = 5      is a constant; `file.py:Class(argument)` = 5 an argument's default
    openim_trio_x           is a metric
    /group/name             is a route (docs/compatibility.md lists them all)
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from openim_trio.api.route_table import ROUTES
from openim_trio.config.settings import all_settings, sections
from openim_trio.config.sources import RESERVED_VARIABLES, key_of_variable
from openim_trio.observability.metrics import Metrics

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "openim_trio"
DOCUMENTS = sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
EXTENSIONS = ("py", "lua", "toml", "js", "mjs", "json", "yml", "service", "md")
UNITS = {"KiB": 1024, "MiB": 1024 * 1024}

FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`([^`\n]+)`")
FILE = re.compile(rf"[\w./-]*\w\.(?:{'|'.join(EXTENSIONS)})\b")
TEST = re.compile(r"(?:(tests/[\w/]+\.py)::)?(test_\w+)(?!\.)")
KEY = re.compile(r"[a-z]+\.[a-z_]+")
NUMBER = r"([\d,]+(?:\.\d+)?)(?: (KiB|MiB)\b)?"
DEFAULT = re.compile(rf"`([a-z][a-z_.]*)` = {NUMBER}")
CONSTANT = re.compile(rf"`([\w/]+\.py):([A-Za-z_.]+)(?:\((\w+)\))?` = {NUMBER}")
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)")
NOX = re.compile(r"nox -s((?: (?!--)\w+)+)")

every_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)


def inline(path: Path) -> list[str]:
    return INLINE.findall(FENCED.sub("", path.read_text()))


@cache
def known_tests() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for path in (ROOT / "tests").rglob("test_*.py"):
        tree = ast.parse(path.read_text())
        names = {n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
        found[str(path.relative_to(ROOT))] = names
    return found


@cache
def file_names() -> frozenset[str]:
    folders = [SOURCE, ROOT / "tests", ROOT / "deploy", ROOT / "docs"]
    return frozenset(p.name for folder in folders for p in folder.rglob("*.*"))


def exists(name: str) -> bool:
    return (ROOT / name).exists() or (SOURCE / name).exists() or name in file_names()


def value(number: str, unit: str) -> float:
    return float(number.replace(",", "")) * UNITS.get(unit, 1)


def constant(file: str, name: str, argument: str) -> Any:
    found: Any = importlib.import_module(
        f"openim_trio.{file.removesuffix('.py').replace('/', '.')}"
    )
    for part in name.split("."):
        found = getattr(found, part)
    return inspect.signature(found).parameters[argument].default if argument else found


@every_document
def test_files_exist(path: Path) -> None:
    named = [n for text in inline(path) for n in FILE.findall(text.partition("::")[0])]
    here = [name for name in named if not name.startswith("/")]  # else a path of the REST API
    assert [name for name in here if not exists(name)] == []


@every_document
def test_tests_exist(path: Path) -> None:
    anywhere = set().union(*known_tests().values())
    for text in inline(path):
        match = TEST.fullmatch(text)
        if match is not None:
            file, name = match.groups()
            assert name in (known_tests().get(file, set()) if file else anywhere), text


@every_document
def test_settings_exist(path: Path) -> None:
    keys = {t for t in inline(path) if KEY.fullmatch(t) and t.partition(".")[0] in sections()}
    keys -= {key for key in keys if FILE.fullmatch(key)}
    variables = set(re.findall(r"OPENIM_TRIO_[A-Z_]*[A-Z]", path.read_text())) - RESERVED_VARIABLES
    keys |= {key_of_variable(variable) for variable in variables}
    assert keys - set(all_settings()) == set()


@every_document
def test_defaults_are_those_of_the_program(path: Path) -> None:
    for key, number, unit in DEFAULT.findall(path.read_text()):
        assert all_settings()[key].default == value(number, unit), key


@every_document
def test_constants_are_those_of_the_program(path: Path) -> None:
    for file, name, argument, number, unit in CONSTANT.findall(path.read_text()):
        assert constant(file, name, argument) == value(number, unit), f"{file}:{name}"


def test_the_tables_hold_what_they_promise() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    assert len(CONSTANT.findall(text)) > 100
    stated = {key for key, _, _ in DEFAULT.findall(text)}
    numbers = {k for k, s in all_settings().items() if s.kind in (int, float)}
    elsewhere = {  # neither a limit nor a time
        "workers",
        "gateway.port",
        "api.port",
        "api.legacy_port",
        "auth.login_policy",
        "engines.mongo_cache_gb",
    }
    operations = {"append.clock_error_minutes", "auth.max_tokens_per_platform"}
    assert numbers - stated - elsewhere - operations == set()


@every_document
def test_links_lead_somewhere(path: Path) -> None:
    links = LINK.findall(path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []


@every_document
def test_sessions_of_nox_exist(path: Path) -> None:
    tree = ast.parse((ROOT / "noxfile.py").read_text())
    sessions = {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and any("nox.session" in ast.unparse(decorator) for decorator in node.decorator_list)
    }
    named = {name for found in NOX.findall(path.read_text()) for name in found.split()}
    assert named - sessions == set()


@every_document
def test_metrics_exist(path: Path) -> None:
    samples = {"openim_trio_workers"}  # of the exposition
    for family in Metrics().registry.collect():
        suffix = {"counter": "_total", "histogram": "_bucket"}.get(family.type, "")
        samples |= {family.name, family.name + suffix}
    named = {t for text in inline(path) for t in re.findall(r"\bopenim_trio_[a-z_]+", text)}
    assert named - samples == set()


def test_all_metrics_are_explained() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    families = {family.name for family in Metrics().registry.collect()}
    assert {name for name in families if name not in text} == set()


def test_the_routes_are_all_and_only_those() -> None:
    text = (ROOT / "docs" / "compatibility.md").read_text()
    served, _, rest = text.partition("## Not there yet")
    missing = rest.partition("\n## ")[0]
    rows = re.findall(r"^\| `(/\w+)` \| (.*) \|$", served, re.MULTILINE)
    paths = {f"{group}/{name}" for group, names in rows for name in INLINE.findall(names)}
    assert paths == {route.path for route in ROUTES}
    assert missing
    assert [path for path in INLINE.findall(missing) if path in paths] == []
