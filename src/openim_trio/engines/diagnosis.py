"""Why an engine did not start, in words that say what to do."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

_LOADER = re.compile(r"error while loading shared libraries: (\S+?):")
_LDD_MISSING = re.compile(r"^\s*(\S+) => not found", re.MULTILINE)
_GLIBC = re.compile(r"version `(GLIBC(?:XX)?_[0-9.]+)' not found")
_LAST_LINES = 8

DEBIAN_PACKAGES: dict[str, str] = {
    "libcurl.so.4": "libcurl4",
    "libssl.so.3": "libssl3",
    "libcrypto.so.3": "libssl3",
    "liblzma.so.5": "liblzma5",
    "libgcc_s.so.1": "libgcc-s1",
    "libstdc++.so.6": "libstdc++6",
    "libresolv.so.2": "libc6",
    "libm.so.6": "libc6",
    "libsasl2.so.2": "libsasl2-2",
    "libkrb5.so.3": "libkrb5-3",
    "libldap-2.5.so.0": "libldap-2.5-0",
    "libatomic.so.1": "libatomic1",
}


def explain(name: str, binary: Path, returncode: int, output: str) -> str:
    """`output`: what the engine printed before it ended."""
    missing = list(dict.fromkeys([*_LOADER.findall(output), *_missing_libraries(binary, output)]))
    if missing:
        return f"{name} does not start: {_say_missing(missing)}"
    if versions := sorted(set(_GLIBC.findall(output))):
        return (
            f"{name} does not start: this system's C library is too old (it wants "
            f"{', '.join(versions)}; Debian 12 or Ubuntu 22.04 have it). "
            "Give mongo.uri and redis.url instead of the embedded engines"
        )
    how = f"signal {-returncode}" if returncode < 0 else f"code {returncode}"
    last = "\n    ".join(output.splitlines()[-_LAST_LINES:]) or "(it said nothing)"
    return f"{name} ended with {how} before it answered:\n    {last}"


def _say_missing(libraries: list[str]) -> str:
    """Name each library and, as far as they are known, the packages to install."""
    packages = list(dict.fromkeys(p for lib in libraries if (p := DEBIAN_PACKAGES.get(lib))))
    plural = "library" if len(libraries) == 1 else "libraries"
    text = f"shared {plural} {', '.join(libraries)} missing"
    if packages:
        return f"{text}; on Debian and Ubuntu: apt install {' '.join(packages)}"
    return f"{text}; install the package that has it"


def _missing_libraries(binary: Path, output: str) -> list[str]:
    """The loader names only the first one; ldd knows them all."""
    ldd = shutil.which("ldd")
    if ldd is None or not _LOADER.search(output):
        return []
    try:
        done = subprocess.run(  # noqa: S603
            [ldd, str(binary)], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return _LDD_MISSING.findall(done.stdout)
