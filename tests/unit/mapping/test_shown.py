"""Which names on the page belong to the service itself."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.mapping.shown import is_reserved

CASES = {
    "statscounter_connections_total": True,
    "statscounter_clients": True,
    "process_open_fds": True,
    "process_other": False,
    # Sent by clients, or made of what they send.
    "statscounter_overflow_c": False,
    "statscounter_client_dropped_full": False,
    "shop_statscounter_client_dropped_full": False,
}


class IsReservedTests(SynchronousTestCase):
    """Tests for `is_reserved`."""

    def test_names(self) -> None:
        """Names of the service are reserved, except those under which clients report of themselves."""
        self.assertEqual({name: is_reserved(name) for name in CASES}, CASES)
