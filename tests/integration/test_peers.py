"""Workers ask each other for their figures."""

from __future__ import annotations

import contextlib
import functools
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families

from openim_trio.observability.exposition import dump
from openim_trio.observability.metrics import Metrics
from openim_trio.process import peers as peers_module
from openim_trio.process.peers import Peers
from openim_trio.process.run_directory import RunDirectory, clean, run_directory


@contextlib.asynccontextmanager
async def _workers(directory: RunDirectory, *connections: int) -> AsyncIterator[list[Peers]]:
    made = []
    async with trio.open_nursery() as nursery:
        for number, count in enumerate(connections):
            metrics = Metrics()
            metrics.connections.set(count)
            own = functools.partial(dump, metrics.registry)
            peers = Peers(directory, f"w{number}", own)
            await nursery.start(peers.serve)
            made.append(peers)
        yield made
        nursery.cancel_scope.cancel()


def _connections(text: bytes) -> dict[str, float]:
    return {
        sample.labels.get("worker", ""): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if sample.name == "openim_trio_connections"
    }


@pytest.mark.parametrize("parent", ["short", "a-very-long-path-" * 12])
async def test_sums_and_single_figures(tmp_path: Path, parent: str) -> None:
    with run_directory(tmp_path / parent[:200]) as directory:
        async with _workers(directory, 1, 2, 4) as workers:
            assert _connections(await workers[0].exposition(False)) == {"": 7}
            assert _connections(await workers[2].exposition(True)) == {"w0": 1, "w1": 2, "w2": 4}
        assert directory.workers() == []


async def test_dead_peers_are_cleared_away_and_strange_ones_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers_module, "PATIENCE", 0.2)
    with run_directory(tmp_path) as directory:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(directory.address("dead"))
        with socket.socket(socket.AF_UNIX) as silent:
            silent.bind(directory.address("silent"))
            silent.listen()
            async with _workers(directory, 3) as (peers,):
                assert _connections(await peers.exposition(True)) == {"w0": 3}
        assert directory.workers() == ["silent"]
        clean(tmp_path)
        assert directory.workers() == []
