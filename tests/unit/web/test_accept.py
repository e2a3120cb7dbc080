"""Quality values: what a client would rather have."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.web.accept import wants_gzip, wants_openmetrics

PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)

FORMATS = [
    ("", False),
    ("*/*", False),
    ("text/plain", False),
    ("text/html,*/*;q=0.8", False),
    ("application/json", False),
    ("application/openmetrics-text", True),
    ("Application/OpenMetrics-Text; Version=1.0.0", True),
    ("application/openmetrics-text;version=1.0.0,text/plain", True),
    ("text/plain,application/openmetrics-text", True),
    ("text/plain;q=0.9, application/openmetrics-text;q=0.1", False),
    ("text/plain;q=0.1, application/openmetrics-text;q=0.9", True),
    ("*/*, application/openmetrics-text;q=0.5", False),
    ("application/openmetrics-text;q=0", False),
    ("application/openmetrics-text;q=0.000, text/plain;q=0", False),
    ("application/openmetrics-text;version=0.0.1", False),
    ("application/openmetrics-text;version=abc", False),
    ("application/openmetrics-text;version=2.0.0,text/plain;q=0.5", False),
    ("application/openmetrics-text;q=2", True),
    ("application/openmetrics-text;q=nan", True),
    (PROMETHEUS, True),
    (";;;,=,;q=1,,", False),
]

CODINGS = [
    ("", False),
    ("gzip", True),
    ("GZip", True),
    ("br, gzip;q=1.0", True),
    ("gzip;q=0", False),
    ("gzip; q=0.000", False),
    ("gzip;q=0.001", True),
    ("identity", False),
    ("gzip;q=0.5, identity", False),
    ("gzip, identity", True),
    ("deflate, br", False),
    ("*", True),
    ("*;q=0", False),
    ("gzip;q=0, *", False),
    ("identity;q=0, *;q=0.1", True),
]


class AcceptTests(SynchronousTestCase):
    """The two header fields."""

    def test_formats(self) -> None:
        """OpenMetrics is for those who name it and want it at least as much as text."""
        for value, wanted in FORMATS:
            with self.subTest(value=value):
                self.assertEqual(wants_openmetrics(value), wanted)

    def test_codings(self) -> None:
        """Who takes gzip, by name or as one of all, and does not prefer plain bytes, gets it."""
        for value, wanted in CODINGS:
            with self.subTest(value=value):
                self.assertEqual(wants_gzip(value), wanted)
