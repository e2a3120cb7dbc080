"""What one image of the service tells the next about its formats, and what is refused."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.formats import FormatError, check_formats, write_formats


class FormatTests(SynchronousTestCase):
    """What a running supervisor may hand over."""

    def test_our_own(self) -> None:
        """The code takes over from itself."""
        check_formats(write_formats())

    def test_release_0_1_0(self) -> None:
        """The first release named no formats, and is taken over."""
        check_formats("1")

    def test_every_format_is_named(self) -> None:
        """The running supervisor names each of its formats with its number, in one line."""
        names = [word.partition("=")[0] for word in write_formats().split(" ")]
        self.assertEqual(["manifest", "channel", "ledger"], names)

    def test_refused(self) -> None:
        """A number that is not known, a format that is not known and one that is not named are each refused by name."""
        for running, at_fault in (
            ("manifest=1 channel=99 ledger=1", "channel=99"),
            ("manifest=99 channel=1 ledger=98", "manifest=99, ledger=98"),
            ("manifest=1 channel=1 ledger=1 memory=7", "memory=7"),
            ("manifest=1 ledger=1", "channel"),
            ("2", "2, manifest, channel, ledger"),
        ):
            error = self.assertRaises(FormatError, check_formats, running)
            self.assertEqual(
                f"this version cannot take over {at_fault} from the one that runs: restart the service", str(error)
            )
