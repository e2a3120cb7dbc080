"""Another project's server as a process of a test, which ends with it whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.functional.processes import MARK, end_all, new_mark
from tests.functional.waiting import PATIENCE

__all__ = ["Program"]


class Program:
    """A server that may be started again; ``log`` has all that it prints."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self._mark = new_mark()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, command: Sequence[str], **environ: str) -> None:
        """Start it, and wait for nothing."""
        environment: Mapping[str, str] = {**os.environ, MARK: self._mark, **environ}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def check(self) -> None:
        """Fail if it has ended, with all that it has printed."""
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def terminate(self) -> None:
        """Let it end in good order."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE)

    def end(self) -> None:
        """Kill it and all its children."""
        end_all(self._mark)
        if self._process is not None:
            self._process.wait(PATIENCE)
