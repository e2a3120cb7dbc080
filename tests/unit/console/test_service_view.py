"""What the console gathers from the service."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.console.service_view import output_rows, settings_rows
from statsd_tcp.outputs.delivery import OutputFacts
from statsd_tcp.settings.build import build_settings
from statsd_tcp.settings.options import OPTIONS


class SettingsRowsTests(SynchronousTestCase):
    """The settings in force."""

    def rows(self, **given: list[str]) -> dict[str, str]:
        """Give the rows as texts."""
        settings = build_settings({name.replace("_", "-"): texts for name, texts in given.items()})
        return {name: str(value) for name, value in settings_rows(settings)}

    def test_defaults(self) -> None:
        """Options have their names, their values are written as they are given, and lists are numbered."""
        rows = self.rows()
        self.assertEqual(("tcp:8125", "udp:8125"), (rows["listen > 0"], rows["listen > 1"]))
        self.assertEqual(("600", "tcp:8126:interface=127.0.0.1"), (rows["idle-timeout"], rows["admin"]))
        self.assertLessEqual({name.partition(" > ")[0] for name in rows}, {option.name for option in OPTIONS})

    def test_given(self) -> None:
        """What was chosen is shown, with the parts of an output in a group."""
        rows = self.rows(workers=["3"], admin=[""], repeat=["udp:a:1"], graphite=["tcp:h:2003"])
        self.assertEqual(("3", "", "udp:a:1"), (rows["workers"], rows["admin"], rows["repeat > 0"]))
        self.assertEqual(("h", "2003"), (rows["graphite > 0 > host"], rows["graphite > 0 > port"]))

    def test_no_secrets(self) -> None:
        """The arguments of another package's output are not shown: one may be a password."""
        rows = self.rows(output=["influx:token=secret"])
        self.assertEqual("influx", rows["output > 0"])
        self.assertNotIn("secret", repr(rows))

    def test_one_line_each(self) -> None:
        """No value spoils the form of a line for each setting."""
        self.assertEqual([], [value for value in self.rows(timer_fields=["count,mean"]).values() if "\n" in value])


class OutputRowsTests(SynchronousTestCase):
    """How outputs do, in the form of etsy's statistics."""

    def test_the_only_one(self) -> None:
        """The only output of its kind has the name that etsy's has; its last flush is so many seconds ago."""
        facts = OutputFacts("graphite:h:2003", 1, 2, 3, 4, 990.0, "", 10.3)
        self.assertEqual(
            {
                "graphite.last_flush": 10,
                "graphite.queued": 1,
                "graphite.sent": 2,
                "graphite.failed": 3,
                "graphite.dropped": 4,
            },
            dict(output_rows([facts], 100)),
        )

    def test_several(self) -> None:
        """Of several of a kind each has its own name; who never wrote is as old as the service."""
        facts = [OutputFacts(f"graphite:{host}:2003", 0, 0, 0, 0, 0.0, "") for host in "ab"]
        rows = dict(output_rows(facts, 100))
        self.assertEqual([100, 100], [rows[f"graphite:{host}:2003.last_flush"] for host in "ab"])
