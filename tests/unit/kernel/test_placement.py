"""Which processor each worker gets."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.kernel.placement import Layout, place_workers, read_layout
from tests.unit.doctor.machines import TREES, lay_out
from tests.unit.doctor.trees import TreeTestCase

# Two threads on each core: 0 and 4, 1 and 5, 2 and 6, 3 and 7.
TWINS = {cpu: (cpu % 4, cpu % 4 + 4) for cpu in range(8)}
# ... or next to each other: 0 and 1, 2 and 3, 4 and 5, 6 and 7.
NEIGHBOURS = {cpu: (cpu & 6, cpu | 1) for cpu in range(8)}

# Workers, the layout, and the processors of the workers.
PLACES = (
    (1, Layout({0}), (0,)),
    (2, Layout({0, 1}), (0, 1)),
    (3, Layout({0, 1}), (0, 1, 0)),
    (2, Layout({9, 3, 5}), (3, 5)),
    (4, Layout(range(8), (), TWINS), (0, 1, 2, 3)),
    (6, Layout(range(8), (), TWINS), (0, 1, 2, 3, 4, 5)),
    (4, Layout(range(8), (), NEIGHBOURS), (0, 2, 4, 6)),
    (6, Layout(range(8), (), NEIGHBOURS), (0, 2, 4, 6, 1, 3)),
    # Of a core of which only the second thread may be used that is as good as the first.
    (3, Layout({1, 2, 3}, (), NEIGHBOURS), (1, 2, 3)),
    (3, Layout({2, 3, 5}, (), NEIGHBOURS), (2, 5, 3)),
    # Node 1 has the card.
    (4, Layout(range(8), (4, 5, 6, 7)), (4, 5, 6, 7)),
    (6, Layout(range(8), (4, 5, 6, 7)), (4, 5, 6, 7, 0, 1)),
    (2, Layout({0, 1, 2}, (4, 5, 6, 7)), (0, 1)),
    (4, Layout(range(8), (4, 5, 6, 7), NEIGHBOURS), (4, 6, 5, 7)),
)


class PlaceTests(SynchronousTestCase):
    """The order of dealing out."""

    def test_table(self) -> None:
        """The card's node comes first, then the first thread of each core, then the number."""
        for workers, layout, wanted in PLACES:
            self.assertEqual(wanted, place_workers(workers, layout), layout)

    @given(
        st.integers(1, 100),
        st.sets(st.integers(0, 63), min_size=1),
        st.sets(st.integers(0, 63)),
    )
    def test_fair(self, workers: int, usable: set[int], near: set[int]) -> None:
        """Only processors that may be used are given, none twice before all were, and always in turn."""
        cpus = place_workers(workers, Layout(usable, near))
        self.assertEqual(workers, len(cpus))
        self.assertLessEqual(set(cpus), usable)
        self.assertEqual(min(workers, len(usable)), len(set(cpus)))
        self.assertEqual(cpus[len(usable) :], cpus[: -len(usable)] if workers > len(usable) else ())


class ReadTests(TreeTestCase):
    """Looking at a machine; what it may use is what this process may."""

    def setUp(self) -> None:
        """Set what may be used."""
        super().setUp()
        self.patch(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
        for cpu in range(4):
            topology = self.sys / f"devices/system/cpu/cpu{cpu}/topology"
            self.write(topology / "thread_siblings_list", f"{cpu & 2}-{cpu | 1}\n")
        for node, cpus in ((0, "0-1"), (1, "2-3")):
            self.write(self.sys / f"devices/system/node/node{node}/cpulist", f"{cpus}\n")

    def card(self, name: str, node: int | None, state: str = "up") -> None:
        """Put a card in; without a node it is software, as loopback is."""
        self.write(self.sys / f"class/net/{name}/operstate", f"{state}\n")
        if node is not None:
            self.write(self.sys / f"class/net/{name}/device/numa_node", f"{node}\n")

    def test_cores(self) -> None:
        """The threads of each core are read, and the second ones come last."""
        self.assertEqual((0, 2, 1, 3), place_workers(4, read_layout(self.sys)))

    def test_the_card(self) -> None:
        """The processors of the card's node are near."""
        self.card("eth0", 1)
        self.card("lo", None, "unknown")
        self.assertEqual([2, 3], list(read_layout(self.sys).near))

    def test_no_preference(self) -> None:
        """Cards that are down or name no node do not count, and two on different nodes are no reason for either."""
        self.card("eth0", -1)
        self.card("eth1", 0, "down")
        self.assertEqual([], list(read_layout(self.sys).near))
        self.card("eth2", 0)
        self.assertEqual([0, 1], list(read_layout(self.sys).near))
        self.card("eth3", 1)
        self.assertEqual([], list(read_layout(self.sys).near))

    def test_nothing_to_read(self) -> None:
        """Where /sys is not there the order is that of the numbers."""
        self.assertEqual((0, 1, 2, 3), place_workers(4, read_layout(self.proc)))

    def test_a_large_machine(self) -> None:
        """On a server with two nodes the workers are on its card's node."""
        lay_out((TREES / "numa.tree").read_text(), self.sys.parent)
        self.patch(os, "sched_getaffinity", lambda _: set(range(64)))
        near = list(read_layout(self.sys).near)
        self.assertLessEqual(set(place_workers(8, read_layout(self.sys))), set(near))
        self.assertEqual(32, len(near))
