"""What makes the service known to twistd."""

from __future__ import annotations

import gc

from twisted.plugins.statscounter_plugin import statscounter
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp import tap


class PluginTests(SynchronousTestCase):
    """The maker of the service."""

    def test_options(self) -> None:
        """It gives the package's options and service, and garbage is looked for once they are imported."""
        self.assertIs(tap.Options, statscounter.options)
        self.assertIs(tap.makeService, statscounter.makeService)
        self.assertTrue(gc.isenabled())
