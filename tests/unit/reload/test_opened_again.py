"""Which files a reload opens again."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.reload.opened_again import files_read, log_file
from statsd_tcp.settings.build import build_settings
from tests.unit.folders import make_folder

# Options of twistd, and the file that it writes its log to.
LOGS: list[tuple[dict[str, Any], str]] = [
    ({}, ""),
    ({"nodaemon": 1, "logfile": None, "syslog": 0}, ""),
    ({"nodaemon": 1, "logfile": "-", "syslog": 0}, ""),
    ({"nodaemon": 1, "logfile": "/var/log/x", "syslog": 0}, "/var/log/x"),
    ({"nodaemon": 0, "logfile": None, "syslog": 0}, "twistd.log"),
    ({"nodaemon": 0, "logfile": "x.log", "syslog": 0}, "x.log"),
    ({"nodaemon": 0, "logfile": None, "syslog": 1}, ""),
    ({"nodaemon": 0, "logfile": None, "logger": "a.b"}, ""),
]


class OpenedAgainTests(SynchronousTestCase):
    """The files by the options that name them."""

    def test_read(self) -> None:
        """The configuration, the mapping, a tac file, and keys and certificates of each listener."""
        mapping = make_folder(self) / "map.yml"
        mapping.write_text("mappings: []\n")
        listen = ["tcp:1", "ssl:2:privateKey=/k:certKey=/c:clientCA=/ca", "ssl:3:privateKey=/both"]
        settings = build_settings({"listen": listen, "mapping": [str(mapping)]})
        self.assertEqual(
            {
                "--config": "x.toml",
                "--mapping": str(mapping),
                "--python": "x.tac",
                "--listen ssl:2: privateKey": "/k",
                "--listen ssl:2: certKey": "/c",
                "--listen ssl:2: clientCA": "/ca",
                "--listen ssl:3: privateKey": "/both",
                "--listen ssl:3: certKey": "/both",
            },
            files_read(settings, "x.toml", {"python": "x.tac"}),
        )
        self.assertEqual({}, files_read(build_settings({}), None, {}))

    def test_log(self) -> None:
        """The log is a file if one is named, or in the background; not on standard output, nor with another logger."""
        for twistd, path in LOGS:
            with self.subTest(twistd=twistd):
                self.assertEqual(path, log_file(twistd))
