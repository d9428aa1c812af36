"""Workers' figures together: each serves its own on a Unix socket in the data directory, and the
one that is asked for /metrics collects the others'.

The answer is one JSON document, then the end of the stream; there is no request.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from contextlib import suppress

import structlog
import trio

from openim_trio.observability.exposition import Samples, SamplesError, render
from openim_trio.process.run_directory import RunDirectory

PATIENCE = 2.0
"""seconds for one peer's whole answer"""
LARGEST_ANSWER = 8 * 1024 * 1024
AT_ONCE = 8
MOST_PEERS = 512
_BACKLOG = 64

_log = structlog.get_logger()


class Peers:
    """`own` gives this worker's samples."""

    def __init__(self, directory: RunDirectory, worker: str, own: Callable[[], Samples]) -> None:
        self._directory = directory
        self._worker = worker
        self._own = own

    async def exposition(self, by_worker: bool) -> bytes:
        """Prometheus text of all workers that answer."""
        samples = await self.collect()
        try:
            return render(samples, by_worker=by_worker)
        except SamplesError as error:
            _log.error("peer_samples_refused", problem=str(error))
            return render({self._worker: samples[self._worker]}, by_worker=by_worker)

    async def collect(self) -> dict[str, Samples]:
        """By worker; one that does not answer in time is left out."""
        found = {self._worker: self._own()}
        others = [name for name in self._directory.workers() if name != self._worker]
        limit = trio.CapacityLimiter(AT_ONCE)

        async def ask(worker: str) -> None:
            async with limit:
                samples = await self._ask(worker)
            if samples is not None:
                found[worker] = samples

        async with trio.open_nursery() as nursery:
            for worker in others[:MOST_PEERS]:
                nursery.start_soon(ask, worker)
        return dict(sorted(found.items()))

    async def _ask(self, worker: str) -> Samples | None:
        with trio.move_on_after(PATIENCE):
            try:
                return await self._read(worker)
            except ConnectionRefusedError:
                self._directory.remove(worker)  # its worker has ended
                return None
            except (OSError, trio.BrokenResourceError, ValueError) as error:
                _log.warning("peer_not_heard", peer=worker, problem=str(error))
                return None
        _log.warning("peer_not_heard", peer=worker, problem=f"no answer in {PATIENCE:g} s")
        return None

    async def _read(self, worker: str) -> Samples:
        sock = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with sock:
            await sock.connect(self._directory.address(worker))
            data = bytearray()
            while chunk := await sock.recv(65536):
                data += chunk
                if len(data) > LARGEST_ANSWER:
                    raise ValueError("answer too long")
        samples: Samples = json.loads(data)
        if not isinstance(samples, list):
            raise ValueError("not a list of samples")  # noqa: TRY004  one kind for the caller
        return samples

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Answer peers until cancelled."""
        sock = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._directory.remove(self._worker)
        try:
            await sock.bind(self._directory.address(self._worker))
            sock.listen(_BACKLOG)
            task_status.started()
            # One at a time: others wait in the backlog, as long as they want to.
            while True:
                await self._answer_next(sock)
        finally:
            sock.close()
            self._directory.remove(self._worker)

    async def _answer_next(self, listener: trio.socket.SocketType) -> None:
        sock, _ = await listener.accept()
        async with trio.SocketStream(sock) as stream:
            with trio.move_on_after(PATIENCE), suppress(trio.BrokenResourceError):
                await stream.send_all(json.dumps(self._own()).encode())
