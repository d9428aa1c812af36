"""Percentiles, processes and the machine, for reports."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import psutil


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """p50, p90, p99 and max in milliseconds; empty when there is nothing."""
    if not seconds:
        return {}
    ordered = sorted(seconds)

    def at(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000, 2)

    return {"p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "max": round(ordered[-1] * 1000, 2)}


def machine() -> dict[str, Any]:
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def role_of(process: psutil.Process) -> str:
    """What a process of the server's tree is: worker, supervisor, mongod or redis-server."""
    name = process.name()
    if name.startswith(("mongod", "redis-server")):
        return name
    command = " ".join(process.cmdline())
    return "worker" if "process.worker" in command else "supervisor"


def tree(root: int) -> list[psutil.Process]:
    parent = psutil.Process(root)
    return [parent, *parent.children(recursive=True)]


def cpu_seconds(processes: Iterable[psutil.Process]) -> dict[int, float]:
    found = {}
    for process in processes:
        times = process.cpu_times()
        found[process.pid] = times.user + times.system
    return found


def pss_bytes(process: psutil.Process) -> int:
    """Proportional set size: memory that is this process' own, shared pages by their share."""
    for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def written_bytes(process: psutil.Process) -> int:
    return int(process.io_counters().write_bytes)
