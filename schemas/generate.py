"""Compile schemas/proto/*.proto into src/openim_trio/wire/proto (run by `nox -s schemas`)."""

from __future__ import annotations

import re
import sys
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "openim_trio.wire.proto"
OUT = ROOT / "src" / "openim_trio" / "wire" / "proto"


def main() -> int:
    protos = sorted((ROOT / "schemas" / "proto").glob("*.proto"))
    code = protoc.main(
        [
            "protoc",
            f"-I{ROOT / 'schemas' / 'proto'}",
            f"-I{files('grpc_tools') / '_proto'}",
            f"--python_out={OUT}",
            f"--pyi_out={OUT}",
            *map(str, protos),
        ]
    )
    if code:
        return int(code)
    names = "|".join(p.stem for p in protos)
    for path in [*OUT.glob("*_pb2.py"), *OUT.glob("*_pb2.pyi")]:
        text = path.read_text()
        text = re.sub(
            rf"^import ((?:{names})_pb2)", rf"from {PACKAGE} import \1", text, flags=re.MULTILINE
        )
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
