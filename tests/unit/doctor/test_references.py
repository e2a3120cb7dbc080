"""Where sources can be read."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.doctor.audit import commands, plain_settings, settings
from statsd_tcp.doctor.examination import CHECKS
from statsd_tcp.doctor.references import references

LEADING = re.compile(r"\.rst|\(\d\)|\.[ch]\b|RFC")


class ReferencesTests(SynchronousTestCase):
    """The addresses of sources."""

    def test_table(self) -> None:
        """Each kind of source has its address, and each of several its own."""
        code = "https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git/tree/"
        cases = {
            "ip-sysctl.rst: tcp_mem": {"ip-sysctl.rst": "https://docs.kernel.org/networking/ip-sysctl.html"},
            "net.rst": {"net.rst": "https://docs.kernel.org/admin-guide/sysctl/net.html"},
            "sysctl.d(5)": {"sysctl.d(5)": "https://manpages.debian.org/sysctl.d.5"},
            "net/unix/af_unix.c: unix_create1; unix(7)": {
                "net/unix/af_unix.c": f"{code}net/unix/af_unix.c",
                "unix(7)": "https://manpages.debian.org/unix.7",
            },
            "Linux 5.4: include/linux/socket.h": {"include/linux/socket.h": f"{code}include/linux/socket.h"},
            "RFC 7413 section 6.3.1": {"RFC 7413": "https://www.rfc-editor.org/rfc/rfc7413"},
            "/proc/meminfo": {},
        }
        for source, expected in cases.items():
            self.assertEqual(expected, references(source), source)

    def test_all(self) -> None:
        """Whatever the doctor names as a source has an address, if it is of a kind that can have one."""
        texts = "".join(Path(module.__file__ or "").read_text() for module in (commands, plain_settings, settings))
        named = set(re.findall(r'"([^"\n]+)"', texts)) | {check.source for check in CHECKS}
        sources = {text for text in named if LEADING.search(text)}
        self.assertGreater(len(sources), 50)
        for source in sources:
            self.assertTrue(references(source), source)
