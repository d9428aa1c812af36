"""The configuration from its three sources, each stronger than the one before: a TOML file,
`OPENIM_TRIO_*` variables (two underscores nest), command-line flags.

Whatever is wrong is gathered and reported at once; nothing starts with half a configuration.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from openim_trio.config import checks, sources
from openim_trio.config.hiding import shown_short
from openim_trio.config.model import Config
from openim_trio.config.settings import (
    KIND_NAMES,
    SECRET_KEYS,
    Setting,
    all_settings,
    converter,
    parse_text,
    sections,
    structure_value,
    value_of,
)
from openim_trio.config.sources import Given, SourceError

Flags = Mapping[str, tuple[str, object]]
"""key -> (the flag's name, its value)"""


class ConfigError(Exception):
    """Everything that is wrong with the configuration, one line each in `problems`."""

    def __init__(self, problems: Sequence[str]) -> None:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__("\n".join([f"configuration: {count}", *(f"  - {p}" for p in problems)]))
        self.problems = tuple(problems)


@attrs.frozen
class Loaded:
    config: Config
    origins: Mapping[str, str]
    """key -> where its value came from; keys at their default are absent"""


def load_config(path: Path | None, environ: Mapping[str, str], flags: Flags) -> Config:
    """Raises ConfigError."""
    return load(path, environ, flags).config


def load(path: Path | None, environ: Mapping[str, str], flags: Flags) -> Loaded:
    """As `load_config`, with the origins.  Raises ConfigError."""
    given, problems = _gather(path, environ, flags)
    values: dict[str, object] = {}
    origins: dict[str, str] = {}
    for item in given:
        result = _read(item)
        if isinstance(result, str):
            problems.append(result)
        else:
            values[item.key], origins[item.key] = result.value, item.origin
    if not problems:
        config = _build(values)
        problems = [
            _joint(config, origins, key, text) for key, text in checks.joint_problems(config)
        ]
        if not problems:
            return Loaded(config, origins)
    raise ConfigError(problems)


def _gather(
    path: Path | None, environ: Mapping[str, str], flags: Flags
) -> tuple[list[Given], list[str]]:
    """In rising strength: a later one wins."""
    given: list[Given] = []
    problems: list[str] = []
    if path is not None:
        try:
            given += sources.from_file(path)
        except SourceError as error:
            problems.append(str(error))
    given += sources.from_environ(environ)
    given += sources.from_flags(flags)
    return given, problems


@attrs.frozen
class _Value:
    value: object


def _read(item: Given) -> _Value | str:
    """The checked value, or what is wrong with it."""
    setting = all_settings().get(item.key)
    if setting is None:
        return _unknown(item)
    try:
        raw = (
            parse_text(setting.kind, item.raw)
            if isinstance(item.raw, str) and item.text
            else item.raw
        )
        value = structure_value(setting, raw)
    except ValueError:
        return _wrong(item, f"must be {KIND_NAMES[setting.kind]}, {_allowed(setting)}")
    if not checks.CHECKS[item.key].test(value):
        return _wrong(item, f"must be {_allowed(setting)}")
    return _Value(value)


def _allowed(setting: Setting) -> str:
    return checks.CHECKS[setting.key].allowed


def _wrong(item: Given, problem: str) -> str:
    value = "" if item.key in SECRET_KEYS else f" = {shown_short(item.key, item.raw)}"
    return f"{item.key}{value} ({item.origin}): {problem}"


def _unknown(item: Given) -> str:
    """The value is left out: it may be a secret under a misspelt name."""
    if item.key in sections():
        names = ", ".join(key for key in all_settings() if key.startswith(item.key + "."))
        return f"{item.key} ({item.origin}): is a section, not a setting; it has {names}"
    return f"{item.key} ({item.origin}): no such setting{_suggestion(item)}"


def _suggestion(item: Given) -> str:
    near = difflib.get_close_matches(item.key, all_settings(), n=1, cutoff=0.6)
    if not near:
        # The right name in the wrong (or no) section.
        leaf = item.key.rpartition(".")[2]
        leaves = {key.rpartition(".")[2]: key for key in all_settings()}
        near = [leaves[name] for name in difflib.get_close_matches(leaf, leaves, n=1, cutoff=0.8)]
    if not near:
        return ""
    name = sources.variable_of_key(near[0]) if item.origin.startswith("variable ") else near[0]
    return f"; did you mean {name}?"


def _build(values: Mapping[str, object]) -> Config:
    document: dict[str, Any] = {}
    for key, value in values.items():
        *parents, leaf = key.split(".")
        table = document
        for parent in parents:
            table = table.setdefault(parent, {})
        table[leaf] = value
    return converter().structure(document, Config)


def _joint(config: Config, origins: Mapping[str, str], key: str, problem: str) -> str:
    value = "" if key in SECRET_KEYS else f" = {shown_short(key, value_of(config, key))}"
    return f"{key}{value} ({origins.get(key, 'default')}): {problem}"
