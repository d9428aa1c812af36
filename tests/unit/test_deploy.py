"""What the files in deploy/ say about the program is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from openim_trio.cli.main import main
from openim_trio.config.settings import all_settings
from openim_trio.config.sources import key_of_variable

DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.mark.parametrize("name", ["Dockerfile", "docker-compose.yml", "openim-trio.service"])
def test_variables_are_settings(name: str) -> None:
    variables = set(re.findall(r"OPENIM_TRIO_[A-Z_]+", (DEPLOY / name).read_text()))
    assert variables
    assert {key_of_variable(variable) for variable in variables} <= set(all_settings())


def test_the_unit_calls_commands_that_exist() -> None:
    text = (DEPLOY / "openim-trio.service").read_text()
    commands = re.findall(r"^ExecStart(?:Pre)?=\S+/openim-trio (.*)$", text, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        words = command.split()
        options = [word for word in words if word.startswith("--")]
        path = words[: words.index(options[0])]
        help_text = CliRunner().invoke(main, [*path, "--help"]).output
        assert all(option in help_text for option in options)


def test_the_unit_leaves_time_to_drain() -> None:
    text = (DEPLOY / "openim-trio.service").read_text()
    (seconds,) = re.findall(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)
    settings = all_settings()
    limits = [settings[key].default for key in ("drain", "engines.stop_timeout")]
    assert int(seconds) > sum(float(str(limit)) for limit in limits)
