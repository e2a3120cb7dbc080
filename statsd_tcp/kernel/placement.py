"""Which processor each worker is put on (``--pin``, ``--steer cpu``): the order in which the usable ones are dealt out.

The affinity mask already is what the control group's cpuset leaves: sched_getaffinity(2) never gives a processor that
sched_setaffinity(2) would refuse for its sake.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from statsd_tcp.kernel.cards import read_cards
from statsd_tcp.kernel.tables import cpu_list

__all__ = ["Layout", "place_workers", "read_layout"]


class Layout(NamedTuple):
    """The processors as far as placing workers needs to know them.

    ``usable`` may be used; ``near`` are those of the network card's NUMA node, empty where no card tells, or several
    tell different ones; ``threads`` gives for a processor all that share its core with it, itself included.
    """

    usable: Collection[int]
    near: Collection[int] = ()
    threads: Mapping[int, Collection[int]] = {}


def place_workers(workers: int, layout: Layout) -> tuple[int, ...]:
    """Assign a processor to each worker.

    Those of the card's node come first, and within a node one of each core before the second ones. With more workers
    than processors it starts over, so that worker k shares with worker k + n.
    """
    usable = set(layout.usable)

    def rank(cpu: int) -> tuple[bool, int, int]:
        before = [other for other in layout.threads.get(cpu, ()) if other in usable and other < cpu]
        return cpu not in layout.near, len(before), cpu

    order = sorted(usable, key=rank)
    return tuple(order[worker % len(order)] for worker in range(workers))


def read_layout(sys: Path = Path("/sys")) -> Layout:
    """Look at the machine. What cannot be read is left out: then the order is that of the numbers."""
    usable = os.sched_getaffinity(0)
    folder = sys / "devices/system/cpu"
    threads = {cpu: _listed(folder / f"cpu{cpu}/topology/thread_siblings_list") for cpu in usable}
    return Layout(usable, _near(sys), threads)


def _near(sys: Path) -> list[int]:
    folder = sys / "class/net"
    cards = read_cards(folder) if folder.is_dir() else []
    nodes = {card.node for card in cards if card.real and card.up and card.node is not None}
    return _listed(sys / f"devices/system/node/node{nodes.pop()}/cpulist") if len(nodes) == 1 else []


def _listed(file: Path) -> list[int]:
    try:
        return cpu_list(file.read_text())
    except (OSError, ValueError):
        return []
