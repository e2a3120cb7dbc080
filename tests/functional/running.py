"""Programs of others that a test runs with the service."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.functional.processes import MARK, end_all, new_mark
from tests.functional.waiting import PATIENCE, until

__all__ = ["running"]


@contextmanager
def running(command: Sequence[str], log: Path, word: str, environ: Mapping[str, str] | None = None) -> Iterator[None]:
    """Run a program until the block ends: from when its log, which it or we write, has a word that says it is ready.

    It is asked to end, and whatever is left of it is killed.
    """
    mark = new_mark()
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, **(environ or {}), MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )

    def is_ready() -> bool:
        assert process.poll() is None, log.read_text()
        return word in log.read_text()

    try:
        until(is_ready, f"{command[0]} is ready")
        yield
        process.terminate()
        process.wait(PATIENCE)
    finally:
        end_all(mark)
        process.wait(PATIENCE)
        sys.stdout.write(f"--- {command[0]}\n{log.read_text()}")
