"""`serve` with fake workers and no store: `fake_server MODE`, settings by variables."""

from __future__ import annotations

import os
import sys

from openim_trio.config.load import load_config
from openim_trio.config.model import Config
from openim_trio.process.serve import run


async def _nothing(_: Config) -> None:
    """The fake workers need no store."""


if __name__ == "__main__":
    command = [sys.executable, "-m", "tests.support.fake_worker", sys.argv[1]]
    sys.exit(run(load_config(None, os.environ, {}), command, _nothing))
