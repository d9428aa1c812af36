"""Sources, their strength, and what is said of wrong ones."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from openim_trio.config.checks import CHECKS
from openim_trio.config.load import ConfigError, load, load_config
from openim_trio.config.model import Config
from openim_trio.config.settings import all_settings, from_document, sections, to_document

GOOD_SECRET = "a-good-and-long-secret"


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "server.toml"
    path.write_text(text)
    return path


def _problems(
    path: Path | None = None,
    environ: dict[str, str] | None = None,
    flags: dict[str, tuple[str, object]] | None = None,
) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load_config(path, environ or {}, flags or {})
    return caught.value.problems


def test_nothing_given_is_the_default() -> None:
    loaded = load(None, {"PATH": "/bin"}, {})
    assert loaded.config == Config()
    assert loaded.origins == {}


def test_defaults_pass_their_own_checks_and_every_setting_has_one() -> None:
    assert set(CHECKS) == set(all_settings())
    for key, setting in all_settings().items():
        assert CHECKS[key].test(setting.default), key


def test_sources_in_rising_strength(tmp_path: Path) -> None:
    path = _file(
        tmp_path,
        'workers = 1\nhost = "127.0.0.2"\n[gateway]\nport = 1\n'
        "read_timeout = 40\n[api]\nport = 2\n",
    )
    environ = {"OPENIM_TRIO_GATEWAY__PORT": "3", "OPENIM_TRIO_API__PORT": "4"}
    loaded = load(path, environ, {"api.port": ("--api-port", 5)})
    config = loaded.config
    assert (config.workers, config.host) == (1, "127.0.0.2")
    assert config.gateway.port == 3
    assert config.gateway.read_timeout == 40.0
    assert isinstance(config.gateway.read_timeout, float)
    assert config.api.port == 5
    assert loaded.origins == {
        "workers": f"file {path}",
        "host": f"file {path}",
        "gateway.port": "variable OPENIM_TRIO_GATEWAY__PORT",
        "gateway.read_timeout": f"file {path}",
        "api.port": "flag --api-port",
    }


@pytest.mark.parametrize("text", ["a,b", " a , b ,", '["a", "b"]'])
def test_lists_in_variables(text: str) -> None:
    config = load_config(None, {"OPENIM_TRIO_AUTH__ADMINS": text}, {})
    assert config.auth.admins == ("a", "b")


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("ON", True), ("0", False), ("no", False)]
)
def test_booleans_in_variables(text: str, value: bool) -> None:
    config = load_config(None, {"OPENIM_TRIO_GROUPS__FRIEND_VERIFY": text}, {})
    assert config.groups.friend_verify is value


def test_paths_expand_the_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    config = load_config(None, {"OPENIM_TRIO_DATA_DIR": "~/im"}, {})
    assert config.data_dir == Path("/home/somebody/im")


def test_the_variable_that_names_the_file_is_no_setting() -> None:
    assert load_config(None, {"OPENIM_TRIO_CONFIG": "/etc/x.toml"}, {}) == Config()


def test_all_problems_at_once_with_key_value_source_and_what_is_allowed(tmp_path: Path) -> None:
    path = _file(
        tmp_path,
        'drian = 5\n[auth]\nlogin_policy = 3\n[log]\nlevel = "loud"\n[gateway]\nport = "x"\n',
    )
    problems = _problems(path, {"OPENIM_TRIO_API__PORT": "99999"}, {"workers": ("--workers", -1)})
    assert problems == (
        f"drian (file {path}): no such setting; did you mean drain?",
        f"auth.login_policy = 3 (file {path}): must be one of 0, 1, 4, 5",
        f"log.level = 'loud' (file {path}): must be one of debug, info, warning, error, critical",
        f"gateway.port = 'x' (file {path}): must be a whole number, "
        "a port, 0 to 65535 (0: any free one)",
        "api.port = '99999' (variable OPENIM_TRIO_API__PORT): must be "
        "a port, 0 to 65535 (0: any free one)",
        "workers = -1 (flag --workers): must be 0 to 256",
    )


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"OPENIM_TRIO_AUTH_SECRET": "x"}, "did you mean OPENIM_TRIO_AUTH__SECRET?"),
        ({"OPENIM_TRIO_TRANSPORT": "x"}, "did you mean OPENIM_TRIO_GATEWAY__TRANSPORT?"),
        ({"OPENIM_TRIO_GATEWAY": "x"}, "is a section, not a setting; it has gateway.port"),
    ],
)
def test_near_misses(environ: dict[str, str], expected: str) -> None:
    (problem,) = _problems(environ=environ)
    assert expected in problem


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        ("workers = true", "workers = True"),
        ("workers = 1.5", "workers = 1.5"),
        ('drain = "20"', "drain = '20'"),
        ("drain = nan", "drain = nan"),
        ("drain = 0", "drain = 0"),
        ("drain = inf", "drain = inf"),
        ("host = {a = 1}", "host = {'a': 1}"),
        ("gateway = 3", "gateway (file"),
        ("[nosuch]\nport = 1", "nosuch.port (file"),
        ("[nosuch]", "nosuch (file"),
        ('[auth]\nadmins = "me"', "auth.admins = 'me'"),
        ("[auth]\nadmins = []", "auth.admins = []"),
        ('[mongo]\nuri = "http://x"', "mongo.uri = 'http://x'"),
        ("[append]\nflush_ms = 20", "append.flush_max_ms = 10.0 (default): must be at least"),
        ("[api]\nport = 10001", "must differ from gateway.port"),
    ],
)
def test_wrong_values(tmp_path: Path, toml: str, expected: str) -> None:
    assert expected in _problems(_file(tmp_path, toml))[0]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert "No such file" in _problems(tmp_path / "missing.toml")[0]
    assert "not TOML" in _problems(_file(tmp_path, "a = = 1"))[0]


def test_secret_values_are_never_in_messages(tmp_path: Path) -> None:
    path = _file(tmp_path, '[auth]\nsecert = "hush-hush"\nsecret = 12345678\n[mongo]\n'
                 'uri = "mangodb://me:hush-hush@host"\n')  # fmt: skip
    text = "\n".join(_problems(path, {"OPENIM_TRIO_AUTH__SECRET": "hush-hush" * 200}))
    assert "hush" not in text
    assert "12345678" not in text
    assert "auth.secret (file" in text
    assert "mongo.uri = 'mangodb://me:********@host'" in text


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "chat.example.org"])
@pytest.mark.parametrize(
    ("secret", "expected"),
    [
        ("", "must be set"),
        ("openIM123", "well-known default"),
        ("short-one", "at least 16 characters"),
    ],
)
def test_weak_secrets_are_refused_on_reachable_hosts(host: str, secret: str, expected: str) -> None:
    environ = {"OPENIM_TRIO_HOST": host, "OPENIM_TRIO_AUTH__SECRET": secret}
    (problem,) = _problems(environ=environ)
    assert problem.startswith("auth.secret (variable OPENIM_TRIO_AUTH__SECRET): ")
    assert expected in problem
    assert host in problem
    assert not secret or secret not in problem


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_weak_secrets_are_fine_on_loopback(host: str) -> None:
    environ = {"OPENIM_TRIO_HOST": host, "OPENIM_TRIO_AUTH__SECRET": "openIM123"}
    assert load_config(None, environ, {}).host == host


def test_a_good_secret_serves_everybody() -> None:
    environ = {"OPENIM_TRIO_HOST": "0.0.0.0", "OPENIM_TRIO_AUTH__SECRET": GOOD_SECRET}
    assert load_config(None, environ, {}).auth.secret == GOOD_SECRET


def test_documents_for_workers_keep_everything() -> None:
    config = attrs.evolve(
        Config(), data_dir=Path("/x"), auth=attrs.evolve(Config().auth, secret=GOOD_SECRET)
    )
    assert from_document(to_document(config)) == config


def test_sections_are_those_of_the_model() -> None:
    assert sections() == {
        "mongo", "redis", "auth", "gateway", "append", "api", "groups", "log", "engines",
    }  # fmt: skip
