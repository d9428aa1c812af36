"""`openim-trio serve` with workers that die or stop when they are told to (see stepping_worker)."""

from __future__ import annotations

import os
import sys

import click

from openim_trio.config.load import load_config
from openim_trio.process.serve import run

COMMAND = (sys.executable, "-m", "tests.support.stepping_server")
WORKER_COMMAND = (sys.executable, "-m", "tests.support.stepping_worker")


@click.command()
@click.option("--data-dir", required=True)
@click.option("--ws-port", required=True)
@click.option("--api-port", required=True)
@click.option("--workers", required=True)
def main(data_dir: str, ws_port: str, api_port: str, workers: str) -> None:
    flags = {
        "data_dir": ("--data-dir", data_dir),
        "gateway.port": ("--ws-port", ws_port),
        "api.port": ("--api-port", api_port),
        "workers": ("--workers", workers),
    }
    sys.exit(run(load_config(None, os.environ, flags), WORKER_COMMAND))


if __name__ == "__main__":
    main()
