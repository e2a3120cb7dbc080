"""What is done to the fleet: nodes, engines and the balancer are killed; nodes reload, leave, and have bad hours."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import inf

from tests.fleet.balancer import Balancer
from tests.fleet.engines import FleetEngine
from tests.fleet.node import Node
from tests.functional.small_disk import fill
from tests.functional.waiting import until
from tests.torture.chronicle import Chronicle

__all__ = ["Violence"]

PAUSES = (0.5, 2.0)
"""Seconds between two deeds."""

CLOCK_STEPS = (-7200.0, 600.0, 315_360_000.0)
"""Seconds: two hours back, ten minutes and ten years ahead."""

AWAY, WRONG_CLOCK, FULL = (1, 5), (3, 8), (1, 6)
"""Seconds at least and at most."""


class Violence:
    """Does one thing after the other, as ``seed`` has it; each at least once. ``left`` is what retired nodes had."""

    def __init__(
        self, nodes: Sequence[Node], engines: Mapping[str, FleetEngine], balancer: Balancer, seed: int
    ) -> None:
        self._nodes = nodes
        self._engines = engines
        self._balancer = balancer
        self._chance = random.Random(seed)
        self.chronicle = Chronicle()
        self.left = 0.0
        self._unwell: set[str] = set()
        self._away: dict[FleetEngine, float] = {}
        self._deeds: list[Callable[[], None]] = [
            self._kill_worker,
            self._kill_node,
            self._kill_balancer,
            self._kill_engine,
            self._reload,
            self._drain,
            self._absorb,
            self._retire,
            self._set_clock,
            self._fill_disk,
        ]

    def go_on(self, seconds: float) -> None:
        """Do things for so long, and until each was done once."""
        ends = time.monotonic() + seconds
        for number, deed in enumerate(self._drawn()):
            if number >= len(self._deeds) and time.monotonic() > ends:
                break
            time.sleep(self._chance.uniform(*PAUSES))
            self._bring_back(time.monotonic())
            deed()
        self.chronicle.end()
        self._bring_back(inf)
        for node in self._nodes:
            self._balancer.await_up(node.name)

    def _drawn(self) -> Iterator[Callable[[], None]]:
        yield from self._chance.sample(self._deeds, len(self._deeds))
        while True:
            yield self._chance.choice(self._deeds)

    def _node(self) -> Node:
        return self._some(1)[0]

    def _some(self, number: int) -> list[Node]:
        """Choose nodes, as soon as there are enough whose clocks are right and whose disks have room."""
        return self._chance.sample(until(lambda: self._well(number), "some nodes are well"), number)

    def _well(self, number: int) -> list[Node]:
        well = [node for node in self._nodes if node.name not in self._unwell]
        return well if len(well) >= number else []

    def _kill_worker(self) -> None:
        node, began = self._node(), time.monotonic()
        node.replace_worker()
        self.chronicle.note(f"a worker of node {node.name} is killed", began)

    def _kill_node(self) -> None:
        node, began = self._node(), time.monotonic()
        node.kill()
        node.start_again()
        self._balancer.await_up(node.name)
        self.chronicle.note(f"node {node.name} is killed", began)

    def _kill_balancer(self) -> None:
        began = time.monotonic()
        self._balancer.kill()
        self._balancer.start()
        self.chronicle.note("the balancer is killed", began)

    def _kill_engine(self) -> None:
        here = [engine for engine in self._engines.values() if engine not in self._away]
        if here:
            engine, seconds = self._chance.choice(here), self._chance.uniform(*AWAY)
            self.chronicle.say(f"{engine.name} is killed", f"and away for {seconds:.1f} s")
            engine.kill()
            self._away[engine] = time.monotonic() + seconds

    def _bring_back(self, now: float) -> None:
        """Start the engines that have been away for long enough.

        They end with the thread that has started them, so that this is not done by the chronicle.
        """
        for engine in [engine for engine, until_then in self._away.items() if until_then <= now]:
            engine.start()
            del self._away[engine]

    def _reload(self) -> None:
        node = self._node()
        self.chronicle.say(f"node {node.name} reloads")
        node.reload()

    def _drain(self) -> None:
        node = self._node()
        self.chronicle.say(f"node {node.name} is drained, and comes back")
        self._leave(node)
        self._come_back(node)

    def _absorb(self) -> None:
        self._hand_over("absorb")

    def _retire(self) -> None:
        self.left += self._hand_over("retire")

    def _hand_over(self, how: str) -> float:
        """Return what the node had that another one has taken over; 0 if it may not leave yet."""
        node, other = self._some(2)
        self._leave(node)
        had = node.stored_hits()
        if not node.give_to(other, how):
            self.chronicle.say(f"node {node.name} is too soon to {how}", f"by node {other.name}")
            self._come_back(node)
            return 0.0
        self.chronicle.say(f"{how} node {node.name}", f"by node {other.name}")
        other.reload()
        until(lambda: not other.has_guests(), f"node {other.name} has taken it over")
        node.forget()
        self._come_back(node)
        return had

    def _leave(self, node: Node) -> None:
        # A stop closes connections whose line has not come yet. Their clients get no `ok`.
        began = time.monotonic()
        node.stop()
        self._balancer.await_down(node.name)
        self.chronicle.note(f"node {node.name} stops", began)

    def _come_back(self, node: Node) -> None:
        node.start_again()
        self._balancer.await_up(node.name)

    def _set_clock(self) -> None:
        node, step, seconds = self._node(), self._chance.choice(CLOCK_STEPS), self._chance.uniform(*WRONG_CLOCK)
        self._unwell.add(node.name)
        self.chronicle.beside(f"clock {node.name}", self._be_wrong, node, step, seconds)

    def _be_wrong(self, node: Node, step: float, seconds: float) -> None:
        self.chronicle.say(f"the clock of node {node.name} is set", f"by {step:.0f} s for {seconds:.1f} s")
        node.clock.step(step)
        time.sleep(seconds)
        node.clock.step(-step)
        self._unwell.discard(node.name)

    def _fill_disk(self) -> None:
        node, seconds = self._node(), self._chance.uniform(*FULL)
        self._unwell.add(node.name)
        self.chronicle.beside(f"disk {node.name}", self._be_full, node, seconds)

    def _be_full(self, node: Node, seconds: float) -> None:
        self.chronicle.say(f"the disk of node {node.name} is full", f"for {seconds:.1f} s")
        ballast = fill(node.disk)
        time.sleep(seconds)
        ballast.unlink()
        self._unwell.discard(node.name)
