"""What `config show` prints, and the secret of the data directory."""

from __future__ import annotations

import tomllib
from pathlib import Path

import attrs
import pytest

from openim_trio.config.hiding import hide_password
from openim_trio.config.load import ConfigError, load
from openim_trio.config.model import Config
from openim_trio.config.secret import SECRET_FILE, with_secret
from openim_trio.config.settings import to_document
from openim_trio.config.show import show

EXAMPLE = Path(__file__).parents[2] / "deploy" / "openim-trio.example.toml"


def _at(directory: Path) -> Config:
    return attrs.evolve(Config(), data_dir=directory)


def test_show_is_toml_of_the_effective_settings() -> None:
    environ = {"OPENIM_TRIO_AUTH__ADMINS": 'a"b,\u00fc', "OPENIM_TRIO_LOG__LEVEL": "debug"}
    loaded = load(None, environ, {"workers": ("--workers", 3)})
    text = show(loaded)
    assert tomllib.loads(text) == to_document(loaded.config) | {
        "auth": to_document(loaded.config)["auth"] | {"admins": ['a"b', "\u00fc"]}
    }
    assert "workers = 3  # flag --workers\n" in text
    assert 'level = "debug"  # variable OPENIM_TRIO_LOG__LEVEL\n' in text
    assert "drain = 20.0\n" in text


def test_show_hides_secrets() -> None:
    environ = {
        "OPENIM_TRIO_AUTH__SECRET": "hush-hush-hush-hush",
        "OPENIM_TRIO_MONGO__URI": "mongodb://me:hush@a,b/?authSource=x",
        "OPENIM_TRIO_REDIS__URL": "redis://:hush@a:1/0",
    }
    text = show(load(None, environ, {}))
    assert "hush" not in text
    assert 'secret = "********"' in text
    assert 'uri = "mongodb://me:********@a,b/?authSource=x"' in text
    assert 'url = "redis://:********@a:1/0"' in text


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("redis://me:a:b@c@host/0", "redis://me:********@host/0"),
        ("mongodb://me@host/", "mongodb://me@host/"),
        (
            "unix:///run/redis.sock?password=hush&db=1",
            "unix:///run/redis.sock?password=********&db=1",
        ),
    ],
)
def test_passwords_in_urls(url: str, shown: str) -> None:
    assert hide_password(url) == shown


def test_the_example_file_loads_and_names_every_setting() -> None:
    loaded = load(EXAMPLE, {}, {})
    document = tomllib.loads(EXAMPLE.read_text())
    complete = to_document(Config())
    assert {
        key: set(value) if isinstance(value, dict) else None for key, value in document.items()
    } == {key: set(value) if isinstance(value, dict) else None for key, value in complete.items()}
    assert loaded.config == Config()


# -- the secret of the data directory --------------------------------------------------------------


def test_a_secret_is_made_once_and_kept_private(tmp_path: Path) -> None:
    first = with_secret(_at(tmp_path / "data"))
    second = with_secret(_at(tmp_path / "data"))
    assert len(first.auth.secret) >= 32
    assert first == second
    assert (tmp_path / "data" / SECRET_FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "data").iterdir()] == [SECRET_FILE]


def test_a_given_secret_is_used_and_nothing_is_written(tmp_path: Path) -> None:
    config = attrs.evolve(_at(tmp_path), auth=attrs.evolve(Config().auth, secret="given"))
    assert with_secret(config) is config
    assert not list(tmp_path.iterdir())


def test_wider_modes_are_repaired(tmp_path: Path) -> None:
    secret = with_secret(_at(tmp_path)).auth.secret
    (tmp_path / SECRET_FILE).chmod(0o644)
    assert with_secret(_at(tmp_path)).auth.secret == secret
    assert (tmp_path / SECRET_FILE).stat().st_mode & 0o777 == 0o600


def test_empty_and_linked_secret_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / SECRET_FILE).write_text("\n")
    with pytest.raises(ConfigError, match="too short"):
        with_secret(_at(tmp_path))
    (tmp_path / SECRET_FILE).rename(tmp_path / "other")
    (tmp_path / SECRET_FILE).symlink_to(tmp_path / "other")
    with pytest.raises(ConfigError, match="auth"):
        with_secret(_at(tmp_path))
