"""The command line, without starting anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from openim_trio import __version__
from openim_trio.cli.main import main


def _run(*arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(main, arguments, env=environ)


def test_version() -> None:
    assert _run("version").output == f"{__version__}\n"
    assert __version__ in _run("--version").output


def test_check_says_yes_or_everything_that_is_wrong(tmp_path: Path) -> None:
    assert _run("config", "check").exit_code == 0
    path = tmp_path / "x.toml"
    path.write_text("[log]\nlevel = 'loud'\n")
    result = _run(
        "config", "check", "--config", str(path), "--ws-port", "many",
        OPENIM_TRIO_AUTH__LOGIN_POLICY="3",
    )  # fmt: skip
    assert result.exit_code == 2
    assert "configuration: 3 problems" in result.stderr
    assert "log.level = 'loud'" in result.stderr
    assert "gateway.port = 'many' (flag --ws-port)" in result.stderr
    assert "auth.login_policy = '3' (variable OPENIM_TRIO_AUTH__LOGIN_POLICY)" in result.stderr


def test_show_takes_all_sources(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("drain = 3")
    result = _run(
        "config", "show", "--workers", "2", "--set", "auth.token_days=30",
        OPENIM_TRIO_CONFIG=str(path), OPENIM_TRIO_AUTH__SECRET="hush-hush",
    )  # fmt: skip
    assert result.exit_code == 0
    assert f"drain = 3.0  # file {path}" in result.stdout
    assert "workers = 2  # flag --workers" in result.stdout
    assert "token_days = 30  # flag --set auth.token_days" in result.stdout
    assert "hush" not in result.stdout


@pytest.mark.parametrize(
    ("item", "expected"), [("auth.secret=x", "others can read"), ("workers", "KEY=VALUE")]
)
def test_what_set_refuses(item: str, expected: str) -> None:
    result = _run("config", "check", "--set", item)
    assert result.exit_code == 2
    assert expected in result.stderr


def test_serve_refuses_what_check_refuses() -> None:
    result = _run("serve", "--host", "0.0.0.0")
    assert result.exit_code == 2
    assert "auth.secret (default): must be set since host 0.0.0.0" in result.stderr
