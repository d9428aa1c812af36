"""`python -m openim_trio.demo`: run the demo on embedded engines; exit 1 if anything is wrong."""

from __future__ import annotations

import sys
import time

import click
import trio
from rich.console import Console
from rich.table import Table

from openim_trio.demo.server import Server, running_server
from openim_trio.demo.story import Story


@click.command()
@click.option("--keep", is_flag=True, help="Leave the server up and say how to connect.")
@click.option("--workers", default=2, show_default=True)
def main(keep: bool, workers: int) -> None:
    """Start a real server, let people chat, take one away and back, and check every message."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print("Starting openim-trio with its embedded MongoDB and Redis …")
    began = time.monotonic()
    with running_server(workers) as server:
        console.print(
            f"ready after {time.monotonic() - began:.1f} s: {server.ws_address}, "
            f"{server.api_address}, {server.workers} workers\n"
        )
        story = Story(server)
        trio.run(story.play)
        show(console, story)
        if keep and not story.problems:
            stay(console, server, story)
    sys.exit(1 if story.problems else 0)


def show(console: Console, story: Story) -> None:
    table = Table("#", "conversation", "seq", "from", "text", "ack", "arrived", title="Transcript")
    for line in story.lines:
        table.add_row(
            str(line.number),
            line.conversation,
            str(line.seq),
            line.sender,
            line.text,
            f"{line.ack_ms:.1f} ms",
            "\n".join(f"{user}: {how}" for user, how in line.arrivals.items()),
        )
    console.print(table)
    for note in story.notes:
        console.print(f"· {note}", style="dim")
    if story.problems:
        for problem in story.problems:
            console.print(f"WRONG: {problem}", style="bold red")
        return
    arrivals = sum(len(line.arrivals) for line in story.lines)
    console.print(
        f"\n{len(story.lines)} messages, {arrivals} arrivals: "
        "none lost, none doubled, every conversation 1..n without a hole.",
        style="bold green",
    )


def stay(console: Console, server: Server, story: Story) -> None:
    console.print("\nThe server stays up until Ctrl-C. Point an OpenIM client at it:")
    console.print(f"  wsAddr   {server.ws_address}\n  apiAddr  {server.api_address}")
    for user, token in story.tokens.items():
        platform = 2 if user == "ben" else 1
        console.print(f"  userID   {user}   platformID {platform}   token {token}", soft_wrap=True)
    console.print(f"  admin secret  {server.secret}", soft_wrap=True)
    try:
        trio.run(trio.sleep_forever)
    except KeyboardInterrupt:
        console.print("stopping …")


if __name__ == "__main__":
    main()
