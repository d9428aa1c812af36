"""`openim-trio chat`: its options, and what becomes of its ends."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from openim_trio.domain.platforms import Platform

PLATFORMS = {
    platform.name.lower().replace("_", "-"): platform
    for platform in Platform
    if platform is not Platform.ADMIN
}
TOKEN_VARIABLE = "OPENIM_TRIO_CHAT_TOKEN"  # noqa: S105  the name of it


@click.command()
@click.option("--user", required=True, metavar="ID", help="Who you are.")
@click.option("--to", metavar="ID", default="", help="Write to this user; /to changes it.")
@click.option("--group", metavar="ID", default="", help="Write to this group; /group changes it.")
@click.option(
    "--token", envvar=TOKEN_VARIABLE, default="", show_envvar=True,
    help="Your token.  Other users of this machine can read arguments: the variable is better.  "
    "Without one, for a server on this machine: see --secret-from.",
)  # fmt: skip
@click.option(
    "--secret-from", type=click.Path(path_type=Path), default=Path(".openim-trio"),
    show_default=True, metavar="DIR",
    help="Data directory of a server on this machine: with its secret (or with "
    "OPENIM_TRIO_AUTH__SECRET), you are registered and get a token.",
)  # fmt: skip
@click.option("--ws", default="ws://127.0.0.1:10001", show_default=True, help="WebSocket address.")
@click.option("--api", default="http://127.0.0.1:10002", show_default=True, help="REST address.")
@click.option(
    "--platform", type=click.Choice(sorted(PLATFORMS)), default="linux", show_default=True,
    help="What the token was issued for.  A login ends another one of the same platform.",
)  # fmt: skip
@click.option(
    "--data-dir", type=click.Path(path_type=Path), default=None,
    help="Where your messages are kept.  [default: in $XDG_STATE_HOME or ~/.local/state, a "
    "directory for each server]",
)  # fmt: skip
@click.option(
    "--log", type=click.Path(path_type=Path), default=None, help="Write the client's log there."
)
def chat(
    user: str,
    to: str,
    group: str,
    token: str,
    secret_from: Path,
    ws: str,
    api: str,
    platform: str,
    data_dir: Path | None,
    log: Path | None,
) -> None:
    """Chat in a terminal, as a user of a running server.

    Sends are kept and sent when there is a connection, also by the next run.  With pipes instead of
    a terminal: lines in, lines out; it exits with 1 if a message failed or still waits.
    """
    # The server needs none of this.
    from openim_trio.cli.chat_run import Options, Stopped, run

    for name, value in (("--user", user), ("--to", to), ("--group", group)):
        _check_id(name, value)
    if to and group:
        raise click.UsageError("--to and --group: one of them")
    options = Options(
        user=user,
        to=to,
        group=group,
        token=token,
        secret_from=secret_from,
        ws=ws,
        api=api,
        platform=PLATFORMS[platform],
        data_dir=data_dir,
        log=log,
    )
    try:
        sys.exit(run(options, os.environ))
    except Stopped as stopped:
        click.echo(f"openim-trio: {stopped}", err=True)
        sys.exit(stopped.code)


def _check_id(name: str, value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise click.UsageError(f"{name}: is not valid UTF-8") from None
