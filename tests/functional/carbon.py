"""A real carbon-cache in a folder of its own, and what has arrived in its whisper files."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

from tests.functional.waiting import PATIENCE, until
from tests.ports import free_port

__all__ = ["Carbon", "need_carbon"]

_CONF = """\
[cache]
STORAGE_DIR = {folder}
LOCAL_DATA_DIR = {folder}/whisper
CONF_DIR = {folder}
LOG_DIR = {folder}/log
PID_DIR = {folder}
USER =
MAX_CACHE_SIZE = inf
MAX_UPDATES_PER_SECOND = inf
MAX_CREATES_PER_MINUTE = inf
LINE_RECEIVER_INTERFACE = 127.0.0.1
LINE_RECEIVER_PORT = {text}
PICKLE_RECEIVER_INTERFACE = 127.0.0.1
PICKLE_RECEIVER_PORT = {pickles}
CACHE_QUERY_INTERFACE = 127.0.0.1
CACHE_QUERY_PORT = {query}
ENABLE_UDP_LISTENER = False
ENABLE_TAGS = False
ENABLE_LOGROTATION = False
CARBON_METRIC_INTERVAL = 0
"""

_SCHEMAS = """\
[all]
pattern = .*
retentions = 1s:1h
"""

_HEADER, _ARCHIVE, _POINT = struct.Struct("!2LfL"), struct.Struct("!3L"), struct.Struct("!Ld")
"""Parts of a whisper file, from the formats in whisper.py: its header; where an archive begins, the seconds between
its places, and how many there are; the time and the value in a place."""


def need_carbon() -> None:
    """Skip the test on a machine without Debian's graphite-carbon."""
    if shutil.which("carbon-cache") is None:
        pytest.skip("no carbon-cache: apt-get install graphite-carbon")


class Carbon:
    """A carbon-cache that keeps a value for every second of the last hour. `end` must be called."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.text_port, self.pickle_port = free_port(), free_port()
        ports = {"text": self.text_port, "pickles": self.pickle_port, "query": free_port()}
        (folder / "carbon.conf").write_text(_CONF.format(folder=folder, **ports))
        (folder / "storage-schemas.conf").write_text(_SCHEMAS)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Carbon:
        """Start it, and wait until it takes connections."""
        command = ["carbon-cache", f"--config={self.folder / 'carbon.conf'}", "--nodaemon", "start"]
        # Debian's carbon has a Python of its own, which must not see the one of the tests.
        environ = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        with (self.folder / "carbon.log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**environ, "GRAPHITE_ROOT": str(self.folder)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        until(lambda: self._answers(self.text_port) and self._answers(self.pickle_port), "carbon listens")
        return self

    def end(self) -> None:
        """Stop it; what it has in memory goes to its files."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE)
            self._process = None
            (self.folder / "carbon-cache-a.pid").unlink(missing_ok=True)

    def points(self, path: str) -> dict[int, float]:
        """Return the values of a metric that are in its file, by their time."""
        if ";" in path:
            # One with tags is found by the hash of its whole name.
            name = sha256(path.encode()).hexdigest()
            file = self.folder / "whisper/_tagged" / name[:3] / name[3:6] / f"{name}.wsp"
        else:
            file = self.folder / "whisper" / f"{path.replace('.', '/')}.wsp"
        return _fetch(file) if file.exists() else {}

    def _answers(self, port: int) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "carbon.log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0


def _fetch(file: Path) -> dict[int, float]:
    """Read the only archive of a file, which may have just been begun. Places without a point have the time 0."""
    data = file.read_bytes()
    if len(data) < _HEADER.size + _ARCHIVE.size:
        return {}
    offset, _, places = _ARCHIVE.unpack_from(data, _HEADER.size)
    points = data[offset:][: places * _POINT.size]
    whole = len(points) // _POINT.size * _POINT.size
    return {time: value for time, value in _POINT.iter_unpack(points[:whole]) if time}
