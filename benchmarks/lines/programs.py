"""The sender of datagrams: compiled when it is missing or older than its source."""

import subprocess
from pathlib import Path

from benchmarks.accept.programs import FLAGS, ToolError

HERE = Path(__file__).resolve().parent


def datagram_sender() -> Path:
    """The compiled program; ToolError when there is no compiler, or an error in the source."""
    source, binary = HERE / "datagrams.c", HERE / "build" / "datagrams"
    if binary.exists() and binary.stat().st_mtime > source.stat().st_mtime:
        return binary
    binary.parent.mkdir(exist_ok=True)
    try:
        built = subprocess.run(
            ["cc", *FLAGS, "-o", str(binary), str(source)], capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise ToolError("there is no C compiler: install gcc (Debian: apt-get install gcc libc6-dev)") from error
    if built.returncode:
        raise ToolError(f"cannot compile {source}: {built.stderr.strip()}")
    return binary
