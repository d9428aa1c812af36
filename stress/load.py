"""Load a server and print what it did: `python -m stress.load --connections 1000 --rate 900`.

Only loopback is ever loaded.  Engines, workers and the load itself share the machine, so that the
figures are for everything together.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
from array import array
from pathlib import Path
from typing import Any

import click
import psutil

from openim_trio.demo.server import Server, running_server
from stress import figures
from stress.loadgen import Outcome, Plan, main


@click.command()
@click.option("--connections", "-c", default=1000, show_default=True)
@click.option("--processes", "-p", default=1, show_default=True, help="load processes")
@click.option("--workers", "-w", default=2, show_default=True)
@click.option("--rate", default=0.0, help="messages a second, all together; 0 = flat out")
@click.option("--window", default=400, show_default=True, help="messages in flight when flat out")
@click.option("--seconds", default=20.0, show_default=True)
@click.option("--warm-up", default=5.0, show_default=True)
@click.option("--encoding", type=click.Choice(["json", "gob"]), default="json", show_default=True)
@click.option("--transport", default="lean", show_default=True)
@click.option("--json", "json_path", type=Path, help="write the report here, too")
def cli(json_path: Path | None, transport: str, workers: int, **options: Any) -> None:
    """Start a server with embedded engines, load it, print a report."""
    with running_server(workers, settings={"OPENIM_TRIO_GATEWAY__TRANSPORT": transport}) as server:
        report = run(server, **options)
    report["settings"]["transport"] = transport
    show(report)
    if json_path:
        json_path.write_text(json.dumps(report, indent=2))
    result = report["result"]
    sys.exit(1 if result["lost"] or result["doubled"] or result["out_of_order"] else 0)


def run(
    server: Server, *, connections: int, processes: int, rate: float, window: int,
    seconds: float, warm_up: float, encoding: str,
) -> dict[str, Any]:  # fmt: skip
    each = connections // processes // 2 * 2
    users = [f"load{i:06d}" for i in range(each * processes)]
    admin = server.admin_token()
    server.register(users, admin)
    tokens = server.tokens(users, admin)
    server_processes = figures.tree(server.pid)
    workers = [p for p in server_processes if figures.role_of(p) == "worker"]
    mongod = next((p for p in server_processes if p.name().startswith("mongod")), None)
    memory = sum(map(figures.pss_bytes, workers))
    children = []
    connecting = time.monotonic()
    for at in range(processes):
        ours, theirs = multiprocessing.Pipe()
        plan = Plan(
            server.host, server.ws_port, [(u, tokens[u]) for u in users[at * each :][:each]],
            encoding, rate / processes, max(1, window // processes), warm_up, seconds,
        )  # fmt: skip
        child = multiprocessing.Process(target=main, args=(plan, theirs))
        child.start()
        children.append((child, ours))
    for _, pipe in children:
        pipe.recv()
    connected = time.monotonic() - connecting
    click.echo(f"{len(users)} connections after {connected:.1f} s", err=True)
    memory = sum(map(figures.pss_bytes, workers)) - memory
    for _, pipe in children:
        pipe.send("go")
    time.sleep(warm_up)
    cpu, written = figures.cpu_seconds(server_processes), _written(mongod)
    time.sleep(seconds)
    cpu_after, written_after = figures.cpu_seconds(server_processes), _written(mongod)
    outcomes: list[Outcome] = [pipe.recv() for _, pipe in children]
    for child, pipe in children:
        pipe.send("bye")
        child.join(30)
    accepted = sum(o.accepted for o in outcomes)
    span = max(o.seconds for o in outcomes)
    return {
        "machine": figures.machine(),
        "settings": {
            "connections": len(users), "load_processes": processes, "workers": server.workers,
            "rate": rate or "flat out", "window": window, "seconds": seconds,
            "encoding": encoding, "content_bytes": 300,
        },
        "result": {
            "accepted_per_second": round(accepted / span, 1),
            "complete": sum(o.complete for o in outcomes),
            "accepted": accepted,
            "refused": sum(o.refused for o in outcomes),
            "lost": sum(o.lost for o in outcomes),
            "doubled": sum(o.doubled for o in outcomes),
            "out_of_order": sum(o.out_of_order for o in outcomes),
            "connections_closed": sum(o.closed for o in outcomes),
        },
        "latency_ms": {
            "send_to_push": figures.percentiles(_joined([o.delivery for o in outcomes])),
            "send_to_ack": figures.percentiles(_joined([o.ack for o in outcomes])),
        },
        "cpu_seconds": {
            **_by_role(server_processes, cpu, cpu_after),
            "load": round(sum(o.cpu for o in outcomes), 2),
        },
        "append_ms": _append_means(server),
        "connect_seconds": round(connected, 2),
        "worker_bytes_per_connection": memory // max(1, len(users)),
        "mongod_bytes_written_per_message": (written_after - written) // max(1, accepted),
    }  # fmt: skip


def _written(mongod: psutil.Process | None) -> int:
    return figures.written_bytes(mongod) if mongod else 0


def _append_means(server: Server) -> dict[str, float]:
    """Mean milliseconds of each step of a flush, and messages per flush, over all workers and
    since the server started."""
    sums: dict[str, float] = {}
    for line in server.get("/metrics")[1].decode().splitlines():
        name, _, value = line.rpartition(" ")
        if name.startswith(("openim_trio_append_seconds_", "openim_trio_batch_messages_")):
            sums[name] = float(value)
    means = {}
    for name, count in sums.items():
        base, _, rest = name.partition("_count")
        if name.startswith("openim_trio_append_seconds_count") and count:
            step = rest.partition('"')[2].partition('"')[0]
            means[step] = round(sums[f"{base}_sum{rest}"] / count * 1000, 2)
    flushes = sums.get("openim_trio_batch_messages_count", 0)
    if flushes:
        means["messages per flush"] = round(sums["openim_trio_batch_messages_sum"] / flushes, 1)
    return means


def _joined(parts: list[bytes]) -> array[float]:
    whole = array("d")
    for part in parts:
        whole.frombytes(part)
    return whole


def _by_role(
    processes: list[psutil.Process], before: dict[int, float], after: dict[int, float]
) -> dict[str, float]:
    names: dict[str, float] = {}
    for process in processes:
        role = figures.role_of(process)
        label = f"{role} {sum(name.startswith(role) for name in names) + 1}"
        names[label] = round(after[process.pid] - before[process.pid], 2)
    return names


def show(report: dict[str, Any]) -> None:
    for part, value in report.items():
        if not isinstance(value, dict):
            click.echo(f"{part:34} {value}")
            continue
        click.echo(part)
        for name, figure in value.items():
            click.echo(f"    {name:30} {figure}")


if __name__ == "__main__":
    cli()
