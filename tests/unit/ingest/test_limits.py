"""How many connections there may be: from the descriptor limit, and at any moment."""

from __future__ import annotations

import resource

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.ingest.occupancy import Occupancy
from statsd_tcp.sockets.limits import RESERVED_DESCRIPTORS, connection_limit, raise_descriptor_limit


class LimitTests(SynchronousTestCase):
    """The limits of one worker."""

    def test_connection_limit(self) -> None:
        """The operator's figure is shared by the workers, and never exceeds what the descriptors allow."""
        for wanted, workers, descriptors, limit in (
            (None, 1, 1024, 1024 - RESERVED_DESCRIPTORS),
            (None, 8, 1024, 1024 - RESERVED_DESCRIPTORS),
            (100, 1, 1024, 100),
            (100, 3, 1024, 34),
            (1, 8, 1024, 1),
            (100_000, 2, 1024, 1024 - RESERVED_DESCRIPTORS),
            (None, 1, 64, 1),
            (10, 1, 64, 1),
        ):
            self.assertEqual(limit, connection_limit(wanted, workers, descriptors), (wanted, workers, descriptors))

    def test_raise_descriptor_limit(self) -> None:
        """The soft limit becomes the hard one."""
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, resource.getrlimit(resource.RLIMIT_NOFILE))
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 512), hard))
        self.assertEqual(hard, raise_descriptor_limit())
        self.assertEqual((hard, hard), resource.getrlimit(resource.RLIMIT_NOFILE))


class OccupancyTests(SynchronousTestCase):
    """Who waits for room."""

    def setUp(self) -> None:
        """Two open of two."""
        self.occupancy = Occupancy(2)
        self.occupancy.open = 2
        self.resumed: list[str] = []

    def test_room(self) -> None:
        """A lane that waits is called once, when there is room."""
        self.occupancy.when_room(lambda: self.resumed.append("a"))
        self.occupancy.when_room(lambda: self.resumed.append("b"))
        self.assertEqual([], self.resumed)
        self.occupancy.leave()
        self.occupancy.leave()
        self.assertEqual((["a", "b"], 0), (self.resumed, self.occupancy.open))

    def test_still_no_room(self) -> None:
        """When more are open than there may be, one that ends makes no room yet."""
        self.occupancy.open = 4
        self.occupancy.when_room(lambda: self.resumed.append("a"))
        self.occupancy.leave()
        self.occupancy.leave()
        self.assertEqual([], self.resumed)
        self.occupancy.leave()
        self.assertEqual(["a"], self.resumed)

    def test_waiting_again(self) -> None:
        """Who finds no room after all may wait again."""

        def wait() -> None:
            self.resumed.append("a")
            self.occupancy.when_room(wait)

        wait()
        self.occupancy.leave()
        self.assertEqual(["a", "a"], self.resumed)
