"""`python -m stress.reliability`: the command line."""

from __future__ import annotations

import json
import secrets
import shlex
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import attrs
import click
import trio
from rich.console import Console

from stress.reliability import progress, report
from stress.reliability.faults import NAMES
from stress.reliability.page import page
from stress.reliability.result import Result
from stress.reliability.run import run
from stress.reliability.settings import QUICK, Settings

INTERRUPTED = 130
COUNT = click.IntRange(min=1)


def fault_names(_: click.Context, __: click.Parameter, value: str) -> tuple[str, ...]:
    if value in ("all", "none"):
        return NAMES if value == "all" else ()
    names = tuple(name.strip() for name in value.split(","))
    for name in names:
        if name not in NAMES:
            raise click.BadParameter(f"{name!r}: all, none, or some of {', '.join(NAMES)}")
    return names


@click.command()
@click.option("--clients", type=click.IntRange(min=2), help="people; half of them send  [50]")
@click.option("--processes", type=COUNT, help="that the clients share  [10]")
@click.option("--messages", type=COUNT, help="that all send together  [100000]")
@click.option("--rate", type=click.FloatRange(min=0), help="a second, all together; 0: as fast as "
              "the loop goes, or spread over the faults  [0]")  # fmt: skip
@click.option("--in-flight", type=COUNT, help="of one client without an end  [8]")
@click.option("--workers", type=COUNT, help="of the server  [2]")
@click.option("--faults", default="none", show_default=True, callback=fault_names,
              help=f"all, none, or a list with commas of: {', '.join(NAMES)}")  # fmt: skip
@click.option("--rounds", type=COUNT, help="how often each fault happens  [1]")
@click.option("--scale", type=click.FloatRange(min=0.001), help="of all pauses and absences  [1]")
@click.option("--patience", type=click.FloatRange(min=1), help="seconds without progress  [300]")
@click.option("--seed", type=int, help="repeats a schedule; it is always printed")
@click.option("--quick", is_flag=True, help="10 clients, 2,000 messages, short pauses")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False),
              default="reports/reliability", show_default=True)  # fmt: skip
@click.option("--keep", is_flag=True, help="databases and journals, also if nothing is wrong")
def cli(*, quick: bool, out: Path, keep: bool, seed: int | None, **options: Any) -> None:
    """Let many clients write to each other on a real server that it starts itself, break things
    meanwhile, and compare at the end what everybody was told, shown and holds.

    Ends with 0; with 1 if there is any difference, with 130 if it is interrupted.
    """
    given = {name: value for name, value in options.items() if value is not None}
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    settings = attrs.evolve(QUICK if quick else Settings(), seed=seed, **given)
    if settings.processes > settings.clients:
        raise click.UsageError("--processes: more than --clients")
    status = INTERRUPTED
    try:
        result = run_and_report(settings, out, again(sys.argv[1:], seed), keep=keep)
        status = 1 if result.differences else 0
    except* KeyboardInterrupt:
        click.echo("interrupted; nothing is compared", err=True)
    sys.exit(status)


def again(arguments: list[str], seed: int) -> str:
    """The command that repeats this run's schedule."""
    told = any(argument.partition("=")[0] == "--seed" for argument in arguments)
    more = [] if told else ["--seed", str(seed)]
    return shlex.join(["python", "-m", "stress.reliability", *arguments, *more])


def run_and_report(settings: Settings, out: Path, command: str, *, keep: bool) -> Result:
    """Reports go to `out`, progress to stderr.  `keep`: databases, journals and logs stay, also if
    there is no difference."""
    out.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="reliability-"))
    console = Console(stderr=True)
    console.print(command, highlight=False, soft_wrap=True)
    kept = True
    try:
        with progress.shown(console) as show:
            result = trio.run(run, settings, directory, command, show)
        kept = keep or bool(result.differences)
    finally:
        if kept:
            console.print(f"databases, journals and logs: {directory}", highlight=False)
        else:
            shutil.rmtree(directory, ignore_errors=True)
    click.echo(report.text(result))
    (out / "report.txt").write_text(report.text(result) + "\n")
    (out / "report.json").write_text(json.dumps(report.document(result), indent=2) + "\n")
    (out / "report.html").write_text(page(result))
    console.print(f"reports: {out}", highlight=False)
    return result


if __name__ == "__main__":
    cli()
