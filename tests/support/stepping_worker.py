"""A worker that sends itself a signal at a step of an append when a test has ordered it to.

The order is a file <key in hex>.<step> in the directory named by ORDERS; `order` writes it.  It is
taken away by the worker that obeys, so that the next one goes on.

python -m tests.support.stepping_worker ORDERS_FD REPORTS_FD      (as the real one, which it is)
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Sequence
from pathlib import Path

from openim_trio.append.pipeline import AppendPipeline
from openim_trio.append.ports import (
    AdvanceBlock,
    Advanced,
    Behind,
    ReserveBlock,
    Reserved,
    RowStore,
    Sequencer,
    Unknown,
)
from openim_trio.append.requests import SideEffects
from openim_trio.config.model import AppendConfig
from openim_trio.domain.rows import Row, message_key
from openim_trio.observability.metrics import Metrics
from openim_trio.process import worker
from tests.support.wrapping import WrappedRows, WrappedSequencer

ORDERS = "STEPPING_ORDERS"
STEPS = ("before_reserve", "reserve", "store", "effects", "advance")


def order(
    directory: Path,
    step: str,
    sender: str,
    client_msg_id: str,
    number: signal.Signals = signal.SIGKILL,
) -> Path:
    """The worker that has done this step for this message is sent the signal.  The file is gone
    when it was."""
    assert step in STEPS
    file = directory / f"{message_key(sender, client_msg_id).hex()}.{step}"
    file.write_text(str(int(number)))
    return file


def _obey(step: str, keys: Iterable[bytes]) -> None:
    for key in keys:
        file = Path(os.environ[ORDERS]) / f"{key.hex()}.{step}"
        try:
            number = int(file.read_text())
            file.unlink()
        except FileNotFoundError:
            continue
        os.kill(os.getpid(), number)


class SteppingSequencer(WrappedSequencer):
    async def reserve(
        self, token: bytes, blocks: Sequence[ReserveBlock]
    ) -> list[Reserved | Unknown]:
        keys = [[item.key for item in block.keys] for block in blocks]
        _obey("before_reserve", (key for block in keys for key in block))
        results = await self._inner.reserve(token, blocks)
        for block, result in zip(keys, results, strict=True):
            if isinstance(result, Reserved):
                _obey("reserve", (block[index] for index in result.new))
        return results

    async def advance(
        self, token: bytes, blocks: Sequence[AdvanceBlock]
    ) -> list[Advanced | Behind | Unknown]:
        results = await self._inner.advance(token, blocks)
        for block, result in zip(blocks, results, strict=True):
            if isinstance(result, Advanced):
                _obey("advance", (row.key for row in block.rows))
        return results


class SteppingRows(WrappedRows):
    async def insert(self, blocks: Sequence[Sequence[Row]]) -> list[bool]:
        stored = await self._inner.insert(blocks)
        for block, ok in zip(blocks, stored, strict=True):
            if ok:
                _obey("store", (row.key for row in block))
        return stored


class SteppingEffects:
    def __init__(self, inner: SideEffects) -> None:
        self._inner = inner

    async def apply(self, rows: Sequence[Row]) -> None:
        await self._inner.apply(rows)
        _obey("effects", (row.key for row in rows))


def stepping_pipeline(
    sequencer: Sequencer,
    rows: RowStore,
    effects: SideEffects,
    config: AppendConfig,
    metrics: Metrics,
) -> AppendPipeline:
    return AppendPipeline(
        SteppingSequencer(sequencer), SteppingRows(rows), SteppingEffects(effects), config, metrics
    )


if __name__ == "__main__":
    # The composition root stays as it is; only the pipeline that it makes is wrapped.
    worker.AppendPipeline = stepping_pipeline  # type: ignore[attr-defined, assignment]
    worker.main()
