"""etc/statscounter.toml has every option, and can be used."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.settings.build import build_settings
from statsd_tcp.settings.config_file import read_config
from statsd_tcp.settings.options import OPTIONS
from tests.option_file import FILE, given, written
from tests.unit.folders import make_folder


class OptionFileTests(SynchronousTestCase):
    """The file, compared with the options."""

    def test_up_to_date(self) -> None:
        """The words and the defaults are those of --help; python -m tests.option_file writes them."""
        self.assertEqual(written(), FILE.read_text())

    def test_as_it_is(self) -> None:
        """As it is shipped the file changes nothing."""
        self.assertEqual({}, read_config(FILE))

    def test_all_in_force(self) -> None:
        """Each of its settings is taken when its # is taken away."""
        file = make_folder(self) / "x.toml"
        file.write_text(given())
        config = read_config(file)
        self.assertEqual({option.name for option in OPTIONS} - {"mapping", "output", "who-names"}, set(config))
        self.assertEqual(4, build_settings({}, config).workers)
