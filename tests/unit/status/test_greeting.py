"""What is said at the start about outputs and times."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.settings.build import build_settings
from statsd_tcp.status.greeting import announce, greeting

_PLACES: dict[str, Any] = {
    "listeners": [], "http": None, "admin": None, "state_dir": Path("/x"), "cpus": (), "connections": 1, "backlog": 1
}  # fmt: skip


class GreetingTests(SynchronousTestCase):
    """The log of a start."""

    def said(self, **given: list[str]) -> list[tuple[str, str]]:
        """Return the level and the text of each line for a service with these options."""
        settings = build_settings({name.replace("_", "-"): texts for name, texts in given.items()})
        plan: Any = SimpleNamespace(settings=settings, workers=1, workers_reason="as asked for", **_PLACES)
        with capturedLogs() as events:
            announce(plan)
        return [(event["log_level"].name, formatEvent(event)) for event in events]

    def test_outputs(self) -> None:
        """Each output is named with how often it gets something."""
        said = self.said(
            graphite=["tcp:a:1", "tcp:b:2"],
            output=["jsonl"],
            console=["json"],
            repeat=["udp:c:3"],
            flush_interval=["60"],
        )
        self.assertEqual(
            [
                "graphite:a:1, every 1 min",
                "graphite:b:2, every 1 min",
                "jsonl, every 1 min",
                "console, every 1 min",
                "repeat:udp:c:3, lines as they come",
            ],
            [line.split(maxsplit=1)[1] for _, line in said if line.startswith("  output ")],
        )
        self.assertEqual([], [line for level, line in said if level != "info"])

    def test_configuration(self) -> None:
        """The configuration file is named, if there is one."""
        settings = build_settings({}, {"workers": ["1"]}, "/etc/x.toml")
        plan: Any = SimpleNamespace(settings=settings, workers=1, workers_reason="as asked for", **_PLACES)
        self.assertIn("  configuration     /etc/x.toml", greeting(plan))
        self.assertEqual([], [line for _, line in self.said() if line.startswith("  configuration ")])

    def test_milliseconds(self) -> None:
        """An interval that looks like etsy's milliseconds is a warning, in words."""
        said = self.said(flush_interval=["10000"], console=["human"])
        self.assertIn(("info", "  output            console, every 2 h 47 min"), said)
        self.assertEqual(
            ["--flush-interval: 10,000 seconds, 2 h 47 min: times here are in seconds, etsy's in milliseconds"],
            [line for level, line in said if level == "warn"],
        )
