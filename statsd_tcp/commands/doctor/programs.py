"""Programs of the system that the doctor runs."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

__all__ = ["run_program"]

_TIMEOUT = 30


def run_program(command: Sequence[str]) -> str:
    """Run a program and return its output; raises OSError with one line when it fails or is not there."""
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=_TIMEOUT)  # noqa: S603
    except FileNotFoundError:
        raise OSError(f"{command[0]} is not installed here") from None
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines() or [f"status {error.returncode}"]
        raise OSError(f"{command[0]}: {lines[0]}") from None
    except subprocess.TimeoutExpired:
        raise OSError(f"{command[0]}: no end after {_TIMEOUT} s") from None
    return done.stdout
