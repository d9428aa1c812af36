"""The command line.  Exit codes: 0 good, 1 it could not start or go on, 2 wrong configuration or
arguments."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from openim_trio import __version__
from openim_trio.cli.chat import chat
from openim_trio.config.load import ConfigError, Flags, Loaded, load
from openim_trio.config.settings import SECRET_KEYS
from openim_trio.config.show import show
from openim_trio.process.serve import run

_FLAGS: tuple[tuple[str, str, str], ...] = (
    ("--data-dir", "data_dir", "Where data, the made secret and sockets are kept."),
    ("--host", "host", "Address to listen on."),
    ("--ws-port", "gateway.port", "WebSocket port; 0: any free one."),
    ("--api-port", "api.port", "REST port; 0: any free one."),
    ("--workers", "workers", "Worker processes; 0: half as many as cores."),
    ("--log-level", "log.level", "debug, info, warning, error or critical."),
    ("--log-format", "log.format", "console or json."),
)
"""flag, setting, help; values are checked with all others, by `config.load`"""


def _settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that give settings."""
    for flag, _, text in reversed(_FLAGS):
        command = click.option(flag, default=None, help=text)(command)
    command = click.option(
        "--set", "others", multiple=True, metavar="KEY=VALUE",
        help="Any other setting, such as auth.token_days=30 (no secrets: use a variable).",
    )(command)  # fmt: skip
    return click.option(
        "--config", "path", type=click.Path(path_type=Path), default=None,
        envvar="OPENIM_TRIO_CONFIG", show_envvar=True, help="TOML file with settings.",
    )(command)  # fmt: skip


def _load(path: Path | None, others: tuple[str, ...], given: dict[str, str | None]) -> Loaded:
    """Ends the program with code 2, and every problem on stderr, when it is not all right."""
    flags = _flags(others, given)
    try:
        return load(path, os.environ, flags)
    except ConfigError as error:
        click.echo(f"openim-trio: {error}", err=True)
        sys.exit(2)


def _flags(others: tuple[str, ...], given: dict[str, str | None]) -> Flags:
    flags: dict[str, tuple[str, object]] = {}
    for item in others:
        key, equals, value = item.partition("=")
        if not equals:
            raise click.UsageError(f"--set {item}: must be KEY=VALUE")
        if key in SECRET_KEYS:
            raise click.UsageError(f"--set {key}: others can read arguments; use a variable")
        flags[key] = (f"--set {key}", value)
    for flag, key, _ in _FLAGS:
        text = given[flag.removeprefix("--").replace("-", "_")]
        if text is not None:
            flags[key] = (flag, text)
    return flags


@click.group()
@click.version_option(__version__, prog_name="openim-trio")
def main() -> None:
    """An instant-messaging server for OpenIM clients.

    Settings come from a TOML file, OPENIM_TRIO_* variables (two underscores nest:
    OPENIM_TRIO_AUTH__SECRET is auth.secret) and options, each stronger than the one before.
    """


@main.command()
@_settings
def serve(path: Path | None, others: tuple[str, ...], **given: str | None) -> None:
    """Start the server; without mongo.uri and redis.url, with engines of its own."""
    sys.exit(run(_load(path, others, given).config))


@main.group()
def config() -> None:
    """Look at the configuration."""


@config.command("show")
@_settings
def config_show(path: Path | None, others: tuple[str, ...], **given: str | None) -> None:
    """Print the effective settings and where they come from; secrets are hidden."""
    click.echo(show(_load(path, others, given)), nl=False)


@config.command("check")
@_settings
def config_check(path: Path | None, others: tuple[str, ...], **given: str | None) -> None:
    """Exit 0 if the server would start with these settings, else 2."""
    _load(path, others, given)
    click.echo("the configuration is good")


main.add_command(chat)


@main.command()
def version() -> None:
    """Print the version."""
    click.echo(__version__)


if __name__ == "__main__":
    main()
